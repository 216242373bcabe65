//! `name-only`: how similar the mention is to an entity's names.

use shared_model::names::{NameQuery, Names};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// Scores a candidate by its names.
pub(super) struct NameOnly(pub(super) Names);

impl System for NameOnly {
    fn name(&self) -> &'static str {
        "name-only"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::None
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        on_all_cores(mentions, self.name(), |mention| {
            let query = NameQuery::of(mention.surface);
            let candidates = mention.candidates.iter();
            let scores: Vec<f32> = candidates
                .map(|&candidate| self.0.score(&query, candidate))
                .collect();
            Ok(scores.into())
        })
    }
}
