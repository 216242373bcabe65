//! Fitting the training-free scorer: non-negative weights of the cues by logistic loss.

use shared_model::evidence::{AllCues, Observed};
use shared_model::scorer::ScorerConfig;

use super::data::TrainingSet;
use super::plan::Settings;
use super::worth;
use shared_model::adam::{Adam, STEPS, softmax};

const CUES: usize = size_of::<AllCues>() / size_of::<f32>();
/// L2 penalty after a fit on one dataset, which keeps the weights of collinear cues finite.
const DECAY_OF_ONE: f64 = 1e-4;
/// L2 penalty after a fit on several datasets. It divides a weight among cues that say the same: on a dataset that was left out,
/// names and words gain what pictures lose (docs/results/default-weights.md).
const DECAY_OF_SEVERAL: f64 = 0.2;

/// The scorer's weights; none in the paper's form, which has no such scorer beside it.
pub(super) fn scorer(sets: &[TrainingSet], settings: &Settings) -> ScorerConfig {
    if settings.paper {
        return ScorerConfig::of_weights(Default::default());
    }
    let mut rows = Vec::new();
    for (set, share) in sets.iter().zip(&settings.shares) {
        let share = share / set.fit_of_scorer().count().max(1) as f64;
        rows.extend(set.fit_of_scorer().filter_map(|example| {
            Some(Row {
                cues: example.cues.iter().map(Observed::values).collect(),
                gold: example.gold?,
                share,
            })
        }));
    }
    let n_used = settings.shares.iter().filter(|share| **share > 0.0).count();
    let decay = if n_used > 1 {
        DECAY_OF_SEVERAL
    } else {
        DECAY_OF_ONE
    };
    let scorer = ScorerConfig::of_weights(weights(&rows, decay));
    ScorerConfig {
        worth: worth::fit(sets, &settings.shares, &scorer),
        ..scorer
    }
}

/// A mention whose gold is among its candidates.
#[derive(Debug)]
pub(crate) struct Row {
    /// Cues of each candidate.
    pub(crate) cues: Vec<AllCues>,
    /// Index of the gold among the candidates.
    pub(crate) gold: usize,
    /// Weight of the mention in the loss.
    pub(crate) share: f64,
}

/// The weights that make the golds most likely, none below 0.
///
/// Each cue is divided by its standard deviation among a mention's candidates before the fit, so that one step size serves all; a cue that never varies gets no weight.
pub(crate) fn weights(rows: &[Row], decay: f64) -> AllCues {
    let deviations = deviations(rows);
    let scale: [f64; CUES] = deviations.map(|d| if d > 1e-9 { 1.0 / d } else { 0.0 });
    let total: f64 = rows.iter().map(|row| row.share).sum();
    let mut weights = [0.5; CUES];
    let mut adam = Adam::default();
    for _ in 0..STEPS {
        let mut gradient = weights.map(|weight| decay * weight);
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

/// Root mean square deviation of each cue from its mean over the candidates of a mention.
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
        let weights = weights(&rows, DECAY_OF_ONE);
        assert!(weights.iter().all(|weight| *weight >= 0.0), "{weights:?}");
        assert_eq!((weights[1], weights[2]), (0.0, 0.0), "{weights:?}");
        let right = rows.iter().filter(|row| {
            let score = |cues: &AllCues| cues.iter().zip(weights).map(|(a, b)| a * b).sum::<f32>();
            (0..4).all(|i| score(&row.cues[i]) <= score(&row.cues[row.gold]))
        });
        assert!(right.count() >= 55);
    }
}
