//! `imn experiments`: tables and figures that compare systems, from a plan in TOML.

mod compare;
mod figure;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use serde::Deserialize;

use crate::cli::ExperimentsArgs;
use crate::dataset::{CandidatePolicy, Dataset, Modalities, Split};
use crate::device::DeviceArg;
use crate::evaluate::{Evaluation, Protocol};
use crate::files;
use crate::outcomes::{Outcome, Subset};

use compare::Table;

/// The plan. Its paths are relative to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    title: String,
    tables: Vec<TablePlan>,
}

/// The plan of one table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TablePlan {
    title: String,
    dataset: PathBuf,
    #[serde(default = "test")]
    split: Split,
    /// Candidate policy; that of the dataset if absent.
    candidates: Option<CandidatePolicy>,
    systems: Vec<SystemPlan>,
    /// The comparison that the table is made for; its second row is the reference of all comparisons.
    primary: [String; 2],
    /// The mentions on which systems are compared; every table shows P@1 on all, seen and unseen mentions.
    #[serde(default)]
    subset: Subset,
    figure: Option<FigureKind>,
}

fn test() -> Split {
    Split::Test
}

/// The plan of a row.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct SystemPlan {
    name: String,
    /// One per seed: run folders, bundle folders, or files that `imn eval --outcomes` wrote.
    runs: Vec<PathBuf>,
    /// Name of the system; the run's own if absent.
    row: Option<String>,
    /// Position on the axis of a line figure.
    at: Option<f64>,
    /// Line of the figure that the row belongs to.
    #[serde(default)]
    line: String,
}

/// The kind of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum FigureKind {
    /// P@1 of every row.
    Bars,
    /// P@1 over the number of prototypes.
    K,
    /// P@1 over the share of the training data.
    Share,
}

/// Evaluates runs that are given as folders, and writes `RESULT.md` and the figures.
pub(crate) fn experiments(args: &ExperimentsArgs, device: DeviceArg) -> anyhow::Result<()> {
    let text = String::from_utf8(files::read(&args.file)?)?;
    let named = || args.file.display().to_string();
    let plan: Plan = toml::from_str(&text)
        .map_err(|error| one_line(&text, &error))
        .with_context(named)?;
    let folder = args.file.parent().unwrap_or(Path::new("."));
    let to = args.out.as_deref().unwrap_or(folder);
    let file = args.file.file_name().unwrap_or_default().to_string_lossy();
    let source = match &args.date {
        Some(date) => format!("`imn experiments {file} --date {date}`"),
        None => format!("`imn experiments {file}`"),
    };

    let mut result = format!("# {}\n", plan.title);
    let mut figures = Vec::new();
    for (number, table) in plan.tables.iter().enumerate() {
        let refuse = || format!("{}, {:?}", named(), table.title);
        let dataset = Dataset::open(&folder.join(&table.dataset)).with_context(refuse)?;
        let reader = Reader {
            folder,
            plan: table,
            dataset,
            device: &device,
        };
        let computed = Table::of(table, &reader, &source).with_context(refuse)?;
        result += &format!("\n## {}\n\n{}", table.title, computed.markdown());
        if let Some(kind) = table.figure {
            let name = format!("figure-{}.svg", number + 1);
            result += &format!("\n![{}]({name})\n", table.title);
            figures.push((name, figure::draw(&computed, kind).with_context(refuse)?));
        }
    }
    for (name, svg) in &figures {
        files::write(&to.join(name), svg.as_bytes())?;
    }
    files::write(&to.join("RESULT.md"), result.as_bytes())?;
    eprintln!(
        "{} tables -> {}",
        plan.tables.len(),
        to.join("RESULT.md").display()
    );
    Ok(())
}

/// The error in one line: without its excerpt of the file.
fn one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    anyhow!("line {line}: {}", error.message().replace('\n', " "))
}

/// Reads the outcomes of a table's runs, or evaluates the runs.
struct Reader<'a> {
    folder: &'a Path,
    plan: &'a TablePlan,
    dataset: Dataset,
    device: &'a DeviceArg,
}

impl Reader<'_> {
    fn policy(&self) -> CandidatePolicy {
        let own = self.plan.candidates;
        own.unwrap_or(self.dataset.info.candidate_policy)
    }

    /// The outcomes of a run folder, a bundle folder or a file; at least one.
    fn outcomes(&self, run: &Path) -> anyhow::Result<Vec<Outcome>> {
        let path = self.folder.join(run);
        if path.is_dir() {
            let device = self.device.open()?;
            let protocol = Protocol {
                split: self.plan.split,
                ids: "",
                policy: Some(self.policy()),
                mentions: Modalities::Both,
                without: &[],
            };
            let evaluation = Evaluation::of(&self.dataset, &path, protocol, &device)?;
            return Ok(evaluation.outcomes);
        }
        let outcomes: Vec<Outcome> = files::read_jsonl(&path)?;
        ensure!(!outcomes.is_empty(), "{} is empty", path.display());
        Ok(outcomes)
    }
}
