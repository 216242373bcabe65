//! `popularity`: how often an entity is the gold in train; and the other systems whose scores depend on the candidate alone.

use std::collections::HashMap;

use shared_model::data::Entity;

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;

/// A system that gives each entity the same score for every mention.
pub(crate) struct ByEntity {
    name: &'static str,
    /// By position in the knowledge base.
    scores: Vec<f32>,
}

impl ByEntity {
    /// A system that scores each entity by how often its id is among `ids`.
    pub(crate) fn counting<'a>(
        name: &'static str,
        entities: &[Entity],
        ids: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mut counts: HashMap<&str, f32> = HashMap::new();
        for id in ids {
            *counts.entry(id).or_default() += 1.0;
        }
        let count = |entity: &Entity| counts.get(entity.id.as_str()).copied();
        let scores = entities.iter();
        Self {
            name,
            scores: scores
                .map(|entity| count(entity).unwrap_or_default())
                .collect(),
        }
    }
}

impl ByEntity {
    /// The score of an entity, by its position in the knowledge base.
    pub(crate) fn score_of(&self, entity: usize) -> f32 {
        self.scores[entity]
    }
}

impl System for ByEntity {
    fn name(&self) -> &'static str {
        self.name
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::None
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let of_mention = |mention: &EncodedMention| {
            let candidates = mention.candidates.iter();
            let scores: Vec<f32> = candidates
                .map(|&candidate| self.scores[candidate])
                .collect();
            scores.into()
        };
        Ok(mentions.iter().map(of_mention).collect())
    }
}
