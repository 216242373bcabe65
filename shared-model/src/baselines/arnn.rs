//! ARNN and its BERT variant: words around the mention, weighted by the candidate.

use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{log_sigmoid, relu, sigmoid};

use super::reader::Reader;
use super::{BaselineConfig, Batch, Reads, rows};
use crate::imn::{Modality, Sequence};
use crate::loss::Targets;

/// With the states `h_t` of a context and a candidate's embedding `c`: `a_t = σ(c W h_t)`, `v = Σ a_t h_t / Σ a_t`, and the logit `w ReLU(V [c; v])`, trained by the cross-entropy of each candidate on its own.
#[derive(Module, Debug)]
pub struct Arnn {
    /// Position of the text among the inputs.
    text: usize,
    readers: Vec<Reader>,
    candidate: Linear,
    attention: Vec<Linear>,
    hidden: Linear,
    output: Linear,
    dropout: Dropout,
}

impl Arnn {
    pub(super) fn new(config: &BaselineConfig, device: &Device) -> Self {
        let d_model = config.d_model;
        let text = config
            .position(Modality::Text)
            .expect("the config is whole");
        let width = config.inputs[text].width;
        let readers = match config.kind.reads() {
            Reads::Tokens => vec![Reader::tokens(width, d_model, device)],
            _ => vec![
                Reader::gru(config.word_width, d_model, device),
                Reader::gru(config.word_width, d_model, device),
            ],
        };
        let square = || {
            LinearConfig::new(d_model, d_model)
                .with_bias(false)
                .init(device)
        };
        Self {
            text,
            candidate: LinearConfig::new(width, d_model).init(device),
            attention: readers.iter().map(|_| square()).collect(),
            hidden: LinearConfig::new((1 + readers.len()) * d_model, d_model).init(device),
            output: LinearConfig::new(d_model, 1).init(device),
            dropout: DropoutConfig::new(config.dropout).init(),
            readers,
        }
    }

    /// # Shapes
    ///
    /// - output: `[batch, n_candidates]`, logits
    pub(super) fn forward(&self, batch: &Batch) -> Tensor<2> {
        let Sequence { pooled, .. } = &batch.entities.sequences[self.text];
        let entities = self.candidate.forward(pooled.clone()); // [n_entities, d_model]
        let candidates = rows(entities, &batch.candidates); // [batch, n_candidates, d_model]
        let mut parts = vec![candidates.clone()];
        for ((reader, attention), words) in self
            .readers
            .iter()
            .zip(&self.attention)
            .zip(&batch.contexts)
        {
            let states = reader.forward(words); // [batch, length, d_model]
            let queries = attention.forward(candidates.clone());
            let logits = queries.matmul(states.clone().swap_dims(1, 2)); // [batch, n_candidates, length]
            let shares = sigmoid(logits) * words.keep().swap_dims(1, 2);
            let sums = shares.clone().sum_dim(2).clamp_min(1e-6);
            parts.push((shares / sums).matmul(states)); // [batch, n_candidates, d_model]
        }
        let hidden = relu(self.hidden.forward(Tensor::cat(parts, 2)));
        let logits = self.output.forward(self.dropout.forward(hidden)); // [batch, n_candidates, 1]
        logits.squeeze_dim(2)
    }

    pub(super) fn loss(&self, batch: &Batch, targets: &Targets) -> Tensor<1> {
        let logits = self.forward(batch);
        let others = targets.others();
        let gold = targets.gold.clone().unsqueeze_dim(1); // [batch, 1]
        let of_gold = log_sigmoid(logits.clone().gather(1, gold)); // [batch, 1]
        let of_others = log_sigmoid(logits.neg()) * others.clone();
        let n = others.sum_dim(1) + 1.0; // [batch, 1]
        ((of_gold + of_others.sum_dim(1)) / n).mean().neg()
    }
}
