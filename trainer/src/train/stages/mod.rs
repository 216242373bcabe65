//! Stages of a training: one module each.

pub(super) mod baseline;
pub(super) mod contrastive;
pub(super) mod imn;
pub(super) mod text;

use burn::prelude::Device;
use shared_model::scorer::ScorerConfig;

use super::data::TrainingSet;
use super::plan::Settings;

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
