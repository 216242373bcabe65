//! JMEL: one joint embedding of text and picture per side.

use burn::module::Param;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::prelude::*;

use super::{BaselineConfig, Batch, MARGIN, cosines};
use crate::imn::Side;
use crate::loss::{Targets, triplet};

/// `e = tanh(W [text; picture] + b)` on each side, compared by their cosine, trained by triplets.
#[derive(Module, Debug)]
pub struct Jmel {
    mention: JointEmbedding,
    entity: JointEmbedding,
}

impl Jmel {
    pub(super) fn new(config: &BaselineConfig, device: &Device) -> Self {
        Self {
            mention: JointEmbedding::new(config, device),
            entity: JointEmbedding::new(config, device),
        }
    }

    /// # Shapes
    ///
    /// - output: `[batch, n_candidates]`
    pub(super) fn forward(&self, batch: &Batch) -> Tensor<2> {
        let mentions = self.mention.forward(&batch.mentions).tanh();
        let entities = self.entity.forward(&batch.entities).tanh();
        cosines(mentions, entities, &batch.candidates)
    }

    pub(super) fn loss(&self, batch: &Batch, targets: &Targets) -> Tensor<1> {
        triplet(self.forward(batch), targets, MARGIN)
    }
}

/// A fully connected layer over the pooled vectors of all modalities, with a learned vector in the place of a missing one.
#[derive(Module, Debug)]
pub(super) struct JointEmbedding {
    absent: Vec<Param<Tensor<1>>>,
    layer: Linear,
    dropout: Dropout,
}

impl JointEmbedding {
    pub(super) fn new(config: &BaselineConfig, device: &Device) -> Self {
        let widths = config.inputs.iter().map(|input| input.width);
        let absent = |width: usize| Param::from_tensor(Tensor::zeros([width], device));
        Self {
            absent: widths.clone().map(absent).collect(),
            layer: LinearConfig::new(widths.sum(), config.d_model).init(device),
            dropout: DropoutConfig::new(config.dropout).init(),
        }
    }

    /// # Shapes
    ///
    /// - output: `[n, d_model]`
    pub(super) fn forward(&self, side: &Side) -> Tensor<2> {
        let sequences = side.sequences.iter().zip(&self.absent);
        let filled = sequences.map(|(sequence, absent)| {
            let present = sequence.present(); // [n, 1]
            let absent = absent.val().unsqueeze::<2>() * (1.0 - present.clone()); // [n, width]
            sequence.pooled.clone() * present + absent
        });
        let joined = Tensor::cat(filled.collect(), 1); // [n, sum of widths]
        self.layer.forward(self.dropout.forward(joined))
    }
}
