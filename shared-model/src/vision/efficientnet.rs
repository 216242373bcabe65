use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use image::RgbImage;

use super::Pixels;
use crate::image::normalise;
use crate::resize::{Filter, resize};

/// Classes of ImageNet-1k.
pub const N_CLASSES: usize = 1000;

/// Width of a token.
pub const WIDTH: usize = 1280;

const SIDE: u32 = 224;
const STEM: usize = 32;

/// Repeats, kernel, stride, expansion and output channels of each stage.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
];

/// EfficientNet-Lite0: ReLU6, no squeeze-and-excitation, TensorFlow's `SAME` padding.
///
/// Differs from the published checkpoint in one thing: every BatchNorm is folded into the convolution before it when the weights are imported.
#[derive(Module, Debug)]
pub struct EfficientNetLite0 {
    stem: Conv2d,
    blocks: Vec<InvertedResidual>,
    head: Conv2d,
    classifier: Linear,
}

/// What [`EfficientNetLite0::forward`] returns.
#[derive(Debug, Clone)]
pub struct EfficientNetOutput {
    /// The head's map after BatchNorm and ReLU6, row by row: `[batch, 49, 1280]` for 224 x 224
    pub tokens: Tensor<3>,
    /// ImageNet classes: `[batch, 1000]`
    pub logits: Tensor<2>,
}

impl EfficientNetLite0 {
    /// Initializes the model with random weights.
    pub fn init(device: &Device) -> Self {
        let mut blocks = Vec::new();
        let mut channels = STEM;
        for (repeats, kernel, stride, expansion, out) in STAGES {
            for repeat in 0..repeats {
                let stride = if repeat == 0 { stride } else { 1 };
                blocks.push(InvertedResidual::init(
                    channels, out, kernel, stride, expansion, device,
                ));
                channels = out;
            }
        }
        Self {
            stem: conv([3, STEM], 3, 2, 1, device),
            blocks,
            head: conv([channels, WIDTH], 1, 1, 1, device),
            classifier: LinearConfig::new(WIDTH, N_CLASSES).init(device),
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, 3, height, width]`, `(x - 127) / 128`
    pub fn forward(&self, input: Tensor<4>) -> EfficientNetOutput {
        let mut x = relu6(self.stem.forward(input));
        for block in &self.blocks {
            x = block.forward(x);
        }
        let x = relu6(self.head.forward(x));
        let tokens = x.flatten::<3>(2, 3).swap_dims(1, 2); // [batch, height * width, 1280]
        let logits = self
            .classifier
            .forward(tokens.clone().mean_dim(1).squeeze_dim(1));
        EfficientNetOutput { tokens, logits }
    }
}

/// Expansion, depthwise convolution, projection; added to the input where the shapes allow.
#[derive(Module, Debug)]
struct InvertedResidual {
    expand: Option<Conv2d>,
    depthwise: Conv2d,
    project: Conv2d,
    residual: bool,
}

impl InvertedResidual {
    fn init(
        channels: usize,
        out: usize,
        kernel: usize,
        stride: usize,
        expansion: usize,
        device: &Device,
    ) -> Self {
        let inner = channels * expansion;
        Self {
            expand: (expansion > 1).then(|| conv([channels, inner], 1, 1, 1, device)),
            depthwise: conv([inner, inner], kernel, stride, inner, device),
            project: conv([inner, out], 1, 1, 1, device),
            residual: stride == 1 && channels == out,
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, channels, height, width]`
    /// - output: `[batch, out, height / stride, width / stride]`, rounded up
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = match &self.expand {
            Some(expand) => relu6(expand.forward(input.clone())),
            None => input.clone(),
        };
        let x = self.project.forward(relu6(self.depthwise.forward(x)));
        if self.residual { x + input } else { x }
    }
}

/// The whole picture at 224 x 224, without a crop.
pub(super) fn preprocess(picture: &RgbImage) -> Pixels {
    let picture = resize(picture, SIDE, SIDE, Filter::Bicubic);
    Pixels {
        values: normalise(&picture, [127.0; 3], [128.0; 3]),
        height: SIDE as usize,
        width: SIDE as usize,
    }
}

fn conv(
    channels: [usize; 2],
    kernel: usize,
    stride: usize,
    groups: usize,
    device: &Device,
) -> Conv2d {
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_groups(groups)
        .with_padding(PaddingConfig2d::Same)
        .init(device)
}

/// Two bounds, one after the other: Flex computes each in vectors, `clamp` number by number.
fn relu6(x: Tensor<4>) -> Tensor<4> {
    x.clamp_min(0.0).clamp_max(6.0)
}
