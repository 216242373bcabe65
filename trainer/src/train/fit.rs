//! Fitting the scorer: non-negative weights of the cues by logistic loss, then temperature and NIL logit by likelihood.

use shared_model::cues::AllCues;

const CUES: usize = size_of::<AllCues>() / size_of::<f32>();
/// Full-batch steps; the loss is convex and settles within half of them.
const STEPS: usize = 400;
const LEARNING_RATE: f64 = 0.05;
/// Keeps the weights of cues that never vary together finite.
const DECAY: f64 = 1e-4;

/// A mention whose gold is among its candidates.
#[derive(Debug)]
pub(crate) struct Row {
    /// A candidate each.
    pub(crate) cues: Vec<AllCues>,
    /// The gold's position among them.
    pub(crate) gold: usize,
    /// Its share in the loss.
    pub(crate) share: f64,
}

/// The weights that make the golds most likely, none below 0.
///
/// Each cue is divided by its standard deviation among a mention's candidates before the fit, so that one step size serves all; a cue that never varies gets no weight.
pub(crate) fn weights(rows: &[Row]) -> AllCues {
    let deviations = deviations(rows);
    let scale: [f64; CUES] = deviations.map(|d| if d > 1e-9 { 1.0 / d } else { 0.0 });
    let total: f64 = rows.iter().map(|row| row.share).sum();
    let mut weights = [0.5; CUES];
    let mut adam = Adam::default();
    for _ in 0..STEPS {
        let mut gradient = weights.map(|weight| DECAY * weight);
        for row in rows {
            let logits: Vec<f64> = row
                .cues
                .iter()
                .map(|cues| dot(&weights, cues, &scale))
                .collect();
            let shares = softmax(&logits);
            for (i, (cues, share)) in row.cues.iter().zip(shares).enumerate() {
                let error = (share - f64::from(u8::from(i == row.gold))) * row.share / total;
                for c in 0..CUES {
                    gradient[c] += error * f64::from(cues[c]) * scale[c];
                }
            }
        }
        adam.step(&mut weights, &gradient);
        weights
            .iter_mut()
            .for_each(|weight| *weight = weight.max(0.0));
    }
    let mut fitted = [0.0; CUES];
    for c in 0..CUES {
        fitted[c] = (weights[c] * scale[c]) as f32;
    }
    fitted
}

/// A mention's scores, for calibration.
#[derive(Debug, Clone)]
pub(crate) struct Scored {
    /// A candidate each.
    pub(crate) scores: Vec<f32>,
    /// `None` is NIL.
    pub(crate) gold: Option<usize>,
}

/// Temperature and NIL logit of the least negative log-likelihood; no logit where no row is NIL.
pub(crate) fn calibration(rows: &[Scored]) -> (f32, Option<f32>) {
    let with_nil = rows.iter().any(|row| row.gold.is_none());
    // The logarithm of 1 / T, and the logit.
    let mut values = [20f64.ln(), 0.0];
    let mut adam = Adam::default();
    for _ in 0..STEPS {
        let mut gradient = [0.0; 2];
        for row in rows {
            let sharpness = values[0].exp();
            let scores = row.scores.iter().map(|&score| f64::from(score));
            let mut logits: Vec<f64> = scores.clone().map(|score| score * sharpness).collect();
            logits.extend(with_nil.then_some(values[1]));
            let gold = row.gold.unwrap_or(row.scores.len());
            let mut errors = softmax(&logits);
            errors[gold] -= 1.0;
            let slope: f64 = errors
                .iter()
                .zip(scores)
                .map(|(error, score)| error * score)
                .sum();
            gradient[0] += slope * sharpness / rows.len() as f64;
            if with_nil {
                gradient[1] += errors[row.scores.len()] / rows.len() as f64;
            }
        }
        adam.step(&mut values, &gradient);
    }
    let temperature = (-values[0]).exp() as f32;
    (temperature, with_nil.then_some(values[1] as f32))
}

/// The deviation of each cue from its mean over a mention's candidates, root mean square.
fn deviations(rows: &[Row]) -> [f64; CUES] {
    let mut squares = [0.0; CUES];
    let mut n = 0.0;
    for row in rows {
        let length = row.cues.len() as f64;
        for c in 0..CUES {
            let values = row.cues.iter().map(|cues| f64::from(cues[c]));
            let mean = values.clone().sum::<f64>() / length;
            squares[c] += values.map(|value| (value - mean).powi(2)).sum::<f64>();
        }
        n += length;
    }
    squares.map(|sum| (sum / n).sqrt())
}

fn dot(weights: &[f64; CUES], cues: &AllCues, scale: &[f64; CUES]) -> f64 {
    (0..CUES)
        .map(|c| weights[c] * f64::from(cues[c]) * scale[c])
        .sum()
}

fn softmax(logits: &[f64]) -> Vec<f64> {
    let highest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let powers: Vec<f64> = logits.iter().map(|logit| (logit - highest).exp()).collect();
    let total: f64 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

/// Adam on a handful of numbers.
struct Adam<const N: usize> {
    step: i32,
    mean: [f64; N],
    square: [f64; N],
}

impl<const N: usize> Default for Adam<N> {
    fn default() -> Self {
        Self {
            step: 0,
            mean: [0.0; N],
            square: [0.0; N],
        }
    }
}

impl<const N: usize> Adam<N> {
    fn step(&mut self, values: &mut [f64; N], gradient: &[f64; N]) {
        self.step += 1;
        for i in 0..N {
            self.mean[i] = 0.9 * self.mean[i] + 0.1 * gradient[i];
            self.square[i] = 0.999 * self.square[i] + 0.001 * gradient[i].powi(2);
            let mean = self.mean[i] / (1.0 - 0.9f64.powi(self.step));
            let square = self.square[i] / (1.0 - 0.999f64.powi(self.step));
            values[i] -= LEARNING_RATE * mean / (square.sqrt() + 1e-12);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cue 0 tells the gold, cue 1 speaks against it, cue 2 never varies, the others are noise.
    fn rows() -> Vec<Row> {
        let noise = |i: usize| ((i * 2_654_435_761) % 1000) as f32 / 1000.0;
        (0..60)
            .map(|row| Row {
                cues: (0..4)
                    .map(|candidate| {
                        let is_gold = f32::from(u8::from(candidate == row % 4));
                        let mut cues: AllCues =
                            std::array::from_fn(|c| noise(row * 50 + candidate * 9 + c));
                        cues[0] = 0.1 * is_gold + 0.1 * cues[0];
                        cues[1] -= is_gold;
                        cues[2] = 0.7;
                        cues
                    })
                    .collect(),
                gold: row % 4,
                share: 1.0,
            })
            .collect()
    }

    #[test]
    fn what_tells_the_gold_gets_the_weight_and_nothing_falls_below_0() {
        let rows = rows();
        let weights = weights(&rows);
        assert!(weights.iter().all(|weight| *weight >= 0.0), "{weights:?}");
        assert_eq!((weights[1], weights[2]), (0.0, 0.0), "{weights:?}");
        let right = rows.iter().filter(|row| {
            let score = |cues: &AllCues| cues.iter().zip(weights).map(|(a, b)| a * b).sum::<f32>();
            (0..4).all(|i| score(&row.cues[i]) <= score(&row.cues[row.gold]))
        });
        assert!(right.count() >= 55);
    }

    #[test]
    fn probabilities_match_how_often_the_best_is_right() {
        // The best of two is 0.1 ahead and right three times of four: e^(0.1/T) = 3.
        let row = |gold| Scored {
            scores: vec![0.5, 0.4],
            gold: Some(gold),
        };
        let (temperature, nil) = calibration(&[row(0), row(0), row(0), row(1)]);
        assert!(
            (temperature - 0.1 / 3f32.ln()).abs() < 1e-3,
            "{temperature}"
        );
        assert_eq!(nil, None);
    }

    #[test]
    fn a_share_of_nil_rows_sets_the_nil_logit() {
        let scored = |gold| Scored {
            scores: vec![0.0],
            gold,
        };
        let (_, nil) = calibration(&[scored(Some(0)), scored(None), scored(None), scored(None)]);
        assert!((nil.unwrap() - 3f32.ln()).abs() < 1e-2, "{nil:?}");
    }
}
