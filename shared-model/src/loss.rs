//! Losses: triplets and their fusion (paper eq. 13 and 14), InfoNCE, and the adaptive sum of pre-training.

use burn::prelude::*;
use burn::tensor::activation::{log_softmax, softmax};
use serde::{Deserialize, Serialize};

use crate::imn::{LEVELS, Similarities};

/// Candidates of a batch: which are padding, and which is the gold.
#[derive(Debug, Clone)]
pub struct Targets {
    /// `[batch, n_candidates]`, true = padding.
    pub mask: Tensor<2, Bool>,
    /// Column of the gold, `[batch]`.
    pub gold: Tensor<1, Int>,
}

/// Margin and weights of [`FusionLoss::forward`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FusionLoss {
    /// γ of eq. 13.
    pub margin: f64,
    /// τ of the auxiliary spaces in eq. 14; 0 leaves one out.
    pub levels: [f64; LEVELS],
    /// τ of the fusion in eq. 14.
    pub fusion: f64,
}

impl Default for FusionLoss {
    fn default() -> Self {
        Self {
            margin: 0.2,
            levels: [0.5; LEVELS],
            fusion: 1.0,
        }
    }
}

impl FusionLoss {
    /// Eq. 14.
    ///
    /// # Shapes
    ///
    /// - similarities: `[batch, n_candidates]` each
    /// - output: `[1]`
    pub fn forward(&self, similarities: &Similarities, targets: &Targets) -> Tensor<1> {
        let fusion = triplet(similarities.fusion.clone(), targets, self.margin) * self.fusion;
        similarities
            .levels
            .iter()
            .zip(self.levels)
            .filter(|(_, weight)| *weight > 0.0)
            .fold(fusion, |sum, (level, weight)| {
                sum + triplet(level.clone(), targets, self.margin) * weight
            })
    }
}

/// Eq. 13 for a similarity, so with the sign turned: `max(γ - f(m, e+) + f(m, e-), 0)`, mean over the other candidates, then over the batch.
///
/// # Shapes
///
/// - scores: `[batch, n_candidates]`
/// - output: `[1]`
pub fn triplet(scores: Tensor<2>, targets: &Targets, margin: f64) -> Tensor<1> {
    let others = targets.others();
    let gold = scores
        .clone()
        .gather(1, targets.gold.clone().unsqueeze_dim(1)); // [batch, 1]
    let losses = (scores - gold + margin).clamp_min(0.0) * others.clone();
    (losses.sum_dim(1) / others.sum_dim(1).clamp_min(1.0)).mean()
}

/// Cross-entropy of the gold among the real candidates.
///
/// # Shapes
///
/// - logits: `[batch, n_candidates]`
/// - output: `[1]`
pub fn info_nce(logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
    let logits = logits.mask_fill(targets.mask.clone(), -1e4);
    log_softmax(logits, 1)
        .gather(1, targets.gold.clone().unsqueeze_dim(1))
        .mean()
        .neg()
}

impl Targets {
    /// 1 for every negative, 0 for the gold and padding.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_candidates]`
    pub(crate) fn others(&self) -> Tensor<2> {
        let [_, n_candidates] = self.mask.dims();
        let columns = Tensor::<1, Int>::arange(0..n_candidates as i64, &self.mask.device());
        let columns = columns.cast(self.gold.dtype()).unsqueeze::<2>();
        // `one_hot` would wait for the device, to see whether the gold is in range.
        let is_gold = columns.equal(self.gold.clone().unsqueeze_dim(1));
        self.mask.clone().bool_not().float() - is_gold.float()
    }
}

/// The adaptive sum of FashionBERT as released: the larger loss gets the slightly larger weight, and gradients flow through the weights.
///
/// With `g = softmax(losses)` and `n = g²`, the weight of i is the product over the others of `K - n`, normalised to 1; K is the number of losses. The caller leaves out losses without a valid item.
///
/// # Shapes
///
/// - losses: `[1]` each
/// - output: the sum, `[1]`, and the weights, `[n]`
pub fn adaptive(losses: Vec<Tensor<1>>) -> (Tensor<1>, Tensor<1>) {
    let n = losses.len();
    let losses = Tensor::cat(losses, 0);
    let rest = -softmax(losses.clone(), 0).powi_scalar(2) + n as f64;
    // A quotient of the product over all would be 0/0 for one loss.
    let product = |left_out: usize| {
        (0..n)
            .filter(|&i| i != left_out)
            .map(|i| rest.clone().narrow(0, i, 1))
            .fold(losses.ones_like().narrow(0, 0, 1), |product, rest| {
                product * rest
            })
    };
    let weights = Tensor::cat((0..n).map(product).collect(), 0);
    let weights = weights.clone() / weights.sum();
    ((losses * weights.clone()).sum(), weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(device: &Device) -> Targets {
        Targets {
            mask: Tensor::from_data([[false, false, false], [false, false, true]], device),
            gold: Tensor::from_data([0, 1], device),
        }
    }

    #[test]
    fn a_triplet_pulls_the_gold_above_the_real_others() {
        let device = Device::flex();
        let scores = Tensor::from_data([[0.5, 0.4, 0.1], [0.9, 0.2, 5.0]], &device);
        // Row 1: (0.1 + 0) / 2. Row 2: 0.9 alone; the padded 5.0 counts nothing.
        let loss: f32 = triplet(scores, &targets(&device), 0.2).into_scalar();
        assert!((loss - (0.05 + 0.9) / 2.0).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_real_candidates() {
        let device = Device::flex();
        let loss: f32 = info_nce(Tensor::zeros([2, 3], &device), &targets(&device)).into_scalar();
        assert!(
            (loss - (3f32.ln() + 2f32.ln()) / 2.0).abs() < 1e-6,
            "{loss}"
        );
    }

    #[test]
    fn the_adaptive_sum_weighs_the_larger_loss_a_little_more() {
        let device = Device::flex();
        let losses = [1.0f32, 2.0, 6.0].map(|loss| Tensor::<1>::from_data([loss], &device));
        let (sum, weights) = adaptive(losses.to_vec());
        let weights: Vec<f32> = weights.into_data().try_into_vec().unwrap();
        assert!(weights[0] < weights[1] && weights[1] < weights[2] && weights[2] < 0.5);
        let expected = weights[0] + 2.0 * weights[1] + 6.0 * weights[2];
        let sum: f32 = sum.into_scalar();
        assert!((sum - expected).abs() < 1e-5);
    }
}
