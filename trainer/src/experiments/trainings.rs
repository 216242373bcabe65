//! The trainings of a plan: each in a process of its own, which a kill or a failure leaves to be resumed.

use std::collections::{BTreeSet, VecDeque};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::device::DeviceArg;
use crate::files;

/// The plan of a training.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TrainingPlan {
    /// Name of the training; its runs are `runs/NAME-SEED` beside the plan.
    pub(super) name: String,
    /// Dataset folders, in the order of `imn train`.
    datasets: Vec<PathBuf>,
    /// Flags of `imn train`.
    #[serde(default)]
    flags: Vec<String>,
    /// One run is trained per seed.
    #[serde(default = "first_seed")]
    seeds: Vec<u64>,
}

fn first_seed() -> Vec<u64> {
    vec![0]
}

/// A run of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Run folder, relative to the plan.
    pub(super) run: PathBuf,
    /// Datasets, relative to the plan.
    datasets: Vec<PathBuf>,
    /// The arguments of `imn` but for those that change nothing in the result.
    arguments: Vec<String>,
}

/// File of a run folder: the arguments that it was trained with.
const ARGUMENTS: &str = "arguments.json";
/// File of a run folder: what its training printed.
const LOG: &str = "train.log";

impl TrainingPlan {
    /// A job per seed.
    ///
    /// # Arguments
    ///
    /// - weights: weight folder, relative to the plan; `None` for the user's.
    pub(super) fn jobs(&self, weights: Option<&Path>) -> Vec<Job> {
        let seeds = self.seeds.iter();
        let job = |seed: &u64| {
            let run = Path::new("runs").join(format!("{}-{seed}", self.name));
            let mut arguments = vec!["train".to_owned()];
            arguments.extend(self.datasets.iter().map(|path| path.display().to_string()));
            arguments.extend(["--run".to_owned(), run.display().to_string()]);
            arguments.extend(["--seed".to_owned(), seed.to_string()]);
            arguments.extend(weights_flag(weights));
            arguments.extend(self.flags.iter().cloned());
            Job {
                run,
                datasets: self.datasets.clone(),
                arguments,
            }
        };
        seeds.map(job).collect()
    }
}

fn weights_flag(weights: Option<&Path>) -> Vec<String> {
    let flag = weights.map(|folder| ["--weights".to_owned(), folder.display().to_string()]);
    flag.into_iter().flatten().collect()
}

impl Job {
    /// Whether the run is there.
    ///
    /// # Errors
    ///
    /// If the folder has a run that was trained with other arguments.
    fn is_done(&self, folder: &Path) -> anyhow::Result<bool> {
        let run = folder.join(&self.run);
        let known: Option<Vec<String>> = files::read_json_if_any(&run.join(ARGUMENTS))?;
        ensure!(
            known.is_none_or(|known| known == self.arguments),
            "{} was trained with other arguments ({ARGUMENTS}); remove it, or give the training another name",
            run.display()
        );
        Ok(run.join("run.json").exists())
    }

    /// Trains the run.
    ///
    /// # Errors
    ///
    /// What the training printed as its error.
    fn train(&self, folder: &Path, device: &DeviceArg, n_threads: usize) -> anyhow::Result<()> {
        let run = folder.join(&self.run);
        fs::create_dir_all(&run).with_context(|| run.display().to_string())?;
        files::write_json(&run.join(ARGUMENTS), &self.arguments)?;
        let path = run.join(LOG);
        let log = || File::options().create(true).append(true).open(&path);
        let status = Command::new(std::env::current_exe()?)
            .current_dir(folder)
            .env("RAYON_NUM_THREADS", n_threads.to_string())
            .args(["--device", device.as_str()])
            .args(&self.arguments)
            .arg("--resume")
            .stdout(log()?)
            .stderr(log()?)
            .status()?;
        if !status.success() {
            let printed = fs::read_to_string(&path).unwrap_or_default();
            let lines = printed.trim().lines();
            let is_error = |line: &&str| line.starts_with("imn: ") || line.starts_with("error: ");
            let error = lines.clone().rfind(is_error).or(lines.last());
            bail!("{}", error.unwrap_or("it printed nothing"));
        }
        Ok(())
    }
}

/// Encodes the datasets of missing runs, and trains them; returns the failed ones with their reasons.
///
/// # Errors
///
/// If a run was trained with other arguments, or a dataset cannot be encoded.
pub(super) fn train_missing(
    plans: &[TrainingPlan],
    weights: Option<&Path>,
    folder: &Path,
    n_jobs: usize,
    device: &DeviceArg,
) -> anyhow::Result<Vec<(PathBuf, String)>> {
    let mut names = BTreeSet::new();
    for plan in plans {
        ensure!(
            names.insert(&plan.name),
            "two trainings are called {:?}",
            plan.name
        );
    }
    let mut missing = VecDeque::new();
    for job in plans.iter().flat_map(|plan| plan.jobs(weights)) {
        if !job.is_done(folder)? {
            missing.push_back(job);
        }
    }
    let datasets: BTreeSet<&PathBuf> = missing.iter().flat_map(|job| &job.datasets).collect();
    for dataset in datasets {
        let status = Command::new(std::env::current_exe()?)
            .current_dir(folder)
            .args(["--device", device.as_str(), "features"])
            .arg(dataset)
            .args(weights_flag(weights))
            .status()?;
        ensure!(status.success(), "{} cannot be encoded", dataset.display());
    }
    let n_cores = std::thread::available_parallelism().map_or(1, usize::from);
    let n_threads = (n_cores / n_jobs).max(1);
    let (bar, failed) = (
        files::progress(missing.len(), "trainings"),
        Mutex::new(Vec::new()),
    );
    let missing = Mutex::new(missing);
    let next = || missing.lock().expect("no thread panics").pop_front();
    let work = || {
        while let Some(job) = next() {
            let start = Instant::now();
            let name = job.run.display();
            match job.train(folder, device, n_threads) {
                Ok(()) => {
                    let seconds = start.elapsed().as_secs();
                    bar.suspend(|| eprintln!("{name}: trained in {seconds} s"));
                }
                Err(error) => {
                    bar.suspend(|| eprintln!("{name}: {error:#}"));
                    let failure = (job.run.clone(), format!("{error:#}"));
                    failed.lock().expect("no thread panics").push(failure);
                }
            }
            bar.inc(1);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..n_jobs {
            scope.spawn(work);
        }
    });
    bar.finish_and_clear();
    Ok(failed.into_inner().expect("no thread panics"))
}
