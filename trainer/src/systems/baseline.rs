//! The systems of the paper's Table 2: alone, as published, and beside the training-free score.

use std::collections::HashMap;
use std::rc::Rc;

use burn::prelude::*;
use shared_model::baselines::{self, BaselineConfig, BaselineKind, Reads};
use shared_model::imn::{CentredEntity, NetworkTerm, mention_sequences, side};
use shared_model::linker::{Linker, Reading};
use shared_model::tensors::read;

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::files::progress;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;
use crate::run::TrainedBaseline;

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
        let seen = &trained.training.entities;
        let entities = linker.kb.text.entities.iter();
        let term = |is_seen: bool| if is_seen { trained.seen } else { trained.new };
        Ok(Self {
            network: trained
                .config
                .load(&trained.pack, &linker.encoders.device)?,
            config: trained.config.clone(),
            linker,
            terms: entities
                .map(|entity| term(seen.binary_search(&entity.id).is_ok()))
                .collect(),
        })
    }

    fn needs(&self) -> FeatureLevel {
        match self.config.kind.reads() {
            Reads::Tokens => FeatureLevel::Tokens,
            _ => FeatureLevel::Pooled,
        }
    }

    /// The score of each candidate of each mention.
    pub(super) fn scores(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>> {
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

/// The system as it was published.
pub(super) struct Alone<'a>(pub(super) Rc<Baseline<'a>>);

impl System for Alone<'_> {
    fn name(&self) -> &'static str {
        self.0.config.kind.name()
    }

    fn needs(&self) -> FeatureLevel {
        self.0.needs()
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let scores = self.0.scores(mentions)?;
        Ok(scores.into_iter().map(Scores::from).collect())
    }
}

/// The system beside the cues that the IMN has, by a weight that was chosen on held-out mentions.
pub(super) struct BesideCues<'a>(pub(super) Rc<Baseline<'a>>);

impl System for BesideCues<'_> {
    fn name(&self) -> &'static str {
        match self.0.config.kind {
            BaselineKind::Jmel => "jmel+cues",
            BaselineKind::Arnn => "arnn+cues",
            BaselineKind::Bert => "bert+cues",
            BaselineKind::Dzmned => "dzmned+cues",
            BaselineKind::DzmnedBert => "dzmned-bert+cues",
        }
    }

    fn needs(&self) -> FeatureLevel {
        self.0.needs()
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let scores = self.0.scores(mentions)?;
        beside_cues(&self.0, self.name(), mentions, scores)
    }
}

/// The training-free scores with the scores of a system added, by the system's terms.
pub(super) fn beside_cues(
    Baseline { linker, terms, .. }: &Baseline,
    name: &'static str,
    mentions: &[EncodedMention],
    scores: Vec<Vec<f32>>,
) -> anyhow::Result<Vec<Scores>> {
    let rows: Vec<_> = mentions.iter().zip(scores).collect();
    on_all_cores(&rows, name, |(mention, own)| {
        let reading = Reading {
            pooled: mention.features.without_tokens().pooled(),
            imn: None,
        };
        let cues = Scores::of_linker(linker, mention, &reading)?.values;
        let sums = mention.candidates.iter().zip(cues).zip(own);
        let sums = sums.map(|((&entity, cues), own)| cues + terms[entity].of(*own));
        Ok(sums.collect::<Vec<f32>>().into())
    })
}
