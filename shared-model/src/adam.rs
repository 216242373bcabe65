//! Adam ([Kingma and Ba 2015](https://arxiv.org/abs/1412.6980)) for a handful of numbers.

/// Full-batch steps; the losses are convex or nearly so, and converge within half of them.
pub const STEPS: usize = 400;
const LEARNING_RATE: f64 = 0.05;

/// The state of the optimiser.
pub struct Adam<const N: usize> {
    step: i32,
    mean: [f64; N],
    square: [f64; N],
}

impl<const N: usize> Default for Adam<N> {
    fn default() -> Self {
        Self {
            step: 0,
            mean: [0.0; N],
            square: [0.0; N],
        }
    }
}

impl<const N: usize> Adam<N> {
    /// Moves the values against the gradient of a loss.
    pub fn step(&mut self, values: &mut [f64; N], gradient: &[f64; N]) {
        self.step += 1;
        for i in 0..N {
            self.mean[i] = 0.9 * self.mean[i] + 0.1 * gradient[i];
            self.square[i] = 0.999 * self.square[i] + 0.001 * gradient[i].powi(2);
            let mean = self.mean[i] / (1.0 - 0.9f64.powi(self.step));
            let square = self.square[i] / (1.0 - 0.999f64.powi(self.step));
            values[i] -= LEARNING_RATE * mean / (square.sqrt() + 1e-12);
        }
    }
}

/// Probabilities of logits.
pub fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}
