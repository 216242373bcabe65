//! Posts to tensors, with what is asked of them.

use burn::prelude::*;
use rand::rngs::StdRng;
use shared_model::joint::JointInput;

use super::masking::{self, Pieces, Shares};
use super::negatives::{Source, Wrong, is_pair};
use super::posts::Post;
use crate::features::{Channels, Patches};

/// What batches are made of.
pub(crate) struct Material<'a> {
    /// All pictures' tokens.
    pub(crate) patches: &'a Patches,
    /// What their z-scores are taken by.
    pub(crate) channels: &'a Channels,
    /// Of a word vector.
    pub(crate) word_width: usize,
    /// What hides a token.
    pub(crate) pieces: Pieces,
}

/// A token that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// In the flattened `[batch * tokens]`.
    pub(crate) position: usize,
    /// What it was.
    pub(crate) id: u32,
    /// It belongs to the mention.
    pub(crate) in_mention: bool,
}

/// A pair of text and picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Of the batch.
    pub(crate) row: usize,
    /// Where the picture comes from; `None` for the post's own.
    pub(crate) wrong: Option<Source>,
}

impl Pair {
    /// The picture is the text's own.
    pub(crate) fn belongs(self) -> bool {
        self.wrong.is_none()
    }
}

/// Some posts and the three tasks on them. Only posts with their own pictures are asked for tokens and patches.
pub(crate) struct Batch {
    /// What the encoder reads.
    pub(crate) input: JointInput,
    /// The first task.
    pub(crate) asked: Vec<Asked>,
    /// The second: positions in the flattened `[batch * patches]`.
    pub(crate) patches: Vec<usize>,
    /// Their features, z-scored: `[patches, width]`, row-major.
    pub(crate) features: Vec<f32>,
    /// The third.
    pub(crate) pairs: Vec<Pair>,
}

impl Material<'_> {
    /// Masks `rows` of `posts`; `wrong` names the posts whose pictures some of them get.
    pub(crate) fn batch(
        &self,
        posts: &[Post],
        rows: &[usize],
        wrong: &[Option<Wrong>],
        shares: Shares,
        rng: &mut StdRng,
        device: &Device,
    ) -> Batch {
        let Patches { tokens, width, .. } = *self.patches;
        let pictures_of = |row: usize| {
            let post = wrong[row].map_or(rows[row], |wrong| wrong.post);
            &posts[post].pictures
        };
        let n_tokens = rows.iter().map(|&post| posts[post].ids.len()).max();
        let n_tokens = n_tokens.unwrap_or(1);
        let n_pictures = (0..rows.len()).map(|row| pictures_of(row).len()).max();
        let n_patches = (n_pictures.unwrap_or(0) * tokens).max(1);

        let mut ids = vec![0i32; rows.len() * n_tokens];
        let mut ids_mask = vec![true; ids.len()];
        let mut word = vec![0.0f32; rows.len() * self.word_width];
        let mut word_mask = vec![true; rows.len()];
        let mut image = vec![0.0f32; rows.len() * n_patches * width];
        let mut image_mask = vec![true; rows.len() * n_patches];
        let mut patch = vec![0i32; image_mask.len()];
        let mut picture = vec![0i32; image_mask.len()];
        let mut asked = Vec::new();
        let mut hidden_patches = Vec::new();
        let mut features = Vec::new();
        let mut pairs = Vec::new();
        for (row, &post) in rows.iter().enumerate() {
            let post = &posts[post];
            let matched = wrong[row].is_none();
            let mention = post.mention.as_ref();
            // Wrong pairs are masked too, or the mask would tell them.
            let masked = masking::mask(&post.ids, mention, shares, self.pieces, rng);
            for (position, &id) in masked.ids.iter().enumerate() {
                ids[row * n_tokens + position] = id as i32;
                ids_mask[row * n_tokens + position] = false;
            }
            if matched {
                asked.extend(masked.asked.iter().map(|&position| Asked {
                    position: row * n_tokens + position,
                    id: post.ids[position],
                    in_mention: mention.is_some_and(|mention| mention.contains(&position)),
                }));
            }
            if let Some(vector) = post.word.as_ref().filter(|_| !masked.hides_mention) {
                word[row * self.word_width..][..self.word_width].copy_from_slice(vector);
                word_mask[row] = false;
            }

            let pictures = pictures_of(row);
            for (number, &place) in pictures.iter().enumerate() {
                let start = row * n_patches + number * tokens;
                for (value, to) in self.patches.of(place).zip(&mut image[start * width..]) {
                    *to = value;
                }
                for i in 0..tokens {
                    image_mask[start + i] = false;
                    patch[start + i] = i as i32;
                    picture[start + i] = number as i32;
                }
            }
            if !pictures.is_empty() {
                for hidden in masking::patches(pictures.len() * tokens, rng) {
                    let position = row * n_patches + hidden;
                    let values = &mut image[position * width..][..width];
                    if matched {
                        hidden_patches.push(position);
                        features.extend(self.z_scores(values));
                    }
                    values.fill(0.0);
                }
            }
            if is_pair(post) {
                let wrong = wrong[row].map(|wrong| wrong.source);
                pairs.push(Pair { row, wrong });
            }
        }
        let n = rows.len();
        Batch {
            input: JointInput {
                ids: tensor(ids, [n, n_tokens], device),
                ids_mask: tensor(ids_mask, [n, n_tokens], device),
                word: tensor(word, [n, self.word_width], device),
                word_mask: tensor(word_mask, [n, 1], device),
                image: tensor(image, [n, n_patches, width], device),
                image_mask: tensor(image_mask, [n, n_patches], device),
                patch: tensor(patch, [n, n_patches], device),
                picture: tensor(picture, [n, n_patches], device),
            },
            asked,
            patches: hidden_patches,
            features,
            pairs,
        }
    }

    fn z_scores(&self, values: &[f32]) -> Vec<f32> {
        values
            .iter()
            .zip(&self.channels.means)
            .zip(&self.channels.deviations)
            .map(|((value, mean), deviation)| (value - mean) / deviation.max(1e-6))
            .collect()
    }
}

fn tensor<const D: usize, K: burn::tensor::kind::Basic, E: burn::tensor::Element>(
    values: Vec<E>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D, K> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::rng;

    const ALL: Shares = Shares {
        mention: 1.0,
        other: 0.0,
    };
    const NONE: Shares = Shares {
        mention: 0.0,
        other: 0.0,
    };

    fn post() -> Post {
        Post {
            ids: vec![1, 50, 60, 70, 2],
            mention: Some(2..3),
            word: Some(vec![0.5, 0.25]),
            pictures: vec![0],
            ..Post::default()
        }
    }

    /// A batch of `posts`, the first with the pictures of the last if it is `wrong`.
    fn batch(posts: &[Post], shares: Shares, wrong: bool) -> Batch {
        let pictures = [vec![1.0; 8], vec![3.0; 8]];
        let material = Material {
            patches: &Patches::given(4, 2, &pictures),
            channels: &Channels {
                means: vec![0.0, 1.0],
                deviations: vec![1.0, 2.0],
            },
            word_width: 2,
            pieces: Pieces { mask: 9, n: 100 },
        };
        let rows: Vec<usize> = (0..posts.len()).collect();
        let mut drawn = vec![None; posts.len()];
        drawn[0] = wrong.then_some(Wrong {
            post: posts.len() - 1,
            source: Source::Random,
        });
        let mut rng = rng(1, "batch", 0);
        material.batch(posts, &rows, &drawn, shares, &mut rng, &Device::flex())
    }

    fn hides_word(batch: &Batch) -> Vec<bool> {
        batch
            .input
            .word_mask
            .clone()
            .into_data()
            .try_to_vec()
            .unwrap()
    }

    #[test]
    fn the_word_is_hidden_with_the_mention_alone() {
        let without = Post {
            mention: None,
            word: None,
            ..post()
        };
        let posts = [post(), without];
        assert_eq!(hides_word(&batch(&posts, ALL, false)), [true, true]);
        let seen = batch(&posts, NONE, false);
        assert_eq!(hides_word(&seen), [false, true]);
        let word: Vec<f32> = seen.input.word.into_data().try_to_vec().unwrap();
        assert_eq!(word, [0.5, 0.25, 0.0, 0.0]);
    }

    #[test]
    fn hidden_patches_are_zero_and_their_z_scores_are_wanted() {
        let batch = batch(&[post()], NONE, false);
        assert_eq!(batch.features, [1.0, 0.0]);
        let image: Vec<f32> = batch.input.image.into_data().try_to_vec().unwrap();
        let [hidden] = batch.patches[..] else {
            panic!("one of four patches")
        };
        for (i, patch) in image.chunks(2).enumerate() {
            let want = if i == hidden { [0.0; 2] } else { [1.0; 2] };
            assert_eq!(patch, want);
        }
    }

    #[test]
    fn a_wrong_pair_is_masked_and_asked_for_nothing_else() {
        let other = Post {
            pictures: vec![1],
            ..post()
        };
        let batch = batch(&[post(), other], ALL, true);
        let pairs: Vec<_> = batch.pairs.iter().map(|pair| pair.wrong).collect();
        assert_eq!(pairs, [Some(Source::Random), None]);
        assert_eq!(batch.asked.len(), 1);
        assert_eq!((batch.asked[0].position, batch.asked[0].id), (5 + 2, 60));
        assert!(batch.asked[0].in_mention);
        assert!(batch.patches.iter().all(|&patch| patch >= 4));
        assert_eq!(hides_word(&batch), [true, true]);
        let image: Vec<f32> = batch.input.image.into_data().try_to_vec().unwrap();
        assert!(image.iter().all(|value| [0.0, 3.0].contains(value)));
    }
}
