//! Posts and entities as the network reads them: plain vectors to the padded sequences of a batch.
//!
//! Every vector is centred by the knowledge base's statistics and L2-normalised, on both sides.

use burn::prelude::*;

use super::{Input, Modality, ReadOn, Sequence, Side};
use crate::kb::KnowledgeBase;
use crate::math::normalised;
use crate::statistics::Statistics;
use crate::vectors::{PooledVectors, PostVectors};

/// A modality of one post or entity; empty where it is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlainSequence {
    /// `[length, width]`, row-major.
    pub vectors: Vec<f32>,
    /// `[length]`: the picture that a vector belongs to, from 1; 0 for none.
    pub pictures: Vec<i32>,
    /// `[width]`: input of the pooled projection.
    pub pooled: Vec<f32>,
}

impl PlainSequence {
    fn push(&mut self, vector: &[f32], picture: i32) {
        self.vectors.extend_from_slice(vector);
        self.pictures.push(picture);
    }

    /// Sets the pooled vector to the normalised mean of all vectors.
    fn pool(mut self, width: usize) -> Self {
        let mut sum = vec![0.0; width];
        for vector in self.vectors.chunks(width) {
            for (sum, value) in sum.iter_mut().zip(vector) {
                *sum += value;
            }
        }
        self.pooled = normalised(&sum);
        self
    }
}

/// A post: its pooled vector, then its tokens, one sequence per modality of `inputs`.
///
/// # Arguments
///
/// - pooled: the post's [`PostVectors::pooled`].
pub fn mention_sequences(
    inputs: &[Input],
    post: &PostVectors,
    pooled: &PooledVectors,
    statistics: &Statistics,
) -> Vec<PlainSequence> {
    inputs
        .iter()
        .map(|input| {
            let centre = |vector: &[f32]| centred(statistics, input.modality, vector);
            let mut sequence = PlainSequence::default();
            let whole = modality_of(input.modality, pooled);
            let Some(whole) = whole.filter(|_| input.read_on != ReadOn::Entities) else {
                return sequence;
            };
            sequence.pooled = centre(whole);
            // A knowledge base without pictures has no mean to centre one by, and nothing to compare it with.
            if sequence.pooled.len() != input.width {
                return PlainSequence::default();
            }
            let lead = sequence.pooled.clone();
            sequence.push(&lead, 0);
            let images = post.images.iter().map(|image| &image.tokens);
            let tokens: Vec<(&Vec<f32>, i32)> = match input.modality {
                Modality::Text => post.text.iter().map(|text| (&text.tokens, 0)).collect(),
                Modality::Image => images.zip(1..).collect(),
                Modality::Joint => post.joint.iter().map(|joint| (&joint.tokens, 0)).collect(),
            };
            for (tokens, picture) in tokens {
                for token in tokens.chunks(input.width) {
                    sequence.push(&centre(token), picture);
                }
            }
            sequence
        })
        .collect()
}

/// The centred and normalised vectors of an entity: its prototypes, then its profile among the texts and the joint vectors.
#[derive(Debug, Clone)]
pub struct CentredEntity(Vec<CentredModality>);

#[derive(Debug, Clone)]
struct CentredModality {
    width: usize,
    /// Prototypes with their posts, then the profile without one.
    vectors: Vec<(Option<usize>, Vec<f32>)>,
}

impl CentredEntity {
    /// Centres the vectors of one entity of a knowledge base.
    pub fn new(inputs: &[Input], kb: &KnowledgeBase, entity: usize) -> Self {
        let (chosen, profile) = (&kb.text.prototypes[entity], &kb.profiles[entity]);
        let modality = |input: &Input| {
            let (posts, profile) = match input.modality {
                Modality::Text => (&chosen.text, profile.text.as_ref()),
                // A profile has no picture.
                Modality::Image => (&chosen.image, None),
                Modality::Joint => (&chosen.joint, profile.joint.as_ref()),
            };
            let of_post = |pooled| modality_of(input.modality, pooled);
            let posts = posts.iter().filter_map(|chosen| {
                let vector = of_post(&kb.pooled[chosen.post])?;
                Some((Some(chosen.post), vector))
            });
            let vectors = posts.chain(profile.map(|vector| (None, vector)));
            let vectors = vectors.filter(|_| input.read_on != ReadOn::Mentions);
            let centre = |(post, vector): (_, &Vec<f32>)| {
                (post, centred(&kb.statistics, input.modality, vector))
            };
            CentredModality {
                width: input.width,
                vectors: vectors.map(centre).collect(),
            }
        };
        Self(inputs.iter().map(modality).collect())
    }

    /// The entity with some of its posts, one sequence per modality of `inputs`.
    ///
    /// # Arguments
    ///
    /// - keep: which posts of the knowledge base count; a post to be linked is no prototype of its own.
    pub fn sequences(&self, keep: impl Fn(usize) -> bool) -> Vec<PlainSequence> {
        let sequence = |modality: &CentredModality| {
            let mut sequence = PlainSequence::default();
            for (post, vector) in &modality.vectors {
                if post.is_none_or(&keep) {
                    sequence.push(vector, 0);
                }
            }
            sequence.pool(modality.width)
        };
        self.0.iter().map(sequence).collect()
    }
}

fn modality_of(modality: Modality, pooled: &PooledVectors) -> Option<&Vec<f32>> {
    match modality {
        Modality::Text => pooled.text.as_ref(),
        Modality::Image => pooled.image.as_ref(),
        Modality::Joint => pooled.joint.as_ref(),
    }
}

/// The vector, centred and normalised.
fn centred(statistics: &Statistics, modality: Modality, vector: &[f32]) -> Vec<f32> {
    normalised(&match modality {
        Modality::Text => statistics.centre_text(vector),
        Modality::Image => statistics.centre_image(vector),
        Modality::Joint => statistics.centre_joint(vector),
    })
}

/// Pads a batch.
///
/// # Arguments
///
/// - rows: by row, then by modality, in the order of `inputs`.
pub fn side(inputs: &[Input], rows: &[Vec<PlainSequence>], device: &Device) -> Side {
    let n = rows.len();
    let sequence = |(modality, input): (usize, &Input)| {
        let width = input.width;
        let of = || rows.iter().map(move |row| &row[modality]);
        // At least one position, so that a batch without the modality has a shape.
        let length = of()
            .map(|plain| plain.pictures.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let mut vectors = vec![0.0; n * length * width];
        let mut pictures = vec![0i32; n * length];
        let mut mask = vec![true; n * length];
        let mut pooled = vec![0.0; n * width];
        for (row, plain) in of().enumerate() {
            let n_real = plain.pictures.len();
            vectors[row * length * width..][..n_real * width].copy_from_slice(&plain.vectors);
            pictures[row * length..][..n_real].copy_from_slice(&plain.pictures);
            mask[row * length..][..n_real].fill(false);
            pooled[row * width..][..plain.pooled.len()].copy_from_slice(&plain.pooled);
        }
        let several = pictures.iter().any(|picture| *picture > 0);
        Sequence {
            vectors: Tensor::from_data(TensorData::new(vectors, [n, length, width]), device),
            mask: Tensor::from_data(TensorData::new(mask, [n, length]), device),
            pooled: Tensor::from_data(TensorData::new(pooled, [n, width]), device),
            picture: several
                .then(|| Tensor::from_data(TensorData::new(pictures, [n, length]), device)),
        }
    };
    Side {
        sequences: inputs.iter().enumerate().map(sequence).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Moments;

    #[test]
    fn a_modality_is_missing_on_the_side_that_does_not_read_it() {
        let pooled = PooledVectors {
            text: Some(vec![1.0, 0.0]),
            ..PooledVectors::default()
        };
        let mut moments = Moments::default();
        moments.add(&PooledVectors {
            text: Some(vec![0.0, 1.0]),
            ..PooledVectors::default()
        });
        let lengths = |read_on| {
            let input = Input {
                read_on,
                ..Input::new(Modality::Text, 2)
            };
            let post = PostVectors::default();
            let rows = mention_sequences(&[input], &post, &pooled, &moments.statistics());
            rows[0].pictures.len()
        };
        let all = [ReadOn::Both, ReadOn::Mentions, ReadOn::Entities];
        assert_eq!(all.map(lengths), [1, 1, 0]);
    }
}
