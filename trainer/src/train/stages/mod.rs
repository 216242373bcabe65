//! Stages of a training: one module each.

pub(super) mod baseline;
pub(super) mod contrastive;
pub(super) mod imn;
pub(super) mod text;

use burn::prelude::*;
use rand::rngs::StdRng;
use shared_model::imn::Input;
use shared_model::scorer::ScorerConfig;
use shared_model::tensors::read;

use super::batch::{Batch, whole};
use super::data::{Placed, TrainingSet};
use super::plan::Settings;
use super::sampler::Sampler;
use super::select::Held;
use crate::learn::rng;

/// What the stages of a network share.
pub(super) struct Setup<'a> {
    /// Datasets.
    pub(super) sets: &'a [TrainingSet],
    /// Settings of the run.
    pub(super) settings: &'a Settings,
    /// The training-free scorer, frozen; all weights are 0 in the paper's form.
    pub(super) scorer: ScorerConfig,
    /// Temperature of that scorer alone.
    pub(super) temperature: f64,
    /// Device of the model, with gradients.
    pub(super) device: &'a Device,
    /// Other devices that compute a part of each batch.
    pub(super) helpers: &'a [Device],
}

impl Setup<'_> {
    /// The examples of a step, and the generator that drew them.
    fn draw<'e>(
        &self,
        sampler: &Sampler<'e>,
        stage: &str,
        step: usize,
    ) -> (Vec<Placed<'e>>, StdRng) {
        let Settings { seed, batch, .. } = *self.settings;
        let mut rng = rng(seed, stage, step);
        let mut drawn = Vec::with_capacity(batch);
        sampler.draw(batch, &mut rng, |placed, _| drawn.push(placed));
        (drawn, rng)
    }

    /// Examples with the scores of a model, batch by batch, as at inference.
    ///
    /// # Arguments
    ///
    /// - inputs: modalities of the model.
    /// - scores: `[batch, n_candidates]` of a batch, on the device without gradients.
    fn held(
        &self,
        examples: &[Placed],
        inputs: &[Input],
        scores: impl Fn(&[Placed], Batch) -> anyhow::Result<Tensor<2>>,
    ) -> anyhow::Result<Vec<Held>> {
        let device = self.device.clone().inner();
        let mut held = Vec::with_capacity(examples.len());
        for examples in examples.chunks(self.settings.batch) {
            let batch = whole(examples, self.sets, inputs, &self.scorer, &device);
            let scores = scores(examples, batch)?;
            let [_, n_candidates] = scores.dims();
            let scores = pollster::block_on(read(scores))?;
            for (&placed, scores) in examples.iter().zip(scores.chunks(n_candidates)) {
                let (set, example) = placed;
                let scores = scores[..example.candidates.len()].to_vec();
                held.push(Held::new(placed, &self.sets[set], &self.scorer, scores));
            }
        }
        Ok(held)
    }
}
