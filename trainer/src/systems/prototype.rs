//! `prototype`: the training-free scorer alone.

use anyhow::Context as _;
use shared_model::linker::{Linker, Reading};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// The training-free scorer of a run, without the network.
pub(super) struct Prototype<'a> {
    linker: &'a Linker,
}

impl<'a> Prototype<'a> {
    pub(super) fn new(linker: &'a Linker) -> Self {
        Self { linker }
    }
}

impl System for Prototype<'_> {
    fn name(&self) -> &'static str {
        "prototype"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::Pooled
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        on_all_cores(mentions, self.name(), |mention| {
            let post = mention.post;
            let reading = Reading {
                pooled: mention.features.without_tokens().pooled(),
                imn: None,
            };
            let ranking =
                self.linker
                    .rank(&reading, &post.text, mention.mention, &mention.candidates);
            let ranking = ranking.with_context(|| format!("{:?}", post.id))?;
            let mut scores = Scores::of_ranking(&ranking, mention, self.linker);
            if self.linker.imn.is_some() {
                // The temperature was fitted to the scores with the network.
                scores.probabilities = None;
            }
            Ok(scores)
        })
    }
}
