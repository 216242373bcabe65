//! What a training was asked for: `train.toml` in the run folder.

use serde::Serialize;
use shared_model::cues::AllCues;
use shared_model::imn::{ImnConfig, Input, Modality};
use shared_model::loss::FusionLoss;

use super::world::World;
use crate::cli::TrainArgs;

/// Every setting of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Settings {
    pub(super) datasets: Vec<String>,
    /// One a dataset.
    pub(super) shares: Vec<f64>,
    pub(super) modalities: Vec<Modality>,
    pub(super) paper: bool,
    pub(super) keep_scorer: bool,
    pub(super) seed: u64,
    pub(super) batch: usize,
    /// Equal parts of a batch: `--accumulate` for each device.
    pub(super) micro_batches: usize,
    pub(super) learning_rate: f64,
    pub(super) metric_steps: usize,
    pub(super) knowledge_steps: usize,
    pub(super) task_steps: usize,
    pub(super) evaluate_every: usize,
    pub(super) patience: usize,
    pub(super) validation: usize,
    pub(super) loss: FusionLoss,
    pub(super) imn: ImnConfig,
}

impl Settings {
    /// Modalities that no knowledge base has are left out.
    pub(super) fn of(args: &TrainArgs, worlds: &[World], micro_batches: usize) -> Self {
        let width = |modality: Modality| match modality {
            Modality::Text => worlds
                .iter()
                .find_map(|world| world.kb.profiles.first()?.text.as_ref().map(Vec::len)),
            Modality::Image => worlds
                .iter()
                .flat_map(|world| &world.kb.pooled)
                .find_map(|pooled| pooled.image.as_ref().map(Vec::len)),
            Modality::Joint => worlds
                .iter()
                .find_map(|world| world.kb.profiles.first()?.joint.as_ref().map(Vec::len)),
        };
        let inputs: Vec<Input> = args
            .modalities
            .iter()
            .filter_map(|&modality| {
                let modality = modality.into();
                Some(Input {
                    modality,
                    width: width(modality)?,
                })
            })
            .collect();
        let modalities = inputs.iter().map(|input| input.modality).collect();
        Self {
            datasets: args
                .datasets
                .iter()
                .map(|folder| folder.display().to_string())
                .collect(),
            shares: if args.shares.is_empty() {
                vec![1.0; args.datasets.len()]
            } else {
                args.shares.clone()
            },
            paper: args.paper,
            keep_scorer: args.keep_scorer,
            seed: args.seed,
            batch: args.batch as usize,
            micro_batches,
            learning_rate: args
                .learning_rate
                .unwrap_or(if args.paper { 1e-3 } else { 3e-4 }),
            metric_steps: args.metric_steps,
            knowledge_steps: args.knowledge_steps,
            task_steps: args.steps.unwrap_or(600),
            evaluate_every: args.evaluate_every as usize,
            patience: args.patience,
            validation: args.validation as usize,
            loss: FusionLoss::default(),
            imn: ImnConfig {
                dropout: args.dropout,
                ..if args.paper {
                    ImnConfig::paper(inputs)
                } else {
                    ImnConfig::ours(inputs)
                }
            },
            modalities,
        }
    }

    /// Leaves out what a modality says that this run does not have. The name is always known.
    pub(super) fn mask(&self, cues: &mut AllCues) {
        let [text, image, classes, _, _, _, _, words, grams] = cues;
        if !self.modalities.contains(&Modality::Text) {
            (*text, *words, *grams) = (0.0, 0.0, 0.0);
        }
        if !self.modalities.contains(&Modality::Image) {
            (*image, *classes) = (0.0, 0.0);
        }
    }
}
