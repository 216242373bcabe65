//! Entities as nine int8 vectors each, and the pair's score in plain code: one fused loop, on any device's host.

use burn::prelude::*;

use super::{LEVELS, Prepared};
use crate::error::Result;
use crate::linker::read;

/// Vectors of a side: three auxiliary spaces, and their two products for the attention.
const VECTORS: usize = 3 * LEVELS;

/// What the pair's score needs of one post: `[9, aux]`, the spaces, the asking and the answering products.
#[derive(Debug, Clone, PartialEq)]
pub struct MentionVectors(Vec<f32>);

impl MentionVectors {
    /// Reads a batch of posts back from the device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn of(prepared: Prepared) -> Result<Vec<Self>> {
        let (values, row) = rows(prepared).await?;
        Ok(values.chunks(row).map(|row| Self(row.to_vec())).collect())
    }
}

/// All entities: int8 with one f32 scale a vector.
#[derive(Debug, Clone, Default)]
pub struct EntityIndex {
    aux: usize,
    /// `[n, 9, aux]`
    values: Vec<i8>,
    /// `[n, 9]`
    scales: Vec<f32>,
}

impl EntityIndex {
    /// An empty index of vectors of width `aux`.
    pub fn new(aux: usize) -> Self {
        Self {
            aux,
            ..Self::default()
        }
    }

    /// Adds a batch of entities, read back from the device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn extend(&mut self, prepared: Prepared) -> Result<()> {
        let (values, _) = rows(prepared).await?;
        for vector in values.chunks(self.aux) {
            let largest = vector
                .iter()
                .fold(0.0f32, |max, value| max.max(value.abs()));
            let scale = largest / 127.0;
            let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
            // A maximum passes over NaN.
            let is_finite = vector.iter().all(|value| value.is_finite());
            self.scales.push(if is_finite { scale } else { f32::NAN });
            self.values
                .extend(vector.iter().map(|value| (value * inverse).round() as i8));
        }
        Ok(())
    }

    /// How many entities there are.
    pub fn len(&self) -> usize {
        self.scales.len() / VECTORS
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.scales.is_empty()
    }

    /// Bytes an entity.
    pub fn bytes_per_entity(&self) -> usize {
        VECTORS * (self.aux + size_of::<f32>())
    }

    /// Cosines of u_m and u_e (eq. 9-12) of a post with each of `candidates`.
    pub fn scores(&self, mention: &MentionVectors, candidates: &[usize]) -> Vec<f32> {
        let mut entity = vec![0.0; VECTORS * self.aux];
        candidates
            .iter()
            .map(|&candidate| {
                self.widen(candidate, &mut entity);
                fusion(&mention.0, &entity, self.aux)
            })
            .collect()
    }

    fn widen(&self, entity: usize, into: &mut [f32]) {
        let values = &self.values[entity * VECTORS * self.aux..][..VECTORS * self.aux];
        let scales = &self.scales[entity * VECTORS..][..VECTORS];
        for ((into, values), scale) in into
            .chunks_mut(self.aux)
            .zip(values.chunks(self.aux))
            .zip(scales)
        {
            for (into, value) in into.iter_mut().zip(values) {
                *into = f32::from(*value) * scale;
            }
        }
    }
}

/// The vectors of all rows, and how many numbers a row has.
async fn rows(prepared: Prepared) -> Result<(Vec<f32>, usize)> {
    let Prepared {
        aux,
        asking,
        answering,
    } = prepared;
    let all: Tensor<3> = Tensor::cat(vec![aux, asking, answering], 1);
    let [_, vectors, width] = all.dims();
    Ok((read(all).await?, vectors * width))
}

/// The cosine of u_m and u_e of one pair.
fn fusion(mention: &[f32], entity: &[f32], aux: usize) -> f32 {
    let to_mention = shares(mention, entity, aux);
    let to_entity = shares(entity, mention, aux);
    let (mut dot, mut square_m, mut square_e) = (0.0f32, 0.0f32, 0.0f32);
    for d in 0..aux {
        let mix = |shares: &[f32; LEVELS], side: &[f32]| {
            (0..LEVELS)
                .map(|j| shares[j] * side[j * aux + d])
                .sum::<f32>()
        };
        let (u_m, u_e) = (mix(&to_mention, entity), mix(&to_entity, mention));
        dot += u_m * u_e;
        square_m += u_m * u_m;
        square_e += u_e * u_e;
    }
    dot / (square_m * square_e).max(1e-16).sqrt()
}

/// Eq. 9 and 10, averaged over i: how much `own` takes of each of the other side's spaces.
fn shares(own: &[f32], other: &[f32], aux: usize) -> [f32; LEVELS] {
    let vector = |side: &[f32], kind: usize, level: usize| {
        (kind * LEVELS + level) * aux..(kind * LEVELS + level + 1) * aux.min(side.len())
    };
    let root = (aux as f32).sqrt();
    let mut mean = [0.0; LEVELS];
    for i in 0..LEVELS {
        let query = &own[vector(own, 0, i)];
        let asking = &own[vector(own, 1, i)];
        let logits: [f32; LEVELS] = std::array::from_fn(|j| {
            let answering = &other[vector(other, 2, j)];
            let products = query.iter().zip(asking).zip(answering);
            // Eight sums side by side let the compiler use vector registers.
            let mut sums = [0.0f32; 8];
            for (k, ((query, asking), answering)) in products.enumerate() {
                sums[k % 8] += query * (asking + answering).max(0.0);
            }
            sums.iter().sum::<f32>() / root
        });
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers = logits.map(|logit| (logit - highest).exp());
        let total: f32 = powers.iter().sum();
        for (mean, power) in mean.iter_mut().zip(powers) {
            *mean += power / total / LEVELS as f32;
        }
    }
    mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imn::{Imn, ImnConfig, Input, Modality};
    use burn::tensor::Distribution;

    fn network() -> (Imn, Tensor<3>, Tensor<3>) {
        let device = Device::flex();
        let inputs = vec![Input {
            modality: Modality::Text,
            width: 4,
        }];
        let random =
            |n: usize| Tensor::random([n, LEVELS, 112], Distribution::Normal(0.0, 1.0), &device);
        (ImnConfig::ours(inputs).init(&device), random(2), random(5))
    }

    #[test]
    fn the_index_scores_as_the_network_does_within_its_rounding() {
        let (network, mentions, entities) = network();
        let mentions = network.prepare_mentions(mentions);
        let entities = network.prepare_entities(entities);
        let candidates = [0usize, 1, 2, 3, 4];
        let all = Tensor::<2, Int>::from_data([[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]], &Device::flex());
        let expected = network.compare(&mentions, &entities, all).fusion;
        let expected: Vec<f32> = expected.into_data().try_into_vec().unwrap();

        let mut index = EntityIndex::new(112);
        pollster::block_on(index.extend(entities)).unwrap();
        assert_eq!((index.len(), index.bytes_per_entity()), (5, 1044));
        let vectors = pollster::block_on(MentionVectors::of(mentions)).unwrap();
        for (row, mention) in vectors.iter().enumerate() {
            for (i, score) in index.scores(mention, &candidates).into_iter().enumerate() {
                let expected = expected[row * 5 + i];
                assert!((score - expected).abs() < 1e-2, "{score} {expected}");
            }
        }
    }

    #[test]
    fn a_vector_that_is_not_finite_gives_no_score() {
        let (network, mentions, entities) = network();
        let mut index = EntityIndex::new(112);
        pollster::block_on(index.extend(network.prepare_entities(entities * f32::NAN))).unwrap();
        let vectors =
            pollster::block_on(MentionVectors::of(network.prepare_mentions(mentions))).unwrap();
        assert!(index.scores(&vectors[0], &[0])[0].is_nan());
    }
}
