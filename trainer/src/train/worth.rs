//! Fitting what a score is worth by the kind of evidence, so that a list with little of it gets flat probabilities.

use std::collections::{BTreeMap, HashSet};

use shared_model::evidence::{Evidence, Sides};
use shared_model::scorer::{ScorerConfig, Worth};

use super::data::TrainingSet;
use shared_model::adam::{Adam, STEPS, softmax};

const KINDS: usize = Evidence::ALL.len();
/// Per kind the logarithm of the factor and the offset, then the NIL logit at the initial factors.
const PARAMETERS: usize = 2 * KINDS + 1;
/// Mentions per dataset, at most.
const MAX_MENTIONS: usize = 1000;
/// Pulls what no list tells apart towards the common value.
const DECAY: f64 = 1e-3;

/// A list of candidates, all or some of them with less evidence than there is.
struct Row {
    /// Kind of evidence and weighted mean of the cues, by candidate.
    candidates: Vec<(Evidence, f64)>,
    /// Index of the gold; `None` for NIL.
    gold: Option<usize>,
    weight: f64,
}

/// Fits the lines of all kinds of evidence on the mentions that the weights are fitted on.
///
/// Each mention is ranked with all its evidence, with less of it, down to the names alone, and with candidates that have texts alone beside others that have all.
/// Each kind of list has the same weight. The most frequent kind in the data as they are keeps scale 1 and offset 0.
///
/// # Arguments
///
/// - shares: weight of each training set.
pub(super) fn fit(sets: &[TrainingSet], shares: &[f64], scorer: &ScorerConfig) -> [Worth; KINDS] {
    let (rows, natural) = rows(sets, shares, scorer);
    let Some(reference) = natural else {
        return Default::default();
    };
    let parameters = likeliest(&rows);
    let mut worth = [None; KINDS];
    let (scale, offset) = (parameters[reference].exp(), parameters[KINDS + reference]);
    for (kind, worth) in worth.iter_mut().enumerate() {
        let is_made = |row: &Row| {
            row.candidates
                .iter()
                .any(|(found, _)| *found as usize == kind)
        };
        if rows.iter().any(is_made) {
            *worth = Some(Worth {
                scale: (parameters[kind].exp() / scale) as f32,
                offset: ((parameters[KINDS + kind] - offset) / scale) as f32,
            });
        }
    }
    filled(worth)
}

/// The lines of all kinds: one that could not be fitted is that of the same candidates without the modality that the data lack.
fn filled(fitted: [Option<Worth>; KINDS]) -> [Worth; KINDS] {
    use Evidence::{Both, ImageText, Nothing, Pictures, TextImage, Texts};
    let line = |kinds: &[Evidence]| {
        let mut kinds = kinds.iter();
        kinds
            .find_map(|kind| fitted[*kind as usize])
            .unwrap_or_default()
    };
    [
        line(&[Both, Texts, Pictures]),
        line(&[Texts, Nothing]),
        line(&[Pictures, Nothing]),
        line(&[ImageText, Nothing]),
        line(&[TextImage, Nothing]),
        line(&[Nothing]),
    ]
}

/// Candidates with texts alone beside others that have all.
const MIXED: [[Sides; 2]; 2] = [VARIANTS[0], VARIANTS[2]];
/// What posts and candidates are left with.
const VARIANTS: [[Sides; 2]; 9] = {
    const fn sides(text: bool, image: bool) -> Sides {
        Sides { text, image }
    }
    let (both, text, image) = (sides(true, true), sides(true, false), sides(false, true));
    [
        [both, both],
        [text, both],
        [both, text],
        [text, text],
        [image, both],
        [both, image],
        [image, text],
        [text, image],
        [sides(false, false), both],
    ]
};

/// The lists of all training sets, and the most frequent kind of evidence of golds; `None` without golds.
fn rows(sets: &[TrainingSet], shares: &[f64], scorer: &ScorerConfig) -> (Vec<Row>, Option<usize>) {
    let mut rows = Vec::new();
    let mut natural = [0.0; KINDS];
    for (set, share) in sets.iter().zip(shares) {
        let nil = set.nil_of_scorer();
        let n = set.fit_of_scorer().count() + nil.clone().count();
        let step = n.div_ceil(MAX_MENTIONS).max(1);
        // By the kind of evidence of the gold; a NIL mention counts under that of its first candidate.
        let mut of_set: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
        for (position, example) in set.fit_of_scorer().chain(nil).step_by(step).enumerate() {
            let Some(first) = example.cues.get(example.gold.unwrap_or(0)) else {
                continue;
            };
            if example.gold.is_some() {
                natural[first.evidence() as usize] += share / n as f64;
            }
            let variants = VARIANTS.map(|sides| [sides; 2]).into_iter().chain([MIXED]);
            let mut made = HashSet::new();
            for variants in variants {
                let cues = example.cues.iter().enumerate();
                let cues = cues.map(|(i, cues)| {
                    let [post, candidate] = variants[(position + i) % 2];
                    cues.restricted(post, candidate)
                });
                let candidates: Vec<(Evidence, f64)> = cues
                    .map(|cues| (cues.evidence(), f64::from(scorer.weighted(&cues.values()))))
                    .collect();
                // Without pictures, for instance, many variants are the same list.
                let key = candidates
                    .iter()
                    .map(|(kind, score)| (*kind, score.to_bits()));
                if made.insert(key.collect::<Vec<_>>()) {
                    let kind = candidates[example.gold.unwrap_or(0)].0;
                    of_set.entry(kind as usize).or_default().push(Row {
                        candidates,
                        gold: example.gold,
                        weight: 0.0,
                    });
                }
            }
        }
        for mut of_kind in of_set.into_values() {
            let weight = share / of_kind.len() as f64;
            of_kind.iter_mut().for_each(|row| row.weight = weight);
            rows.extend(of_kind);
        }
    }
    let most = (0..KINDS).max_by(|&a, &b| natural[a].total_cmp(&natural[b]));
    (rows, most.filter(|&kind| natural[kind] > 0.0))
}

/// The parameters of the greatest likelihood.
fn likeliest(rows: &[Row]) -> [f64; PARAMETERS] {
    let with_nil = rows.iter().any(|row| row.gold.is_none());
    let total: f64 = rows.iter().map(|row| row.weight).sum();
    let mut values = [0.0; PARAMETERS];
    let start = 20f64.ln();
    values[..KINDS].fill(start);
    let mut adam = Adam::default();
    for _ in 0..STEPS {
        let mean = values[..KINDS].iter().sum::<f64>() / KINDS as f64;
        // The logit grows with the factors: at fixed ones it would be too far to be reached.
        let growth = (mean - start).exp();
        let nil = values[2 * KINDS] * growth;
        let mut gradient = [0.0; PARAMETERS];
        for kind in 0..KINDS {
            gradient[kind] = DECAY * (values[kind] - mean);
            gradient[KINDS + kind] = DECAY * values[KINDS + kind];
        }
        for row in rows {
            let logit = |(kind, score): &(Evidence, f64)| {
                let kind = *kind as usize;
                values[kind].exp() * score + values[KINDS + kind]
            };
            let mut logits: Vec<f64> = row.candidates.iter().map(logit).collect();
            logits.extend(with_nil.then_some(nil));
            let mut errors = softmax(&logits);
            errors[row.gold.unwrap_or(row.candidates.len())] -= 1.0;
            let share = row.weight / total;
            for ((kind, score), error) in row.candidates.iter().zip(&errors) {
                let kind = *kind as usize;
                gradient[kind] += share * error * score * values[kind].exp();
                gradient[KINDS + kind] += share * error;
            }
            if with_nil {
                let error = share * errors[row.candidates.len()];
                gradient[2 * KINDS] += error * growth;
                for of_kind in &mut gradient[..KINDS] {
                    *of_kind += error * nil / KINDS as f64;
                }
            }
        }
        adam.step(&mut values, &gradient);
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_whose_scores_say_nothing_is_flattened() {
        // Texts tell the gold of two, pictures tell nothing: their scores agree with the gold half of the time.
        let row = |kind, scores: [f64; 2], gold| Row {
            candidates: scores.map(|score| (kind, score)).to_vec(),
            gold: Some(gold),
            weight: 1.0,
        };
        let mut rows = Vec::new();
        for i in 0..20 {
            rows.push(row(Evidence::Texts, [0.3, 0.1], usize::from(i == 0)));
            rows.push(row(Evidence::Pictures, [0.3, 0.1], i % 2));
        }
        let parameters = likeliest(&rows);
        let difference = |kind: Evidence| 0.2 * parameters[kind as usize].exp();
        assert!(
            (difference(Evidence::Texts) - 19f64.ln()).abs() < 0.3,
            "{parameters:?}"
        );
        assert!(difference(Evidence::Pictures) < 0.3, "{parameters:?}");
    }

    #[test]
    fn a_candidate_with_less_evidence_is_compared_on_its_own_line() {
        // Candidates with texts alone score 0.1 where those with both score 0.3, and are the gold as often.
        let row = |gold| Row {
            candidates: vec![(Evidence::Both, 0.3), (Evidence::Texts, 0.1)],
            gold: Some(gold),
            weight: 1.0,
        };
        let parameters = likeliest(&(0..20).map(|i| row(i % 2)).collect::<Vec<_>>());
        let logit = |kind: Evidence, score: f64| {
            parameters[kind as usize].exp() * score + parameters[KINDS + kind as usize]
        };
        let gap = logit(Evidence::Both, 0.3) - logit(Evidence::Texts, 0.1);
        assert!(gap.abs() < 0.05, "{gap} {parameters:?}");
    }
}
