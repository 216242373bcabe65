//! From scores to probabilities: one temperature and one NIL logit for lists of every kind, and how well they are calibrated.

use serde::Serialize;

use crate::metrics::expected_calibration_error;
use crate::outcomes::ListKind;
use shared_model::adam::{Adam, STEPS, softmax};
use shared_model::calibration::Refusal;
use shared_model::gold_rank::GoldRank;

/// Thresholds of the probability of NIL whose costs are told.
const THRESHOLDS: [f32; 9] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// Scores of a held-out mention.
#[derive(Debug, Clone)]
pub(super) struct Scored {
    /// Score of each candidate.
    pub(super) scores: Vec<f32>,
    /// Index of the gold; `None` for NIL.
    pub(super) gold: Option<usize>,
    /// Kind of the list.
    pub(super) kind: ListKind,
}

/// Temperature and NIL logit of [`shared_model::calibration::Calibration`]; no logit where no mention is NIL.
pub(super) type Fitted = (f32, Option<f32>);

/// A mention in the likelihood.
struct Row<'a> {
    scored: &'a Scored,
    weight: f64,
    /// Whether NIL is a candidate.
    with_nil: bool,
}

/// The calibration of the greatest likelihood; every mention has the same weight.
///
/// # Arguments
///
/// - nil_share: see [`with_nil_share`].
pub(super) fn calibrate(scored: &[Scored], nil_share: Option<f64>) -> Fitted {
    let rows = rows(scored.iter().collect(), 1.0);
    with_nil_share(fit(&rows), &rows, nil_share)
}

/// The calibration of the greatest likelihood; every kind of list has the same weight, however many there are.
///
/// A kind without NIL mentions says nothing of how frequent they are: its lists count without NIL.
pub(super) fn calibrate_balanced(scored: &[Scored], nil_share: Option<f64>) -> Fitted {
    let rows = ListKind::ALL.map(|kind| {
        let of_kind: Vec<&Scored> = scored.iter().filter(|row| row.kind == kind).collect();
        let weight = 1.0 / of_kind.len() as f64;
        rows(of_kind, weight)
    });
    let rows: Vec<Row> = rows.into_iter().flatten().collect();
    with_nil_share(fit(&rows), &rows, nil_share)
}

/// Corrects the NIL logit for another share of NIL mentions than in `rows`, by the ratio of the odds of both; `None` keeps it.
fn with_nil_share((temperature, nil): Fitted, rows: &[Row], nil_share: Option<f64>) -> Fitted {
    let Some((nil, share)) = nil.zip(nil_share) else {
        return (temperature, nil);
    };
    let weight = |is_nil: bool| -> f64 {
        let of_kind = rows.iter().filter(|row| row.with_nil);
        let of_kind = of_kind.filter(|row| row.scored.gold.is_none() == is_nil);
        of_kind.map(|row| row.weight).sum()
    };
    let odds = weight(true) / weight(false).max(f64::MIN_POSITIVE);
    let correction = (share / (1.0 - share) / odds).ln();
    (temperature, Some(nil + correction as f32))
}

fn rows(scored: Vec<&Scored>, weight: f64) -> Vec<Row<'_>> {
    let with_nil = scored.iter().any(|row| row.gold.is_none());
    let row = |scored| Row {
        scored,
        weight,
        with_nil,
    };
    scored.into_iter().map(row).collect()
}

fn fit(rows: &[Row]) -> Fitted {
    let with_nil = rows.iter().any(|row| row.with_nil);
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    // The logarithm of 1 / T, and the NIL logit at the initial T: at the fitted one it may be far, as it grows with 1 / T.
    let start = 20f64.ln();
    let mut values = [start, 0.0];
    let mut adam = Adam::default();
    for _ in 0..STEPS {
        let sharpness = values[0].exp();
        let nil = values[1] * (values[0] - start).exp();
        let mut gradient = [0.0; 2];
        for row in rows {
            let scores = row.scored.scores.iter();
            let scores = scores.map(|&score| f64::from(score) * sharpness);
            let logits: Vec<f64> = scores.chain(row.with_nil.then_some(nil)).collect();
            let mut errors = softmax(&logits);
            errors[row.scored.gold.unwrap_or(row.scored.scores.len())] -= 1.0;
            let slope: f64 = errors.iter().zip(&logits).map(|(e, logit)| e * logit).sum();
            gradient[0] += slope * row.weight / total;
            if row.with_nil {
                let error = errors[row.scored.scores.len()];
                gradient[1] += error * (values[0] - start).exp() * row.weight / total;
            }
        }
        adam.step(&mut values, &gradient);
    }
    let temperature = (-values[0]).exp() as f32;
    let nil = values[1] * (values[0] - start).exp();
    (temperature, with_nil.then_some(nil as f32))
}

/// What each threshold of the probability of NIL costs; empty without NIL.
pub(super) fn refusals(scored: &[Scored], fitted: Fitted) -> Vec<Refusal> {
    let (_, Some(_)) = fitted else {
        return Vec::new();
    };
    let nil = |row: &Scored| 1.0 - probabilities(&row.scores, fitted).iter().sum::<f64>();
    let of_kind = |is_nil: bool| -> Vec<f64> {
        let rows = scored.iter().filter(|row| row.gold.is_none() == is_nil);
        rows.map(nil).collect()
    };
    let (of_nil, of_others) = (of_kind(true), of_kind(false));
    let share = |probabilities: &[f64], threshold: f32| {
        let called = probabilities
            .iter()
            .filter(|nil| **nil >= f64::from(threshold));
        called.count() as f32 / probabilities.len().max(1) as f32
    };
    let thresholds = THRESHOLDS.into_iter();
    let refusal = |threshold| Refusal {
        threshold,
        found: share(&of_nil, threshold),
        refused: share(&of_others, threshold),
    };
    thresholds.map(refusal).collect()
}

/// Expected calibration errors of held-out mentions with an entity, by the kind of their lists.
#[derive(Debug, Clone, Serialize)]
pub(super) struct CalibrationErrors {
    /// Lists of known candidates.
    pub(super) known: Measured,
    /// Lists of known and new candidates.
    pub(super) mixed: Measured,
    /// Lists of new candidates.
    pub(super) new: Measured,
}

/// An expected calibration error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Measured {
    /// Number of mentions.
    pub(super) n: usize,
    /// `None` without mentions.
    pub(super) ece: Option<f64>,
}

impl CalibrationErrors {
    pub(super) fn new(scored: &[Scored], fitted: Fitted) -> Self {
        let of = |kind: ListKind| {
            let of_kind = scored.iter().filter(|row| row.kind == kind);
            let answers: Vec<(f64, f64)> = of_kind
                .filter_map(|row| {
                    let rank = GoldRank::of(&row.scores, row.gold?);
                    Some((confidence(&row.scores, fitted), rank.recall_at(1)))
                })
                .collect();
            Measured {
                n: answers.len(),
                ece: expected_calibration_error(&answers),
            }
        };
        Self {
            known: of(ListKind::Known),
            mixed: of(ListKind::Mixed),
            new: of(ListKind::New),
        }
    }
}

/// Probability of the best candidate.
fn confidence(scores: &[f32], fitted: Fitted) -> f64 {
    probabilities(scores, fitted)
        .into_iter()
        .fold(0.0, f64::max)
}

/// Probability of each candidate.
fn probabilities(scores: &[f32], (temperature, nil): Fitted) -> Vec<f64> {
    let logits = scores.iter().map(|score| f64::from(score / temperature));
    let logits: Vec<f64> = logits.chain(nil.map(f64::from)).collect();
    let mut probabilities = softmax(&logits);
    probabilities.truncate(scores.len());
    probabilities
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(scores: &[f32], gold: Option<usize>, kind: ListKind) -> Scored {
        Scored {
            scores: scores.to_vec(),
            gold,
            kind,
        }
    }

    #[test]
    fn probabilities_match_how_often_the_best_is_right() {
        // The best of two is 0.1 ahead and right three times of four: e^(0.1/T) = 3.
        let row = |gold| scored(&[0.5, 0.4], Some(gold), ListKind::Known);
        let (temperature, nil) = calibrate(&[row(0), row(0), row(0), row(1)], None);
        let expected = 0.1 / 3f32.ln();
        assert!((temperature - expected).abs() < 1e-3, "{temperature}");
        assert_eq!(nil, None);
    }

    #[test]
    fn a_share_of_nil_rows_sets_the_nil_logit() {
        let row = |gold| scored(&[0.0], gold, ListKind::Known);
        let rows = [row(Some(0)), row(None), row(None), row(None)];
        let (_, nil) = calibrate(&rows, None);
        assert!((nil.unwrap() - 3f32.ln()).abs() < 1e-2, "{nil:?}");
        // Where NIL is a tenth of what comes, its odds are 1 to 9.
        let (_, nil) = calibrate(&rows, Some(0.1));
        assert!((nil.unwrap() + 9f32.ln()).abs() < 1e-2, "{nil:?}");
        let (_, nil) = calibrate(&rows[..1], Some(0.1));
        assert_eq!(nil, None);
    }

    #[test]
    fn a_nil_logit_far_from_its_start_is_found() {
        // Two candidates, 0.03 apart, right 19 times of 20; below 0.24 it is NIL, 19 times of 20.
        let row = |best: f32, gold| scored(&[best, best - 0.03], gold, ListKind::Known);
        let mut rows = Vec::new();
        for i in 0..20 {
            rows.push(row(0.27, if i == 0 { None } else { Some(0) }));
            rows.push(row(0.21, if i == 0 { Some(0) } else { None }));
        }
        let (temperature, nil) = calibrate(&rows, None);
        let threshold = nil.unwrap() * temperature;
        assert!(temperature < 0.012, "{temperature}");
        assert!((threshold - 0.24).abs() < 2e-3, "{threshold}");
    }

    #[test]
    fn a_higher_threshold_refuses_less() {
        let row = |best: f32, gold| scored(&[best], gold, ListKind::Known);
        let rows = [
            row(0.3, Some(0)),
            row(0.19, Some(0)),
            row(0.1, None),
            row(0.22, None),
        ];
        // The score 0.2 is as likely as NIL.
        let refusals = refusals(&rows, (0.02, Some(10.0)));
        let at = |threshold: f32| {
            let mut refusals = refusals.iter();
            refusals
                .find(|refusal| refusal.threshold == threshold)
                .unwrap()
        };
        assert_eq!((at(0.5).found, at(0.5).refused), (0.5, 0.5));
        assert_eq!((at(0.2).found, at(0.2).refused), (1.0, 0.5));
        assert_eq!((at(0.9).found, at(0.9).refused), (0.5, 0.0));
        assert!(super::refusals(&rows, (0.02, None)).is_empty());
    }

    #[test]
    fn every_kind_of_list_counts_the_same() {
        // Known lists are right 3 of 4 times, new ones always: 7 of 8, however many there are of each.
        let row = |gold, kind| scored(&[0.5, 0.4], Some(gold), kind);
        let known: Vec<Scored> = (0..4)
            .map(|i| row(usize::from(i == 0), ListKind::Known))
            .collect();
        for n_new in [1, 4, 40] {
            let new = (0..n_new).map(|_| row(0, ListKind::New));
            let rows: Vec<Scored> = known.iter().cloned().chain(new).collect();
            let (temperature, _) = calibrate_balanced(&rows, None);
            let expected = 0.1 / 7f32.ln();
            assert!((temperature - expected).abs() < 1e-3, "{temperature}");
        }
    }

    #[test]
    fn a_kind_without_nil_says_nothing_of_it() {
        let row = |gold, kind| scored(&[0.0], gold, kind);
        let known = [Some(0), None, None, None].map(|gold| row(gold, ListKind::Known));
        for others in [ListKind::New, ListKind::Mixed, ListKind::Known] {
            let mut rows = known.to_vec();
            rows.extend((0..8).map(|_| row(Some(0), others)));
            let (_, nil) = calibrate_balanced(&rows, None);
            // Within the kind there are 3 of 12.
            let expected = if others == ListKind::Known {
                -3f32.ln()
            } else {
                3f32.ln()
            };
            let nil = nil.unwrap();
            assert!((nil - expected).abs() < 2e-2, "{others:?}: {nil}");
        }
    }

    #[test]
    fn the_calibration_error_is_the_weighted_gap_of_the_bins() {
        // Bin 2: 0.25 and 0.25, one of two right: gap 0.25. Bin 6: 0.6, 0.65, 0.65, all right: gap 1.1 / 3. Bin 9: 0.95 and 1, wrong and right: gap 0.475.
        let answers = [
            (0.25, 1.0),
            (0.6, 1.0),
            (0.95, 0.0),
            (0.65, 1.0),
            (0.25, 0.0),
            (1.0, 1.0),
            (0.65, 1.0),
        ];
        let expected = (2.0 * 0.25 + 1.1 + 2.0 * 0.475) / 7.0;
        let error = expected_calibration_error(&answers).unwrap();
        assert!((error - expected).abs() < 1e-12, "{error}");
        // Within a bin, too sure and not sure enough cancel out; across bins they add up.
        let cancels = expected_calibration_error(&[(0.71, 1.0), (0.79, 0.5)]).unwrap();
        assert!(cancels.abs() < 1e-12, "{cancels}");
        let adds = expected_calibration_error(&[(0.35, 1.0), (0.85, 0.0)]).unwrap();
        assert!((adds - (0.65 + 0.85) / 2.0).abs() < 1e-12, "{adds}");
        assert_eq!(expected_calibration_error(&[]), None);
    }

    #[test]
    fn errors_are_measured_by_kind_and_without_nil_mentions() {
        // Equal scores of two: sure by half, and right by half.
        let rows = [
            scored(&[0.3, 0.3], Some(0), ListKind::Known),
            scored(&[0.3, 0.3], None, ListKind::Known),
            scored(&[9.0, 0.0], Some(1), ListKind::New),
        ];
        let errors = CalibrationErrors::new(&rows, (0.05, None));
        let expected = |n, ece| Measured { n, ece };
        assert_eq!(errors.known, expected(1, Some(0.0)));
        assert_eq!(errors.mixed, expected(0, None));
        assert_eq!(errors.new, expected(1, Some(1.0)));
    }
}
