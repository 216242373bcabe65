//! Sequences of words or tokens to sequences of states.

use burn::nn::{Gru, GruConfig, Linear, LinearConfig, Lstm, LstmConfig};
use burn::prelude::*;

use super::Words;

/// One state per position. States of real positions never depend on padding, which is at the end.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "a model has one or two")]
pub(super) enum Reader {
    Gru(Gru),
    Lstm(Lstm),
    /// For tokens, which know their context.
    Tokens(Linear),
}

impl Reader {
    pub(super) fn gru(width: usize, d_model: usize, device: &Device) -> Self {
        Self::Gru(GruConfig::new(width, d_model, true).init(device))
    }

    pub(super) fn lstm(width: usize, d_model: usize, device: &Device) -> Self {
        Self::Lstm(LstmConfig::new(width, d_model, true).init(device))
    }

    pub(super) fn tokens(width: usize, d_model: usize, device: &Device) -> Self {
        Self::Tokens(LinearConfig::new(width, d_model).init(device))
    }

    /// # Shapes
    ///
    /// - words: `[n, length, width]`
    /// - output: `[n, length, d_model]`
    pub(super) fn forward(&self, words: &Words) -> Tensor<3> {
        let vectors = words.vectors.clone();
        match self {
            Self::Gru(gru) => gru.forward(vectors, None),
            Self::Lstm(lstm) => lstm.forward(vectors, None).0,
            Self::Tokens(linear) => linear.forward(vectors),
        }
    }

    /// The mean state of the real positions; 0 without any.
    ///
    /// # Shapes
    ///
    /// - output: `[n, d_model]`
    pub(super) fn mean(&self, words: &Words) -> Tensor<2> {
        let keep = words.keep(); // [n, length, 1]
        let n_kept = keep.clone().sum_dim(1).clamp_min(1.0); // [n, 1, 1]
        ((self.forward(words) * keep).sum_dim(1) / n_kept).squeeze_dim(1)
    }
}
