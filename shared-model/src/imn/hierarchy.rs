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
use serde::{Deserialize, Serialize};

use super::{ImnConfig, LEVELS, Sequence, Side};
use crate::data::MAX_IMAGES;

/// Added to the attention's logits of masked positions.
const MASKED: f32 = -1e4;

/// Sequences of all modalities to one vector a level, before the normalisation.
#[derive(Module, Debug)]
pub(super) struct HierarchicalEncoder {
    modalities: Vec<ModalityEncoder>,
    /// A row a picture; row 0 is never read.
    picture: Embedding,
    /// `[modalities, hidden]`
    types: Param<Tensor<2>>,
    transformer: TransformerEncoder,
    /// `[3, modalities, hidden]`: what stands for a missing modality.
    absent: Param<Tensor<3>>,
    levels: Vec<Linear>,
    dropout: Dropout,
}

impl HierarchicalEncoder {
    pub(super) fn new(config: &ImnConfig, device: &Device) -> Self {
        let (hidden, n_modalities) = (config.hidden, config.inputs.len());
        let small = Distribution::Normal(0.0, 0.02);
        Self {
            modalities: config
                .inputs
                .iter()
                .map(|input| ModalityEncoder::new(config, input.width, device))
                .collect(),
            picture: EmbeddingConfig::new(MAX_IMAGES + 1, hidden).init(device),
            types: Param::from_tensor(Tensor::random([n_modalities, hidden], small, device)),
            transformer: TransformerEncoderConfig::new(hidden, 4 * hidden, config.heads, 1)
                .with_dropout(config.dropout)
                .init(device),
            absent: Param::from_tensor(Tensor::random(
                [LEVELS, n_modalities, hidden],
                small,
                device,
            )),
            levels: (0..LEVELS)
                .map(|_| LinearConfig::new(n_modalities * hidden, config.aux).init(device))
                .collect(),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// # Shapes
    ///
    /// - output: a level each, `[n, aux]`
    pub(super) fn forward(&self, side: &Side) -> [Tensor<2>; LEVELS] {
        let mut level = 0;
        self.pool(side).map(|pooled| {
            level += 1;
            self.levels[level - 1].forward(self.dropout.forward(pooled))
        })
    }

    /// The pooled levels, modalities side by side: `[n, modalities * hidden]` each.
    fn pool(&self, side: &Side) -> [Tensor<2>; LEVELS] {
        let present: Vec<Tensor<2>> = side.sequences.iter().map(Sequence::present).collect();
        // [n, length, 1], 0 on padding
        let keep: Vec<Tensor<3>> = side
            .sequences
            .iter()
            .map(|sequence| sequence.mask.clone().bool_not().float().unsqueeze_dim(2))
            .collect();
        let join = |level: usize, pooled: Vec<Tensor<2>>| {
            let filled = pooled
                .into_iter()
                .enumerate()
                .map(|(modality, pooled)| {
                    let absent = self
                        .absent
                        .val()
                        .slice([level..level + 1, modality..modality + 1])
                        .reshape([1, -1]);
                    let present = present[modality].clone();
                    pooled * present.clone() + absent * (1.0 - present)
                })
                .collect();
            Tensor::cat(filled, 1)
        };

        let mut first = Vec::new();
        let mut local = Vec::new();
        for ((encoder, sequence), keep) in self.modalities.iter().zip(&side.sequences).zip(&keep) {
            let mut x = encoder.project(sequence.vectors.clone());
            if let Some(picture) = &sequence.picture {
                let known = picture.clone().greater_elem(0).float().unsqueeze_dim(2);
                x = x + self.picture.forward(picture.clone()) * known;
            }
            let g = encoder.dilate(self.dropout.forward(x), keep);
            first.push(encoder.attend(g.clone(), keep));
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
        );

        let (mut second, mut third) = (Vec::new(), Vec::new());
        for (t, (encoder, keep)) in joined
            .split_with_sizes(lengths, 1)
            .into_iter()
            .zip(self.modalities.iter().zip(&keep))
        {
            let t = t * keep.clone();
            let n_kept = keep.clone().sum_dim(1).clamp_min(1.0);
            second.push((t.clone().sum_dim(1) / n_kept).squeeze_dim(1));
            third.push(encoder.detect(t, keep));
        }
        [join(0, first), join(1, second), join(2, third)]
    }
}

/// What each modality has of its own.
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
        let hidden = config.hidden;
        let dilated = |&dilation: &usize| {
            Conv1dConfig::new(hidden, hidden, 3)
                .with_dilation(dilation)
                .with_padding(PaddingConfig1d::Explicit(dilation, dilation))
                .init(device)
        };
        let conv = |&kernel: &usize| {
            Conv1dConfig::new(hidden, hidden / config.kernels.len(), kernel)
                .with_padding(PaddingConfig1d::Explicit((kernel - 1) / 2, kernel / 2))
                .init(device)
        };
        Self {
            project: LinearConfig::new(width, hidden).init(device),
            norm: LayerNormConfig::new(hidden).init(device),
            dilated: config.dilations.iter().map(dilated).collect(),
            attention: LinearConfig::new(hidden, 1).with_bias(false).init(device),
            convs: config.kernels.iter().map(conv).collect(),
        }
    }

    fn project(&self, vectors: Tensor<3>) -> Tensor<3> {
        self.norm.forward(self.project.forward(vectors))
    }

    /// Eq. 1, with a residual around each convolution.
    fn dilate(&self, x: Tensor<3>, keep: &Tensor<3>) -> Tensor<3> {
        self.dilated.iter().fold(x * keep.clone(), |x, conv| {
            let local = conv.forward(x.clone().swap_dims(1, 2)).swap_dims(1, 2);
            (x + relu(local)) * keep.clone()
        })
    }

    /// Eq. 2.
    fn attend(&self, g: Tensor<3>, keep: &Tensor<3>) -> Tensor<2> {
        let logits = self.attention.forward(g.clone()) + (1.0 - keep.clone()) * MASKED;
        (softmax(logits, 1) * g).sum_dim(1).squeeze_dim(1)
    }

    /// Eq. 6 and 7; the maximum runs over values of at least 0, so that a padded 0 never wins.
    fn detect(&self, t: Tensor<3>, keep: &Tensor<3>) -> Tensor<2> {
        let keep = keep.clone().swap_dims(1, 2);
        let t = t.swap_dims(1, 2);
        let found = self
            .convs
            .iter()
            .map(|conv| {
                (relu(conv.forward(t.clone())) * keep.clone())
                    .max_dim(2)
                    .squeeze_dim(2)
            })
            .collect();
        Tensor::cat(found, 1)
    }
}

/// Normalisation of an auxiliary space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Norm {
    /// The paper's.
    Batch,
    /// Depends on no other row.
    Layer,
}

/// The normalisations of one side: posts and entities are distributed differently, so that even a shared encoder has two.
#[derive(Module, Debug)]
pub(super) struct LevelNorms {
    batch: Vec<BatchNorm>,
    layer: Vec<LayerNorm>,
}

impl LevelNorms {
    pub(super) fn new(config: &ImnConfig, device: &Device) -> Self {
        let levels = |norm| if config.norm == norm { LEVELS } else { 0 };
        Self {
            batch: (0..levels(Norm::Batch))
                .map(|_| BatchNormConfig::new(config.aux).init(device))
                .collect(),
            layer: (0..levels(Norm::Layer))
                .map(|_| LayerNormConfig::new(config.aux).init(device))
                .collect(),
        }
    }

    /// # Shapes
    ///
    /// - output: `[n, 3, aux]`
    pub(super) fn forward(&self, levels: [Tensor<2>; LEVELS]) -> Tensor<3> {
        let normalised = levels
            .into_iter()
            .enumerate()
            .map(|(level, x)| match self.batch.get(level) {
                Some(norm) => norm.forward(x),
                None => self.layer[level].forward(x),
            })
            .collect();
        Tensor::stack(normalised, 1)
    }

    pub(super) fn set_momentum(&mut self, momentum: f64) {
        for norm in &mut self.batch {
            norm.momentum = momentum;
        }
    }
}
