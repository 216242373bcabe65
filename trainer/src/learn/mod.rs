//! The one training loop: steps, evaluations, early stopping, checkpoints, metrics and curves.
//!
//! A stage is a function of its seed: every step draws from [`rng`], and the device's own generator (dropout) is seeded before it.
//! So a run that was killed and resumed leaves the same files and weights as one that was not, but for the times.

mod checkpoint;
mod curves;
mod metrics;
mod optimised;
mod schedule;
mod settings;
mod team;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use burn::module::Module;
use burn::prelude::Device;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

pub(crate) use metrics::evaluations;
pub(crate) use optimised::Optimised;
pub(crate) use schedule::{rows, warmed};
pub(crate) use settings::save_or_verify;
pub(crate) use team::Team;

use self::checkpoint::Checkpoint;
use self::metrics::{Log, Part};
use crate::files::{self, progress};

/// Figures in the order in which they are written; their names are not `stage`, `step` or `part`.
pub(crate) type Metrics = Vec<(&'static str, f64)>;

/// Name of the training figure that is drawn, and that stops the run if it is not finite.
pub(crate) const LOSS: &str = "loss";

/// Data and criterion of a training; the model is apart, in [`Optimised`].
pub(crate) trait Stage<M> {
    /// Name of the figure of [`Self::evaluate`] that early stopping watches; higher is better.
    const WATCHED: &'static str;

    /// One optimiser step, counted from 1, on the batch of that step. One of the figures is [`LOSS`].
    fn step(&mut self, model: &mut Optimised<M>, step: usize) -> anyhow::Result<Metrics>;

    /// What to look at if something went wrong on the batch of `step`.
    fn batch(&self, step: usize) -> String;

    /// The figures on held-out data after `step` steps.
    fn evaluate(&mut self, model: &mut Optimised<M>, step: usize) -> anyhow::Result<Metrics>;
}

/// How long a stage trains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name of the stage: part of file names and of the seed.
    pub(crate) name: String,
    /// Seed of everything random.
    pub(crate) seed: u64,
    /// Optimiser steps, at most.
    pub(crate) steps: usize,
    /// Steps between evaluations; there is one before the first step and one after the last.
    pub(crate) evaluate_every: usize,
    /// Evaluations in a row without a gain after which it stops.
    pub(crate) patience: usize,
}

/// Result of a training. The model is in its best state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Steps after which it ended.
    pub(crate) steps: usize,
    /// Step at which the watched figure was highest.
    pub(crate) best_step: usize,
    /// The evaluation before the first step.
    pub(crate) start: BTreeMap<String, f64>,
    /// The evaluation at the best step.
    pub(crate) best: BTreeMap<String, f64>,
}

/// What a stage took since it was started or resumed.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Times {
    /// Number of steps.
    pub(crate) n_steps: usize,
    /// Seconds of all steps.
    pub(crate) steps: f64,
    /// Number of evaluations after steps.
    pub(crate) n_evaluations: usize,
    /// Seconds of these evaluations.
    pub(crate) evaluations: f64,
}

/// Trains `model`, and leaves metrics, the last checkpoint, curves, the outcome and [`Times`] in `folder`.
///
/// With `resume` the training continues from the checkpoint, if there is one.
///
/// # Errors
///
/// A figure that is not finite, with stage and step; the last good checkpoint stays. A checkpoint of another plan.
pub(crate) fn learn<M: Module, S: Stage<M>>(
    stage: &mut S,
    model: &mut Optimised<M>,
    plan: &Plan,
    folder: &Path,
    resume: bool,
) -> anyhow::Result<Outcome> {
    ensure!(plan.evaluate_every > 0, "{}: no evaluations", plan.name);
    let metrics = folder.join(format!("metrics-{}.jsonl", plan.name));
    let checkpoints = folder.join(format!("checkpoint-{}.bpk", plan.name));
    let curves = folder.join(format!("curves-{}.svg", plan.name));
    let watched = S::WATCHED;

    let bar = progress(plan.steps, "steps");
    let announce = |value: f64, at: &Checkpoint| {
        let (name, steps, step) = (&plan.name, plan.steps, at.step);
        let (best, best_step) = (at.best, at.best_step);
        bar.suspend(|| {
            eprintln!("{name} {step}/{steps}: {watched} {value:.4}, best {best:.4} at {best_step}");
        });
    };
    let mut log;
    let mut at;
    if resume && checkpoints.exists() {
        at = Checkpoint::read(&checkpoints, plan)?;
        log = Log::resume(&metrics, plan, at.step)?;
        model.restore(&at.state)?;
    } else {
        // A checkpoint of an older run must not be taken for one of this run.
        if checkpoints.exists() {
            fs::remove_file(&checkpoints)
                .with_context(|| format!("cannot remove {}", checkpoints.display()))?;
        }
        log = Log::open(&metrics, plan, "")?;
        at = Checkpoint::start();
        let value = evaluate(stage, model, plan, &mut log, &mut at, 0)?;
        announce(value, &at);
        at.write(&checkpoints, plan)?;
    }
    bar.set_position(at.step as u64);
    bar.reset_eta();

    let mut times = Times::default();
    while at.step < plan.steps && at.without_gain < plan.patience {
        let until = plan.steps.min(at.step + plan.evaluate_every);
        let start = Instant::now();
        for step in at.step + 1..=until {
            reseed(&model.device, plan.seed, &plan.name, step);
            let figures = stage
                .step(model, step)
                .with_context(|| format!("{}, step {step}", plan.name))?;
            let value = figure(&figures, LOSS)?;
            ensure!(
                value.is_finite(),
                "{}, step {step}: the {LOSS} is {value} on {}",
                plan.name,
                stage.batch(step)
            );
            log.write(step, Part::Train, &figures)?;
            bar.inc(1);
        }
        times.n_steps += until - at.step;
        times.steps += start.elapsed().as_secs_f64();
        let start = Instant::now();
        let value = evaluate(stage, model, plan, &mut log, &mut at, until)?;
        times.n_evaluations += 1;
        times.evaluations += start.elapsed().as_secs_f64();
        announce(value, &at);
        curves::draw(&curves, &plan.name, &log.lines, LOSS, watched)?;
        at.write(&checkpoints, plan)?;
    }
    bar.finish_and_clear();

    model.restore(&at.best_state)?;
    let outcome = Outcome {
        steps: at.step,
        best_step: at.best_step,
        start: log.evaluation(0)?,
        best: log.evaluation(at.best_step)?,
    };
    let file = |what: &str| folder.join(format!("{what}-{}.json", plan.name));
    files::write_json(&file("outcome"), &outcome)?;
    files::write_json(&file("times"), &times)?;
    Ok(outcome)
}

/// The random generator of a step; the same seed, stage and step draw the same.
pub(crate) fn rng(seed: u64, stage: &str, step: usize) -> StdRng {
    StdRng::from_seed(hash(seed, stage, step))
}

/// Seeds the device's own generator (dropout, initial weights) as [`rng`] is seeded.
pub(crate) fn reseed(device: &Device, seed: u64, stage: &str, step: usize) {
    let [a, b, c, d, e, f, g, h, ..] = hash(seed, stage, step);
    device.seed(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
}

fn hash(seed: u64, stage: &str, step: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seed.to_le_bytes());
    hash.update((step as u64).to_le_bytes());
    hash.update(stage);
    hash.finalize().into()
}

/// Evaluates, and moves the checkpoint to `step`; returns the watched figure.
fn evaluate<M: Module, S: Stage<M>>(
    stage: &mut S,
    model: &mut Optimised<M>,
    plan: &Plan,
    log: &mut Log,
    at: &mut Checkpoint,
    step: usize,
) -> anyhow::Result<f64> {
    let watched = S::WATCHED;
    let figures = stage
        .evaluate(model, step)
        .with_context(|| format!("{}, evaluation at step {step}", plan.name))?;
    let value = figure(&figures, watched)?;
    ensure!(
        value.is_finite(),
        "{}, step {step}: the held-out {watched} is {value}",
        plan.name
    );
    let state = model
        .state()
        .with_context(|| format!("{}, step {step}", plan.name))?;
    at.advance(step, value, state);
    log.write(step, Part::Dev, &figures)?;
    Ok(value)
}

fn figure(figures: &Metrics, name: &str) -> anyhow::Result<f64> {
    let found = figures.iter().find(|(found, _)| *found == name);
    let (_, value) = found.with_context(|| format!("no figure {name:?} among {figures:?}"))?;
    Ok(*value)
}
