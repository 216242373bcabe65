//! Image encoders behind one enum: everything downstream takes tokens of any number and width.
//!
//! Another encoder is a module here and an arm of [`VisionKind`], [`VisionConfig`] and [`Vision`], which the compiler asks for.

mod detr;
mod efficientnet;
mod resnet;

use std::fmt;
use std::str::FromStr;

use burn::prelude::*;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pack::Pack;

pub use detr::{Detr, DetrConfig, DetrOutput};
pub use efficientnet::{EfficientNetLite0, EfficientNetOutput, N_CLASSES, WIDTH};
pub use resnet::ResNet;

/// The name of an image encoder: in files, on the command line and as the tag of [`VisionConfig`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VisionKind {
    /// EfficientNet-Lite0.
    #[default]
    Efficientnet,
    /// DETR with a ResNet-50.
    Detr,
}

impl VisionKind {
    /// All image encoders, the default first.
    pub const ALL: [Self; 2] = [Self::Efficientnet, Self::Detr];

    /// The name as written in files and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Efficientnet => "efficientnet",
            Self::Detr => "detr",
        }
    }

    /// One line for the help of a command.
    pub fn description(self) -> &'static str {
        match self {
            Self::Efficientnet => "EfficientNet-Lite0: 49 patch tokens per picture, 1,000 classes",
            Self::Detr => "DETR with a ResNet-50: 100 query tokens per picture",
        }
    }

    /// The name of its file in a weight folder.
    pub fn file(self) -> String {
        format!("{self}.bpk")
    }
}

impl fmt::Display for VisionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for VisionKind {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let known = Self::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("no image encoder is named {name:?}; there are {names}")
        })
    }
}

/// An image encoder with its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum VisionConfig {
    /// 49 patch tokens of width 1,280; 1,000 classes.
    Efficientnet,
    /// 100 query tokens of width 256; the detector's classes.
    Detr(DetrConfig),
}

impl VisionConfig {
    /// The encoder's name.
    pub fn kind(&self) -> VisionKind {
        match self {
            Self::Efficientnet => VisionKind::Efficientnet,
            Self::Detr(_) => VisionKind::Detr,
        }
    }

    /// The width of a token and the number of classes.
    pub fn widths(&self) -> (usize, usize) {
        match self {
            Self::Efficientnet => (WIDTH, N_CLASSES),
            Self::Detr(config) => (config.d_model, config.n_logits),
        }
    }

    /// The number of tokens per picture.
    pub fn tokens(&self) -> usize {
        match self {
            Self::Efficientnet => 49,
            Self::Detr(config) => config.n_queries,
        }
    }

    /// Loads the encoder's weights from `pack`.
    ///
    /// # Errors
    ///
    /// See [`Pack::load`].
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Vision> {
        Ok(match self {
            Self::Efficientnet => {
                Vision::Efficientnet(Box::new(pack.load(EfficientNetLite0::init(device))?))
            }
            Self::Detr(config) => Vision::Detr(Box::new(config.load(pack, device)?)),
        })
    }
}

/// An image encoder with its weights.
#[derive(Debug, Clone)]
pub enum Vision {
    /// See [`EfficientNetLite0`].
    Efficientnet(Box<EfficientNetLite0>),
    /// See [`Detr`].
    Detr(Box<Detr>),
}

/// A picture, resized and normalised for one encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct Pixels {
    /// `[3, height, width]`, row-major.
    pub values: Vec<f32>,
    /// Height in pixels.
    pub height: usize,
    /// Width in pixels.
    pub width: usize,
}

/// What an encoder computes for a batch of pictures.
#[derive(Debug, Clone)]
pub struct VisionTokens {
    /// `[batch, tokens, width]`
    pub tokens: Tensor<3>,
    /// Mean over the tokens; DETR's are weighted by 1 - p(no object): `[batch, width]`
    pub pooled: Tensor<2>,
    /// Class probabilities; DETR's are the mean over its queries: `[batch, classes]`
    pub classes: Tensor<2>,
}

impl Vision {
    /// Resizes and normalises a picture as the encoder was trained.
    pub fn preprocess(&self, picture: &RgbImage) -> Pixels {
        match self {
            Self::Efficientnet(_) => efficientnet::preprocess(picture),
            Self::Detr(_) => detr::preprocess(picture, detr::SHORT_SIDE, detr::LONG_SIDE),
        }
    }

    /// Encodes pictures. Smaller ones are padded at the right and at the bottom.
    ///
    /// # Shapes
    ///
    /// - output: tokens `[batch, tokens, width]`, pooled `[batch, width]`, classes `[batch, classes]`
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

/// Stacks pictures to `[batch, 3, height, width]` of the largest one, with zeros beyond the smaller ones.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_in_files_and_flags() {
        for kind in VisionKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            let json = serde_json::to_value(kind).unwrap();
            assert_eq!(json, kind.name());
        }
        let config = serde_json::to_value(VisionConfig::Efficientnet).unwrap();
        assert_eq!(config["kind"], VisionKind::Efficientnet.name());
        for wrong in ["", "DETR", "clip"] {
            let error = wrong.parse::<VisionKind>().unwrap_err();
            assert!(error.contains("efficientnet, detr"), "{error}");
        }
    }
}
