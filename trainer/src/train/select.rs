//! Weights of the network's cosine beside the training-free score, chosen on held-out mentions.

use std::collections::BTreeMap;

use shared_model::imn::NetworkTerm;
use shared_model::manifest::Gain;
use shared_model::scorer::ScorerConfig;

use super::calibrate::Scored;
use super::data::{Placed, TrainingSet};
use crate::learn::Metrics;
use crate::outcomes::ListKind;
use shared_model::gold_rank::GoldRank;

/// Weights that are tried, in units of the one that the network was trained with.
const GRID: [f64; 10] = [0.0, 0.06, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0];
/// The smallest weight that keeps this share of the best gain is taken where new candidates occur, so that the training-free scorer
/// stays as strong as it can.
const KEPT: f64 = 0.8;
/// How many standard errors a gain must lie above 0 to be proven.
const PROVEN: f64 = 2.0;

/// A held-out mention with both scores of its candidates.
pub(super) struct Held {
    /// Position of its training set.
    set: usize,
    /// Whether each candidate is known to the network.
    known: Vec<bool>,
    /// Position of the gold in the knowledge base; `None` for NIL.
    entity: Option<usize>,
    /// Index of the gold; `None` for NIL.
    pub(super) gold: Option<usize>,
    /// Training-free score of each candidate.
    prior: Vec<f32>,
    /// Cosine of each candidate.
    pub(super) cosines: Vec<f32>,
}

/// The network's terms in the scores of candidates.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Terms {
    /// Term of a candidate that the network was trained on.
    pub(super) seen: NetworkTerm,
    /// Term of a candidate that is new to it.
    pub(super) new: NetworkTerm,
}

impl Held {
    pub(super) fn new(
        (position, example): Placed,
        set: &TrainingSet,
        scorer: &ScorerConfig,
        cosines: Vec<f32>,
    ) -> Self {
        let cues = example.cues.iter();
        Self {
            set: position,
            known: set.known(example),
            entity: example.entity(),
            gold: example.gold,
            prior: cues.map(|cues| scorer.score(cues)).collect(),
            cosines,
        }
    }

    /// Scores with the network's terms.
    pub(super) fn scored(&self, terms: Terms) -> Scored {
        let candidates = self.prior.iter().zip(&self.cosines).zip(&self.known);
        let score = |((prior, cosine), known): ((&f32, &f32), &bool)| {
            let term = if *known { terms.seen } else { terms.new };
            prior + term.of(*cosine)
        };
        Scored {
            scores: candidates.map(score).collect(),
            gold: self.gold,
            kind: self.kind(),
        }
    }

    fn kind(&self) -> ListKind {
        ListKind::of(self.known.iter().copied()).expect("every example has a candidate")
    }

    /// `None` for a mention of no candidate.
    fn rank(&self, terms: Terms) -> Option<GoldRank> {
        Some(GoldRank::of(&self.scored(terms).scores, self.gold?))
    }
}

/// The terms, and what they gain.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Selection {
    /// Weights are 0 where no gain was proven.
    pub(super) terms: Terms,
    /// Gain of P@1 over the training-free scorer; `None` in the paper's form.
    pub(super) gain: Option<Gain>,
    /// Figures by name, in the order in which they are printed.
    pub(super) figures: Metrics,
}

impl Selection {
    /// As [`Self::choose`], for a system that was trained without the training-free scorer: the unit brings its scores to the spread of that scorer's.
    pub(super) fn choose_beside(held: &[Held]) -> Self {
        let unit = spread(held, |held| &held.prior) / spread(held, |held| &held.cosines);
        Self::choose(held, if unit.is_finite() { unit } else { 0.0 })
    }

    /// Chooses the weight of known candidates by what all lists gain, and keeps it if the gain on lists of those alone is proven;
    /// then that of new candidates on the other lists, where known candidates already have theirs.
    ///
    /// # Arguments
    ///
    /// - unit: the weight that the network was trained with.
    pub(super) fn choose(held: &[Held], unit: f64) -> Self {
        let (known, others): (Vec<&Held>, Vec<&Held>) =
            held.iter().partition(|held| held.kind() == ListKind::Known);
        let [seen, new] = [true, false].map(|known| background(held, known));
        let terms = |seen_weight, new_weight| Terms {
            seen: NetworkTerm {
                weight: seen_weight,
                background: seen,
            },
            new: NetworkTerm {
                weight: new_weight,
                background: new,
            },
        };
        let none = Terms::default();
        let kept = if others.is_empty() { 1.0 } else { KEPT };
        let seen_best = smallest(unit, kept, |weight| {
            let terms = terms(weight, 0.0);
            let gains = Gains::of(&known, none, terms);
            let mrr = (gains.mrr + Gains::of(&others, none, terms).mrr) / 2.0;
            Gains { mrr, ..gains }
        });
        let seen_weight = seen_best.proven_weight();
        let new_best = smallest(unit, KEPT, |weight| {
            Gains::of(&others, terms(seen_weight, 0.0), terms(seen_weight, weight))
        });
        // Early stopping watches a gain before it is large enough to be proven.
        let watched = terms(seen_best.weight, new_best.weight);
        let (known_gain, others_gain) = (
            Gains::of(&known, none, watched),
            Gains::of(&others, none, watched),
        );
        let terms = terms(seen_weight, new_best.proven_weight());
        Self {
            terms,
            gain: Some(Gain {
                seen: Gains::of(&known, none, terms).p_at_1,
                new: Gains::of(&others, none, terms).p_at_1,
            }),
            figures: vec![
                (
                    "gain",
                    mean_of_kinds(
                        (!known.is_empty()).then_some(known_gain.mrr),
                        (!others.is_empty()).then_some(others_gain.mrr),
                    ),
                ),
                ("mrr", mean_reciprocal_rank(held, watched)),
                ("seen_mrr_gain", known_gain.mrr),
                ("seen_p@1_gain", known_gain.p_at_1),
                ("seen_weight", f64::from(seen_best.weight)),
                ("new_mrr_gain", others_gain.mrr),
                ("new_p@1_gain", others_gain.p_at_1),
                ("new_weight", f64::from(new_best.weight)),
            ],
        }
    }

    /// The network alone, as in the paper's form: what it gains is its mean reciprocal rank.
    pub(super) fn alone(held: &[Held]) -> Self {
        let mean = |are_known: bool| {
            let part = held
                .iter()
                .filter(|held| (held.kind() == ListKind::Known) == are_known);
            let (mut n, mut sum) = (0.0, 0.0);
            for (held, gold) in part.filter_map(|held| Some((held, held.gold?))) {
                n += 1.0;
                sum += GoldRank::of(&held.cosines, gold).reciprocal_rank();
            }
            (n > 0.0).then_some(sum / n)
        };
        let (seen, new) = (mean(true), mean(false));
        let alone = NetworkTerm {
            weight: 1.0,
            background: 0.0,
        };
        Self {
            terms: Terms {
                seen: alone,
                new: alone,
            },
            gain: None,
            figures: vec![
                ("gain", mean_of_kinds(seen, new)),
                ("mrr", mean_of_kinds(seen, new)),
                ("seen_mrr", seen.unwrap_or(0.0)),
                ("new_mrr", new.unwrap_or(0.0)),
            ],
        }
    }
}

/// The mean over lists of known candidates and over the others, each counted alike; 0 without any.
fn mean_of_kinds(known: Option<f64>, others: Option<f64>) -> f64 {
    match (known, others) {
        (Some(known), Some(others)) => (known + others) / 2.0,
        (known, others) => known.or(others).unwrap_or(0.0),
    }
}

/// Mean reciprocal rank of the golds on lists of known candidates and on the others, each counted alike.
fn mean_reciprocal_rank(held: &[Held], terms: Terms) -> f64 {
    let of = |kind_is_known: bool| {
        let part = held
            .iter()
            .filter(|held| (held.kind() == ListKind::Known) == kind_is_known);
        let ranks: Vec<f64> = part
            .filter_map(|held| Some(held.rank(terms)?.reciprocal_rank()))
            .collect();
        (!ranks.is_empty()).then(|| ranks.iter().sum::<f64>() / ranks.len() as f64)
    };
    mean_of_kinds(of(true), of(false))
}

/// Standard deviation of the scores within a list, averaged over the lists.
fn spread(held: &[Held], scores: fn(&Held) -> &Vec<f32>) -> f64 {
    let deviations = held.iter().map(|held| {
        let scores = scores(held).iter().map(|score| f64::from(*score));
        let n = scores.len().max(1) as f64;
        let mean = scores.clone().sum::<f64>() / n;
        (scores.map(|score| (score - mean).powi(2)).sum::<f64>() / n).sqrt()
    });
    deviations.sum::<f64>() / held.len().max(1) as f64
}

/// Mean cosine between held-out mentions and the candidates of one kind that they do not mean; 0 without any.
fn background(held: &[Held], known: bool) -> f32 {
    let (mut sum, mut n) = (0.0, 0.0);
    for held in held {
        for (i, cosine) in held.cosines.iter().enumerate() {
            if Some(i) != held.gold && held.known[i] == known {
                sum += f64::from(*cosine);
                n += 1.0;
            }
        }
    }
    if n > 0.0 { (sum / n) as f32 } else { 0.0 }
}

/// A weight of the grid.
struct Tried {
    weight: f32,
    gains: Gains,
}

impl Tried {
    fn proven_weight(&self) -> f32 {
        if self.gains.proven { self.weight } else { 0.0 }
    }
}

/// The smallest weight that keeps a share of the best gain.
fn smallest(unit: f64, kept: f64, gains: impl Fn(f32) -> Gains) -> Tried {
    let tried = GRID.map(|factor| {
        let weight = (factor * unit) as f32;
        Tried {
            weight,
            gains: gains(weight),
        }
    });
    let best = tried
        .iter()
        .map(|tried| tried.gains.mrr)
        .fold(0.0, f64::max);
    let mut tried = tried.into_iter();
    tried
        .find(|tried| tried.gains.mrr >= kept * best)
        .expect("the best is in the grid")
}

/// Gains of some terms over others.
struct Gains {
    /// Gain of the mean reciprocal rank, averaged over the training sets.
    mrr: f64,
    /// Gain of P@1, averaged over the training sets.
    p_at_1: f64,
    /// Whether the gain of the mean reciprocal rank is proven.
    proven: bool,
}

impl Gains {
    fn of(held: &[&Held], before: Terms, after: Terms) -> Self {
        let mut sets: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
        let mut by_entity: BTreeMap<_, f64> = BTreeMap::new();
        for held in held {
            let (Some(before), Some(after)) = (held.rank(before), held.rank(after)) else {
                continue;
            };
            let mrr = after.reciprocal_rank() - before.reciprocal_rank();
            let p_at_1 = after.recall_at(1) - before.recall_at(1);
            sets.entry(held.set).or_default().push((mrr, p_at_1));
            *by_entity.entry((held.set, held.entity)).or_default() += mrr;
        }
        let mean = |of: fn(&(f64, f64)) -> f64| {
            let means = sets
                .values()
                .map(|gains| gains.iter().map(of).sum::<f64>() / gains.len() as f64);
            means.sum::<f64>() / sets.len().max(1) as f64
        };
        // Mentions of one entity are not independent.
        let total: f64 = by_entity.values().sum();
        let error = by_entity.values().map(|sum| sum * sum).sum::<f64>().sqrt();
        Self {
            mrr: mean(|gains| gains.0),
            p_at_1: mean(|gains| gains.1),
            proven: total > PROVEN * error && total > 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(entity: usize, known: [bool; 2], cosines: [f32; 2]) -> Held {
        Held {
            set: 0,
            known: known.to_vec(),
            entity: Some(entity),
            gold: Some(0),
            prior: vec![0.4, 0.5],
            cosines: cosines.to_vec(),
        }
    }

    const KNOWN: [bool; 2] = [true, true];
    const NEW: [bool; 2] = [false, false];

    #[test]
    fn a_gain_is_kept_where_it_is_proven_and_nowhere_else() {
        let helps = (0..30).map(|entity| held(entity, KNOWN, [0.9, 0.1]));
        let hurts = (0..30).map(|entity| {
            let mut held = held(entity, NEW, [0.1, 0.9]);
            held.prior = vec![0.5, 0.4];
            held
        });
        let selection = Selection::choose(&helps.chain(hurts).collect::<Vec<_>>(), 1.0);
        // Anything above 1/8 turns the order.
        assert_eq!(selection.terms.seen.weight, 0.25, "{selection:?}");
        assert_eq!(selection.terms.new.weight, 0.0, "{selection:?}");
        let once = Selection::choose(&[held(0, KNOWN, [0.9, 0.1])], 1.0);
        let weight = once.terms.seen.weight;
        assert_eq!(weight, 0.0, "one entity proves nothing: {once:?}");
    }

    #[test]
    fn a_weight_that_costs_other_lists_more_than_it_gains_is_not_taken() {
        // On mixed lists the gold is new, and the known negative has a cosine far above the background.
        let known = (0..30).map(|entity| held(entity, KNOWN, [0.9, 0.1]));
        for (n_mixed, is_taken) in [(0, true), (30, false), (60, false)] {
            let mixed = (30..30 + n_mixed).map(|entity| Held {
                prior: vec![0.51, 0.5],
                ..held(entity, [false, true], [0.0, 0.9])
            });
            let rows: Vec<Held> = known.clone().chain(mixed).collect();
            let weight = Selection::choose(&rows, 1.0).terms.seen.weight;
            assert_eq!(weight > 0.0, is_taken, "{n_mixed} mixed lists: {weight}");
        }
    }

    #[test]
    fn the_background_is_the_mean_over_negatives_of_the_kind() {
        let rows = [
            held(0, [true, true], [0.9, 0.1]),
            held(1, [true, true], [0.8, 0.3]),
            held(2, [true, false], [0.7, 0.5]),
            held(3, [false, true], [0.6, 0.2]),
        ];
        assert!((background(&rows, true) - 0.2).abs() < 1e-6);
        assert!((background(&rows, false) - 0.5).abs() < 1e-6);
        assert_eq!(background(&rows[..2], false), 0.0);
        // NIL has no gold: all candidates are negatives.
        let nil = Held {
            gold: None,
            ..held(4, [true, true], [0.5, 0.1])
        };
        assert!((background(&[nil], true) - 0.3).abs() < 1e-6);
    }

    #[test]
    fn a_candidates_score_depends_on_no_other() {
        let term = |weight, background| NetworkTerm { weight, background };
        let terms = Terms {
            seen: term(0.5, 0.2),
            new: term(0.25, 0.1),
        };
        let scores = |known: [bool; 2]| held(0, known, [0.6, 0.3]).scored(terms).scores;
        let [known, mixed, turned, new] = [KNOWN, [true, false], [false, true], NEW].map(scores);
        assert_eq!((known[0], known[1]), (mixed[0], turned[1]));
        assert_eq!((new[0], new[1]), (turned[0], mixed[1]));
        assert!((known[0] - (0.4 + 0.5 * 0.4)).abs() < 1e-6, "{known:?}");
        assert!((new[1] - (0.5 + 0.25 * 0.2)).abs() < 1e-6, "{new:?}");
    }

    #[test]
    fn new_candidates_are_weighted_beside_known_ones_that_have_their_weight() {
        // On known lists the network helps. On mixed ones the gold is new: without a weight of its own it loses to a known candidate.
        let known = (0..30).map(|entity| held(entity, KNOWN, [0.9, 0.1]));
        let mixed = (30..60).map(|entity| held(entity, [false, true], [0.9, 0.1]));
        let rows: Vec<Held> = known.chain(mixed).collect();
        let selection = Selection::choose(&rows, 1.0);
        assert!(selection.terms.seen.weight > 0.0, "{selection:?}");
        assert!(selection.terms.new.weight > 0.0, "{selection:?}");
        let mut ranks = rows.iter().filter_map(|held| held.rank(selection.terms));
        assert!(ranks.all(|rank| rank.recall_at(1) == 1.0));
    }
}
