//! `imn experiments --estimate`: how long the missing trainings of a plan will take.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;

use super::trainings::{Job, Trainer, TrainingPlan};
use crate::cli::{Cli, Command, TrainArgs};
use crate::files;
use crate::learn::Times;

/// Steps of each stage of a trial, at most.
const TRIAL: usize = 12;

/// A line per training with missing runs, and the sum.
pub(super) fn estimate(trainer: &Trainer, plans: &[TrainingPlan]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let (mut total, mut is_bound) = (0.0, false);
    for plan in plans {
        let mut jobs = plan.trials(trainer.weights);
        let trained = jobs.iter().map(|job| job.is_done(trainer.folder));
        let are_tried = trained
            .collect::<anyhow::Result<Vec<_>>>()?
            .into_iter()
            .all(|done| done);
        if are_tried {
            jobs.extend(plan.chosen(trainer.folder, trainer.weights)?.1);
        }
        let (mut n_done, mut seconds) = (0, Vec::new());
        for job in &jobs {
            n_done += usize::from(job.is_done(trainer.folder)?);
            seconds.extend(job.seconds(trainer.folder)?);
        }
        let n_missing = plan.n_runs() - n_done;
        if n_missing == 0 {
            continue;
        }
        let (each, source) = if seconds.is_empty() {
            is_bound = true;
            (trial(trainer, &jobs[0])?, "without early stopping")
        } else {
            let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
            (mean, "as its finished runs")
        };
        total += each * n_missing as f64;
        let name = &plan.name;
        lines.push(format!("{name}: {n_missing} runs of {each:.0} s, {source}"));
    }
    let hours = total / 3600.0 / trainer.n_jobs as f64;
    let bound = if is_bound { "at most " } else { "" };
    lines.push(format!(
        "all: {bound}{hours:.2} hours, {} at a time",
        trainer.n_jobs
    ));
    Ok(lines.join("\n"))
}

/// The seconds of a run with all its steps, from a few steps of each stage.
fn trial(trainer: &Trainer, job: &Job) -> anyhow::Result<f64> {
    trainer.encode(std::slice::from_ref(job))?;
    let named = || job.run.display().to_string();
    let cli = Cli::try_parse_from(std::iter::once("imn".to_owned()).chain(job.arguments.clone()));
    let Command::Train(args) = cli.with_context(named)?.command else {
        bail!("{} is no training", named());
    };
    let run = tempfile::tempdir()?;
    let mut command = trainer.command()?;
    command.args(&job.arguments).arg("--run").arg(run.path());
    for (flag, steps) in stages(&args)
        .into_iter()
        .map(|(_, flag, steps)| (flag, steps))
    {
        command.args([flag, &steps.min(TRIAL).to_string()]);
    }
    command.args(["--evaluate-every", &TRIAL.to_string()]);
    let start = Instant::now();
    let output = command.stdout(Stdio::null()).output()?;
    let mut seconds = start.elapsed().as_secs_f64();
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{}: {}",
        named(),
        printed.trim().lines().last().unwrap_or_default()
    );
    for (stage, _, steps) in stages(&args) {
        let times = run.path().join(format!("times-{stage}.json"));
        let Some(times) = files::read_json_if_any::<Times>(&times)? else {
            continue;
        };
        let step = times.steps / times.n_steps.max(1) as f64;
        let evaluation = times.evaluations / times.n_evaluations.max(1) as f64;
        let n_evaluations = steps.div_ceil(args.evaluate_every as usize);
        seconds += step * (steps - times.n_steps) as f64;
        seconds += evaluation * (n_evaluations as f64 - times.n_evaluations as f64);
    }
    Ok(seconds)
}

/// The stages of a training, each with the flag of its steps and their number.
fn stages(args: &TrainArgs) -> Vec<(&'static str, &'static str, usize)> {
    if args.system.is_some() {
        return vec![("baseline", "--steps", args.task_steps())];
    }
    vec![
        ("metric", "--metric-steps", args.metric_steps),
        ("knowledge", "--knowledge-steps", args.knowledge_steps),
        ("task", "--steps", args.task_steps()),
    ]
}
