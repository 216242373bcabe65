//! Posts as tensors, with the targets of the three tasks.

use burn::prelude::*;
use rand::rngs::StdRng;
use shared_model::joint::{JointConfig, JointInput, JointPost};

use super::masking::{self, Pieces, Shares};
use super::negatives::{Question, Source};
use super::posts::Post;
use crate::features::{Channels, Patches};

/// Makes batches of posts.
pub(crate) struct Collator<'a> {
    /// Tokens of all pictures.
    pub(crate) patches: &'a Patches,
    /// Means and deviations of their channels.
    pub(crate) channels: &'a Channels,
    /// Sizes of the encoder.
    pub(crate) sizes: &'a JointConfig,
    /// Word pieces that replace a masked one.
    pub(crate) pieces: Pieces,
}

/// A masked token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MaskedToken {
    /// Position in the flattened `[batch * tokens]`.
    pub(crate) position: usize,
    /// Its true word piece.
    pub(crate) id: u32,
    /// Whether it belongs to the mention.
    pub(crate) in_mention: bool,
}

/// A pair of text and picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Row of the batch.
    pub(crate) row: usize,
    /// Source of a negative picture; `None` for the post's own.
    pub(crate) negative: Option<Source>,
}

impl Pair {
    /// Whether the picture is of the same post as the text.
    pub(crate) fn belongs(self) -> bool {
        self.negative.is_none()
    }
}

/// Posts with the targets of the three tasks.
pub(crate) struct Batch {
    /// Input of the encoder.
    pub(crate) input: JointInput,
    /// Masked tokens.
    pub(crate) tokens: Vec<MaskedToken>,
    /// Masked patches, as positions in the flattened `[batch * patches]`.
    pub(crate) patches: Vec<usize>,
    /// Their features, z-scored, `[patches, width]`, row-major.
    pub(crate) features: Vec<f32>,
    /// Pairs of text and picture.
    pub(crate) pairs: Vec<Pair>,
}

impl Collator<'_> {
    /// A batch of some `rows` of `posts`, each with the task that `questions` names.
    pub(crate) fn batch(
        &self,
        posts: &[Post],
        rows: &[usize],
        questions: &[Question],
        shares: Shares,
        rng: &mut StdRng,
        device: &Device,
    ) -> Batch {
        let Patches { tokens, width, .. } = *self.patches;
        let mut inputs = Vec::with_capacity(rows.len());
        // As rows and positions in them: the length of a row is known at the end.
        let mut asked = Vec::new();
        let mut hidden_patches = Vec::new();
        let mut features = Vec::new();
        let mut pairs = Vec::new();
        let pictures_of = |post: usize| -> Vec<Vec<f32>> {
            let places = posts[post].pictures.iter();
            places
                .map(|&place| self.patches.of(place).collect())
                .collect()
        };
        for (row, (&place, question)) in rows.iter().zip(questions).enumerate() {
            let post = &posts[place];
            if let Question::Pair(wrong) = question {
                pairs.push(Pair {
                    row,
                    negative: wrong.map(|wrong| wrong.source),
                });
                inputs.push(JointPost {
                    ids: post.ids.clone(),
                    word: post.word.clone(),
                    pictures: pictures_of(wrong.map_or(place, |wrong| wrong.post)),
                });
                continue;
            }
            let mention = post.mention.as_ref();
            let masked = masking::mask(&post.ids, mention, shares, self.pieces, rng);
            asked.extend(masked.asked.iter().map(|&position| {
                let in_mention = mention.is_some_and(|mention| mention.contains(&position));
                (row, position, post.ids[position], in_mention)
            }));
            let mut pictures = pictures_of(place);
            if !pictures.is_empty() {
                for hidden in masking::patches(pictures.len() * tokens, rng) {
                    let values = &mut pictures[hidden / tokens][hidden % tokens * width..][..width];
                    hidden_patches.push((row, hidden));
                    features.extend(self.z_scores(values));
                    values.fill(0.0);
                }
            }
            inputs.push(JointPost {
                word: post.word.clone().filter(|_| !masked.hides_mention),
                ids: masked.ids,
                pictures,
            });
        }
        let input = JointInput::of(&inputs, self.sizes, device);
        let [_, n_tokens] = input.ids.dims();
        let [_, n_patches] = input.patch.dims();
        let asked = asked
            .into_iter()
            .map(|(row, position, id, in_mention)| MaskedToken {
                position: row * n_tokens + position,
                id,
                in_mention,
            });
        let hidden = hidden_patches.into_iter();
        Batch {
            input,
            tokens: asked.collect(),
            patches: hidden
                .map(|(row, hidden)| row * n_patches + hidden)
                .collect(),
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

#[cfg(test)]
mod tests {
    use super::super::negatives::Wrong;
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

    fn sizes() -> JointConfig {
        JointConfig {
            d_model: 8,
            n_layers: 1,
            n_heads: 2,
            d_ff: 16,
            max_text: 64,
            word_width: 2,
            image_width: 2,
            patches: 4,
            layer_norm_eps: 1e-12,
            dropout: 0.0,
        }
    }

    /// A batch of `posts`; the first is asked whether the pictures of the last are its own if it is `wrong`.
    fn batch(posts: &[Post], shares: Shares, wrong: bool) -> Batch {
        let pictures = [vec![1.0; 8], vec![3.0; 8]];
        let collator = Collator {
            patches: &Patches::given(4, 2, &pictures),
            channels: &Channels {
                means: vec![0.0, 1.0],
                deviations: vec![1.0, 2.0],
            },
            sizes: &sizes(),
            pieces: Pieces { mask: 9, n: 100 },
        };
        let rows: Vec<usize> = (0..posts.len()).collect();
        let mut drawn = vec![Question::Hidden; posts.len()];
        if wrong {
            drawn[0] = Question::Pair(Some(Wrong {
                post: posts.len() - 1,
                source: Source::Random,
            }));
        }
        let mut rng = rng(1, "batch", 0);
        collator.batch(posts, &rows, &drawn, shares, &mut rng, &Device::flex())
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
    fn a_pair_is_whole_and_asked_for_nothing_else() {
        let other = Post {
            pictures: vec![1],
            ..post()
        };
        let batch = batch(&[post(), other], ALL, true);
        let pairs: Vec<_> = batch
            .pairs
            .iter()
            .map(|pair| (pair.row, pair.negative))
            .collect();
        assert_eq!(pairs, [(0, Some(Source::Random))]);
        assert_eq!(batch.tokens.len(), 1);
        assert_eq!((batch.tokens[0].position, batch.tokens[0].id), (5 + 2, 60));
        assert!(batch.tokens[0].in_mention);
        assert!(batch.patches.iter().all(|&patch| patch >= 4));
        assert_eq!(hides_word(&batch), [false, true]);
        let ids: Vec<i64> = batch
            .input
            .ids
            .into_data()
            .convert::<i64>()
            .try_to_vec()
            .unwrap();
        assert_eq!(ids[..5], [1, 50, 60, 70, 2]);
        let image: Vec<f32> = batch.input.image.into_data().try_to_vec().unwrap();
        assert!(image[..8].iter().all(|value| *value == 3.0));
    }
}
