//! Retrieval of pictures by texts and of texts by pictures, among up to 100 posts that no step has trained on.

use std::collections::HashSet;

use anyhow::Context as _;
use burn::prelude::Tensor;
use rand::seq::SliceRandom as _;
use serde::Serialize;
use shared_model::classes::ClassTable;
use shared_model::encoders::Encoders;
use shared_model::image::decode;
use shared_model::joint::{JointConfig, JointInput, JointPost};
use shared_model::math::{cosine, mean};
use shared_model::tokenizer::Encoded;

use super::negatives::is_pair;
use super::posts::Post;
use super::tasks::Pretrained;
use crate::features::Patches;
use crate::files;
use crate::learn::rng;

/// Number of posts, at most: every text is paired with every picture.
const POSTS: usize = 100;
/// Pairs encoded at once.
const PAIRS: usize = 50;
/// Rank up to which [`Recall::at_10`] counts.
const TEN: f64 = 10.0;

/// Retrieval among the same posts by two scores.
#[derive(Debug, Serialize)]
pub(crate) struct Retrieval {
    /// Number of posts.
    n: usize,
    /// By the joint encoder's logit of "text and picture are of one post".
    joint: Directions,
    /// By ConSE ([`shared_model::classes`]), without training; `None` without class embeddings.
    classes: Option<Directions>,
}

/// Recall in both directions.
#[derive(Debug, Serialize)]
struct Directions {
    text_to_picture: Recall,
    picture_to_text: Recall,
}

/// Share of the queries whose own counterpart is at most at a rank; equal scores share their mean rank.
#[derive(Debug, PartialEq, Serialize)]
struct Recall {
    at_1: f64,
    at_10: f64,
}

/// What retrieval reads.
pub(crate) struct Retriever<'a> {
    /// The trained encoder and its heads, without autodiff.
    pub(crate) model: &'a Pretrained,
    /// Its sizes.
    pub(crate) sizes: &'a JointConfig,
    /// The text encoder's word embeddings, on the model's device.
    pub(crate) words: &'a Tensor<2>,
    /// The frozen encoders, for ConSE.
    pub(crate) encoders: &'a Encoders,
    /// Tokens of all pictures.
    pub(crate) patches: &'a Patches,
    /// Seed of the choice of posts.
    pub(crate) seed: u64,
}

impl Retriever<'_> {
    /// Retrieval among up to 100 of `posts`, at most one per owner as far as there are enough owners; `None` if fewer than two have text and picture.
    ///
    /// # Errors
    ///
    /// If a picture can no longer be read.
    pub(crate) fn among(&self, posts: &[Post]) -> anyhow::Result<Option<Retrieval>> {
        let posts = self.chosen(posts);
        if posts.len() < 2 {
            return Ok(None);
        }
        let joint = self.joint_scores(&posts);
        let classes = self.encoders.classes.as_ref();
        let classes = classes.map(|table| self.class_scores(&posts, table));
        Ok(Some(Retrieval {
            n: posts.len(),
            joint: Directions::of(&joint),
            classes: classes.transpose()?.as_deref().map(Directions::of),
        }))
    }

    fn chosen<'p>(&self, posts: &'p [Post]) -> Vec<&'p Post> {
        let mut pairs: Vec<&Post> = posts.iter().filter(|post| is_pair(post)).collect();
        pairs.shuffle(&mut rng(self.seed, "posts to retrieve", 0));
        let (mut owners, mut pictures) = (HashSet::new(), HashSet::new());
        pairs.retain(|post| pictures.insert(post.pictures[0]));
        // Stable: the first post of every owner, in the shuffled order, then the others.
        pairs.sort_by_cached_key(|post| post.owner.is_some_and(|owner| !owners.insert(owner)));
        pairs.truncate(POSTS);
        pairs
    }

    /// Score of every text (row) with every picture (column).
    fn joint_scores(&self, posts: &[&Post]) -> Vec<Vec<f32>> {
        let device = self.words.device();
        let bar = files::progress(posts.len(), "texts");
        let pictures: Vec<Vec<f32>> = posts
            .iter()
            .map(|post| self.patches.of(post.pictures[0]).collect())
            .collect();
        let rows = posts.iter().map(|post| {
            let scores = pictures.chunks(PAIRS).flat_map(|pictures| {
                let pairs: Vec<JointPost> = pictures
                    .iter()
                    .map(|picture| JointPost {
                        ids: post.ids.clone(),
                        word: post.word.clone(),
                        pictures: vec![picture.clone()],
                    })
                    .collect();
                let input = JointInput::of(&pairs, self.sizes, &device);
                let output = self.model.encoder.forward(&input, self.words);
                let logits = self.model.heads.alignment(&output).into_data();
                let logits: Vec<f32> = logits.convert::<f32>().iter().collect();
                logits
                    .chunks(2)
                    .map(|logits| logits[1] - logits[0])
                    .collect::<Vec<_>>()
            });
            let scores = scores.collect();
            bar.inc(1);
            scores
        });
        let rows = rows.collect();
        bar.finish_and_clear();
        rows
    }

    /// The same with the cosine of the text and the picture carried into the space of texts.
    fn class_scores(&self, posts: &[&Post], table: &ClassTable) -> anyhow::Result<Vec<Vec<f32>>> {
        let mut texts = Vec::with_capacity(posts.len());
        let mut carried = Vec::with_capacity(posts.len());
        for post in posts {
            let encoded = Encoded {
                ids: post.ids.clone(),
                mention: None,
            };
            texts.push(pollster::block_on(self.encoders.text(&encoded))?.pooled);
            let path = post.picture.as_ref().context("a pair has a picture")?;
            let picture = decode(&files::read(path)?)
                .with_context(|| format!("cannot read {}", path.display()))?;
            let image = pollster::block_on(self.encoders.image(&picture))?;
            carried.push(table.carry(&image.classes));
        }
        let centre = mean(texts.iter().map(Vec::as_slice)).unwrap_or_default();
        let rows = texts.iter().map(|text| {
            let pairs = text.iter().zip(&centre);
            let centred: Vec<f32> = pairs.map(|(value, mean)| value - mean).collect();
            let scores = carried.iter().map(|picture| cosine(&centred, picture));
            scores.collect()
        });
        Ok(rows.collect())
    }
}

impl Retrieval {
    /// A line per score.
    pub(crate) fn lines(&self, posts: &str) -> Vec<String> {
        let line = |name: &str, found: &Directions| {
            let share = |recall: &Recall| {
                let [one, ten] = [recall.at_1, recall.at_10].map(|share| 100.0 * share);
                format!("{one:5.1} / {ten:5.1} %")
            };
            format!(
                "retrieval among {} of {posts}, {name}: R@1 / R@10 of pictures by texts {}, of texts by pictures {}",
                self.n,
                share(&found.text_to_picture),
                share(&found.picture_to_text)
            )
        };
        let joint = [line("joint encoder", &self.joint)];
        let classes = self.classes.iter().map(|found| line("ConSE", found));
        joint.into_iter().chain(classes).collect()
    }
}

impl Directions {
    /// # Arguments
    ///
    /// - scores: of every text (row) with every picture (column); those of one post are on the diagonal.
    fn of(scores: &[Vec<f32>]) -> Self {
        let n = scores.len();
        let column = |j: usize| scores.iter().map(|row| row[j]).collect::<Vec<_>>();
        Self {
            text_to_picture: Recall::of((0..n).map(|i| rank(&scores[i], i))),
            picture_to_text: Recall::of((0..n).map(|j| rank(&column(j), j))),
        }
    }
}

impl Recall {
    fn of(ranks: impl Iterator<Item = f64>) -> Self {
        let ranks: Vec<f64> = ranks.collect();
        let share = |most: f64| {
            let found = ranks.iter().filter(|rank| **rank <= most).count();
            found as f64 / ranks.len().max(1) as f64
        };
        Self {
            at_1: share(1.0),
            at_10: share(TEN),
        }
    }
}

/// The mean rank of the entry `own` among equal scores, from 1.
fn rank(scores: &[f32], own: usize) -> f64 {
    let better = scores.iter().filter(|score| **score > scores[own]).count();
    let equal = scores.iter().filter(|score| **score == scores[own]).count();
    better as f64 + (equal as f64 + 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recall_counts_each_direction_by_itself() {
        // Text 0 finds its picture first, text 1 second; picture 0 is found by both texts best, picture 1 by its own.
        let found = Directions::of(&[vec![2.0, 1.0], vec![3.0, 2.5]]);
        assert_eq!(
            (found.text_to_picture.at_1, found.text_to_picture.at_10),
            (0.5, 1.0)
        );
        assert_eq!(
            (found.picture_to_text.at_1, found.picture_to_text.at_10),
            (0.5, 1.0)
        );
    }

    #[test]
    fn equal_scores_are_no_find() {
        assert_eq!(rank(&[1.0, 1.0, 1.0, 0.0], 1), 2.0);
        assert_eq!(
            Recall::of([2.0, 1.0].into_iter()),
            Recall {
                at_1: 0.5,
                at_10: 1.0
            }
        );
    }
}
