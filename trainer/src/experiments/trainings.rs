//! The trainings of a plan: settings, seeds, and which runs are missing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail, ensure};
use serde::Deserialize;

use super::job::{Action, Job};
use crate::cli::{self, StageArg};
use crate::device::DeviceArg;
use crate::files;
use crate::learn::Outcome;

/// The plan of a training.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingPlan {
    /// Name of the training; its runs are `runs/NAME-SEED` beside the plan.
    pub(super) name: String,
    /// What is run; pre-trainings come first.
    #[serde(default, rename = "command")]
    pub(super) action: Action,
    /// Dataset folders, in the order of the command.
    datasets: Vec<PathBuf>,
    /// Flags of the command.
    #[serde(default)]
    flags: Vec<String>,
    /// Flags that are tried beside them, with the first seed; those with the best held-out result train the other seeds.
    #[serde(default)]
    grid: Vec<Vec<String>>,
    /// One run is trained per seed.
    #[serde(default = "first_seed")]
    pub(super) seeds: Vec<u64>,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

/// Refuses trainings that cannot be trained, or whose runs cannot be told apart.
pub(super) fn check(plans: &[TrainingPlan]) -> anyhow::Result<()> {
    let mut runs = HashSet::new();
    for plan in plans {
        plan.check()?;
        for setting in plan.settings() {
            for &seed in &plan.seeds {
                let run = plan.job(setting, seed, None).run;
                ensure!(
                    !runs.contains(&run),
                    "{}: two trainings, settings or seeds have the run folder {}",
                    plan.name,
                    run.display()
                );
                runs.insert(run);
            }
        }
    }
    Ok(())
}

/// The runs of a training.
#[derive(Debug)]
pub(super) struct Training {
    /// Name in the plan.
    pub(super) name: String,
    /// Settings that were tried, each with its run of the first seed.
    pub(super) tried: Vec<Tried>,
    /// The runs with the chosen settings, one per seed; all that were tried if one of them failed.
    pub(super) runs: Vec<PathBuf>,
}

/// A setting of a grid.
#[derive(Debug)]
pub(super) struct Tried {
    /// The flags, or "" without a grid.
    pub(super) flags: String,
    /// Run folder, relative to the plan.
    pub(super) run: PathBuf,
    /// What the run came to; `None` for a run without learned steps, or of an older version.
    pub(super) outcome: Option<Outcome>,
    /// File with its learning curve.
    pub(super) curve: Option<PathBuf>,
    /// Seconds that the training took; `None` if it was resumed.
    pub(super) seconds: Option<f64>,
    /// Whether the other seeds have this setting.
    pub(super) is_chosen: bool,
}

impl TrainingPlan {
    /// Number of runs: one per setting, and one per other seed.
    pub(super) fn n_runs(&self) -> usize {
        self.settings().len() + self.seeds.len() - 1
    }

    /// The settings that are tried with the first seed: those of the grid, or none beside the flags.
    fn settings(&self) -> Vec<&[String]> {
        if self.grid.is_empty() {
            return vec![&[]];
        }
        self.grid.iter().map(Vec::as_slice).collect()
    }

    /// The run with one seed and one setting of the grid.
    ///
    /// # Arguments
    ///
    /// - weights: weight folder, relative to the plan; `None` for the user's.
    fn job(&self, setting: &[String], seed: u64, weights: Option<&Path>) -> Job {
        let parts = std::iter::once(self.name.as_str());
        let parts = parts.chain(setting.iter().map(|flag| flag.trim_start_matches('-')));
        let name = parts.collect::<Vec<_>>().join("-");
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-+.,_=".contains(c);
        let name = name.replace(|c| !is_plain(c), "_");
        let run = Path::new("runs").join(format!("{name}-{seed}"));
        let command = match self.action {
            Action::Train => "train",
            Action::Pretrain => "pretrain",
        };
        let mut arguments = vec![command.to_owned()];
        arguments.extend(self.datasets.iter().map(|path| path.display().to_string()));
        arguments.extend(["--run".to_owned(), run.display().to_string()]);
        arguments.extend(["--seed".to_owned(), seed.to_string()]);
        arguments.extend(weights_flag(weights));
        arguments.extend(self.flags.iter().chain(setting).cloned());
        Job {
            run,
            action: self.action,
            datasets: self.datasets.clone(),
            arguments,
        }
    }

    /// Refuses a training without a seed, and flags that its command does not take or that are the plan's own.
    fn check(&self) -> anyhow::Result<()> {
        let name = &self.name;
        ensure!(!self.seeds.is_empty(), "{name}: no seeds");
        for setting in self.settings() {
            let mut flags = self.flags.iter().chain(setting);
            let own = ["--run", "--seed", "--weights", "--resume", "--json"];
            if let Some(flag) =
                flags.find(|flag| own.contains(&flag.split('=').next().unwrap_or(flag)))
            {
                bail!(
                    "{name}: {flag} is no flag of a training in a plan, which has seeds, weights and run folders of its own"
                );
            }
            let command = self.job(setting, 0, None).command();
            if let cli::Command::Train(args) = command.with_context(|| name.clone())? {
                ensure!(
                    args.stage != StageArg::Text,
                    "{name}: --stage text trains no run; train it before, and name its folder as the weights of the plan"
                );
            }
        }
        ensure!(
            self.action == Action::Train || self.grid.is_empty(),
            "{name}: a pre-training has no grid"
        );
        Ok(())
    }

    /// The runs without a grid.
    fn runs(&self, weights: Option<&Path>) -> Vec<Job> {
        let seeds = self.seeds.iter();
        seeds.map(|&seed| self.job(&[], seed, weights)).collect()
    }

    /// The runs of the first seed, one per setting.
    pub(super) fn trials(&self, weights: Option<&Path>) -> Vec<Job> {
        let settings = self.settings().into_iter();
        let first = self.seeds[0];
        settings
            .map(|setting| self.job(setting, first, weights))
            .collect()
    }

    /// The runs of the other seeds, with the setting whose trial has the best held-out result.
    ///
    /// # Errors
    ///
    /// If one of several trials left no outcome.
    pub(super) fn chosen(
        &self,
        folder: &Path,
        weights: Option<&Path>,
    ) -> anyhow::Result<(Training, Vec<Job>)> {
        let mut tried = Vec::new();
        for (setting, job) in self.settings().into_iter().zip(self.trials(weights)) {
            let (outcome, curve) = last_outcome(&folder.join(&job.run))?.unzip();
            tried.push(Tried {
                flags: setting.join(" "),
                outcome,
                curve,
                seconds: job.seconds(folder)?,
                run: job.run,
                is_chosen: false,
            });
        }
        if let [_, _, ..] = tried.as_slice()
            && let Some(tried) = tried.iter().find(|tried| tried.held_out().is_none())
        {
            bail!(
                "{} has no held-out result by which settings are compared: it was trained by an older version, or without steps; remove it",
                tried.run.display()
            );
        }
        let best = tried.iter().enumerate().max_by(|(i, a), (j, b)| {
            let figure = |tried: &Tried| tried.held_out().unwrap_or(f64::NEG_INFINITY);
            // The first of several equal ones.
            figure(a).total_cmp(&figure(b)).then(j.cmp(i))
        });
        let (best, _) = best.expect("a plan without seeds is refused");
        tried[best].is_chosen = true;
        let setting = self.settings()[best];
        let others = self.seeds[1..]
            .iter()
            .map(|&seed| self.job(setting, seed, weights));
        let others: Vec<Job> = others.collect();
        let runs = std::iter::once(&tried[best].run).chain(others.iter().map(|job| &job.run));
        let training = Training {
            name: self.name.clone(),
            runs: runs.cloned().collect(),
            tried,
        };
        Ok((training, others))
    }
}

impl Tried {
    /// The held-out figure at the best step.
    pub(super) fn held_out(&self) -> Option<f64> {
        self.outcome.as_ref()?.best.get(HELD_OUT).copied()
    }
}

/// The figure that settings are compared by.
pub(super) const HELD_OUT: &str = "mrr";

/// What the last stage of a run with steps came to, and the file with its learning curve.
fn last_outcome(run: &Path) -> anyhow::Result<Option<(Outcome, PathBuf)>> {
    // The trees of ET come after the JMEL among their features, which alone has a curve.
    let stages = [
        ("et", "baseline"),
        ("baseline", "baseline"),
        ("task", "task"),
        ("knowledge", "knowledge"),
        ("metric", "metric"),
    ];
    for (stage, of_curve) in stages {
        let file = run.join(format!("outcome-{stage}.json"));
        let outcome: Option<Outcome> = files::read_json_if_any(&file)?;
        if let Some(outcome) = outcome.filter(|outcome| outcome.steps > 0) {
            let curve = run.join(format!("metrics-{of_curve}.jsonl"));
            return Ok(Some((outcome, curve)));
        }
    }
    Ok(None)
}

fn weights_flag(weights: Option<&Path>) -> Vec<String> {
    let flag = weights.map(|folder| ["--weights".to_owned(), folder.display().to_string()]);
    flag.into_iter().flatten().collect()
}

/// How a plan is trained.
pub(super) struct Trainer<'a> {
    /// Folder of the plan.
    pub(super) folder: &'a Path,
    /// Weight folder, relative to the plan; `None` for the user's.
    pub(super) weights: Option<&'a Path>,
    /// Number of trainings at a time.
    pub(super) n_jobs: usize,
    pub(super) device: &'a DeviceArg,
    /// Arguments of `imn features`, and whether it could encode.
    pub(super) encoded: Mutex<HashMap<Vec<String>, bool>>,
}

/// Failed runs, each with the reason.
pub(super) type Failed = HashMap<PathBuf, String>;

impl Trainer<'_> {
    /// Trains what is missing of all trainings: first the pre-trainings, then every setting of the grids, then the other seeds.
    /// Returns the trainings without the pre-trainings.
    ///
    /// # Errors
    ///
    /// If a run was trained with other arguments.
    pub(super) fn train(&self, plans: &[TrainingPlan]) -> anyhow::Result<(Vec<Training>, Failed)> {
        let (first, plans): (Vec<_>, Vec<_>) = plans
            .iter()
            .partition(|plan| plan.action == Action::Pretrain);
        let first = first.iter().flat_map(|plan| plan.runs(self.weights));
        let mut failed = Failed::new();
        self.train_missing(first.collect(), &mut failed)?;
        let trials = plans.iter().flat_map(|plan| plan.trials(self.weights));
        self.train_missing(trials.collect(), &mut failed)?;
        let (mut trainings, mut others) = (Vec::new(), Vec::new());
        for plan in plans {
            let trials: Vec<PathBuf> = plan
                .trials(self.weights)
                .into_iter()
                .map(|job| job.run)
                .collect();
            if trials.iter().any(|run| failed.contains_key(run)) {
                trainings.push(Training {
                    name: plan.name.clone(),
                    tried: Vec::new(),
                    runs: trials,
                });
                continue;
            }
            let (training, jobs) = plan.chosen(self.folder, self.weights)?;
            trainings.push(training);
            others.extend(jobs);
        }
        self.train_missing(others, &mut failed)?;
        Ok((trainings, failed))
    }

    /// `imn` in the folder of the plan.
    fn imn(&self) -> anyhow::Result<Command> {
        let mut imn = Command::new(std::env::current_exe()?);
        imn.current_dir(self.folder);
        imn.args(["--device", self.device.as_str()]);
        Ok(imn)
    }

    /// `imn` with a job's share of the cores.
    pub(super) fn command(&self) -> anyhow::Result<Command> {
        let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let n_threads = (n_cores / self.n_jobs).max(1).to_string();
        let mut imn = self.imn()?;
        // Flex reads the first, LibTorch the second.
        imn.env("RAYON_NUM_THREADS", &n_threads);
        imn.env("OMP_NUM_THREADS", &n_threads);
        Ok(imn)
    }

    /// Encodes what a run reads, if no run before it did.
    pub(super) fn encode(&self, job: &Job) -> anyhow::Result<()> {
        for arguments in job.encodings()? {
            let mut encoded = self.encoded.lock().expect("no thread panics");
            let is_encoded = match encoded.get(&arguments) {
                Some(&known) => known,
                None => self.imn()?.args(&arguments).status()?.success(),
            };
            let said = arguments.join(" ");
            encoded.insert(arguments, is_encoded);
            ensure!(is_encoded, "`imn {said}` failed");
        }
        Ok(())
    }

    /// Trains the missing runs.
    ///
    /// # Arguments
    ///
    /// - failed: failed runs with their reasons, to which those of these runs are added.
    fn train_missing(&self, jobs: Vec<Job>, failed: &mut Failed) -> anyhow::Result<()> {
        let mut missing = VecDeque::new();
        for job in jobs {
            if job.is_done(self.folder)? {
                continue;
            }
            let joint = job.joint()?;
            let encoded = match joint.filter(|joint| failed.contains_key(joint)) {
                Some(joint) => Err(anyhow!("the pre-training of {} failed", joint.display())),
                None => self.encode(&job),
            };
            match encoded {
                Ok(()) => missing.push_back(job),
                Err(error) => {
                    failed.insert(job.run, format!("{error:#}"));
                }
            }
        }
        let bar = files::progress(missing.len(), "trainings");
        let (missing, failed) = (Mutex::new(missing), Mutex::new(failed));
        let next = || missing.lock().expect("no thread panics").pop_front();
        let work = || {
            while let Some(job) = next() {
                let start = Instant::now();
                let name = job.run.display();
                let trained = self.command().and_then(|imn| job.train(self.folder, imn));
                match trained {
                    Ok(()) => {
                        let seconds = start.elapsed().as_secs();
                        bar.suspend(|| eprintln!("{name}: trained in {seconds} s"));
                    }
                    Err(error) => {
                        bar.suspend(|| eprintln!("{name}: {error:#}"));
                        let reason = format!("{error:#}");
                        let mut failed = failed.lock().expect("no thread panics");
                        failed.insert(job.run.clone(), reason);
                    }
                }
                bar.inc(1);
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..self.n_jobs {
                scope.spawn(work);
            }
        });
        bar.finish_and_clear();
        Ok(())
    }
}
