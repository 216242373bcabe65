//! `popularity`: how often an entity is the gold in train.

use std::collections::HashMap;

use shared_model::data::Post;

use super::{Scores, System};
use crate::dataset::Dataset;
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// Scores a candidate by its number of train mentions.
pub(super) struct Popularity {
    /// Number of train mentions per entity, by position in the knowledge base.
    counts: Vec<f32>,
}

impl Popularity {
    pub(super) fn new(dataset: &Dataset, train: &[Post]) -> Self {
        let mut counts: HashMap<&str, f32> = HashMap::new();
        for id in train.iter().filter_map(|post| post.entity.as_deref()) {
            *counts.entry(id).or_default() += 1.0;
        }
        let count = |id: &str| counts.get(id).copied().unwrap_or_default();
        Self {
            counts: dataset
                .entities
                .iter()
                .map(|entity| count(&entity.id))
                .collect(),
        }
    }
}

impl System for Popularity {
    fn name(&self) -> &'static str {
        "popularity"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::None
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        on_all_cores(mentions, self.name(), |mention| {
            let candidates = mention.candidates.iter();
            let scores: Vec<f32> = candidates
                .map(|&candidate| self.counts[candidate])
                .collect();
            Ok(scores.into())
        })
    }
}
