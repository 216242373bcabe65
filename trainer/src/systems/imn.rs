//! `imn`: the run's network, added to the training-free score.

use anyhow::Context as _;
use shared_model::linker::{Linker, Reading};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::files::progress;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// Number of mentions that the network encodes at once.
const BATCH: usize = 32;

/// The whole scorer of a run with a network.
pub(super) struct Imn<'a> {
    linker: &'a Linker,
}

impl<'a> Imn<'a> {
    pub(super) fn new(linker: &'a Linker) -> Self {
        Self { linker }
    }

    fn read(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Reading>> {
        let mut readings = Vec::with_capacity(mentions.len());
        let bar = progress(mentions.len(), "reading");
        for batch in mentions.chunks(BATCH) {
            let posts: Vec<_> = batch
                .iter()
                .map(|mention| mention.features.vectors())
                .collect();
            readings.extend(pollster::block_on(self.linker.read(posts))?);
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
            let post = mention.post;
            let ranking =
                self.linker
                    .rank(reading, &post.text, mention.mention, &mention.candidates);
            let ranking = ranking.with_context(|| format!("{:?}", post.id))?;
            Ok(Scores::of_ranking(&ranking, mention, self.linker))
        })
    }
}
