//! One table: rows of systems, their comparison with a reference, and published orders.

use std::collections::HashSet;

use anyhow::{Context as _, ensure};
use serde_json::{Map, Value, json};

use super::confidence::{self, Confidence};
use super::reader::{Evaluated, Reader};
use super::row::{Row, SUBSETS, aligned, own_system};
use super::{SystemPlan, TablePlan};
use crate::outcomes::{Outcome, Subset};
use crate::statistics::{Clusters, Comparison, holm, paired};
use shared_model::gold_rank::TIE_RULE;

/// A computed table.
#[derive(Debug)]
pub(super) struct Table {
    /// Heading of the table.
    pub(super) title: String,
    /// Where the figures come from: command, dataset, part, candidates, mentions.
    pub(super) caption: String,
    /// The rows of the plan, then the other systems of its first row that reads everything.
    pub(super) rows: Vec<Row>,
    /// Number of mentions per column.
    counts: [usize; 3],
    reference: String,
    /// The mentions that are compared.
    compared: Subset,
    /// The primary one first; the p-values of the others are corrected.
    comparisons: Vec<(String, Comparison)>,
    /// The published orders of the plan.
    orders: Vec<Order>,
}

/// Two rows whose order others have published.
#[derive(Debug)]
struct Order {
    /// The row that was published as the better one, and the other.
    rows: [String; 2],
    /// The better row against the other one.
    comparison: Comparison,
}

impl Order {
    /// Whether the order is found: by the 95 % interval of the difference.
    fn verdict(&self) -> &'static str {
        match self.comparison.interval {
            [low, _] if low > 0.0 => "same",
            [_, high] if high < 0.0 => "opposite",
            _ => "not told apart",
        }
    }
}

impl Table {
    /// Reads every run of a plan.
    ///
    /// # Errors
    ///
    /// If two runs do not have the same mentions, if a run lacks a system, or if the primary comparison or a published order names an unknown row.
    pub(super) fn of(plan: &TablePlan, reader: &Reader, source: &str) -> anyhow::Result<Self> {
        // The labels of mentions depend on their texts.
        let whole = plan.systems.iter().find(|system| system.is_whole());
        let labelled = whole.or(plan.systems.first());
        let labelled = labelled.context("the table has no system")?;
        let run = labelled.runs.first();
        let run = run.with_context(|| format!("{:?} has no run", labelled.name))?;
        let mentions = reader.evaluated(run, labelled)?.outcomes;
        let mut systems = Vec::new();
        let mut baselines = Vec::new();
        let mut shown = HashSet::new();
        let mut is_seen_alike = true;
        for system in &plan.systems {
            ensure!(!system.runs.is_empty(), "{:?} has no run", system.name);
            let mut runs = Vec::new();
            for run in &system.runs {
                let Evaluated { outcomes, nil } = reader.evaluated(run, system)?;
                let outcomes = aligned(&mentions, outcomes);
                let outcomes = outcomes.with_context(|| run.display().to_string())?;
                let mut pairs = outcomes.iter().zip(&mentions);
                is_seen_alike &= pairs.all(|(own, first)| own.seen == first.seen);
                runs.push(Evaluated { outcomes, nil });
            }
            let row = match &system.row {
                Some(row) => row.clone(),
                None => own_system(&runs[0].outcomes[0])?.to_owned(),
            };
            systems.push(Row::of(system, &row, &runs, &mentions)?);
            if system.is_whole() {
                shown.insert(row);
                if baselines.is_empty() {
                    baselines = runs;
                }
            }
        }
        let first = baselines.first().and_then(|run| run.outcomes.first());
        let others = first.iter().flat_map(|outcome| &outcome.systems).skip(1);
        for name in others.map(|answer| answer.name.as_str()) {
            let named = systems.iter().any(|system| system.name == name);
            if !named && !shown.contains(name) {
                let plan = SystemPlan {
                    name: name.to_owned(),
                    ..SystemPlan::default()
                };
                systems.push(Row::of(&plan, name, &baselines, &mentions)?);
            }
        }

        if !is_seen_alike {
            ensure!(
                ![Subset::Seen, Subset::Unseen].contains(&plan.subset),
                "the runs were trained on different entities: their mentions cannot be divided into seen and unseen ones"
            );
            // What one run has seen is new to another.
            systems
                .iter_mut()
                .for_each(|row| row.p_at_1[1..].fill(None));
        }
        let compared = Compared::of(&systems, &mentions, plan.subset)?;
        let comparisons = comparisons(&plan.primary, &compared)?;
        let orders = plan.orders.iter().map(|rows| {
            let [better, other] = compared.pair("orders", rows)?;
            Ok(Order {
                rows: rows.clone(),
                comparison: compared.compare(better, other),
            })
        });
        let orders: anyhow::Result<Vec<Order>> = orders.collect();
        let orders = orders?;
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
                reader.candidates(),
                mentions.len(),
                clusters.len(),
            ),
            counts: SUBSETS.map(|subset| {
                let held = mentions.iter().filter(|mention| subset.contains(mention));
                let is_defined = is_seen_alike || subset == Subset::All;
                if is_defined { held.count() } else { 0 }
            }),
            reference: plan.primary[1].clone(),
            compared: plan.subset,
            comparisons,
            orders,
            rows: systems,
        })
    }

    /// The rows that have probabilities, by name.
    pub(super) fn confidences(&self) -> Vec<(&str, &Confidence)> {
        self.rows
            .iter()
            .filter_map(|row| Some((row.name.as_str(), row.confidence.as_ref()?)))
            .collect()
    }

    /// The table as it is written to `results.json`: shares between 0 and 1.
    pub(super) fn json(&self) -> Value {
        let row = |row: &Row| {
            let mut p_at_1 = Map::new();
            for (subset, cell) in SUBSETS.iter().zip(row.p_at_1) {
                let cell = cell.map(|(value, ends)| json!({"value": value, "interval": ends}));
                p_at_1.insert(subset.name().to_owned(), cell.into());
            }
            json!({
                "name": row.name, "seeds": row.seeds, "p@1": p_at_1, "deviation": row.deviation,
                "r@3": row.r_at_3, "r@10": row.r_at_10, "mrr": row.mrr,
                "published": row.published,
                "confidence": row.confidence.as_ref().map(Confidence::json),
            })
        };
        let counts = SUBSETS.iter().zip(self.counts);
        let counts = counts.map(|(subset, n)| (subset.name().to_owned(), n.into()));
        let comparison = |(i, (name, comparison)): (usize, &(String, Comparison))| {
            json!({
                "name": name, "difference": comparison.difference, "interval": comparison.interval,
                "p": comparison.p, "primary": i == 0,
            })
        };
        let order = |order: &Order| {
            let Comparison {
                difference,
                interval,
                ..
            } = order.comparison;
            json!({"rows": order.rows, "difference": difference, "interval": interval, "verdict": order.verdict()})
        };
        json!({
            "title": self.title, "caption": self.caption,
            "mentions": counts.collect::<Map<String, Value>>(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "reference": self.reference, "compared": self.compared.name(),
            "comparisons": self.comparisons.iter().enumerate().map(comparison).collect::<Vec<_>>(),
            "orders": self.orders.iter().map(order).collect::<Vec<_>>(),
        })
    }

    /// The table in Markdown: rows, comparisons and caption.
    pub(super) fn markdown(&self) -> String {
        let [all, seen, unseen] = self.counts;
        let is_published = self.rows.iter().any(|row| row.published.is_some());
        let [title, rule] = if is_published {
            [" published: P@1, R@3, R@10 |", "---|"]
        } else {
            [""; 2]
        };
        let mut text = format!(
            "| system | seeds | P@1, all ({all}) | s.d. | P@1, seen ({seen}) | P@1, unseen ({unseen}) | R@3 | R@10 | MRR |{title}\n\
             |---|---|---|---|---|---|---|---|---|{rule}\n"
        );
        for row in &self.rows {
            let [all, seen, unseen] = row.p_at_1.map(|cell| match cell {
                Some((value, ends)) => format!("{:.1} {}", 100.0 * value, percents(ends)),
                None => "-".to_owned(),
            });
            let Row { name, seeds, .. } = row;
            let [r_at_3, r_at_10, mrr] =
                [row.r_at_3, row.r_at_10, row.mrr].map(|share| format!("{:.1}", 100.0 * share));
            let deviation = match row.deviation {
                Some(deviation) => format!("{:.1}", 100.0 * deviation),
                None => "-".to_owned(),
            };
            let published = match row.published {
                Some(published) => published.cell(),
                None if is_published => " - |".to_owned(),
                None => String::new(),
            };
            text += &format!(
                "| {name} | {seeds} | {all} | {deviation} | {seen} | {unseen} | {r_at_3} | {r_at_10} | {mrr} |{published}\n"
            );
        }
        text += &confidence::markdown(&self.confidences());
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
        if !self.orders.is_empty() {
            text += "\n| published as better | than | P@1 here, points | order, by the interval |\n|---|---|---|---|\n";
        }
        for order in &self.orders {
            let [better, other] = &order.rows;
            text += &format!(
                "| {better} | {other} | {:+.1} {} | {} |\n",
                100.0 * order.comparison.difference,
                percents(order.comparison.interval),
                order.verdict()
            );
        }
        text += &format!(
            "\n{}.\nShares in per cent; in brackets 95 % intervals of a bootstrap of 1,000 resamples, mentions resampled by entity; \
             comparisons are paired, of 10,000 resamples. s.d.: standard deviation of P@1 over the seeds, in points, which no interval includes.\n",
            self.caption
        );
        text
    }
}

/// The rows on the mentions that are compared.
struct Compared<'a> {
    systems: &'a [Row],
    /// Numbers of the mentions.
    mentions: Vec<usize>,
    clusters: Clusters,
}

impl<'a> Compared<'a> {
    fn of(systems: &'a [Row], mentions: &[Outcome], subset: Subset) -> anyhow::Result<Self> {
        let held: Vec<usize> = (0..mentions.len())
            .filter(|&i| subset.contains(&mentions[i]))
            .collect();
        ensure!(
            !held.is_empty(),
            "no mention is {}: there is nothing to compare the systems on",
            subset.name()
        );
        let clusters = Clusters::of(held.iter().map(|&i| mentions[i].entity.as_str()));
        Ok(Self {
            systems,
            mentions: held,
            clusters,
        })
    }

    /// The two rows that `field` of the plan names.
    fn pair(&self, field: &str, names: &[String; 2]) -> anyhow::Result<[&'a Row; 2]> {
        let find = |name: &String| {
            let system = self.systems.iter().find(|system| system.name == *name);
            system.with_context(|| format!("`{field}` names {name:?}, which is no row"))
        };
        let [first, second] = names;
        Ok([find(first)?, find(second)?])
    }

    fn compare(&self, a: &Row, b: &Row) -> Comparison {
        let of = |row: &Row| -> Vec<f64> { self.mentions.iter().map(|&i| row.values[i]).collect() };
        paired(&of(a), &of(b), &self.clusters)
    }
}

/// Compares every system with the reference. The p-values of all comparisons but the primary one are corrected.
fn comparisons(
    primary: &[String; 2],
    compared: &Compared<'_>,
) -> anyhow::Result<Vec<(String, Comparison)>> {
    let [first, reference] = compared.pair("primary", primary)?;
    let others = compared
        .systems
        .iter()
        .filter(|system| ![&first.name, &reference.name].contains(&&system.name));
    let mut comparisons: Vec<(String, Comparison)> = [first]
        .into_iter()
        .chain(others)
        .map(|system| (system.name.clone(), compared.compare(system, reference)))
        .collect();
    let others = &mut comparisons[1..];
    let p_values: Vec<f64> = others.iter().map(|(_, comparison)| comparison.p).collect();
    for ((_, comparison), p) in others.iter_mut().zip(holm(&p_values)) {
        comparison.p = p;
    }
    Ok(comparisons)
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
