//! A run of a training, in a process of its own, which can be resumed after a kill or a failure.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::Parser as _;
use serde::Deserialize;
use shared_model::hash::sha256;

use crate::cli::{self, Cli, ModelArgs, TrainArgs};
use crate::files;
use crate::weights::JOINT;

/// The command of a training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Action {
    /// `imn train`.
    #[default]
    Train,
    /// `imn pretrain`; other trainings name its run by `--joint`.
    Pretrain,
}

/// A run of a training.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Run folder, relative to the plan.
    pub(super) run: PathBuf,
    pub(super) action: Action,
    /// Datasets, relative to the plan.
    pub(super) datasets: Vec<PathBuf>,
    /// The arguments of `imn` but for those that change nothing in the result.
    pub(super) arguments: Vec<String>,
}

/// File of a run folder: the arguments that it was trained with.
const ARGUMENTS: &str = "arguments.json";
/// File of a run folder: the hash of the joint encoder that it was trained with, if it reads one.
const JOINT_HASH: &str = "joint.json";
/// File of a run folder: what its training printed.
const LOG: &str = "train.log";
/// File of a run folder: the seconds that its training took, if it was not resumed.
const SECONDS: &str = "seconds.json";

impl Job {
    /// The arguments as `imn` reads them.
    pub(super) fn command(&self) -> anyhow::Result<cli::Command> {
        let arguments = std::iter::once("imn".to_owned()).chain(self.arguments.clone());
        // The first line of clap's message; usage follows.
        let refuse = |error: clap::Error| {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            anyhow!("{}", line.trim_start_matches("error: "))
        };
        Ok(Cli::try_parse_from(arguments).map_err(refuse)?.command)
    }

    /// The run folder of the pre-training whose joint encoder is read, relative to the plan.
    pub(super) fn joint(&self) -> anyhow::Result<Option<PathBuf>> {
        Ok(match self.command()? {
            cli::Command::Train(args) => args.model.joint,
            _ => None,
        })
    }

    /// The hash of the joint encoder that is read; `None` without one, or before it is pre-trained.
    fn joint_hash(&self, folder: &Path) -> anyhow::Result<Option<String>> {
        let file = self.joint()?.map(|joint| folder.join(joint).join(JOINT));
        let file = file.filter(|file| file.exists());
        file.map(|file| Ok(sha256(&files::read(&file)?)))
            .transpose()
    }

    /// The arguments of `imn` that encode what the run reads, by dataset. A pre-training reads no cache.
    pub(super) fn encodings(&self) -> anyhow::Result<Vec<Vec<String>>> {
        let cli::Command::Train(TrainArgs { model, .. }) = self.command()? else {
            return Ok(Vec::new());
        };
        let ModelArgs { encoders, joint } = model;
        let mut flags = vec!["--vision".to_owned(), encoders.vision.to_string()];
        let folders = [
            ("--weights", encoders.weights),
            ("--bundle", encoders.bundle),
            ("--joint", joint),
        ];
        for (flag, folder) in folders {
            let folder = folder.map(|folder| [flag.to_owned(), folder.display().to_string()]);
            flags.extend(folder.into_iter().flatten());
        }
        let of = |dataset: &PathBuf| {
            let dataset = dataset.display().to_string();
            ["features".to_owned(), dataset]
                .into_iter()
                .chain(flags.clone())
                .collect()
        };
        Ok(self.datasets.iter().map(of).collect())
    }

    /// Whether the run is there.
    ///
    /// # Errors
    ///
    /// If the folder has a run that was trained with other arguments, or with another joint encoder of the same name.
    pub(super) fn is_done(&self, folder: &Path) -> anyhow::Result<bool> {
        let run = folder.join(&self.run);
        let known: Option<Vec<String>> = files::read_json_if_any(&run.join(ARGUMENTS))?;
        ensure!(
            known.is_none_or(|known| known == self.arguments),
            "{} was trained with other arguments ({ARGUMENTS}); remove it, or give the training another name",
            run.display()
        );
        let known: Option<String> = files::read_json_if_any(&run.join(JOINT_HASH))?;
        if let Some(known) = known
            && let Some(now) = self.joint_hash(folder)?
        {
            ensure!(
                known == now,
                "{} was trained with another joint encoder than {} has now; remove it",
                run.display(),
                self.joint()?.unwrap_or_default().display()
            );
        }
        // The last file that is written.
        let last = match self.action {
            Action::Train => "run.json",
            Action::Pretrain => JOINT,
        };
        Ok(run.join(last).exists())
    }

    /// The seconds that the run's training took; `None` if it is not done, or was resumed.
    pub(super) fn seconds(&self, folder: &Path) -> anyhow::Result<Option<f64>> {
        files::read_json_if_any(&folder.join(&self.run).join(SECONDS))
    }

    /// Trains the run.
    ///
    /// # Arguments
    ///
    /// - folder: folder of the plan.
    /// - imn: `imn`, to which the arguments are added.
    ///
    /// # Errors
    ///
    /// What the training printed as its error.
    pub(super) fn train(&self, folder: &Path, mut imn: Command) -> anyhow::Result<()> {
        let run = folder.join(&self.run);
        let is_new = !run.join(ARGUMENTS).exists();
        fs::create_dir_all(&run).with_context(|| run.display().to_string())?;
        files::write_json(&run.join(ARGUMENTS), &self.arguments)?;
        if let Some(hash) = self.joint_hash(folder)? {
            files::write_json(&run.join(JOINT_HASH), &hash)?;
        }
        let path = run.join(LOG);
        let log = || File::options().create(true).append(true).open(&path);
        let start = Instant::now();
        imn.args(&self.arguments).arg("--resume");
        let status = imn.stdout(log()?).stderr(log()?).status()?;
        if !status.success() {
            bail!(
                "{}",
                error_line(&fs::read_to_string(&path).unwrap_or_default())
            );
        }
        if is_new {
            files::write_json(&run.join(SECONDS), &start.elapsed().as_secs_f64())?;
        }
        Ok(())
    }
}

/// The error in what `imn` printed.
pub(super) fn error_line(printed: &str) -> &str {
    let lines = printed.trim().lines();
    let is_error = |line: &&str| line.starts_with("imn: ") || line.starts_with("error: ");
    let error = lines.clone().rfind(is_error).or(lines.last());
    error.unwrap_or("it printed nothing")
}
