//! `imn`: the run's network, added to the training-free score.

use shared_model::linker::{Linker, Reading};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::files::progress;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// Number of mentions that the network encodes at once.
const BATCH: usize = 32;

/// The whole scorer of a run with a network.
pub(super) struct Imn<'a>(pub(super) &'a Linker);

impl Imn<'_> {
    fn read(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(mentions.len());
        let bar = progress(mentions.len(), "reading");
        for batch in mentions.chunks(BATCH) {
            let posts: Vec<_> = batch
                .iter()
                .map(|mention| mention.features.vectors())
                .collect();
            readings.extend(pollster::block_on(self.0.read(posts))?);
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        Ok(readings)
    }
}

impl System for Imn<'_> {
    fn name(&self) -> &'static str {
        "imn"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::Tokens
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let readings = self.read(mentions)?;
        let rows: Vec<_> = mentions.iter().zip(readings).collect();
        on_all_cores(&rows, self.name(), |(mention, reading)| {
            Scores::of_linker(self.0, mention, reading)
        })
    }
}
