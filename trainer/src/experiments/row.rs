//! A row of a table: a system's figures, averaged over seeds per mention.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};

use super::confidence::Confidence;
use super::reader::Evaluated;
use super::{Published, SystemPlan};
use crate::outcomes::{Answer, Outcome, Subset};
use crate::statistics::{Clusters, deviation, interval, mean};

/// A system's figures.
#[derive(Debug)]
pub(super) struct Row {
    /// Name of the row in the plan.
    pub(super) name: String,
    /// Number of runs that were averaged.
    pub(super) seeds: usize,
    /// P@1 of each mention, averaged over the runs.
    pub(super) values: Vec<f64>,
    /// Sample standard deviation over the runs of P@1 on all mentions; `None` for one run.
    pub(super) deviation: Option<f64>,
    /// P@1 with its interval, by subset; `None` for a subset without mentions.
    pub(super) p_at_1: [Option<(f64, [f64; 2])>; 3],
    /// Mean of R@3 over all mentions.
    pub(super) r_at_3: f64,
    /// Mean of R@10 over all mentions.
    pub(super) r_at_10: f64,
    /// Mean reciprocal rank.
    pub(super) mrr: f64,
    /// Position on the axis of a line figure.
    pub(super) at: Option<f64>,
    /// Line of the figure that the row belongs to.
    pub(super) line: String,
    pub(super) published: Option<Published>,
    /// `None` for a system without probabilities.
    pub(super) confidence: Option<Confidence>,
}

/// The columns of P@1.
pub(super) const SUBSETS: [Subset; 3] = [Subset::All, Subset::Seen, Subset::Unseen];

impl Row {
    pub(super) fn of(
        plan: &SystemPlan,
        row: &str,
        runs: &[Evaluated],
        mentions: &[Outcome],
    ) -> anyhow::Result<Self> {
        let means = |runs: &[Evaluated], value: fn(&Answer) -> f64| -> anyhow::Result<Vec<f64>> {
            let over_runs = |mention: usize| {
                let mut sum = 0.0;
                for run in runs {
                    let outcome = &run.outcomes[mention];
                    let answer = outcome.answer(row);
                    sum += value(answer.with_context(|| {
                        format!("mention {:?} has no system {row:?}", outcome.id)
                    })?);
                }
                Ok(sum / runs.len() as f64)
            };
            (0..mentions.len()).map(over_runs).collect()
        };
        let mean_of = |value| anyhow::Ok(mean(&means(runs, value)?));
        let is_first = |answer: &Answer| answer.recall_at(1);
        let values = means(runs, is_first)?;
        let by_run = runs.chunks(1).map(|run| Ok(mean(&means(run, is_first)?)));
        let by_run: anyhow::Result<Vec<f64>> = by_run.collect();
        let p_at_1 = SUBSETS.map(|subset| {
            let (mentions, values): (Vec<&Outcome>, Vec<f64>) = mentions
                .iter()
                .zip(&values)
                .filter(|(mention, _)| subset.contains(mention))
                .unzip();
            let clusters = Clusters::of(mentions.iter().map(|mention| mention.entity.as_str()));
            let ends = interval(&values, &clusters)?;
            Some((mean(&values), ends))
        });
        Ok(Self {
            name: plan.name.clone(),
            seeds: runs.len(),
            values,
            deviation: deviation(&by_run?),
            p_at_1,
            r_at_3: mean_of(|answer| answer.recall_at(3))?,
            r_at_10: mean_of(|answer| answer.recall_at(10))?,
            mrr: mean_of(Answer::reciprocal_rank)?,
            at: plan.at,
            line: plan.line.clone(),
            published: plan.published,
            confidence: Confidence::of(row, runs),
        })
    }
}

impl Published {
    /// The cell of a table.
    pub(super) fn cell(&self) -> String {
        let shares = [Some(self.p_at_1), self.r_at_3, self.r_at_10];
        let shares = shares.map(|share| match share {
            Some(share) => format!("{share:.1}"),
            None => "-".to_owned(),
        });
        format!(" {} |", shares.join(", "))
    }
}

/// The outcomes in the order of `mentions`.
pub(super) fn aligned(
    mentions: &[Outcome],
    outcomes: Vec<Outcome>,
) -> anyhow::Result<Vec<Outcome>> {
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

/// The name of the run's own system.
pub(super) fn own_system(outcome: &Outcome) -> anyhow::Result<&str> {
    let own = outcome.systems.first();
    let own = own.with_context(|| format!("mention {:?} was ranked by no system", outcome.id))?;
    Ok(&own.name)
}
