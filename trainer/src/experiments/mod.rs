//! `imn experiments`: tables and figures that compare systems, from a plan in TOML.

mod compare;
mod confidence;
mod estimate;
mod figure;
mod job;
mod reader;
mod row;
mod trainings;
mod tried;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, anyhow, ensure};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::ExperimentsArgs;
use crate::cues::Cue;
use crate::dataset::{CandidatePolicy, Dataset, Modalities, Split};
use crate::device::DeviceArg;
use crate::files;
use crate::outcomes::Subset;
use crate::svg;
use crate::systems;

use compare::Table;
use job::Action;
use reader::{Evaluator, Reader};
use trainings::{Trainer, Training, TrainingPlan};

/// The plan. Its paths are relative to the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plan {
    title: String,
    /// Weight folder of the trainings; that of the user if absent.
    weights: Option<PathBuf>,
    /// What is trained before the tables are made.
    #[serde(default)]
    trainings: Vec<TrainingPlan>,
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
    /// Pairs of rows, the one that others have published as the better one first; the table says whether the order is found.
    #[serde(default)]
    orders: Vec<[String; 2]>,
    /// The mentions on which systems are compared; every table shows P@1 on all, seen and unseen mentions.
    #[serde(default)]
    subset: Subset,
    figure: Option<FigureKind>,
    /// What a reader must know, such as how the protocol differs from a published one.
    #[serde(default)]
    note: String,
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
    #[serde(default)]
    runs: Vec<PathBuf>,
    /// Name of a training, in the place of its runs.
    training: Option<String>,
    /// Name of the system; the run's own if absent.
    row: Option<String>,
    /// What is left of the mentions' posts.
    #[serde(default)]
    mention_modalities: Modalities,
    /// What is left of the entities' descriptions and timelines.
    #[serde(default)]
    entity_modalities: Modalities,
    /// Cues of the training-free scorer that get weight 0.
    #[serde(default)]
    without: Vec<Cue>,
    /// Position on the axis of a line figure.
    at: Option<f64>,
    /// Line of the figure that the row belongs to.
    #[serde(default)]
    line: String,
    /// Figures that others have published, shown beside those of the row.
    published: Option<Published>,
}

/// Published figures, in per cent.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Published {
    p_at_1: f64,
    r_at_3: Option<f64>,
    r_at_10: Option<f64>,
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
    /// Reliability and risk by coverage of the rows that have probabilities.
    Confidence,
}

/// Trains what is missing, evaluates runs that are given as folders, and writes `RESULT.md`, `results.json` and the figures as SVG and PNG.
pub(crate) fn experiments(args: &ExperimentsArgs, device: DeviceArg) -> anyhow::Result<()> {
    let text = String::from_utf8(files::read(&args.file)?)?;
    let named = || args.file.display().to_string();
    let mut plan: Plan = toml::from_str(&text)
        .map_err(|error| one_line(&text, &error))
        .with_context(named)?;
    let folder = args.file.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let to = args.out.as_deref().unwrap_or(folder);
    let file = args.file.file_name().unwrap_or_default().to_string_lossy();
    let source = match &args.date {
        Some(date) => format!("`imn experiments {file} --date {date}`"),
        None => format!("`imn experiments {file}`"),
    };

    plan.check().with_context(named)?;
    let trainer = Trainer {
        folder,
        weights: plan.weights.as_deref(),
        n_jobs: usize::from(args.jobs),
        device: &device,
        encoded: Mutex::default(),
    };
    if args.estimate {
        out!(
            "{}",
            estimate::estimate(&trainer, &plan.trainings).with_context(named)?
        );
        return Ok(());
    }
    let (trainings, failed) = trainer.train(&plan.trainings).with_context(named)?;
    plan.name_runs(&trainings);

    let evaluator = Evaluator::new(folder, &device);
    let mut result = format!("# {}\n", plan.title);
    let (mut figures, mut tables) = (Vec::new(), Vec::new());
    for (number, table) in plan.tables.iter().enumerate() {
        let refuse = || format!("{}, {:?}", named(), table.title);
        let mut runs = table.systems.iter().flat_map(|system| &system.runs);
        if let Some(run) = runs.find(|run| failed.contains_key(*run)) {
            let (run, title) = (run.display(), &table.title);
            result += &format!("\n## {title}\n\nNot made: the training of {run} failed.\n");
            continue;
        }
        let dataset = Dataset::open(&folder.join(&table.dataset)).with_context(refuse)?;
        let reader = Reader {
            evaluator: &evaluator,
            plan: table,
            dataset,
        };
        let computed = Table::of(table, &reader, &source).with_context(refuse)?;
        result += &format!("\n## {}\n\n{}", table.title, computed.markdown());
        if !table.note.is_empty() {
            result += &format!("\n{}\n", table.note.trim());
        }
        tables.push(computed.json());
        if let Some(kind) = table.figure {
            let name = format!("figure-{}.svg", number + 1);
            result += &format!("\n![{}]({name})\n", table.title);
            figures.push((name, figure::draw(&computed, kind).with_context(refuse)?));
        }
    }
    let tried: Vec<Training> = trainings
        .into_iter()
        .filter(|training| !training.tried.is_empty())
        .collect();
    if !tried.is_empty() {
        let name = "curves.svg".to_owned();
        result += &format!(
            "\n## Trainings\n\n{}\n![Learning curves]({name})\n",
            tried::table(&tried)
        );
        figures.push((name, tried::curves(&tried).with_context(named)?));
    }
    for (name, svg) in &figures {
        files::write(&to.join(name), svg.as_bytes())?;
    }
    let results = json!({
        "title": plan.title, "source": source, "tables": tables, "trainings": tried::json(&tried),
    });
    files::write_json(&to.join("results.json"), &results)?;
    files::write(&to.join("RESULT.md"), result.as_bytes())?;
    write_pngs(to, &figures)?;
    eprintln!(
        "{} tables -> {}",
        tables.len(),
        to.join("RESULT.md").display()
    );
    let mut failed: Vec<String> = failed
        .iter()
        .map(|(run, reason)| format!("{}: {reason}", run.display()))
        .collect();
    failed.sort();
    ensure!(
        failed.is_empty(),
        "{} of the trainings failed, the same command goes on with them: {}",
        failed.len(),
        failed.join("; ")
    );
    Ok(())
}

/// Writes the figures, by name, as PNG beside the SVG.
fn write_pngs(folder: &Path, figures: &[(String, String)]) -> anyhow::Result<()> {
    for (name, svg) in figures {
        let Some(png) = svg::png(svg).with_context(|| name.clone())? else {
            eprintln!("no font is installed: the figures are not written as PNG");
            return Ok(());
        };
        files::write(&folder.join(name).with_extension("png"), &png)?;
    }
    Ok(())
}

impl SystemPlan {
    /// Whether the row's runs read everything.
    fn is_whole(&self) -> bool {
        let sides = [self.mention_modalities, self.entity_modalities];
        sides == [Modalities::Both; 2] && self.without.is_empty()
    }
}

impl TablePlan {
    /// Refuses two rows of one name, and comparisons of a row that the table will not have.
    fn check(&self) -> anyhow::Result<()> {
        let mut rows = BTreeSet::new();
        for SystemPlan { name, .. } in &self.systems {
            ensure!(rows.insert(name.as_str()), "two rows are called {name:?}");
        }
        rows.extend(systems::UNTRAINED);
        let orders = self.orders.iter().map(|pair| ("orders", pair));
        for (field, pair) in std::iter::once(("primary", &self.primary)).chain(orders) {
            for name in pair {
                ensure!(
                    rows.contains(name.as_str()),
                    "`{field}` names {name:?}, which is neither a row nor one of {}",
                    systems::UNTRAINED.join(", ")
                );
            }
            let [first, second] = pair;
            ensure!(first != second, "`{field}` compares {first:?} with itself");
        }
        Ok(())
    }
}

impl Plan {
    /// Refuses what cannot be trained, and rows of trainings that the plan does not have.
    fn check(&self) -> anyhow::Result<()> {
        let mut names = BTreeSet::new();
        for training in &self.trainings {
            let name = &training.name;
            ensure!(names.insert(name), "two trainings are called {name:?}");
        }
        trainings::check(&self.trainings)?;
        for table in &self.tables {
            let title = &table.title;
            table.check().with_context(|| format!("{title:?}"))?;
        }
        for system in self.tables.iter().flat_map(|table| &table.systems) {
            let Some(name) = &system.training else {
                continue;
            };
            let is_named = |training: &TrainingPlan| {
                training.name == *name && training.action == Action::Train
            };
            ensure!(
                self.trainings.iter().any(is_named),
                "{:?}: no training of a system is called {name:?}",
                system.name
            );
            ensure!(
                system.runs.is_empty(),
                "{:?} has both runs and a training",
                system.name
            );
        }
        Ok(())
    }

    /// Puts the runs of trainings in the place of their names.
    fn name_runs(&mut self, trainings: &[Training]) {
        for system in self.tables.iter_mut().flat_map(|table| &mut table.systems) {
            let named = |training: &&Training| Some(&training.name) == system.training.as_ref();
            if let Some(training) = trainings.iter().find(named) {
                system.runs.clone_from(&training.runs);
            }
        }
    }
}

/// The error in one line: without its excerpt of the file.
fn one_line(text: &str, error: &toml::de::Error) -> anyhow::Error {
    let start = error.span().map_or(0, |span| span.start);
    let before = text.get(..start).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    anyhow!("line {line}: {}", error.message().replace('\n', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plans_of_the_repository_are_plans() {
        let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results");
        let mut n_plans = 0;
        for folder in std::fs::read_dir(results).unwrap() {
            let file = folder.unwrap().path().join("plan.toml");
            let Ok(text) = std::fs::read_to_string(&file) else {
                continue;
            };
            let plan: Plan =
                toml::from_str(&text).unwrap_or_else(|error| panic!("{file:?}: {error}"));
            plan.check()
                .unwrap_or_else(|error| panic!("{file:?}: {error:#}"));
            n_plans += 1;
        }
        assert!(n_plans > 1);
    }
}
