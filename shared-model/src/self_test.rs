//! The self-test of a bundle: what the exporting machine computed for one post, to be reproduced by every other device.

use std::collections::HashMap;

use burn::prelude::Device;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::data::Mention;
use crate::encoders::Encoders;
use crate::error::{Error, Result};
use crate::evidence::Conditions;
use crate::linker::{Linker, Picture, Query, TextCache};
use crate::pack::{Entry, Pack};
use crate::tensors::read;
use crate::vision::Vision;

/// A post with the tensors that the exporting machine computed for it: what a device must reproduce before it is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    post: GoldenPost,
    picture: RgbImage,
    tensors: Tensors,
}

/// Tokens of the text, tokens of the picture, scores.
type Tensors = [Vec<f32>; 3];

/// Names of [`Tensors`] in `golden.bpk`.
const NAMES: [&str; 3] = ["text_tokens", "image_tokens", "scores"];

/// Number of rounds that a device is timed for.
const ROUNDS: usize = 5;
/// Milliseconds of earlier rounds that do not count: browsers optimise code only once it has run for a while.
const WARM_UP_MS: f64 = 500.0;

/// The largest differences between a device and the golden tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Largest difference of the text's tokens.
    pub text: f32,
    /// Largest difference of the picture's tokens.
    pub image: f32,
    /// Largest difference of the scores.
    pub score: f32,
}

impl SelfTest {
    /// The largest of all.
    pub fn largest(self) -> f32 {
        self.text.max(self.image).max(self.score)
    }

    /// Whether the device agrees: tokens within 5e-3, scores within 1e-3. A NaN never does.
    pub fn passed(self) -> bool {
        self.text <= 5e-3 && self.image <= 5e-3 && self.score <= 1e-3
    }
}

impl Golden {
    /// Computes the tensors with `linker`.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn record(
        linker: &Linker,
        text: &str,
        mention: Mention,
        picture: RgbImage,
        candidates: Vec<usize>,
    ) -> Result<Self> {
        let post = GoldenPost {
            text: text.to_owned(),
            mention,
            width: picture.width(),
            height: picture.height(),
            candidates,
        };
        Ok(Self {
            tensors: post.run(&picture, linker).await?,
            post,
            picture,
        })
    }

    /// Runs the post on the linker's device. It also warms the device up.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn test(&self, linker: &Linker) -> Result<SelfTest> {
        let tensors = self.post.run(&self.picture, linker).await?;
        let difference = |i: usize| difference(&tensors[i], &self.tensors[i]);
        Ok(SelfTest {
            text: difference(0),
            image: difference(1),
            score: difference(2),
        })
    }

    /// Milliseconds that an image encoder takes for the picture, once it has started: the median of [`ROUNDS`].
    ///
    /// # Arguments
    ///
    /// - now: a clock in milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn picture_ms(
        &self,
        vision: &Vision,
        device: &Device,
        now: impl Fn() -> f64,
    ) -> Result<f64> {
        median_ms(now, async || {
            let pixels = vision.preprocess(&self.picture);
            read(vision.forward(&[pixels], device).pooled).await
        })
        .await
    }

    /// Milliseconds that the text encoder takes for the text, and its number of tokens.
    ///
    /// # Errors
    ///
    /// As [`Golden::picture_ms`].
    pub async fn text_ms(
        &self,
        encoders: &Encoders,
        now: impl Fn() -> f64,
    ) -> Result<(f64, usize)> {
        let encoded = encoders
            .tokenizer
            .encode(&self.post.text, Some(self.post.mention))?;
        let ms = median_ms(now, async || encoders.text(&encoded).await).await?;
        Ok((ms, encoded.ids.len()))
    }

    /// Candidates, as positions in the knowledge base.
    pub(crate) fn candidates(&self) -> &[usize] {
        &self.post.candidates
    }

    /// The entries of `golden.bpk`.
    pub fn entries(&self) -> Vec<Entry> {
        let post = serde_json::to_vec(&self.post).expect("plain values");
        let picture = self.picture.as_raw().clone();
        let mut entries = vec![Entry::bytes("post", post), Entry::bytes("picture", picture)];
        for (name, values) in NAMES.into_iter().zip(&self.tensors) {
            entries.push(Entry::floats(name, [values.len()], values.clone()));
        }
        entries
    }

    pub(crate) fn from_pack(pack: &Pack) -> Result<Self> {
        let refuse = |reason: String| Error::file(pack.file(), reason);
        let post: GoldenPost = serde_json::from_slice(&pack.bytes("post")?)
            .map_err(|error| refuse(error.to_string()))?;
        let floats = |i: usize| Ok::<_, Error>(pack.floats(NAMES[i])?.1);
        Ok(Self {
            picture: RgbImage::from_raw(post.width, post.height, pack.bytes("picture")?)
                .ok_or_else(|| refuse("the picture is not as large as it says".to_owned()))?,
            post,
            tensors: [floats(0)?, floats(1)?, floats(2)?],
        })
    }
}

/// The post, with the size of its picture, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct GoldenPost {
    text: String,
    mention: Mention,
    width: u32,
    height: u32,
    candidates: Vec<usize>,
}

impl GoldenPost {
    async fn run(&self, picture: &RgbImage, linker: &Linker) -> Result<Tensors> {
        let mut texts = TextCache::default();
        let picture = Picture::new(picture.clone());
        let query = Query {
            text: &self.text,
            mention: self.mention,
            pictures: &[&picture],
            candidates: &self.candidates,
            conditions: Conditions::default(),
        };
        let ranking = linker.link(&query, &mut texts, |_| ()).await?;
        let ranked = ranking.candidates.iter();
        let scores: HashMap<&str, f32> = ranked
            .map(|candidate| (candidate.entity.as_str(), candidate.score))
            .collect();
        let entities = &linker.kb.text.entities;
        let candidates = self.candidates.iter();
        let scores = candidates.filter_map(|&entity| scores.get(entities[entity].id.as_str()));
        let scores = scores.copied().collect();
        let text = texts.first().map(|text| text.tokens.clone());
        let image = picture.vectors().map(|image| image.tokens.clone());
        Ok([text.unwrap_or_default(), image.unwrap_or_default(), scores])
    }
}

async fn median_ms<T>(now: impl Fn() -> f64, work: impl AsyncFn() -> Result<T>) -> Result<f64> {
    let start = now();
    work().await?;
    while now() - start < WARM_UP_MS {
        work().await?;
    }
    let mut times = [0.0; ROUNDS];
    for time in &mut times {
        let start = now();
        work().await?;
        *time = now() - start;
    }
    times.sort_by(f64::total_cmp);
    Ok(times[ROUNDS / 2])
}

/// The largest absolute difference; infinite if the lengths differ or a value is not a number.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    let differences = a.iter().zip(b).map(|(x, y)| (x - y).abs());
    // In this order a positive NaN, which `abs` gives, comes last.
    match differences.max_by(f32::total_cmp) {
        Some(largest) if largest.is_nan() => f32::INFINITY,
        largest => largest.unwrap_or(0.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_that_is_not_a_number_fails_the_self_test() {
        for (got, want) in [
            (&[f32::NAN][..], &[0.0][..]),
            (&[0.0], &[f32::NAN]),
            (&[1.0], &[]),
        ] {
            let test = SelfTest {
                text: difference(got, want),
                image: 0.0,
                score: 0.0,
            };
            assert!(!test.passed(), "{test:?}");
        }
    }
}
