//! `metrics-<stage>.jsonl`: one object a line, without times, so that equal runs leave equal files.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize, Serializer};

use super::{Metrics, Plan};
use crate::files;

/// Data that figures were measured on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Part {
    /// The batch of a step.
    Train,
    /// Held-out data.
    Dev,
}

/// A line of the file, as it is written.
#[derive(Serialize)]
struct Record<'a> {
    stage: &'a str,
    step: usize,
    part: Part,
    #[serde(flatten, serialize_with = "in_order")]
    figures: &'a Metrics,
}

fn in_order<S: Serializer>(figures: &&Metrics, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(figures.iter().copied())
}

/// A line of the file, as it is read.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Line {
    /// Number of steps before the measurement.
    pub(crate) step: usize,
    /// Data that was measured on.
    pub(crate) part: Part,
    /// Everything else.
    #[serde(flatten)]
    figures: BTreeMap<String, serde_json::Value>,
}

impl Line {
    /// A figure that was measured.
    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.get(name)?.as_f64()
    }
}

/// The held-out values of a figure in the file of a run, with their steps.
pub(crate) fn evaluations(path: &Path, figure: &str) -> anyhow::Result<Vec<(f64, f64)>> {
    let lines: Vec<Line> = files::read_jsonl(path)?;
    let dev = lines.iter().filter(|line| line.part == Part::Dev);
    Ok(dev
        .filter_map(|line| Some((line.step as f64, line.figure(figure)?)))
        .collect())
}

/// The file, and its lines in memory for the curves.
pub(crate) struct Log {
    path: PathBuf,
    file: File,
    stage: String,
    /// All lines so far.
    pub(crate) lines: Vec<Line>,
}

impl Log {
    /// The file as it was when the checkpoint of `step` was written.
    pub(crate) fn resume(path: &Path, plan: &Plan, step: usize) -> anyhow::Result<Self> {
        let bytes = files::read(path)?;
        let text = String::from_utf8_lossy(&bytes);
        let mut kept = String::new();
        for line in text.split_inclusive('\n') {
            // The last line may be half a line.
            match serde_json::from_str::<Line>(line) {
                Ok(parsed) if parsed.step <= step => kept.push_str(line),
                _ => break,
            }
        }
        let log = Self::open(path, plan, &kept)?;
        let last = log.lines.last();
        ensure!(
            last.is_some_and(|last| last.step == step && last.part == Part::Dev),
            "{} does not reach step {step} of the checkpoint beside it",
            path.display()
        );
        Ok(log)
    }

    /// The file with this content, whatever was in it.
    pub(crate) fn open(path: &Path, plan: &Plan, content: &str) -> anyhow::Result<Self> {
        files::write(path, content.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path);
        let lines = content.lines().map(serde_json::from_str);
        Ok(Self {
            file: file.with_context(|| format!("cannot write {}", path.display()))?,
            path: path.to_owned(),
            stage: plan.name.clone(),
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    /// Appends a line.
    pub(crate) fn write(
        &mut self,
        step: usize,
        part: Part,
        figures: &Metrics,
    ) -> anyhow::Result<()> {
        let refuse = || format!("cannot write {}", self.path.display());
        let mut line = serde_json::to_string(&Record {
            stage: &self.stage,
            step,
            part,
            figures,
        })?;
        line.push('\n');
        self.file.write_all(line.as_bytes()).with_context(refuse)?;
        self.lines.push(serde_json::from_str(&line)?);
        Ok(())
    }

    /// The held-out figures at a step that was evaluated.
    pub(crate) fn evaluation(&self, step: usize) -> anyhow::Result<BTreeMap<String, f64>> {
        let line = self
            .lines
            .iter()
            .find(|line| line.step == step && line.part == Part::Dev);
        let line = line.with_context(|| format!("{} has no step {step}", self.path.display()))?;
        Ok(line
            .figures
            .iter()
            .filter_map(|(name, value)| Some((name.clone(), value.as_f64()?)))
            .collect())
    }
}
