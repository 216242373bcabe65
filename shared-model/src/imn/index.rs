//! Entities as nine int8 vectors each, and the score of a pair in plain code: one fused loop on the host, whatever the device.

use burn::prelude::*;

use super::{LEVELS, Prepared};
use crate::error::Result;
use crate::tensors::read;

/// Vectors per side: three auxiliary spaces, their query projections and their key projections.
const VECTORS: usize = 3 * LEVELS;
const LANES: usize = 8;
/// Numbers that are computed side by side, so that the compiler keeps them in vector registers; the last lane of a vector is padded with zeros.
type Lane = [f32; LANES];

/// What the score of a pair needs of one post, `[9, d_aux]`: auxiliary spaces, query projections, key projections (eq. 9).
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

/// All entities, in int8 with one f32 scale per vector.
#[derive(Debug, Clone, Default)]
pub struct EntityIndex {
    d_aux: usize,
    /// `[n, 9, d_aux]`
    values: Vec<i8>,
    /// `[n, 9]`
    scales: Vec<f32>,
}

impl EntityIndex {
    /// An empty index of vectors of width `d_aux`.
    pub fn new(d_aux: usize) -> Self {
        Self {
            d_aux,
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
        for vector in values.chunks(self.d_aux) {
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

    /// Bytes per entity.
    pub fn bytes_per_entity(&self) -> usize {
        VECTORS * (self.d_aux + size_of::<f32>())
    }

    /// Cosines of u_m and u_e (eq. 9-12) of a post with each of `candidates`.
    pub fn scores(&self, mention: &MentionVectors, candidates: &[usize]) -> Vec<f32> {
        let n_lanes = self.d_aux.div_ceil(LANES);
        let mut post = vec![Lane::default(); VECTORS * n_lanes];
        for (lanes, vector) in post.chunks_mut(n_lanes).zip(mention.0.chunks(self.d_aux)) {
            for (lane, values) in lanes.iter_mut().zip(vector.chunks(LANES)) {
                lane[..values.len()].copy_from_slice(values);
            }
        }
        let mut entity = vec![Lane::default(); VECTORS * n_lanes];
        candidates
            .iter()
            .map(|&candidate| {
                self.widen(candidate, &mut entity);
                fusion(&post, &entity, self.d_aux)
            })
            .collect()
    }

    fn widen(&self, entity: usize, into: &mut [Lane]) {
        let values = &self.values[entity * VECTORS * self.d_aux..][..VECTORS * self.d_aux];
        let scales = &self.scales[entity * VECTORS..][..VECTORS];
        let n_lanes = into.len() / VECTORS;
        for ((lanes, values), scale) in into
            .chunks_mut(n_lanes)
            .zip(values.chunks(self.d_aux))
            .zip(scales)
        {
            let (whole, rest) = values.as_chunks::<LANES>();
            for (lane, values) in lanes.iter_mut().zip(whole) {
                *lane = values.map(|value| f32::from(value) * scale);
            }
            for (to, value) in lanes[n_lanes - 1].iter_mut().zip(rest) {
                *to = f32::from(*value) * scale;
            }
        }
    }
}

/// The vectors of all rows, and the number of values per row.
async fn rows(prepared: Prepared) -> Result<(Vec<f32>, usize)> {
    let Prepared { aux, query, key } = prepared;
    let all: Tensor<3> = Tensor::cat(vec![aux, query, key], 1); // [n, 9, d_aux]
    let [_, vectors, width] = all.dims();
    Ok((read(all).await?, vectors * width))
}

/// The cosine of u_m and u_e of one pair.
fn fusion(mention: &[Lane], entity: &[Lane], d_aux: usize) -> f32 {
    let to_mention = shares(mention, entity, d_aux);
    let to_entity = shares(entity, mention, d_aux);
    let [e_0, e_1, e_2] = levels(entity, 0);
    let [m_0, m_1, m_2] = levels(mention, 0);
    let ([s_0, s_1, s_2], [t_0, t_1, t_2]) = (to_mention, to_entity);
    let [mut dot, mut square_m, mut square_e] = [Lane::default(); 3];
    for d in 0..e_0.len() {
        for l in 0..LANES {
            let u_m = s_0 * e_0[d][l] + s_1 * e_1[d][l] + s_2 * e_2[d][l];
            let u_e = t_0 * m_0[d][l] + t_1 * m_1[d][l] + t_2 * m_2[d][l];
            dot[l] += u_m * u_e;
            square_m[l] += u_m * u_m;
            square_e[l] += u_e * u_e;
        }
    }
    sum(dot) / (sum(square_m) * sum(square_e)).max(1e-16).sqrt()
}

/// Eq. 9 and 10, averaged over i: the attention of `own` to each auxiliary space of the other side.
fn shares(own: &[Lane], other: &[Lane], d_aux: usize) -> [f32; LEVELS] {
    let (spaces, queries) = (levels(own, 0), levels(own, 1));
    let [k_0, k_1, k_2] = levels(other, 2);
    let root = (d_aux as f32).sqrt();
    let mut mean = [0.0; LEVELS];
    for (space, query) in spaces.into_iter().zip(queries) {
        let mut sums = [Lane::default(); LEVELS];
        let keys = k_0.iter().zip(k_1).zip(k_2);
        for ((space, query), ((k_0, k_1), k_2)) in space.iter().zip(query).zip(keys) {
            for (sum, key) in sums.iter_mut().zip([k_0, k_1, k_2]) {
                for l in 0..LANES {
                    sum[l] += space[l] * (query[l] + key[l]).max(0.0);
                }
            }
        }
        let logits = sums.map(|lane| sum(lane) / root);
        let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers = logits.map(|logit| (logit - highest).exp());
        let total: f32 = powers.iter().sum();
        for (mean, power) in mean.iter_mut().zip(powers) {
            *mean += power / total / LEVELS as f32;
        }
    }
    mean
}

/// The vectors of one kind: auxiliary spaces, query projections, key projections.
fn levels(side: &[Lane], kind: usize) -> [&[Lane]; LEVELS] {
    let n_lanes = side.len() / VECTORS;
    std::array::from_fn(|level| &side[(kind * LEVELS + level) * n_lanes..][..n_lanes])
}

fn sum(lane: Lane) -> f32 {
    lane.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imn::{Imn, ImnConfig, Input, Modality};
    use burn::tensor::Distribution;

    fn network() -> (Imn, Tensor<3>, Tensor<3>) {
        let device = Device::flex();
        let inputs = vec![Input::new(Modality::Text, 4)];
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
        assert_eq!((index.scales.len(), index.bytes_per_entity()), (45, 1044));
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
