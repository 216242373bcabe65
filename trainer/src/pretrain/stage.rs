//! The joint encoder under its three tasks, as a stage of the training loop.

use burn::module::Module as _;
use burn::optim::{AdamWConfig, Optimizer};
use burn::prelude::*;

use super::batch::Collator;
use super::masking::{Pieces, Shares};
use super::negatives::{Negatives, Question, Source, is_pair};
use super::posts::Corpus;
use super::tasks::{Figures, Pretrained};
use super::{STAGE, Settings};
use crate::learn::{LOSS, Metrics, Optimised, Stage, rng, rows, warmed};

/// Held-out posts encoded at once.
const EVALUATED: usize = 32;

/// Held-out losses whose sum, negated, is the score.
const SCORED: [&str; 3] = ["words_loss", "patch_loss", "alignment_loss"];

/// Data and criterion of the pre-training.
pub(crate) struct Pretraining<'a> {
    settings: &'a Settings,
    corpus: &'a Corpus,
    train: Negatives<'a>,
    held_out: Negatives<'a>,
    collator: Collator<'a>,
    /// The text encoder's word embeddings, frozen.
    words: Tensor<2>,
}

/// The optimiser of the pre-training.
pub(crate) fn optimiser(settings: &Settings) -> impl Optimizer {
    let adamw = AdamWConfig::new().with_epsilon(1e-8);
    adamw
        .with_weight_decay(settings.weight_decay as f32)
        .build()
}

impl<'a> Pretraining<'a> {
    /// The stage on a corpus.
    ///
    /// # Arguments
    ///
    /// - words: the text encoder's word embeddings.
    /// - mask: id of `[MASK]`.
    pub(crate) fn new(
        words: Tensor<2>,
        mask: u32,
        corpus: &'a Corpus,
        settings: &'a Settings,
    ) -> Self {
        Self {
            settings,
            train: Negatives::new(&corpus.train, &corpus.rivals),
            held_out: Negatives::new(&corpus.held_out, &corpus.rivals),
            corpus,
            collator: Collator {
                patches: &corpus.patches,
                channels: &corpus.channels,
                sizes: &settings.joint,
                pieces: Pieces {
                    mask,
                    n: words.dims()[0] as u32,
                },
            },
            words,
        }
    }

    /// Held-out pairs with negative pictures.
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
        self.settings.learning_rate * warmed(step, self.settings.steps, self.settings.warm_up)
    }
}

impl Stage<Pretrained> for Pretraining<'_> {
    const WATCHED: &'static str = "score";

    fn step(&mut self, model: &mut Optimised<Pretrained>, step: usize) -> anyhow::Result<Metrics> {
        let rows = self.rows(step);
        let mut rng = rng(self.settings.seed, STAGE, step);
        let questions = self.train.draw(&rows, !self.settings.plain, &mut rng);
        let shares = self.settings.shares();
        let batch = self.collator.batch(
            &self.corpus.train,
            &rows,
            &questions,
            shares,
            &mut rng,
            &model.device,
        );
        let answers = model.model.answer(&batch, &self.words);
        let mut figures = Figures::default();
        figures.add(&answers, &batch)?;

        let rate = self.rate(step);
        let Some((loss, weights)) = answers.loss() else {
            // Nothing is masked and no pair is drawn: no step, and a loss of 0.
            return Ok(vec![(LOSS, 0.0), ("rate", rate)]);
        };
        let mut metrics = vec![(LOSS, model.descend(rate, loss)), ("rate", rate)];
        metrics.extend(figures.of_step());
        metrics.extend(weights);
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

    /// The same tasks at every step, for guided and plain runs alike: tokens are masked as in the paper, and every pair is aligned unmasked, with its own picture, with a random one, and with a guided negative if there is one.
    fn evaluate(&mut self, model: &mut Optimised<Pretrained>, _: usize) -> anyhow::Result<Metrics> {
        let model = model.model.valid();
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
                let batch = self.collator.batch(
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
}
