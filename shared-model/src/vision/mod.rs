//! Image encoders: one enum over both, so that everything downstream takes any width.

mod detr;
mod efficientnet;
mod resnet;

use burn::prelude::*;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pack::Pack;

pub use detr::{Detr, DetrConfig, DetrOutput};
pub use efficientnet::{EfficientNetLite0, EfficientNetOutput, N_CLASSES, WIDTH};
pub use resnet::{ResNet, ResNetConfig};

/// Which image encoder, and its size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum VisionConfig {
    /// 49 patch tokens of width 1,280; 1,000 classes.
    Efficientnet,
    /// 100 query tokens of width 256; the detector's classes.
    Detr(DetrConfig),
}

impl VisionConfig {
    /// Width of a token, and classes.
    pub fn widths(&self) -> (usize, usize) {
        match self {
            Self::Efficientnet => (WIDTH, N_CLASSES),
            Self::Detr(config) => (config.d_model, config.n_logits),
        }
    }

    /// Tokens of a picture.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Efficientnet => 49,
            Self::Detr(config) => config.n_queries,
        }
    }

    /// The encoder with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// As [`Pack::load`].
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Vision> {
        Ok(match self {
            Self::Efficientnet => {
                Vision::Efficientnet(Box::new(pack.load(EfficientNetLite0::init(device))?))
            }
            Self::Detr(config) => Vision::Detr(Box::new(config.load(pack, device)?)),
        })
    }
}

/// An image encoder.
#[derive(Debug, Clone)]
pub enum Vision {
    /// See [`EfficientNetLite0`].
    Efficientnet(Box<EfficientNetLite0>),
    /// See [`Detr`].
    Detr(Box<Detr>),
}

/// A picture as a normalised plane for one encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// `[3, height, width]`, row-major.
    pub values: Vec<f32>,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// What an encoder sees in a batch of pictures.
#[derive(Debug, Clone)]
pub struct VisionTokens {
    /// `[batch, tokens, width]`
    pub tokens: Tensor<3>,
    /// Mean over the tokens, those of DETR weighted by 1 - p(no object): `[batch, width]`
    pub pooled: Tensor<2>,
    /// Class probabilities, for DETR the mean over its queries: `[batch, classes]`
    pub classes: Tensor<2>,
}

impl Vision {
    /// The encoder's own preprocessing.
    pub fn preprocess(&self, picture: &RgbImage) -> Pixels {
        match self {
            Self::Efficientnet(_) => efficientnet::preprocess(picture),
            Self::Detr(_) => detr::preprocess(picture, detr::SHORT_SIDE, detr::LONG_SIDE),
        }
    }

    /// Encodes pictures; smaller ones are padded at the right and the bottom.
    pub fn forward(&self, batch: &[Pixels], device: &Device) -> VisionTokens {
        let sizes: Vec<[usize; 2]> = batch.iter().map(|p| [p.height, p.width]).collect();
        let input = stack(batch, device);
        match self {
            Self::Efficientnet(model) => {
                let output = model.forward(input);
                VisionTokens {
                    pooled: output.tokens.clone().mean_dim(1).squeeze_dim(1),
                    tokens: output.tokens,
                    classes: burn::tensor::activation::softmax(output.logits, 1),
                }
            }
            Self::Detr(model) => {
                let output = model.forward(input, &sizes);
                let probabilities = output.probabilities();
                let object = output.no_object().neg().add_scalar(1.0).unsqueeze_dim(2); // [1, queries, 1]
                let weighted = output.tokens.clone() * object.clone();
                VisionTokens {
                    pooled: (weighted.sum_dim(1) / object.sum_dim(1).clamp_min(1e-6))
                        .squeeze_dim(1),
                    tokens: output.tokens,
                    classes: probabilities.mean_dim(1).squeeze_dim(1),
                }
            }
        }
    }
}

/// `[batch, 3, height, width]` of the largest picture, zero beyond the smaller ones.
fn stack(batch: &[Pixels], device: &Device) -> Tensor<4> {
    let height = batch.iter().map(|pixels| pixels.height).max().unwrap_or(0);
    let width = batch.iter().map(|pixels| pixels.width).max().unwrap_or(0);
    let mut values = vec![0.0; batch.len() * 3 * height * width];
    for (pixels, plane) in batch
        .iter()
        .zip(values.chunks_mut((3 * height * width).max(1)))
    {
        for (row, source) in pixels.values.chunks(pixels.width).enumerate() {
            let (channel, y) = (row / pixels.height, row % pixels.height);
            let start = (channel * height + y) * width;
            plane[start..start + pixels.width].copy_from_slice(source);
        }
    }
    Tensor::from_data(
        TensorData::new(values, [batch.len(), 3, height, width]),
        device,
    )
}
