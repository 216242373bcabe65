//! Figures over the outcomes of a system.

use serde::Serialize;

use crate::outcomes::{Answer, Outcome};
use crate::statistics::{Clusters, interval};

/// Number of bins of the confidence.
const BINS: usize = 10;

/// A system's figures over mentions that have a gold: shares between 0 and 1. Without mentions they are 0.
#[derive(Debug, Default, Clone, Serialize)]
pub(crate) struct Metrics {
    /// Number of mentions.
    pub(crate) n: usize,
    #[serde(rename = "p@1")]
    pub(crate) p_at_1: f64,
    /// Bootstrap interval of P@1, 95 %, with mentions resampled by entity.
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
    /// Expected calibration error, of a system that has probabilities.
    #[serde(skip_serializing_if = "Option::is_none")]
    ece: Option<f64>,
    pub(crate) recall: f64,
}

impl Metrics {
    /// The heading of [`Self::row`].
    pub(crate) const HEAD: &str =
        "     n   P@1  95 %          R@3   R@5  R@10  R@20   MRR   ECE recall";

    /// The figures of a system over its answers to mentions.
    pub(crate) fn of<'a>(pairs: impl IntoIterator<Item = (&'a Outcome, &'a Answer)>) -> Self {
        let (outcomes, answers): (Vec<&Outcome>, Vec<&Answer>) = pairs.into_iter().unzip();
        let n = answers.len();
        let mean = |value: &dyn Fn(&Answer) -> f64| {
            answers.iter().map(|answer| value(answer)).sum::<f64>() / n.max(1) as f64
        };
        let recall_at = |k| mean(&|answer| answer.recall_at(k));
        let clusters = Clusters::of(outcomes.iter().map(|outcome| outcome.entity.as_str()));
        let firsts: Vec<f64> = answers.iter().map(|answer| answer.recall_at(1)).collect();
        Self {
            n,
            p_at_1: recall_at(1),
            interval: interval(&firsts, &clusters),
            r_at_3: recall_at(3),
            r_at_5: recall_at(5),
            r_at_10: recall_at(10),
            r_at_20: recall_at(20),
            mrr: mean(&Answer::reciprocal_rank),
            ece: calibration_error(answers.iter().copied()),
            recall: mean(&Answer::recall),
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

/// The expected calibration error of a system's answers; `None` for a system without probabilities.
pub(crate) fn calibration_error<'a>(answers: impl IntoIterator<Item = &'a Answer>) -> Option<f64> {
    Some(expected_calibration_error(&confidences(answers)?).unwrap_or_default())
}

/// Confidence and correctness of a system's answers; `None` for a system without probabilities.
pub(crate) fn confidences<'a>(
    answers: impl IntoIterator<Item = &'a Answer>,
) -> Option<Vec<(f64, f64)>> {
    let answers = answers.into_iter();
    answers
        .map(|answer| Some((answer.confidence?, answer.recall_at(1))))
        .collect()
}

/// Answers of similar confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Bin {
    pub(crate) n: usize,
    /// Mean confidence.
    pub(crate) confidence: f64,
    /// Share of right answers.
    pub(crate) accuracy: f64,
}

/// The equal bins of the confidence that have answers.
///
/// # Arguments
///
/// - answers: confidence and correctness, both between 0 and 1.
pub(crate) fn bins(answers: &[(f64, f64)]) -> Vec<Bin> {
    let mut bins = [Bin::default(); BINS];
    for (confidence, correct) in answers {
        let bin = &mut bins[((confidence * BINS as f64) as usize).min(BINS - 1)];
        bin.n += 1;
        bin.confidence += confidence;
        bin.accuracy += correct;
    }
    let bins = bins.into_iter().filter(|bin| bin.n > 0);
    let mean = |bin: Bin| Bin {
        n: bin.n,
        confidence: bin.confidence / bin.n as f64,
        accuracy: bin.accuracy / bin.n as f64,
    };
    bins.map(mean).collect()
}

/// The expected calibration error: the gap between confidence and accuracy, mean over the answers of all bins; `None` without answers.
///
/// # Arguments
///
/// - answers: confidence and correctness, both between 0 and 1.
pub(crate) fn expected_calibration_error(answers: &[(f64, f64)]) -> Option<f64> {
    let gaps = bins(answers).into_iter();
    let gaps = gaps.map(|bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs());
    (!answers.is_empty()).then(|| gaps.sum::<f64>() / answers.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_model::gold_rank::GoldRank;

    fn answer(rank: Option<GoldRank>, confidence: f64) -> Answer {
        Answer {
            name: "system".to_owned(),
            rank,
            n: 2,
            confidence: Some(confidence),
        }
    }

    #[test]
    fn a_missing_gold_is_a_miss() {
        let outcome = Outcome {
            id: String::new(),
            entity: "gold".to_owned(),
            seen: false,
            ambiguous: false,
            renamed: false,
            repeated: false,
            list: None,
            systems: Vec::new(),
        };
        let missed = answer(None, 0.5);
        let first = answer(Some(GoldRank::of(&[2.0, 1.0], 0)), 0.5);
        let metrics = Metrics::of([(&outcome, &missed), (&outcome, &first)]);
        assert_eq!(
            (metrics.p_at_1, metrics.mrr, metrics.recall, metrics.ece),
            (0.5, 0.5, 0.5, Some(0.0))
        );
        assert_eq!(metrics.interval, Some([0.5, 0.5]), "one entity");
    }

    #[test]
    fn the_calibration_error_weighs_the_gap_of_each_bin() {
        let right = |confidence| answer(Some(GoldRank::of(&[1.0, 0.0], 0)), confidence);
        let wrong = |confidence| answer(Some(GoldRank::of(&[1.0, 0.0], 1)), confidence);
        for (answers, expected) in [
            // One bin: two answers of 0.75, one of them right.
            (vec![right(0.75), wrong(0.75)], 0.25),
            // Two bins, whose gaps have opposite signs and do not cancel out.
            (vec![right(0.625), wrong(0.25)], (0.375 + 0.25) / 2.0),
            // Certainty belongs to the last bin.
            (vec![right(1.0), wrong(0.9375)], 0.9375 / 2.0),
            (vec![], 0.0),
        ] {
            assert_eq!(calibration_error(&answers), Some(expected));
        }
        let without = Answer {
            confidence: None,
            ..right(0.5)
        };
        assert_eq!(calibration_error([&right(0.5), &without]), None);
    }

    #[test]
    fn answers_of_similar_confidence_are_in_one_bin() {
        let found = bins(&[(0.61, 1.0), (0.65, 0.0), (1.0, 1.0)]);
        assert_eq!((found[0].n, found[1].n, found.len()), (2, 1, 2));
        assert!((found[0].confidence - 0.63).abs() < 1e-9);
        assert_eq!((found[0].accuracy, found[1].accuracy), (0.5, 1.0));
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
