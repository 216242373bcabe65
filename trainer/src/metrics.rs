//! Figures over mentions.

use serde::Serialize;

use crate::outcomes::{Answer, Outcome};
use crate::statistics::{Clusters, interval};

/// Bins of the calibration error.
const BINS: usize = 10;

/// A system's figures over mentions that have a gold; shares between 0 and 1. Without mentions they are 0.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Metrics {
    /// How many mentions.
    pub(crate) n: usize,
    #[serde(rename = "p@1")]
    pub(crate) p_at_1: f64,
    /// Bootstrap, 95 %, mentions resampled by entity.
    #[serde(rename = "p@1_interval")]
    pub(crate) interval: Option<[f64; 2]>,
    #[serde(rename = "r@3")]
    r_at_3: f64,
    #[serde(rename = "r@5")]
    r_at_5: f64,
    #[serde(rename = "r@10")]
    r_at_10: f64,
    #[serde(rename = "r@20")]
    r_at_20: f64,
    pub(crate) mrr: f64,
    /// Of a system that has probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    ece: Option<f64>,
    pub(crate) recall: f64,
}

impl Metrics {
    /// The head of [`Self::row`].
    pub(crate) const HEAD: &str =
        "     n   P@1  95 %          R@3   R@5  R@10  R@20   MRR   ECE recall";

    /// Of what a system made of each mention.
    pub(crate) fn of<'a>(pairs: impl IntoIterator<Item = (&'a Outcome, &'a Answer)>) -> Self {
        let (outcomes, answers): (Vec<&Outcome>, Vec<&Answer>) = pairs.into_iter().unzip();
        let n = answers.len();
        let mean = |value: &dyn Fn(&Answer) -> f64| {
            answers.iter().map(|answer| value(answer)).sum::<f64>() / n.max(1) as f64
        };
        let clusters = Clusters::of(outcomes.iter().map(|outcome| outcome.entity.as_str()));
        let firsts: Vec<f64> = answers.iter().map(|answer| answer.p_at_1).collect();
        Self {
            n,
            p_at_1: mean(&|answer| answer.p_at_1),
            interval: interval(&firsts, &clusters),
            r_at_3: mean(&|answer| answer.r_at_3),
            r_at_5: mean(&|answer| answer.r_at_5),
            r_at_10: mean(&|answer| answer.r_at_10),
            r_at_20: mean(&|answer| answer.r_at_20),
            mrr: mean(&|answer| answer.reciprocal_rank),
            ece: calibration_error(&answers),
            recall: mean(&|answer| answer.recall),
        }
    }

    /// One line of a table.
    pub(crate) fn row(&self) -> String {
        let Some([low, high]) = self.interval else {
            return format!("{:>6}", 0);
        };
        let ece = self.ece.map_or("-".to_owned(), |ece| format!("{ece:.3}"));
        format!(
            "{:>6} {:.3} [{low:.3}, {high:.3}] {:.3} {:.3} {:.3} {:.3} {:.3} {ece:>5} {:.3}",
            self.n,
            self.p_at_1,
            self.r_at_3,
            self.r_at_5,
            self.r_at_10,
            self.r_at_20,
            self.mrr,
            self.recall
        )
    }
}

/// Expected calibration error over equal bins of the best candidate's probability; `None` if a system has none.
fn calibration_error(answers: &[&Answer]) -> Option<f64> {
    let mut gaps = [0.0; BINS];
    for answer in answers {
        let confidence = answer.confidence?;
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        gaps[bin] += confidence - answer.p_at_1;
    }
    let sum: f64 = gaps.iter().map(|gap: &f64| gap.abs()).sum();
    Some(sum / answers.len().max(1) as f64)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::place::Place;

    #[test]
    fn a_missing_gold_is_a_miss() {
        let outcome = Outcome {
            id: String::new(),
            entity: "gold".to_owned(),
            seen: false,
            ambiguous: false,
            renamed: false,
            repeated: false,
            systems: BTreeMap::new(),
        };
        let missed = Answer::of(Place::of(&[2.0], None), Some(0.5));
        let first = Answer::of(Place::of(&[2.0, 1.0], Some(0)), Some(0.5));
        let metrics = Metrics::of([(&outcome, &missed), (&outcome, &first)]);
        assert_eq!(
            (metrics.p_at_1, metrics.mrr, metrics.recall, metrics.ece),
            (0.5, 0.5, 0.5, Some(0.0))
        );
        assert_eq!(metrics.interval, Some([0.5, 0.5]), "one entity");
    }

    #[test]
    fn without_mentions_there_is_no_interval() {
        let metrics = Metrics::of([]);
        assert_eq!(
            (metrics.n, metrics.p_at_1, metrics.interval),
            (0, 0.0, None)
        );
    }
}
