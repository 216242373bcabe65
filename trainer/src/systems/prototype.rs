//! `prototype`: the training-free scorer alone.

use shared_model::linker::{Linker, Reading};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// The training-free scorer of a run, without the network.
pub(super) struct Prototype<'a>(pub(super) &'a Linker);

impl System for Prototype<'_> {
    fn name(&self) -> &'static str {
        "prototype"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::Pooled
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        on_all_cores(mentions, self.name(), |mention| {
            let reading = Reading {
                pooled: mention.features.without_tokens().pooled(),
                imn: None,
            };
            let mut scores = Scores::of_linker(self.0, mention, &reading)?;
            if self.0.imn.is_some() {
                // The temperature was fitted to the scores with the network.
                scores.probabilities = None;
            }
            Ok(scores)
        })
    }
}
