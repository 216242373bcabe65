//! The three tasks: predictions of the model for a batch, and figures over them.

use burn::module::Module;
use burn::prelude::*;
use burn::tensor::activation::log_softmax;
use shared_model::joint::{JointEncoder, JointHeads};
use shared_model::loss::adaptive;

use super::batch::Batch;
use super::negatives::Source;
use crate::learn::Metrics;

/// Encoder and heads.
#[derive(Module, Debug)]
pub(crate) struct Pretrained {
    /// The part that is kept.
    pub(crate) encoder: JointEncoder,
    /// Heads of the tasks.
    pub(crate) heads: JointHeads,
}

/// Predictions for a batch; `None` for a task without a target.
pub(crate) struct Answers {
    words: Option<Choices>,
    patch_loss: Option<Tensor<1>>,
    alignment: Option<Choices>,
}

/// Predictions of one of several classes.
struct Choices {
    /// Negative log-likelihood of the labels, `[n]`.
    losses: Tensor<1>,
    /// The likeliest classes, `[n]`.
    chosen: Tensor<1, Int>,
}

impl Pretrained {
    /// Predicts the targets of a batch.
    ///
    /// # Shapes
    ///
    /// - words: the text encoder's word embeddings, `[vocabulary, width]`
    pub(crate) fn answer(&self, batch: &Batch, words: &Tensor<2>) -> Answers {
        let device = words.device();
        let indices = |values: Vec<i64>| {
            let n = values.len();
            Tensor::<1, Int>::from_data(TensorData::new(values, [n]), &device)
        };
        let output = self.encoder.forward(&batch.input, words);
        let asked = (!batch.tokens.is_empty()).then(|| {
            let positions = batch.tokens.iter().map(|asked| asked.position as i64);
            let right = batch.tokens.iter().map(|asked| i64::from(asked.id));
            let logits = self
                .heads
                .words(&output, indices(positions.collect()), words);
            Choices::of(logits, indices(right.collect()))
        });
        let patch_loss = (!batch.patches.is_empty()).then(|| {
            let positions = batch.patches.iter().map(|&position| position as i64);
            let width = batch.features.len() / batch.patches.len();
            let features = TensorData::new(batch.features.clone(), [batch.patches.len(), width]);
            self.heads.patch_loss(
                &output,
                indices(positions.collect()),
                Tensor::from_data(features, &device),
            )
        });
        let alignment = (!batch.pairs.is_empty()).then(|| {
            let rows = batch.pairs.iter().map(|pair| pair.row as i64);
            let right = batch.pairs.iter().map(|pair| i64::from(pair.belongs()));
            let logits = self.heads.alignment(&output);
            Choices::of(
                logits.select(0, indices(rows.collect())),
                indices(right.collect()),
            )
        });
        Answers {
            words: asked,
            patch_loss,
            alignment,
        }
    }
}

impl Choices {
    /// # Shapes
    ///
    /// - logits: `[n, choices]`
    /// - right: `[n]`
    fn of(logits: Tensor<2>, right: Tensor<1, Int>) -> Self {
        let logs = log_softmax(logits, 1);
        let losses = logs.clone().gather(1, right.unsqueeze_dim(1)).neg();
        Self {
            losses: losses.squeeze_dim(1),
            chosen: logs.detach().argmax(1).squeeze_dim(1),
        }
    }

    fn read(&self) -> anyhow::Result<Vec<(f64, i64)>> {
        let losses = self.losses.clone().into_data().convert::<f32>();
        let chosen = self.chosen.clone().into_data().convert::<i64>();
        let pairs = losses.iter::<f32>().zip(chosen.iter::<i64>());
        Ok(pairs
            .map(|(loss, chosen)| (f64::from(loss), chosen))
            .collect())
    }
}

impl Answers {
    /// The adaptive sum of the losses of the tasks with targets, and their weights in it.
    pub(crate) fn loss(&self) -> Option<(Tensor<1>, Metrics)> {
        let mean = |choices: &Choices| choices.losses.clone().mean();
        let tasks = [
            ("words_weight", self.words.as_ref().map(mean)),
            ("patch_weight", self.patch_loss.clone()),
            ("alignment_weight", self.alignment.as_ref().map(mean)),
        ];
        let (names, losses): (Vec<_>, Vec<_>) = tasks
            .into_iter()
            .filter_map(|(name, loss)| Some((name, loss?)))
            .unzip();
        if losses.is_empty() {
            return None;
        }
        let (sum, weights) = adaptive(losses);
        let weights = weights.into_data().convert::<f32>();
        let weights = names.into_iter().zip(weights.iter::<f32>().map(f64::from));
        Some((sum, weights.collect()))
    }
}

/// Figures, summed over batches.
#[derive(Default)]
pub(crate) struct Figures {
    mention: Tally,
    other: Tally,
    patches: Tally,
    /// Entropies of the patch targets, in place of losses.
    entropy: Tally,
    own: Tally,
    rival: Tally,
    random: Tally,
}

/// Numbers of predictions, their losses and how many are right.
#[derive(Debug, Default, Clone, Copy)]
struct Tally {
    n: f64,
    loss: f64,
    right: f64,
}

impl Figures {
    /// Adds the predictions for a batch.
    pub(crate) fn add(&mut self, answers: &Answers, batch: &Batch) -> anyhow::Result<()> {
        if let Some(words) = &answers.words {
            for (asked, (loss, chosen)) in batch.tokens.iter().zip(words.read()?) {
                let tally = if asked.in_mention {
                    &mut self.mention
                } else {
                    &mut self.other
                };
                tally.add(loss, chosen == i64::from(asked.id));
            }
        }
        if let Some(loss) = &answers.patch_loss {
            let n = batch.patches.len();
            let loss: f32 = loss.clone().into_scalar();
            for features in batch.features.chunks(batch.features.len() / n) {
                self.patches.add(f64::from(loss), false);
                self.entropy.add(entropy(features), false);
            }
        }
        if let Some(alignment) = &answers.alignment {
            for (pair, (loss, chosen)) in batch.pairs.iter().zip(alignment.read()?) {
                let tally = match pair.negative {
                    None => &mut self.own,
                    Some(Source::Rival) => &mut self.rival,
                    Some(Source::Random) => &mut self.random,
                };
                tally.add(loss, chosen == i64::from(pair.belongs()));
            }
        }
        Ok(())
    }

    /// The figures of a training batch.
    pub(crate) fn of_step(&self) -> Metrics {
        let all = self.own.and(self.rival).and(self.random);
        let mut metrics = self.tokens_and_patches();
        metrics.extend(all.figures("alignment_loss", "alignment_accuracy"));
        let negatives = self.rival.n + self.random.n;
        if negatives > 0.0 {
            metrics.push(("negatives", negatives / all.n));
            metrics.push(("rival_share", self.rival.n / negatives));
            metrics.push(("random_share", self.random.n / negatives));
        }
        metrics
    }

    /// The figures of held-out posts, where every pair is aligned with its own picture and with negatives: own and random pictures have the same weight.
    pub(crate) fn of_held_out(&self) -> Metrics {
        let mut metrics = self.tokens_and_patches();
        let half = |own: Option<f64>, wrong: Option<f64>| Some((own? + wrong?) / 2.0);
        let shares = [
            ("alignment_loss", half(self.own.loss(), self.random.loss())),
            (
                "alignment_accuracy",
                half(self.own.accuracy(), self.random.accuracy()),
            ),
            ("own_accepted", self.own.accuracy()),
            ("random_refused", self.random.accuracy()),
            ("rival_refused", self.rival.accuracy()),
        ];
        metrics.extend(
            shares
                .into_iter()
                .filter_map(|(name, share)| Some((name, share?))),
        );
        metrics.extend([
            ("mention_tokens", self.mention.n),
            ("other_tokens", self.other.n),
            ("pairs", self.own.n),
            ("rival_pairs", self.rival.n),
        ]);
        metrics
    }

    fn tokens_and_patches(&self) -> Metrics {
        let mut metrics = Metrics::new();
        let words = self.mention.and(self.other);
        metrics.extend(words.loss().map(|loss| ("words_loss", loss)));
        metrics.extend(self.mention.figures("mention_loss", "mention_accuracy"));
        metrics.extend(self.other.figures("other_loss", "other_accuracy"));
        metrics.extend(self.patches.loss().map(|loss| ("patch_loss", loss)));
        metrics.extend(self.entropy.loss().map(|loss| ("patch_entropy", loss)));
        metrics
    }
}

impl Tally {
    fn add(&mut self, loss: f64, right: bool) {
        self.n += 1.0;
        self.loss += loss;
        self.right += f64::from(right);
    }

    fn and(self, other: Self) -> Self {
        Self {
            n: self.n + other.n,
            loss: self.loss + other.loss,
            right: self.right + other.right,
        }
    }

    fn loss(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.loss / self.n)
    }

    fn accuracy(&self) -> Option<f64> {
        (self.n > 0.0).then(|| self.right / self.n)
    }

    fn figures(&self, loss: &'static str, accuracy: &'static str) -> Metrics {
        let figures = [(loss, self.loss()), (accuracy, self.accuracy())];
        let named = |(name, figure): (_, Option<f64>)| Some((name, figure?));
        figures.into_iter().filter_map(named).collect()
    }
}

/// Entropy of the softmax of `features`, in nats: near 0 it is one-hot, near the logarithm of their number uniform.
fn entropy(features: &[f32]) -> f64 {
    let highest = features.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let powers = features.iter().map(|&x| f64::from(x - highest));
    let sum: f64 = powers.clone().map(f64::exp).sum();
    sum.ln() - powers.map(|x| x * x.exp()).sum::<f64>() / sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_is_between_one_hot_and_uniform() {
        assert!(entropy(&[100.0, 0.0, 0.0]).abs() < 1e-9);
        assert!((entropy(&[2.0; 8]) - 8f64.ln()).abs() < 1e-9);
        let half: f64 = entropy(&[0.0, 0.0, -1e4]);
        assert!((half - 2f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn held_out_alignment_weighs_own_and_random_pictures_alike() {
        let mut figures = Figures::default();
        (0..4).for_each(|_| figures.own.add(0.5, true));
        figures.random.add(1.5, false);
        let metrics = figures.of_held_out();
        assert!(
            metrics.contains(&("alignment_accuracy", 0.5)),
            "{metrics:?}"
        );
        assert!(metrics.contains(&("alignment_loss", 1.0)), "{metrics:?}");
        assert!(metrics.iter().all(|(name, _)| *name != "rival_refused"));
    }
}
