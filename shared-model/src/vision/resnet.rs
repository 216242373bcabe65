use burn::nn::PaddingConfig2d;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::prelude::*;
use burn::tensor::activation::relu;

const EXPANSION: usize = 4;

/// Bottlenecks of each stage.
const DEPTHS: [usize; 4] = [3, 4, 6, 3];

/// ResNet-50 v1.5 without its classifier ([He et al. 2015](https://arxiv.org/abs/1512.03385)): the stride lies in the 3 x 3 convolution.
///
/// Every BatchNorm is folded into the convolution before it when the weights are imported.
#[derive(Module, Debug)]
pub struct ResNet {
    stem: Conv2d,
    pool: MaxPool2d,
    stages: Vec<Vec<Bottleneck>>,
}

impl ResNet {
    /// Initializes the model with random weights.
    ///
    /// # Arguments
    ///
    /// - width: channels of the stem; the stages have 1, 2, 4 and 8 times as many, times four.
    pub fn init(width: usize, device: &Device) -> Self {
        let mut channels = width;
        let stages = DEPTHS
            .iter()
            .enumerate()
            .map(|(stage, &depth)| {
                let inner = width << stage;
                (0..depth)
                    .map(|block| {
                        let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                        let input = std::mem::replace(&mut channels, inner * EXPANSION);
                        Bottleneck::init(input, inner, stride, device)
                    })
                    .collect()
            })
            .collect();
        Self {
            stem: conv([3, width], 7, 2, device),
            pool: MaxPool2dConfig::new([3, 3])
                .with_strides([2, 2])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(),
            stages,
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, 3, height, width]`
    /// - output: `[batch, 32 * width, height / 32, width / 32]`, rounded up
    pub fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let mut x = self.pool.forward(relu(self.stem.forward(input)));
        for block in self.stages.iter().flatten() {
            x = block.forward(x);
        }
        x
    }
}

#[derive(Module, Debug)]
struct Bottleneck {
    conv1: Conv2d,
    conv2: Conv2d,
    conv3: Conv2d,
    downsample: Option<Conv2d>,
}

impl Bottleneck {
    fn init(channels: usize, inner: usize, stride: usize, device: &Device) -> Self {
        let out = inner * EXPANSION;
        Self {
            conv1: conv([channels, inner], 1, 1, device),
            conv2: conv([inner, inner], 3, stride, device),
            conv3: conv([inner, out], 1, 1, device),
            downsample: (channels != out || stride > 1)
                .then(|| conv([channels, out], 1, stride, device)),
        }
    }

    /// # Shapes
    ///
    /// - input: `[batch, channels, height, width]`
    /// - output: `[batch, out, height / stride, width / stride]`, rounded up
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = relu(self.conv1.forward(input.clone()));
        let x = relu(self.conv2.forward(x));
        let x = self.conv3.forward(x);
        let residual = match &self.downsample {
            Some(downsample) => downsample.forward(input),
            None => input,
        };
        relu(x + residual)
    }
}

fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let pad = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(pad, pad, pad, pad))
        .init(device)
}
