use std::f32::consts::TAU;

use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};
use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{Pixels, ResNet};
use crate::error::Result;
use crate::image::normalise;
use crate::pack::Pack;
use crate::resize::{Filter, resize};
use crate::tensors::check_heads;

/// The shorter side that DETR was trained at.
pub(super) const SHORT_SIDE: u32 = 800;
/// The longer side's limit, which wins over [`SHORT_SIDE`].
pub(super) const LONG_SIDE: u32 = 1333;

const MEAN: [f32; 3] = [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0];
const STD: [f32; 3] = [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0];

/// Configuration of a [`Detr`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetrConfig {
    /// Width of a token.
    pub d_model: usize,
    /// Attention heads.
    pub n_heads: usize,
    /// Width of the feed-forward layers.
    pub d_ff: usize,
    /// Encoder layers.
    pub n_encoder_layers: usize,
    /// Decoder layers.
    pub n_decoder_layers: usize,
    /// Object queries.
    pub n_queries: usize,
    /// Classes, "no object" included.
    pub n_logits: usize,
    /// Channels of the backbone's stem.
    pub backbone_width: usize,
}

/// DETR ([Carion et al. 2020](https://arxiv.org/abs/2005.12872)): a ResNet-50, a transformer over its map and a decoder over learned queries.
///
/// Its layers differ from Burn's in one thing: positions are added to queries and keys in every layer.
///
/// Should be created with [`DetrConfig`].
#[derive(Module, Debug)]
pub struct Detr {
    backbone: ResNet,
    input_projection: Conv2d,
    encoder: Vec<EncoderLayer>,
    decoder: Vec<DecoderLayer>,
    decoder_norm: LayerNorm,
    query_embeddings: Embedding,
    class_head: Linear,
    /// In every weight file; nothing here needs the boxes, so they are not computed.
    box_head: Vec<Linear>,
}

/// What [`Detr::forward`] returns.
#[derive(Debug, Clone)]
pub struct DetrOutput {
    /// The last decoder layer after its norm: `[batch, queries, d_model]`
    pub tokens: Tensor<3>,
    /// `[batch, queries, n_logits]`, "no object" last
    pub logits: Tensor<3>,
}

impl DetrOutput {
    /// Class probabilities: `[batch, queries, n_logits]`
    pub fn probabilities(&self) -> Tensor<3> {
        softmax(self.logits.clone(), 2)
    }

    /// The probability that a query found no object: `[batch, queries]`
    pub fn no_object(&self) -> Tensor<2> {
        let last = self.logits.dims()[2] - 1;
        self.probabilities().narrow(2, last, 1).squeeze_dim(2)
    }
}

impl DetrConfig {
    /// The encoder with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if the weights are of other sizes.
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Detr> {
        pack.expect("query_embeddings.weight", &[self.n_queries, self.d_model])?;
        pack.expect("class_head.weight", &[self.d_model, self.n_logits])?;
        pack.expect(
            "encoder.0.feed_forward.inner.weight",
            &[self.d_model, self.d_ff],
        )?;
        pack.expect("backbone.stem.weight", &[self.backbone_width, 3, 7, 7])?;
        for (side, expected) in [
            ("encoder", self.n_encoder_layers),
            ("decoder", self.n_decoder_layers),
        ] {
            let layers = pack.count(side, "norm_1.gamma");
            if layers != expected {
                let reason = format!("{layers} {side} layers instead of {expected}");
                return Err(pack.refuse(reason));
            }
        }
        check_heads(pack, self.d_model, self.n_heads)?;
        pack.load(self.init(device))
    }

    /// Initializes a [`Detr`] with random weights.
    pub fn init(&self, device: &Device) -> Detr {
        let d_model = self.d_model;
        let linear = |d_output| LinearConfig::new(d_model, d_output).init(device);
        Detr {
            input_projection: Conv2dConfig::new([32 * self.backbone_width, d_model], [1, 1])
                .init(device),
            backbone: ResNet::init(self.backbone_width, device),
            encoder: (0..self.n_encoder_layers)
                .map(|_| EncoderLayer::init(self, device))
                .collect(),
            decoder: (0..self.n_decoder_layers)
                .map(|_| DecoderLayer::init(self, device))
                .collect(),
            decoder_norm: LayerNormConfig::new(d_model).init(device),
            query_embeddings: EmbeddingConfig::new(self.n_queries, d_model).init(device),
            class_head: linear(self.n_logits),
            box_head: vec![linear(d_model), linear(d_model), linear(4)],
        }
    }
}

impl Detr {
    /// # Shapes
    ///
    /// - input: `[batch, 3, height, width]`, ImageNet-normalised, padded with zeros on the right and below
    /// - sizes: height and width of each picture without its padding
    pub fn forward(&self, input: Tensor<4>, sizes: &[[usize; 2]]) -> DetrOutput {
        let [batch, _, height, width] = input.dims();
        assert_eq!(sizes.len(), batch, "one size a picture");
        let device = input.device();

        let map = self.input_projection.forward(self.backbone.forward(input));
        let [_, d_model, rows, columns] = map.dims();
        let valid: Vec<[usize; 2]> = sizes
            .iter()
            .map(|&[h, w]| [covered(rows, height, h), covered(columns, width, w)])
            .collect();
        let positions = sine_positions(&valid, rows, columns, d_model);
        let positions = Tensor::<3>::from_data(
            TensorData::new(positions, [batch, rows * columns, d_model]),
            &device,
        );
        let mask_pad = mask(&valid, rows, columns, &device);

        let mut memory = map.flatten::<3>(2, 3).swap_dims(1, 2); // [batch, rows * columns, d_model]
        for layer in &self.encoder {
            memory = layer.forward(memory, positions.clone(), mask_pad.clone());
        }
        let queries = self
            .query_embeddings
            .weight
            .val()
            .unsqueeze::<3>()
            .repeat_dim(0, batch);
        let mut tokens = queries.zeros_like();
        for layer in &self.decoder {
            tokens = layer.forward(
                tokens,
                queries.clone(),
                memory.clone(),
                positions.clone(),
                mask_pad.clone(),
            );
        }
        let tokens = self.decoder_norm.forward(tokens);
        DetrOutput {
            logits: self.class_head.forward(tokens.clone()),
            tokens,
        }
    }
}

#[derive(Module, Debug)]
struct EncoderLayer {
    attention: MultiHeadAttention,
    norm_1: LayerNorm,
    feed_forward: FeedForward,
    norm_2: LayerNorm,
}

impl EncoderLayer {
    fn init(config: &DetrConfig, device: &Device) -> Self {
        Self {
            attention: attention(config, device),
            norm_1: LayerNormConfig::new(config.d_model).init(device),
            feed_forward: FeedForward::init(config, device),
            norm_2: LayerNormConfig::new(config.d_model).init(device),
        }
    }

    /// # Shapes
    ///
    /// - x, positions, output: `[batch, rows * columns, d_model]`
    /// - mask_pad: `[batch, rows * columns]`
    fn forward(&self, x: Tensor<3>, positions: Tensor<3>, mask_pad: Tensor<2, Bool>) -> Tensor<3> {
        let placed = x.clone() + positions;
        let attended = MhaInput::new(placed.clone(), placed, x.clone()).mask_pad(mask_pad);
        let x = self
            .norm_1
            .forward(x + self.attention.forward(attended).context);
        self.norm_2
            .forward(x.clone() + self.feed_forward.forward(x))
    }
}

#[derive(Module, Debug)]
struct DecoderLayer {
    self_attention: MultiHeadAttention,
    norm_1: LayerNorm,
    cross_attention: MultiHeadAttention,
    norm_2: LayerNorm,
    feed_forward: FeedForward,
    norm_3: LayerNorm,
}

impl DecoderLayer {
    fn init(config: &DetrConfig, device: &Device) -> Self {
        let norm = || LayerNormConfig::new(config.d_model).init(device);
        Self {
            self_attention: attention(config, device),
            norm_1: norm(),
            cross_attention: attention(config, device),
            norm_2: norm(),
            feed_forward: FeedForward::init(config, device),
            norm_3: norm(),
        }
    }

    /// # Shapes
    ///
    /// - x, queries, output: `[batch, n_queries, d_model]`
    /// - memory, positions: `[batch, rows * columns, d_model]`
    /// - mask_pad: `[batch, rows * columns]`
    fn forward(
        &self,
        x: Tensor<3>,
        queries: Tensor<3>,
        memory: Tensor<3>,
        positions: Tensor<3>,
        mask_pad: Tensor<2, Bool>,
    ) -> Tensor<3> {
        let placed = x.clone() + queries.clone();
        let attended = MhaInput::new(placed.clone(), placed, x.clone());
        let x = self
            .norm_1
            .forward(x + self.self_attention.forward(attended).context);

        let attended = MhaInput::new(x.clone() + queries, memory.clone() + positions, memory)
            .mask_pad(mask_pad);
        let x = self
            .norm_2
            .forward(x + self.cross_attention.forward(attended).context);
        self.norm_3
            .forward(x.clone() + self.feed_forward.forward(x))
    }
}

#[derive(Module, Debug)]
struct FeedForward {
    inner: Linear,
    outer: Linear,
}

impl FeedForward {
    fn init(config: &DetrConfig, device: &Device) -> Self {
        Self {
            inner: LinearConfig::new(config.d_model, config.d_ff).init(device),
            outer: LinearConfig::new(config.d_ff, config.d_model).init(device),
        }
    }

    /// # Shapes
    ///
    /// - x, output: `[batch, tokens, d_model]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        self.outer.forward(relu(self.inner.forward(x)))
    }
}

fn attention(config: &DetrConfig, device: &Device) -> MultiHeadAttention {
    MultiHeadAttentionConfig::new(config.d_model, config.n_heads)
        .with_dropout(0.0)
        .init(device)
}

/// DETR's size rule: the shorter side to `short` unless the longer would pass `long`; antialiased bilinear.
pub(super) fn preprocess(picture: &RgbImage, short: u32, long: u32) -> Pixels {
    let (width, height) = picture.dimensions();
    let (smaller, larger) = (width.min(height), width.max(height));
    let mut target = short;
    if f64::from(larger) / f64::from(smaller) * f64::from(short) > f64::from(long) {
        target =
            (f64::from(long) * f64::from(smaller) / f64::from(larger)).round_ties_even() as u32;
    }
    let other = (f64::from(target) * f64::from(larger) / f64::from(smaller)) as u32;
    let (width, height) = if width < height {
        (target, other)
    } else {
        (other, target)
    };
    let picture = resize(picture, width.max(1), height.max(1), Filter::Bilinear);
    Pixels {
        values: normalise(&picture, MEAN, STD),
        height: picture.height() as usize,
        width: picture.width() as usize,
    }
}

/// Cells of a map's side that a picture of `size` out of `padded` pixels covers, by nearest neighbour.
fn covered(cells: usize, padded: usize, size: usize) -> usize {
    (0..cells)
        .filter(|cell| cell * padded / cells < size)
        .count()
}

/// Sine positions over the valid part of each map, y first: `[batch, rows * columns, d_model]`.
fn sine_positions(valid: &[[usize; 2]], rows: usize, columns: usize, d_model: usize) -> Vec<f32> {
    let half = d_model / 2;
    let place = |cell: usize, n: usize, i: usize| {
        let position = (cell + 1).min(n) as f32 / (n as f32 + 1e-6) * TAU;
        let frequency = 10_000f32.powf((i / 2 * 2) as f32 / half as f32);
        if i.is_multiple_of(2) {
            (position / frequency).sin()
        } else {
            (position / frequency).cos()
        }
    };
    let mut positions = Vec::with_capacity(valid.len() * rows * columns * d_model);
    for &[valid_rows, valid_columns] in valid {
        for row in 0..rows {
            for column in 0..columns {
                // A cell beyond one side counts no valid cells along the other: its cumulative sum is zero there.
                let n_rows = valid_rows * usize::from(column < valid_columns);
                let n_columns = valid_columns * usize::from(row < valid_rows);
                positions.extend((0..half).map(|i| place(row, n_rows, i)));
                positions.extend((0..half).map(|i| place(column, n_columns, i)));
            }
        }
    }
    positions
}

fn mask(valid: &[[usize; 2]], rows: usize, columns: usize, device: &Device) -> Tensor<2, Bool> {
    let padding: Vec<bool> = valid
        .iter()
        .flat_map(|&[h, w]| {
            (0..rows * columns).map(move |cell| cell / columns >= h || cell % columns >= w)
        })
        .collect();
    Tensor::from_data(
        TensorData::new(padding, [valid.len(), rows * columns]),
        device,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_rule_is_detrs() {
        let size = |width, height| {
            let pixels = preprocess(&RgbImage::new(width, height), SHORT_SIDE, LONG_SIDE);
            (pixels.width, pixels.height)
        };
        assert_eq!(size(640, 480), (1066, 800));
        assert_eq!(size(480, 640), (800, 1066));
        assert_eq!(size(1000, 200), (1335, 267));
        assert_eq!(size(300, 300), (800, 800));
    }

    #[test]
    fn padding_covers_whole_cells() {
        assert_eq!(covered(10, 320, 320), 10);
        assert_eq!(covered(10, 320, 224), 7);
        assert_eq!(covered(10, 320, 225), 8);
    }
}
