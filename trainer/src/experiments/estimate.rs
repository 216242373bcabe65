//! `imn experiments --estimate`: how long the missing trainings of a plan will take.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{bail, ensure};

use super::job::{Job, error_line};
use super::trainings::{Trainer, TrainingPlan};
use crate::cli::{Command, TrainArgs};
use crate::files;
use crate::learn::Times;
use crate::weights::JOINT;

/// Steps of each stage of a trial, at most.
const TRIAL: usize = 12;
/// Share of its maximum number of steps that a stage is expected to take, as early stopping ends it: about the mean of the
/// trainings in docs/results/birds.
const EXPECTED: f64 = 0.5;
/// Flags that may name the joint modality.
const OF_JOINT: [&str; 4] = [
    "--joint",
    "--modalities",
    "--mention-modalities",
    "--entity-modalities",
];

/// Flags whose values hardly change the time of a run: trainings that differ in nothing else share a trial.
const SHARED: [&str; 7] = [
    "--run",
    "--seed",
    "--learning-rate",
    "--k",
    "--select",
    "--train-share",
    "--aux-weights",
];

/// Seconds of a run.
#[derive(Clone, Copy)]
struct Seconds {
    /// With early stopping.
    expected: f64,
    /// With all steps.
    most: f64,
}

/// A line per training with missing runs, and the sum.
pub(super) fn estimate(trainer: &Trainer, plans: &[TrainingPlan]) -> anyhow::Result<String> {
    let mut lines = Vec::new();
    let (mut sum, mut longest, mut n_all) = (0.0, 0.0_f64, 0);
    let mut tried = HashMap::new();
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
            let schedule = Schedule::of(&jobs[0])?;
            let mut job = jobs[0].clone();
            if !schedule.has_joint(trainer.folder) {
                // The plan pre-trains it. Without it the other modalities are read, on both sides.
                job.arguments = without(&job.arguments, &OF_JOINT);
            }
            let like = without(&job.arguments, &SHARED);
            let Seconds { expected, most } = match tried.entry(like) {
                Entry::Occupied(tried) => *tried.get(),
                Entry::Vacant(place) => *place.insert(trial(trainer, &job, &schedule)?),
            };
            let source = format!("at most {most:.0} s without early stopping");
            (expected, source)
        } else {
            let mean = seconds.iter().sum::<f64>() / seconds.len() as f64;
            (mean, "the mean of its finished runs".to_owned())
        };
        sum += each * n_missing as f64;
        longest = longest.max(each);
        n_all += n_missing;
        let name = &plan.name;
        let runs = if n_missing == 1 { "run" } else { "runs" };
        lines.push(format!(
            "{name}: {n_missing} {runs} of {each:.0} s, {source}"
        ));
    }
    let n_at_a_time = trainer.n_jobs.min(n_all).max(1);
    let hours = longest.max(sum / n_at_a_time as f64) / 3600.0;
    lines.push(format!(
        "all: {hours:.2} hours, {} at a time",
        trainer.n_jobs
    ));
    Ok(lines.join("\n"))
}

/// The mean seconds of a run, from a few steps of each stage of as many runs at a time as are trained at a time.
fn trial(trainer: &Trainer, job: &Job, schedule: &Schedule) -> anyhow::Result<Seconds> {
    let mut own = vec!["--run", "--evaluate-every", "--contrastive-steps"];
    own.extend(schedule.stages.iter().map(|(_, flag, _)| *flag));
    trainer.encode(job)?;
    let folder = tempfile::tempdir()?;
    let start = |i: usize| -> anyhow::Result<(PathBuf, Child, Instant)> {
        let run = folder.path().join(i.to_string());
        let mut command = trainer.command()?;
        command.args(without(&job.arguments, &own));
        for (_, flag, steps) in &schedule.stages {
            command.args([*flag, &steps.min(&TRIAL).to_string()]);
        }
        command
            .args(["--evaluate-every", &TRIAL.to_string(), "--run"])
            .arg(&run);
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok((run, child, Instant::now()))
    };
    let started: anyhow::Result<Vec<_>> = (0..trainer.n_jobs).map(start).collect();
    let mut sum = Seconds {
        expected: 0.0,
        most: 0.0,
    };
    let ended = started?.into_iter().map(|(run, child, start)| {
        let output = child.wait_with_output()?;
        Ok((run, output, start.elapsed().as_secs_f64()))
    });
    for (run, output, tried) in ended.collect::<anyhow::Result<Vec<_>>>()? {
        let printed = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "{}: {}",
            job.run.display(),
            error_line(&printed)
        );
        let (mut expected, mut most) = (tried, tried);
        for (stage, _, steps) in &schedule.stages {
            let times = run.join(format!("times-{stage}.json"));
            let Some(times) = files::read_json_if_any::<Times>(&times)? else {
                continue;
            };
            let step = times.steps / times.n_steps.max(1) as f64;
            let evaluation = times.evaluations / times.n_evaluations.max(1) as f64;
            let more = |steps: f64| {
                let n_evaluations = (steps / schedule.evaluate_every as f64).ceil();
                step * (steps - times.n_steps as f64)
                    + evaluation * (n_evaluations - times.n_evaluations as f64)
            };
            let steps = *steps as f64;
            // Early stopping waits for that many.
            let least = (schedule.patience * schedule.evaluate_every) as f64;
            expected += more(steps.min(least.max(EXPECTED * steps)));
            most += more(steps);
        }
        sum.expected += expected;
        sum.most += most;
    }
    let n = trainer.n_jobs as f64;
    Ok(Seconds {
        expected: sum.expected / n,
        most: sum.most / n,
    })
}

/// The arguments without some flags and their values.
fn without(arguments: &[String], flags: &[&str]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (flag, value) = match argument.split_once('=') {
            Some((flag, value)) => (flag, Some(value)),
            None => (argument.as_str(), None),
        };
        if !flags.contains(&flag) {
            kept.push(argument.clone());
        } else if value.is_none() {
            arguments.next();
        }
    }
    kept
}

/// The steps of a run.
struct Schedule {
    /// Name, flag of the number of steps, and that number.
    stages: Vec<(&'static str, &'static str, usize)>,
    evaluate_every: usize,
    patience: usize,
    /// The run whose joint encoder is used.
    joint: Option<PathBuf>,
}

impl Schedule {
    fn of(job: &Job) -> anyhow::Result<Self> {
        match job.command()? {
            Command::Train(args) => Ok(Self {
                stages: stages(&args),
                evaluate_every: args.evaluate_every as usize,
                patience: args.patience,
                joint: args.model.joint,
            }),
            Command::Pretrain(args) => Ok(Self {
                stages: vec![("pretrain", "--steps", args.steps as usize)],
                evaluate_every: args.evaluate_every as usize,
                patience: args.patience as usize,
                joint: None,
            }),
            _ => bail!("{} is no training", job.run.display()),
        }
    }

    fn has_joint(&self, folder: &Path) -> bool {
        let is_there = |run: &PathBuf| folder.join(run).join(JOINT).exists();
        self.joint.as_ref().is_none_or(is_there)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trainings_that_differ_in_flags_without_cost_share_a_trial() {
        let like = |line: &str| {
            let arguments: Vec<String> = line.split(' ').map(str::to_owned).collect();
            without(&arguments, &SHARED)
        };
        let first = like("train data --run runs/a-0 --seed 0 --k 1 --steps 10 --paper");
        assert_eq!(
            first,
            like("train data --run runs/b-1 --seed 1 --k=5 --steps 10 --paper")
        );
        assert_eq!(first, ["train", "data", "--steps", "10", "--paper"]);
        for other in [
            "train data --run runs/a-0 --seed 0 --k 1 --steps 20 --paper",
            "train more --run runs/a-0 --seed 0 --k 1 --steps 10 --paper",
            "train data --run runs/a-0 --seed 0 --k 1 --steps 10 --system jmel",
        ] {
            assert_ne!(first, like(other));
        }
    }
}
