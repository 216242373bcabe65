//! Data and criterion of the context encoder's training.

use std::collections::BTreeSet;

use anyhow::ensure;
use burn::prelude::*;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use shared_model::loss::{Targets, info_nce};
use shared_model::math::{cosine, mean};
use shared_model::tensors::{pad, read};
use shared_model::text::{Bert, TunedLayers};
use shared_model::tokenizer::Encoded;

use super::pairs::{Pair, Pairs};
use super::{STAGE, Settings};
use crate::features::batches_by_length;
use crate::learn::{LOSS, Metrics, Optimised, Stage, rng, rows, warmed};
use shared_model::gold_rank::GoldRank;

/// Divides the cosines.
const TEMPERATURE: f64 = 0.05;
/// Share of the steps over which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Probability that a neutral word stands for the mention in training; in an evaluation it always does.
const MASKED: f64 = 0.8;
/// Number of candidates with the nearest names among which the negative of a mention is drawn.
const NEAREST: usize = 8;
/// Texts encoded at once in training: few, so that a long text does not lengthen all.
const TRAINED_AT_ONCE: usize = 32;
/// Texts encoded at once in an evaluation.
const SHOWN_AT_ONCE: usize = 64;

/// Data and criterion of the stage.
pub(super) struct TextStage<'a> {
    pub(super) pairs: &'a Pairs,
    pub(super) settings: &'a Settings,
    /// Mentions of each dataset in a batch.
    pub(super) places: Vec<usize>,
    /// The frozen encoder, on the device of the layers that are trained.
    pub(super) frozen: Bert,
    /// The frozen encoder, on that device without gradients.
    pub(super) text: Bert,
}

/// An entity with one of its texts; both are positions in [`Pairs`].
pub(super) struct Column {
    pub(super) entity: usize,
    pub(super) text: usize,
}

/// Texts of a step.
pub(super) struct Drawn<'a> {
    pub(super) pairs: Vec<&'a Pair>,
    /// Text of each pair's post.
    queries: Vec<usize>,
    /// The golds in the order of the pairs, then the negatives.
    pub(super) columns: Vec<Column>,
}

impl<'a> TextStage<'a> {
    /// The mentions of a step; each dataset goes through its own in epochs.
    pub(super) fn rows(&self, step: usize) -> Vec<&'a Pair> {
        let seed = self.settings.seed;
        let sets = self.pairs.fit.iter().zip(&self.places);
        sets.flat_map(|(pairs, &places)| {
            let rows = rows(seed, "order of mentions", pairs.len(), places, step);
            rows.into_iter().map(|row| &pairs[row])
        })
        .collect()
    }

    pub(super) fn draw(&self, step: usize) -> Drawn<'a> {
        let mut rng = rng(self.settings.seed, STAGE, step);
        let pairs = self.rows(step);
        let mut queries = Vec::new();
        let (mut golds, mut negatives) = (Vec::new(), Vec::new());
        for pair in &pairs {
            let is_masked = rng.random_bool(MASKED);
            queries.push(if is_masked { pair.masked } else { pair.whole });
            golds.extend(self.column(pair.gold, pair, &mut rng));
            let nearest = &pair.negatives[..NEAREST.min(pair.negatives.len())];
            let negative = nearest[rng.random_range(0..nearest.len())];
            negatives.extend(self.column(negative, pair, &mut rng));
        }
        golds.extend(negatives);
        Drawn {
            pairs,
            queries,
            columns: golds,
        }
    }

    /// `None` if the entity has no text beside this mention, which a gold always has.
    fn column(&self, entity: usize, pair: &Pair, rng: &mut StdRng) -> Option<Column> {
        let texts = self.pairs.trained(entity, pair);
        let text = *texts.choose(rng)?;
        Some(Column { entity, text })
    }

    /// Mean reciprocal rank and P@1 of the golds among their candidates; `vectors` has those of the texts.
    fn figures(&self, pairs: &[Pair], vectors: &[Vec<f32>]) -> Option<[f64; 2]> {
        let (mut mrr, mut p_at_1) = (0.0, 0.0);
        for pair in pairs {
            let query = &vectors[pair.masked];
            let score = |entity: usize| {
                let texts = self.pairs.shown(entity, pair).into_iter();
                let entity = mean(texts.map(|text| vectors[text].as_slice()))?;
                Some(cosine(query, &entity))
            };
            let scores: Vec<f32> = candidates(pair).filter_map(score).collect();
            let rank = GoldRank::of(&scores, 0);
            mrr += rank.reciprocal_rank();
            p_at_1 += rank.recall_at(1);
        }
        let n = pairs.len() as f64;
        (n > 0.0).then(|| [mrr / n, p_at_1 / n])
    }

    /// Vectors of the texts that an evaluation compares, in the places of these texts; the others are empty.
    fn compared(&self, model: &Optimised<TunedLayers>) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut wanted = BTreeSet::new();
        for pair in self.pairs.seen.iter().chain(&self.pairs.new) {
            wanted.insert(pair.masked);
            wanted.extend(candidates(pair).flat_map(|entity| self.pairs.shown(entity, pair)));
        }
        let wanted: Vec<usize> = wanted.into_iter().collect();
        let device = model.device.clone().inner();
        let bert = self.text.with_last_layers(model.model.valid());
        let mut vectors = vec![Vec::new(); self.pairs.texts.len()];
        for places in self.batches(&wanted, SHOWN_AT_ONCE) {
            let encoded = self.encode(&bert, places.iter().map(|&place| wanted[place]), &device);
            let [_, width] = encoded.dims();
            let values = pollster::block_on(read(encoded))?;
            for (&place, vector) in places.iter().zip(values.chunks(width)) {
                vectors[wanted[place]] = vector.to_vec();
            }
        }
        Ok(vectors)
    }

    /// Places among `texts`, the short texts first.
    fn batches(&self, texts: &[usize], n: usize) -> Vec<Vec<usize>> {
        let lengths = texts.iter().map(|&text| self.pairs.texts[text].ids.len());
        batches_by_length(lengths, n)
    }

    /// Pooled vectors of unit length.
    ///
    /// # Shapes
    ///
    /// - output: `[n_texts, d_model]`
    fn encode(
        &self,
        bert: &Bert,
        texts: impl Iterator<Item = usize>,
        device: &Device,
    ) -> Tensor<2> {
        let texts: Vec<Encoded> = texts.map(|text| self.pairs.texts[text].clone()).collect();
        let (ids, mask) = pad(&texts, device);
        let pooled = bert.pooled(ids, mask);
        let square = (pooled.clone() * pooled.clone()).sum_dim(1); // [n_texts, 1]
        pooled / square.clamp_min(1e-12).sqrt()
    }

    /// Cosines of the queries and the columns. Each text is encoded once.
    ///
    /// # Shapes
    ///
    /// - output: `[n_queries, n_columns]`
    fn cosines(&self, bert: &Bert, drawn: &Drawn, device: &Device) -> Tensor<2> {
        let columns: Vec<usize> = drawn.columns.iter().map(|column| column.text).collect();
        let texts: BTreeSet<usize> = drawn.queries.iter().chain(&columns).copied().collect();
        let texts: Vec<usize> = texts.into_iter().collect();
        let batches = self.batches(&texts, TRAINED_AT_ONCE);
        let order: Vec<usize> = batches.concat().iter().map(|&place| texts[place]).collect();
        let encoded = batches.iter().map(|places| {
            let texts = places.iter().map(|&place| texts[place]);
            self.encode(bert, texts, device)
        });
        let encoded = Tensor::cat(encoded.collect(), 0); // [n_texts, d_model]
        let of = |wanted: &[usize]| {
            let place = |text| order.iter().position(|other| other == text);
            let places: Vec<i32> = wanted
                .iter()
                .map(|text| place(text).expect("every text is encoded") as i32)
                .collect();
            let places = Tensor::<1, Int>::from_data(places.as_slice(), device);
            encoded.clone().select(0, places)
        };
        of(&drawn.queries).matmul(of(&columns).transpose())
    }

    /// Columns that are no negatives of a row: its entity once more, and any other with the text that was drawn for it.
    ///
    /// # Shapes
    ///
    /// - output: `[n_queries, n_columns]`
    pub(super) fn excluded(&self, drawn: &Drawn, device: &Device) -> Tensor<2, Bool> {
        let columns = &drawn.columns;
        let is_excluded = |row: usize, column: usize| {
            let (gold, other) = (&columns[row], &columns[column]);
            let is_alike = gold.text == other.text || self.pairs.is_same(gold.entity, other.entity);
            row != column && is_alike
        };
        let mask: Vec<bool> = (0..drawn.pairs.len())
            .flat_map(|row| (0..columns.len()).map(move |column| (row, column)))
            .map(|(row, column)| is_excluded(row, column))
            .collect();
        let shape = [drawn.pairs.len(), columns.len()];
        Tensor::from_data(TensorData::new(mask, shape), device)
    }
}

/// Divides a batch among datasets by the square roots of their sizes, so that a large one is seen more often and a small one
/// is not repeated too often. Each has a place at least; rounding gives the first ones more.
pub(super) fn places(sizes: &[usize], batch: usize) -> Vec<usize> {
    let roots: Vec<f64> = sizes.iter().map(|&size| (size as f64).sqrt()).collect();
    let total: f64 = roots.iter().sum();
    let free = (batch - sizes.len()) as f64;
    let (mut before, mut given) = (0.0, 0);
    let places = roots.into_iter().map(|root| {
        before += root;
        let until = (free * before / total).round() as usize;
        1 + until - std::mem::replace(&mut given, until)
    });
    places.collect()
}

/// The gold, then the other candidates.
fn candidates(pair: &Pair) -> impl Iterator<Item = usize> {
    std::iter::once(pair.gold).chain(pair.negatives.iter().copied())
}

impl Stage<TunedLayers> for TextStage<'_> {
    const WATCHED: &'static str = "mrr";

    /// Every query against a text of each gold of the batch and of one negative of each query.
    fn step(&mut self, model: &mut Optimised<TunedLayers>, step: usize) -> anyhow::Result<Metrics> {
        let device = model.device.clone();
        let drawn = self.draw(step);
        let bert = self.frozen.with_last_layers(model.model.clone());
        let targets = Targets {
            mask: self.excluded(&drawn, &device),
            gold: Tensor::arange(0..drawn.pairs.len() as i64, &device),
        };
        let cosines = self.cosines(&bert, &drawn, &device);
        let loss = info_nce(cosines / TEMPERATURE, &targets);
        let rate = self.settings.learning_rate * warmed(step, self.settings.steps, WARM_UP);
        Ok(vec![(LOSS, model.descend(rate, loss)), ("rate", rate)])
    }

    fn batch(&self, step: usize) -> String {
        let ids = self.rows(step).into_iter().map(|pair| pair.id.as_str());
        format!("the mentions {}", ids.collect::<Vec<_>>().join(", "))
    }

    fn evaluate(
        &mut self,
        model: &mut Optimised<TunedLayers>,
        _: usize,
    ) -> anyhow::Result<Metrics> {
        let vectors = self.compared(model)?;
        let mut metrics = Metrics::new();
        for (names, pairs) in [
            (["seen_mrr", "seen_p@1"], &self.pairs.seen),
            (["new_mrr", "new_p@1"], &self.pairs.new),
        ] {
            let figures = self.figures(pairs, &vectors).into_iter().flatten();
            metrics.extend(names.into_iter().zip(figures));
        }
        let mrr = metrics.iter().filter(|(name, _)| name.ends_with("mrr"));
        let n = mrr.clone().count();
        ensure!(n > 0, "no mention is held out");
        let sum: f64 = mrr.map(|(_, mrr)| mrr).sum();
        metrics.insert(0, ("mrr", sum / n as f64));
        Ok(metrics)
    }
}
