//! One table: rows of systems, seeds averaged per mention, and how they compare with the reference.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, ensure};

use super::{Reader, SystemPlan, TablePlan};
use crate::outcomes::{Answer, Outcome, Subset};
use crate::place::TIE_RULE;
use crate::statistics::{Clusters, Comparison, holm, interval, paired};
use crate::systems::BASELINES;

/// The columns of P@1.
const SUBSETS: [Subset; 3] = [Subset::All, Subset::Seen, Subset::Unseen];

/// A table that is computed.
#[derive(Debug)]
pub(super) struct Table {
    /// Its heading.
    pub(super) title: String,
    /// What it was made of: command, dataset, part, candidates, mentions.
    pub(super) caption: String,
    /// The plan's, then the baselines that are not among them.
    pub(super) rows: Vec<Row>,
    /// How many mentions each column has.
    counts: [usize; 3],
    reference: String,
    /// Of which mentions.
    compared: Subset,
    /// The primary one first; the p-values of the others are corrected.
    comparisons: Vec<(String, Comparison)>,
}

/// A system's figures.
#[derive(Debug)]
pub(super) struct Row {
    /// As the plan calls it.
    pub(super) name: String,
    /// How many runs were averaged.
    pub(super) seeds: usize,
    /// P@1 with its interval, by subset; `None` where it has no mention.
    pub(super) p_at_1: [Option<(f64, [f64; 2])>; 3],
    /// Mean reciprocal rank.
    mrr: f64,
    /// Place on the axis of a line figure.
    pub(super) at: Option<f64>,
    /// Which line of the figure.
    pub(super) line: String,
}

/// A system on every mention, averaged over its runs.
struct Averaged {
    name: String,
    seeds: usize,
    p_at_1: Vec<f64>,
    reciprocal_rank: Vec<f64>,
    at: Option<f64>,
    line: String,
}

impl Table {
    /// Reads every run of a plan.
    ///
    /// # Errors
    ///
    /// If two runs do not have the same mentions, if a run lacks a system, or if the primary comparison names none.
    pub(super) fn of(plan: &TablePlan, reader: &Reader, source: &str) -> anyhow::Result<Self> {
        ensure!(!plan.systems.is_empty(), "the table has no system");
        let mut mentions: Vec<Outcome> = Vec::new();
        let mut systems = Vec::new();
        let mut baselines = Vec::new();
        let mut shown = HashSet::new();
        for system in &plan.systems {
            ensure!(!system.runs.is_empty(), "{:?} has no run", system.name);
            let mut runs = Vec::new();
            for run in &system.runs {
                let outcomes = reader.outcomes(run)?;
                if mentions.is_empty() {
                    mentions.clone_from(&outcomes);
                }
                let aligned = aligned(&mentions, outcomes);
                runs.push(aligned.with_context(|| run.display().to_string())?);
            }
            let row = match &system.row {
                Some(row) => row.clone(),
                None => model(&runs[0][0]).context("say by `row` which system is meant")?,
            };
            systems.push(Averaged::of(system, &row, &runs)?);
            shown.insert(row);
            if baselines.is_empty() {
                baselines = runs;
            }
        }
        for name in BASELINES {
            let named = systems.iter().any(|system| system.name == name);
            if !named && !shown.contains(name) && baselines[0][0].systems.contains_key(name) {
                let plan = SystemPlan {
                    name: name.to_owned(),
                    runs: Vec::new(),
                    row: None,
                    at: None,
                    line: String::new(),
                };
                systems.push(Averaged::of(&plan, name, &baselines)?);
            }
        }

        let clusters = Clusters::of(mentions.iter().map(|mention| mention.entity.as_str()));
        let seeds = || systems.iter().map(|system| system.seeds);
        let seeds = match (seeds().min(), seeds().max()) {
            (Some(least), Some(most)) if least < most => format!("{least} to {most}"),
            (_, most) => most.unwrap_or_default().to_string(),
        };
        Ok(Self {
            title: plan.title.clone(),
            caption: format!(
                "{source}; {}, {}; candidates: {}; n = {} mentions of {} entities; seeds averaged: {seeds}; ties: {TIE_RULE}",
                reader.dataset.info.name,
                plan.split.name(),
                reader.policy().name(),
                mentions.len(),
                clusters.len(),
            ),
            counts: SUBSETS.map(|subset| {
                let held = mentions.iter().filter(|mention| subset.holds(mention));
                held.count()
            }),
            reference: plan.primary[1].clone(),
            compared: plan.subset,
            comparisons: comparisons(&plan.primary, &systems, &mentions, plan.subset)?,
            rows: systems
                .iter()
                .map(|system| Row::of(system, &mentions))
                .collect(),
        })
    }

    /// Rows, comparisons, caption.
    pub(super) fn markdown(&self) -> String {
        let [all, seen, unseen] = self.counts;
        let mut text = format!(
            "| system | seeds | P@1, all ({all}) | P@1, seen ({seen}) | P@1, unseen ({unseen}) | MRR |\n\
             |---|---|---|---|---|---|\n"
        );
        for row in &self.rows {
            let [all, seen, unseen] = row.p_at_1.map(|cell| match cell {
                Some((value, ends)) => format!("{:.1} {}", 100.0 * value, percents(ends)),
                None => "-".to_owned(),
            });
            let Row {
                name, seeds, mrr, ..
            } = row;
            let mrr = 100.0 * mrr;
            text += &format!("| {name} | {seeds} | {all} | {seen} | {unseen} | {mrr:.1} |\n");
        }
        text += &format!(
            "\n| P@1 against {}, {} | difference, points | p |\n|---|---|---|\n",
            self.reference,
            self.compared.name()
        );
        for (i, (name, comparison)) in self.comparisons.iter().enumerate() {
            let what = if i == 0 { "primary" } else { "Holm" };
            text += &format!(
                "| {name} | {:+.1} {} | {} ({what}) |\n",
                100.0 * comparison.difference,
                percents(comparison.interval),
                p_value(comparison.p)
            );
        }
        text += &format!(
            "\n{}.\nShares in per cent; in brackets 95 % intervals of a bootstrap of 1,000 resamples, mentions resampled by entity; \
             comparisons are paired, of 10,000 resamples.\n",
            self.caption
        );
        text
    }
}

/// Every system against the reference: the primary comparison as it is, the others corrected among themselves.
fn comparisons(
    [first, reference]: &[String; 2],
    systems: &[Averaged],
    mentions: &[Outcome],
    subset: Subset,
) -> anyhow::Result<Vec<(String, Comparison)>> {
    let find = |name: &String| {
        let system = systems.iter().find(|system| system.name == *name);
        system.with_context(|| format!("`primary` names {name:?}, which is no row"))
    };
    let (first, reference) = (find(first)?, find(reference)?);
    ensure!(
        first.name != reference.name,
        "`primary` compares {:?} with itself",
        first.name
    );
    let held: Vec<usize> = (0..mentions.len())
        .filter(|&i| subset.holds(&mentions[i]))
        .collect();
    ensure!(
        !held.is_empty(),
        "no mention is {}, of which the table is to compare systems",
        subset.name()
    );
    let clusters = Clusters::of(held.iter().map(|&i| mentions[i].entity.as_str()));
    let of = |system: &Averaged| -> Vec<f64> { held.iter().map(|&i| system.p_at_1[i]).collect() };
    let others = systems
        .iter()
        .filter(|system| ![&first.name, &reference.name].contains(&&system.name));
    let mut comparisons: Vec<(String, Comparison)> = [first]
        .into_iter()
        .chain(others)
        .map(|system| {
            let comparison = paired(&of(system), &of(reference), &clusters);
            (system.name.clone(), comparison)
        })
        .collect();
    let others = &mut comparisons[1..];
    let p_values: Vec<f64> = others.iter().map(|(_, comparison)| comparison.p).collect();
    for ((_, comparison), p) in others.iter_mut().zip(holm(&p_values)) {
        comparison.p = p;
    }
    Ok(comparisons)
}

/// The outcomes in the order of `mentions`.
fn aligned(mentions: &[Outcome], outcomes: Vec<Outcome>) -> anyhow::Result<Vec<Outcome>> {
    ensure!(
        outcomes.len() == mentions.len(),
        "{} mentions, the first run has {}",
        outcomes.len(),
        mentions.len()
    );
    let mut by_id: HashMap<String, Outcome> = outcomes
        .into_iter()
        .map(|outcome| (outcome.id.clone(), outcome))
        .collect();
    mentions
        .iter()
        .map(|mention| {
            by_id
                .remove(&mention.id)
                .filter(|outcome| outcome.entity == mention.entity)
                .with_context(|| format!("no mention {:?} of {:?}", mention.id, mention.entity))
        })
        .collect()
}

/// The system that is no baseline; `prototype` where there is no other.
fn model(outcome: &Outcome) -> Option<String> {
    let mut own = outcome
        .systems
        .keys()
        .filter(|name| !BASELINES.contains(&name.as_str()));
    match (own.next(), own.next()) {
        (Some(name), None) => Some(name.clone()),
        (None, _) => outcome
            .systems
            .contains_key(BASELINES[0])
            .then(|| BASELINES[0].to_owned()),
        _ => None,
    }
}

impl Averaged {
    fn of(plan: &SystemPlan, row: &str, runs: &[Vec<Outcome>]) -> anyhow::Result<Self> {
        let mean = |mention: usize, value: fn(&Answer) -> f64| -> anyhow::Result<f64> {
            let mut sum = 0.0;
            for run in runs {
                let outcome = &run[mention];
                let answer = outcome.systems.get(row);
                sum +=
                    value(answer.with_context(|| {
                        format!("mention {:?} has no system {row:?}", outcome.id)
                    })?);
            }
            Ok(sum / runs.len() as f64)
        };
        let means = |value| {
            (0..runs[0].len())
                .map(|mention| mean(mention, value))
                .collect()
        };
        let p_at_1: anyhow::Result<Vec<f64>> = means(|answer| answer.p_at_1);
        let reciprocal_rank: anyhow::Result<Vec<f64>> = means(|answer| answer.reciprocal_rank);
        Ok(Self {
            name: plan.name.clone(),
            seeds: runs.len(),
            p_at_1: p_at_1?,
            reciprocal_rank: reciprocal_rank?,
            at: plan.at,
            line: plan.line.clone(),
        })
    }
}

impl Row {
    fn of(system: &Averaged, mentions: &[Outcome]) -> Self {
        let p_at_1 = SUBSETS.map(|subset| {
            let held = || mentions.iter().zip(&system.p_at_1);
            let (mentions, values): (Vec<&Outcome>, Vec<f64>) =
                held().filter(|(mention, _)| subset.holds(mention)).unzip();
            let clusters = Clusters::of(mentions.iter().map(|mention| mention.entity.as_str()));
            let ends = interval(&values, &clusters)?;
            Some((mean(&values), ends))
        });
        Self {
            name: system.name.clone(),
            seeds: system.seeds,
            p_at_1,
            mrr: mean(&system.reciprocal_rank),
            at: system.at,
            line: system.line.clone(),
        }
    }
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn percents([low, high]: [f64; 2]) -> String {
    format!("[{:.1}, {:.1}]", 100.0 * low, 100.0 * high)
}

fn p_value(p: f64) -> String {
    if p < 0.001 {
        "< 0.001".to_owned()
    } else {
        format!("{p:.3}")
    }
}
