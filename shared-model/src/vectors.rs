//! Vectors of posts, as they pass from the encoders to everything that compares them.

use std::sync::Arc;

use crate::math::mean;

/// Vectors of one text, or of a whole post under the joint encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    /// Mean over the tokens, `[width]`.
    pub pooled: Vec<f32>,
    /// `[tokens, width]`, row-major; empty where only the pooled vector was kept.
    pub tokens: Vec<f32>,
}

/// Vectors and class probabilities of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageVectors {
    /// Mean over the tokens, `[width]`.
    pub pooled: Vec<f32>,
    /// Class probabilities, `[classes]`.
    pub classes: Vec<f32>,
    /// `[tokens, width]`, row-major; empty where only the pooled vector was kept.
    pub tokens: Vec<f32>,
}

/// Vectors of one post. They are shared, so that a cache, a batch and a link hold the same copy.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PostVectors {
    /// `None` for an empty text.
    pub text: Option<Arc<TokenVectors>>,
    /// The text without its mention, see [`crate::context`]; `None` without a mention or without another word.
    pub context: Option<Arc<TokenVectors>>,
    /// Pooled vector of the text without its mention under the context encoder; `None` without one.
    pub tuned: Option<Vec<f32>>,
    /// One per picture.
    pub images: Vec<Arc<ImageVectors>>,
    /// `None` without a joint encoder.
    pub joint: Option<Arc<TokenVectors>>,
}

impl PostVectors {
    /// One vector per modality; several pictures are averaged.
    pub fn pooled(&self) -> PooledVectors {
        let images = || self.images.iter();
        PooledVectors {
            text: self.text.as_ref().map(|text| text.pooled.clone()),
            context: self.context.as_ref().map(|text| text.pooled.clone()),
            tuned: self.tuned.clone(),
            image: mean(images().map(|image| image.pooled.as_slice())),
            classes: mean(images().map(|image| image.classes.as_slice())),
            joint: self.joint.as_ref().map(|joint| joint.pooled.clone()),
        }
    }
}

/// One vector per modality of a post or profile; `None` where the modality is missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PooledVectors {
    /// Mean over the text's tokens.
    pub text: Option<Vec<f32>>,
    /// Mean over the tokens of a text without its mention, or, of a profile, of the description without the names; see [`crate::context`].
    pub context: Option<Vec<f32>>,
    /// Mean over the tokens, under the context encoder, of a text without the mention or, of a timeline or a profile, without the names of its entity.
    pub tuned: Option<Vec<f32>>,
    /// Mean over the pictures' pooled vectors.
    pub image: Option<Vec<f32>>,
    /// Mean over the pictures' class probabilities.
    pub classes: Option<Vec<f32>>,
    /// Mean over the joint encoder's tokens; `None` without one.
    pub joint: Option<Vec<f32>>,
}

/// Widths of the pooled vectors that a set of encoders gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Widths {
    /// Width of a text vector.
    pub text: usize,
    /// Whether there are text vectors of a context encoder, too.
    pub context: bool,
    /// Width of an image vector.
    pub image: usize,
    /// Number of classes of the image encoder.
    pub classes: usize,
    /// Width of a joint vector; `None` without a joint encoder.
    pub joint: Option<usize>,
}
