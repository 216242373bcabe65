//! The systems of the paper's Table 2 that have a network.

use std::collections::HashMap;

use burn::prelude::*;
use shared_model::baselines::{self, BaselineConfig, BaselineKind, Reads};
use shared_model::imn::{CentredEntity, NetworkTerm, mention_sequences, side};
use shared_model::linker::Linker;
use shared_model::tensors::read;

use super::published::Published;
use crate::features::FeatureLevel;
use crate::files::progress;
use crate::mentions::EncodedMention;
use crate::run::{SavedBaseline, TrainedBaseline};

/// Number of candidates that are scored at once, at most.
const MAX_CANDIDATES: usize = 4096;
/// Number of mentions that are scored at once, at most.
const MAX_MENTIONS: usize = 32;

/// A trained system beside a knowledge base.
pub(super) struct Baseline<'a> {
    network: baselines::Baseline,
    config: BaselineConfig,
    linker: &'a Linker,
    /// Its term beside the training-free score of each entity, by position in the knowledge base.
    terms: Vec<NetworkTerm>,
}

impl<'a> Baseline<'a> {
    pub(super) fn load(trained: &TrainedBaseline, linker: &'a Linker) -> anyhow::Result<Self> {
        let SavedBaseline {
            config,
            seen,
            new,
            training,
        } = &trained.saved;
        let entities = linker.kb.text.entities.iter();
        let is_seen = |id: &String| training.entities.binary_search(id).is_ok();
        Ok(Self {
            network: config.load(&trained.pack, &linker.encoders.device)?,
            config: config.clone(),
            linker,
            terms: entities
                .map(|entity| if is_seen(&entity.id) { *seen } else { *new })
                .collect(),
        })
    }

    fn scores_of(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>> {
        let Linker { kb, encoders, .. } = self.linker;
        let (inputs, device) = (&self.config.inputs, &encoders.device);
        let mut rows: HashMap<usize, i32> = HashMap::new();
        let mut entities = Vec::new();
        let longest = mentions.iter().map(|mention| mention.candidates.len());
        let n_candidates = longest.max().unwrap_or(0).max(1);
        let mut places = vec![0; mentions.len() * n_candidates];
        for (mention, places) in mentions.iter().zip(places.chunks_mut(n_candidates)) {
            for (&entity, place) in mention.candidates.iter().zip(places) {
                *place = *rows.entry(entity).or_insert_with(|| {
                    entities.push(entity);
                    entities.len() as i32 - 1
                });
            }
        }
        if entities.is_empty() {
            return Ok(vec![Vec::new(); mentions.len()]);
        }
        let posts: Vec<_> = mentions
            .iter()
            .map(|mention| (mention.post.text.as_str(), mention.mention))
            .collect();
        let names: Vec<&str> = entities
            .iter()
            .map(|&entity| kb.text.entities[entity].name.as_str())
            .collect();
        let mention_rows: Vec<_> = mentions
            .iter()
            .map(|mention| {
                let post = match self.needs() {
                    FeatureLevel::Tokens => mention.features.vectors(),
                    _ => mention.features.without_tokens(),
                };
                mention_sequences(inputs, &post, &post.pooled(), &kb.statistics)
            })
            .collect();
        let entity_rows: Vec<_> = entities
            .iter()
            .map(|&entity| CentredEntity::new(inputs, kb, entity).sequences(|_| true))
            .collect();
        let shape = [mentions.len(), n_candidates];
        let batch = self.config.batch(
            &posts,
            [
                side(inputs, &mention_rows, device),
                side(inputs, &entity_rows, device),
            ],
            &names,
            Tensor::from_data(TensorData::new(places, shape), device),
            encoders.words.as_ref(),
        )?;
        let scores = pollster::block_on(read(self.network.forward(&batch)))?;
        let rows = mentions.iter().zip(scores.chunks(n_candidates));
        Ok(rows
            .map(|(mention, scores)| scores[..mention.candidates.len()].to_vec())
            .collect())
    }
}

impl Published for Baseline<'_> {
    fn names(&self) -> [&'static str; 2] {
        match self.config.kind {
            BaselineKind::Jmel => ["jmel", "jmel+cues"],
            BaselineKind::Arnn => ["arnn", "arnn+cues"],
            BaselineKind::Bert => ["bert", "bert+cues"],
            BaselineKind::Dzmned => ["dzmned", "dzmned+cues"],
            BaselineKind::DzmnedBert => ["dzmned-bert", "dzmned-bert+cues"],
        }
    }

    fn needs(&self) -> FeatureLevel {
        match self.config.kind.reads() {
            Reads::Tokens => FeatureLevel::Tokens,
            _ => FeatureLevel::Pooled,
        }
    }

    fn linker(&self) -> &Linker {
        self.linker
    }

    fn terms(&self) -> &[NetworkTerm] {
        &self.terms
    }

    fn scores(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut scores = Vec::with_capacity(mentions.len());
        let bar = progress(mentions.len(), self.config.kind.name());
        let mut rest = mentions;
        while !rest.is_empty() {
            let mut n_candidates = 0;
            let fits = rest.iter().take(MAX_MENTIONS).take_while(|mention| {
                n_candidates += mention.candidates.len();
                n_candidates <= MAX_CANDIDATES
            });
            let (batch, others) = rest.split_at(fits.count().max(1));
            scores.extend(self.scores_of(batch)?);
            bar.inc(batch.len() as u64);
            rest = others;
        }
        bar.finish_and_clear();
        Ok(scores)
    }
}
