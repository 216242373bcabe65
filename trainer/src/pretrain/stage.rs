//! The joint encoder under its three tasks, as a stage of the training loop.

use burn::module::Module;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;

use super::batch::Material;
use super::masking::{Pieces, Shares};
use super::negatives::{Negatives, Question, Source, is_pair};
use super::posts::Corpus;
use super::tasks::{Figures, Pretrained};
use super::{STAGE, Settings};
use crate::learn::{Metrics, Restorable, Stage, pack, rng, rows, unpack, warmed};

/// Held-out posts encoded at once.
const EVALUATED: usize = 32;

/// Held-out losses whose sum, negated, is the score.
const SCORED: [&str; 3] = ["words_loss", "patch_loss", "alignment_loss"];

/// See [`Stage`].
pub(crate) struct Pretraining<'a> {
    /// With gradients.
    pub(crate) model: Pretrained,
    optimizer: ModuleOptimizer,
    settings: &'a Settings,
    corpus: &'a Corpus,
    train: Negatives<'a>,
    held_out: Negatives<'a>,
    pieces: Pieces,
    /// The text encoder's word embeddings, frozen.
    words: Tensor<2>,
    device: Device,
}

impl<'a> Pretraining<'a> {
    /// Everything but the model is read off `corpus`.
    pub(crate) fn new(
        model: Pretrained,
        words: Tensor<2>,
        mask: u32,
        corpus: &'a Corpus,
        settings: &'a Settings,
    ) -> Self {
        let optimizer = AdamWConfig::new()
            .with_epsilon(1e-8)
            .with_weight_decay(settings.weight_decay as f32)
            .build();
        Self {
            model,
            optimizer: ModuleOptimizer::from(Restorable(optimizer)),
            settings,
            train: Negatives::new(&corpus.train, &corpus.rivals),
            held_out: Negatives::new(&corpus.held_out, &corpus.rivals),
            corpus,
            pieces: Pieces {
                mask,
                n: words.dims()[0] as u32,
            },
            device: words.device(),
            words,
        }
    }

    fn material(&self) -> Material<'_> {
        Material {
            patches: &self.corpus.patches,
            channels: &self.corpus.channels,
            sizes: &self.settings.joint,
            pieces: self.pieces,
        }
    }

    /// Held-out pairs with wrong pictures.
    fn wrong(&self, rows: &[usize], source: Source, number: usize) -> Vec<(usize, Question)> {
        let mut rng = rng(self.settings.seed, "held-out pictures", number);
        let wrong = |&post: &usize| {
            let wrong = match source {
                Source::Rival => self.held_out.rival(post, &mut rng),
                Source::Random => self.held_out.random(post, &mut rng),
            };
            Some((post, Question::Pair(Some(wrong?))))
        };
        let pairs = rows
            .iter()
            .filter(|&&post| is_pair(&self.corpus.held_out[post]));
        pairs.filter_map(wrong).collect()
    }

    fn rows(&self, step: usize) -> Vec<usize> {
        let Settings { seed, batch, .. } = *self.settings;
        rows(seed, "order of posts", self.corpus.train.len(), batch, step)
    }

    fn rate(&self, step: usize) -> f64 {
        self.settings.rate * warmed(step, self.settings.steps, self.settings.warm_up)
    }
}

impl Stage for Pretraining<'_> {
    fn loss(&self) -> &'static str {
        "loss"
    }

    fn watched(&self) -> &'static str {
        "score"
    }

    fn device(&self) -> &Device {
        &self.device
    }

    fn step(&mut self, step: usize) -> anyhow::Result<Metrics> {
        let rows = self.rows(step);
        let mut rng = rng(self.settings.seed, STAGE, step);
        let questions = self.train.draw(&rows, !self.settings.plain, &mut rng);
        let shares = self.settings.shares();
        let batch = self.material().batch(
            &self.corpus.train,
            &rows,
            &questions,
            shares,
            &mut rng,
            &self.device,
        );
        let answers = self.model.answer(&batch, &self.words);
        let mut figures = Figures::default();
        figures.add(&answers, &batch)?;

        let rate = self.rate(step);
        let Some((loss, weights)) = answers.loss() else {
            // Nothing was asked for: no step, and a loss of 0.
            return Ok(vec![("loss", 0.0), ("rate", rate)]);
        };
        let value: f32 = loss.clone().into_scalar();
        let mut metrics = vec![("loss", f64::from(value)), ("rate", rate)];
        metrics.extend(figures.of_step());
        metrics.extend(weights);
        if value.is_finite() {
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        }
        Ok(metrics)
    }

    fn batch(&self, step: usize) -> String {
        let labels: Vec<&str> = self
            .rows(step)
            .into_iter()
            .map(|post| self.corpus.train[post].label.as_str())
            .collect();
        format!("the posts {}", labels.join(", "))
    }

    /// The same questions at every step, to guided and plain runs alike: tokens are masked as the paper does, and every pair is asked for, whole, with its own picture, with a random one, and with a rival's if there is one.
    fn evaluate(&mut self, _step: usize) -> anyhow::Result<Metrics> {
        let model = self.model.valid();
        let words = self.words.clone().inner();
        let all: Vec<usize> = (0..self.corpus.held_out.len()).collect();
        let mut figures = Figures::default();
        for (number, rows) in all.chunks(EVALUATED).enumerate() {
            let hidden = rows.iter().map(|&post| (post, Question::Hidden));
            let own = rows.iter().copied();
            let own = own.filter(|&post| is_pair(&self.corpus.held_out[post]));
            let passes = [
                hidden.collect(),
                own.map(|post| (post, Question::Pair(None))).collect(),
                self.wrong(rows, Source::Random, number),
                self.wrong(rows, Source::Rival, number),
            ];
            for pass in passes.into_iter().filter(|pass| !pass.is_empty()) {
                let (rows, questions): (Vec<_>, Vec<_>) = pass.into_iter().unzip();
                let batch = self.material().batch(
                    &self.corpus.held_out,
                    &rows,
                    &questions,
                    Shares::MENTION,
                    &mut rng(self.settings.seed, "held-out masks", number),
                    &words.device(),
                );
                figures.add(&model.answer(&batch, &words), &batch)?;
            }
        }
        let mut metrics = figures.of_held_out();
        let losses: f64 = metrics
            .iter()
            .filter(|(name, _)| SCORED.contains(name))
            .map(|(_, loss)| loss)
            .sum();
        metrics.insert(0, ("score", -losses));
        Ok(metrics)
    }

    fn state(&self) -> anyhow::Result<Vec<u8>> {
        pack(&self.model, &self.optimizer)
    }

    fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
        (self.model, self.optimizer) = unpack(self.model.clone(), self.optimizer.clone(), state)?;
        Ok(())
    }
}
