//! The hierarchical encoder (paper §3.4.1): dilated convolutions, one Transformer layer, convolutions of four widths.

use burn::module::Param;
use burn::nn::conv::{Conv1d, Conv1dConfig};
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{
    BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Embedding, EmbeddingConfig, LayerNorm,
    LayerNormConfig, Linear, LinearConfig, PaddingConfig1d,
};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{relu, softmax};
use burn::tensor::ops::PadMode;

use super::{ImnConfig, LEVELS, Sequence, Side};
use crate::data::MAX_IMAGES;

/// Added to the attention logits of masked positions.
const MASKED: f32 = -1e4;

/// Encodes the sequences of all modalities into one vector per level, before the normalisation.
#[derive(Module, Debug)]
pub(super) struct HierarchicalEncoder {
    modalities: Vec<ModalityEncoder>,
    /// One row per picture of a post; row 0 is never read.
    picture: Embedding,
    /// Modality embeddings, `[modalities, d_model]`.
    types: Param<Tensor<2>>,
    transformer: TransformerEncoder,
    /// Learned vectors in place of a missing modality, `[3, modalities, d_model]`.
    absent: Param<Tensor<3>>,
    levels: Vec<Linear>,
    dropout: Dropout,
}

impl HierarchicalEncoder {
    pub(super) fn new(config: &ImnConfig, device: &Device) -> Self {
        let (d_model, n_modalities) = (config.d_model, config.inputs.len());
        let small = Distribution::Normal(0.0, 0.02);
        Self {
            modalities: config
                .inputs
                .iter()
                .map(|input| ModalityEncoder::new(config, input.width, device))
                .collect(),
            picture: EmbeddingConfig::new(MAX_IMAGES + 1, d_model).init(device),
            types: Param::from_tensor(Tensor::random([n_modalities, d_model], small, device)),
            transformer: TransformerEncoderConfig::new(d_model, 4 * d_model, config.n_heads, 1)
                .with_dropout(config.dropout)
                .init(device),
            absent: Param::from_tensor(Tensor::random(
                [LEVELS, n_modalities, d_model],
                small,
                device,
            )),
            levels: (0..LEVELS)
                .map(|_| LinearConfig::new(n_modalities * d_model, config.d_aux).init(device))
                .collect(),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// # Shapes
    ///
    /// - side: sequences of `[n, length, width]`
    /// - output: `[n, d_aux]` per level
    pub(super) fn forward(&self, side: &Side) -> [Tensor<2>; LEVELS] {
        let present: Vec<Tensor<2>> = side.sequences.iter().map(Sequence::present).collect(); // [n, 1]
        let keep: Vec<Tensor<3>> = side
            .sequences
            .iter()
            .map(|sequence| sequence.mask.clone().bool_not().float().unsqueeze_dim(2)) // [n, length, 1], 0 on padding
            .collect();
        let join = |level: usize, pooled: Vec<Tensor<2>>| {
            let filled = pooled
                .into_iter()
                .enumerate()
                .map(|(modality, pooled)| {
                    let absent = self
                        .absent
                        .val()
                        .slice([level..level + 1, modality..modality + 1]) // [1, 1, d_model]
                        .reshape([1, -1]); // [1, d_model]
                    let present = present[modality].clone();
                    pooled * present.clone() + absent * (1.0 - present) // [n, d_model]
                })
                .collect();
            let joined = Tensor::cat(filled, 1); // [n, modalities * d_model]
            self.levels[level].forward(self.dropout.forward(joined)) // [n, d_aux]
        };

        let mut first = Vec::new();
        let mut local = Vec::new();
        for ((encoder, sequence), keep) in self.modalities.iter().zip(&side.sequences).zip(&keep) {
            let mut x = encoder.project(sequence.vectors.clone()); // [n, length, d_model]
            if let Some(picture) = &sequence.picture {
                let known = picture.clone().greater_elem(0).float().unsqueeze_dim(2); // [n, length, 1]
                x = x + self.picture.forward(picture.clone()) * known;
            }
            let g = encoder.dilate(self.dropout.forward(x), keep); // [n, length, d_model]
            first.push(encoder.attend(g.clone(), keep)); // [n, d_model]
            local.push(g);
        }

        // Eq. 4: the modalities interact in one sequence.
        let lengths: Vec<usize> = local.iter().map(|g| g.dims()[1]).collect();
        let typed = local
            .into_iter()
            .enumerate()
            .map(|(modality, g)| g + self.types.val().narrow(0, modality, 1).unsqueeze_dim(0))
            .collect();
        let masks = side
            .sequences
            .iter()
            .map(|sequence| sequence.mask.clone())
            .collect();
        let joined = self.transformer.forward(
            TransformerEncoderInput::new(Tensor::cat(typed, 1)).mask_pad(Tensor::cat(masks, 1)),
        ); // [n, sum of lengths, d_model]

        let (mut second, mut third) = (Vec::new(), Vec::new());
        for (t, (encoder, keep)) in joined
            .split_with_sizes(lengths, 1)
            .into_iter()
            .zip(self.modalities.iter().zip(&keep))
        {
            let t = t * keep.clone();
            let n_kept = keep.clone().sum_dim(1).clamp_min(1.0); // [n, 1, 1]
            second.push((t.clone().sum_dim(1) / n_kept).squeeze_dim(1)); // [n, d_model]
            third.push(encoder.detect(t, keep)); // [n, d_model]
        }
        [join(0, first), join(1, second), join(2, third)]
    }
}

/// Layers of one modality.
#[derive(Module, Debug)]
struct ModalityEncoder {
    project: Linear,
    norm: LayerNorm,
    dilated: Vec<Conv1d>,
    attention: Linear,
    convs: Vec<Conv1d>,
}

impl ModalityEncoder {
    fn new(config: &ImnConfig, width: usize, device: &Device) -> Self {
        let d_model = config.d_model;
        let dilated = |&dilation: &usize| {
            Conv1dConfig::new(d_model, d_model, 3)
                .with_dilation(dilation)
                .with_padding(PaddingConfig1d::Explicit(dilation, dilation))
                .init(device)
        };
        let conv = |&kernel: &usize| {
            Conv1dConfig::new(d_model, d_model / config.kernels.len(), kernel)
                .with_padding(PaddingConfig1d::Explicit((kernel - 1) / 2, kernel / 2))
                .init(device)
        };
        Self {
            project: LinearConfig::new(width, d_model).init(device),
            norm: LayerNormConfig::new(d_model).init(device),
            dilated: config.dilations.iter().map(dilated).collect(),
            attention: LinearConfig::new(d_model, 1).with_bias(false).init(device),
            convs: config.kernels.iter().map(conv).collect(),
        }
    }

    /// # Shapes
    ///
    /// - vectors: `[n, length, width]`
    /// - output: `[n, length, d_model]`
    fn project(&self, vectors: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.project.forward(vectors))
    }

    /// Eq. 1, with a residual around each convolution.
    ///
    /// # Shapes
    ///
    /// - x, output: `[n, length, d_model]`
    /// - keep: `[n, length, 1]`
    fn dilate(&self, x: Tensor<3>, keep: &Tensor<3>) -> Tensor<3> {
        self.dilated.iter().fold(x * keep.clone(), |x, conv| {
            let (weight, bias) = (conv.weight.val(), bias(conv));
            let local = convolve(x.clone(), weight, bias, conv.dilation, conv.dilation);
            (x + relu(local)) * keep.clone()
        })
    }

    /// Eq. 2.
    ///
    /// # Shapes
    ///
    /// - g: `[n, length, d_model]`
    /// - keep: `[n, length, 1]`
    /// - output: `[n, d_model]`
    fn attend(&self, g: Tensor<3>, keep: &Tensor<3>) -> Tensor<2> {
        let logits = self.attention.forward(g.clone()) + (1.0 - keep.clone()) * MASKED; // [n, length, 1]
        (softmax(logits, 1) * g).sum_dim(1).squeeze_dim(1) // [n, d_model]
    }

    /// Eq. 6 and 7; the maximum is taken over values of at least 0, so that a padded 0 never wins.
    ///
    /// # Shapes
    ///
    /// - t: `[n, length, d_model]`
    /// - keep: `[n, length, 1]`
    /// - output: `[n, d_model]`
    fn detect(&self, t: Tensor<3>, keep: &Tensor<3>) -> Tensor<2> {
        // The widths as one: each kernel is padded to the widest around its centre.
        let widths = self.convs.iter().map(|conv| conv.kernel_size);
        let widest = widths.max().expect("there are convolutions");
        let left = (widest - 1) / 2;
        let weights = self.convs.iter().map(|conv| {
            let before = left - (conv.kernel_size - 1) / 2;
            let after = widest - before - conv.kernel_size;
            conv.weight
                .val()
                .pad([(before, after)], PadMode::Constant(0.0)) // [d_model / kernels, d_model, widest]
        });
        let weight = Tensor::cat(weights.collect(), 0); // [d_model, d_model, widest]
        let bias = Tensor::cat(self.convs.iter().map(bias).collect(), 0); // [d_model]
        let found = relu(convolve(t, weight, bias, 1, left)) * keep.clone(); // [n, length, d_model]
        found.max_dim(1).squeeze_dim(1)
    }
}

fn bias(conv: &Conv1d) -> Tensor<1> {
    let bias = conv.bias.as_ref();
    bias.expect("every convolution has a bias").val()
}

/// A convolution over positions as one matrix product over shifted copies: sequences are short, and no backend's convolution is
/// made for that.
///
/// # Arguments
///
/// - dilation: distance of the positions that a kernel reads.
/// - left: zeros before the first position; as many follow the last as keep the length.
///
/// # Shapes
///
/// - x: `[n, length, channels_in]`
/// - weight: `[channels_out, channels_in, kernel]`
/// - bias: `[channels_out]`
/// - output: `[n, length, channels_out]`
fn convolve(
    x: Tensor<3>,
    weight: Tensor<3>,
    bias: Tensor<1>,
    dilation: usize,
    left: usize,
) -> Tensor<3> {
    let [n, length, channels_in] = x.dims();
    let [channels_out, _, kernel] = weight.dims();
    let right = (kernel - 1) * dilation - left;
    let padded = x.pad([(left, right), (0, 0)], PadMode::Constant(0.0));
    let shifted = (0..kernel).map(|i| padded.clone().narrow(1, i * dilation, length));
    let windows = Tensor::cat(shifted.collect(), 2); // [n, length, kernel * channels_in]
    let windows = windows.reshape([n * length, kernel * channels_in]);
    let weight = weight
        .permute([2, 1, 0])
        .reshape([kernel * channels_in, channels_out]);
    let sums = windows.matmul(weight) + bias.unsqueeze(); // [n * length, channels_out]
    sums.reshape([n, length, channels_out])
}

/// Batch normalisation of the auxiliary spaces of one side: posts and entities are distributed differently, so that each side has its own.
#[derive(Module, Debug)]
pub(super) struct LevelNorms {
    batch: Vec<BatchNorm>,
}

impl LevelNorms {
    pub(super) fn new(config: &ImnConfig, device: &Device) -> Self {
        let norm = |_| BatchNormConfig::new(config.d_aux).init(device);
        Self {
            batch: (0..LEVELS).map(norm).collect(),
        }
    }

    /// # Shapes
    ///
    /// - levels: `[n, d_aux]` each
    /// - output: `[n, 3, d_aux]`
    pub(super) fn forward(&self, levels: [Tensor<2>; LEVELS]) -> Tensor<3> {
        let levels = levels.into_iter().zip(&self.batch);
        let normalised = levels.map(|(x, norm)| norm.forward(x)).collect();
        Tensor::stack(normalised, 1) // [n, 3, d_aux]
    }

    pub(super) fn set_momentum(&mut self, momentum: f64) {
        for norm in &mut self.batch {
            norm.momentum = momentum;
        }
    }
}
