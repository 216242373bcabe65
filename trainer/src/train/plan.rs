//! The plan of a training: `train.toml` in the run folder.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use shared_model::baselines::BaselineConfig;
use shared_model::imn::{ImnConfig, Input, Modality, ReadOn};
use shared_model::loss::FusionLoss;

use super::data::TrainingSet;
use crate::cli::{HoldOutArg, StageArg, TableSystem, TrainArgs};
use crate::learn::Plan;

/// Mentions that BatchNorm needs at once.
const MIN_BATCH: usize = 8;

/// Everything that the result of a run depends on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Settings {
    pub(super) datasets: Vec<PathBuf>,
    /// Weight of each dataset in a batch and in the scorer's fit.
    pub(super) shares: Vec<f64>,
    pub(super) modalities: Vec<Modality>,
    pub(super) paper: bool,
    pub(super) keep_scorer: bool,
    pub(super) train_share: f64,
    pub(super) hold_out: HoldOutArg,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) nil_share: Option<f64>,
    pub(super) seed: u64,
    pub(super) batch: usize,
    /// Number of equal parts of a batch: `--accumulate` for each device.
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
    /// The system of Table 2 that is trained in the place of the network.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<BaselineConfig>,
    /// Whether it is the JMEL of ET.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) extra_trees: bool,
}

impl Settings {
    /// The settings that `args` ask for; modalities that no knowledge base has are left out.
    ///
    /// # Arguments
    ///
    /// - word_width: width of the word vectors; 1 without any.
    pub(super) fn new(
        args: &TrainArgs,
        sets: &[TrainingSet],
        micro_batches: usize,
        word_width: usize,
    ) -> Self {
        let width = |modality: Modality| match modality {
            Modality::Text => sets
                .iter()
                .find_map(|set| set.kb.profiles.first()?.text.as_ref().map(Vec::len)),
            Modality::Image => sets
                .iter()
                .flat_map(|set| &set.kb.pooled)
                .find_map(|pooled| pooled.image.as_ref().map(Vec::len)),
            Modality::Joint => sets
                .iter()
                .find_map(|set| set.kb.profiles.first()?.joint.as_ref().map(Vec::len)),
        };
        let inputs: Vec<Input> = args
            .modalities
            .iter()
            .filter_map(|&modality| {
                Some(Input {
                    read_on: read_on(args, modality)?,
                    ..Input::new(modality, width(modality)?)
                })
            })
            .collect();
        let modalities = inputs.iter().map(|input| input.modality).collect();
        let baseline = args.system.map(|system| BaselineConfig {
            kind: system.network(),
            inputs: inputs.clone(),
            word_width,
            d_model: args.width as usize,
            dropout: args.dropout,
        });
        let learns_from_mentions_alone = baseline.is_some();
        let before_task = |steps: usize| if learns_from_mentions_alone { 0 } else { steps };
        let is_published = args.paper || baseline.is_some();
        Self {
            datasets: args.datasets.clone(),
            shares: if args.shares.is_empty() {
                vec![1.0; args.datasets.len()]
            } else {
                args.shares.clone()
            },
            paper: args.paper,
            keep_scorer: args.keep_scorer,
            train_share: args.train_share,
            hold_out: args.hold_out,
            nil_share: args.nil_share,
            seed: args.seed,
            batch: args.batch as usize,
            micro_batches,
            learning_rate: args
                .learning_rate
                .unwrap_or(if is_published { 1e-3 } else { 3e-4 }),
            metric_steps: before_task(args.metric_steps),
            knowledge_steps: before_task(args.knowledge_steps),
            task_steps: args.task_steps(),
            evaluate_every: args.evaluate_every as usize,
            patience: args.patience,
            validation: args.validation as usize,
            loss: FusionLoss {
                levels: args.aux_weights.0,
                ..FusionLoss::default()
            },
            imn: ImnConfig {
                dropout: args.dropout,
                ..if args.paper {
                    ImnConfig::paper(inputs)
                } else {
                    ImnConfig::ours(inputs)
                }
            },
            modalities,
            baseline,
            extra_trees: args.system == Some(TableSystem::ExtraTrees),
        }
    }

    /// How long a stage trains.
    pub(super) fn plan(&self, name: &str, steps: usize) -> Plan {
        Plan {
            name: name.to_owned(),
            seed: self.seed,
            steps,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
        }
    }
}

/// The sides of which the network reads a modality.
fn read_on(args: &TrainArgs, modality: Modality) -> Option<ReadOn> {
    let is_read =
        |side: &Option<Vec<Modality>>| side.as_ref().is_none_or(|side| side.contains(&modality));
    match (
        is_read(&args.mention_modalities),
        is_read(&args.entity_modalities),
    ) {
        (true, true) => Some(ReadOn::Both),
        (true, false) => Some(ReadOn::Mentions),
        (false, true) => Some(ReadOn::Entities),
        (false, false) => None,
    }
}

/// Refuses shares that do not fit the datasets.
pub(super) fn check_shares(shares: &[f64], n_datasets: usize) -> anyhow::Result<()> {
    let are_weights = shares
        .iter()
        .all(|share| *share >= 0.0 && share.is_finite());
    ensure!(
        shares.is_empty()
            || (shares.len() == n_datasets && are_weights && shares.iter().sum::<f64>() > 0.0),
        "--shares takes a number for each of the {n_datasets} datasets, none below 0 and one above it"
    );
    Ok(())
}

/// Number of equal parts of a batch.
pub(super) fn micro_batches(args: &TrainArgs, n_devices: usize) -> anyhow::Result<usize> {
    let n = args.accumulate as usize * n_devices;
    let batch = args.batch as usize;
    ensure!(
        batch.is_multiple_of(n) && batch / n >= MIN_BATCH,
        "--batch {batch} is not {n} equal parts of {MIN_BATCH} or more: {} to a device, {n_devices} devices",
        args.accumulate
    );
    Ok(n)
}

/// Refuses datasets from which the stage learns nothing.
pub(super) fn check_data(
    stage: StageArg,
    sets: &[TrainingSet],
    settings: &Settings,
) -> anyhow::Result<()> {
    ensure!(
        stage == StageArg::Prototype || !settings.imn.inputs.is_empty(),
        "no dataset has what --modalities names"
    );
    for (flag, unread) in [
        ("--mention-modalities", ReadOn::Entities),
        ("--entity-modalities", ReadOn::Mentions),
    ] {
        let mut inputs = settings.imn.inputs.iter();
        ensure!(
            stage == StageArg::Prototype || inputs.any(|input| input.read_on != unread),
            "{flag} leaves nothing to read: it names none of the modalities that --modalities, the encoders and the datasets have"
        );
    }
    let teaches = |(set, share): (&TrainingSet, &f64)| *share > 0.0 && set.fit().next().is_some();
    ensure!(
        sets.iter().zip(&settings.shares).any(teaches),
        "no dataset with a share above 0 has train mentions"
    );
    Ok(())
}

/// Removes the checkpoints of an older run.
pub(super) fn clear_checkpoints(run: &Path) -> anyhow::Result<()> {
    for stage in ["metric", "knowledge", "task", "text", "baseline"] {
        let checkpoint = run.join(format!("checkpoint-{stage}.bpk"));
        if checkpoint.exists() {
            std::fs::remove_file(&checkpoint)
                .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_fit_the_datasets() {
        for (shares, n) in [(&[][..], 3), (&[0.5, 0.0][..], 2), (&[1.0][..], 1)] {
            check_shares(shares, n).unwrap();
        }
        for (shares, n) in [
            (&[1.0][..], 2),
            (&[0.0, 0.0][..], 2),
            (&[1.0, -0.5][..], 2),
            (&[f64::NAN][..], 1),
        ] {
            let error = format!("{:#}", check_shares(shares, n).unwrap_err());
            assert!(error.contains("--shares"), "{error}");
        }
    }
}
