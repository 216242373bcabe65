//! What the network's cosine weighs beside the training-free score, on held-out posts.

use std::collections::BTreeMap;

use shared_model::manifest::Gain;

use crate::gold_rank::GoldRank;
use crate::learn::Metrics;

/// Weights that are tried, in units of what the network was trained with.
const GRID: [f64; 10] = [0.0, 0.06, 0.125, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0];
/// The smallest weight that keeps this share of the best gain is taken: what the training-free scorer knows stays as strong as it can.
const KEPT: f64 = 0.8;
/// How many standard errors a gain must lie above 0 to be proven.
const PROVEN: f64 = 2.0;

/// A held-out post with both scores of its candidates.
pub(super) struct Held {
    pub(super) world: usize,
    /// All candidates are trained on.
    pub(super) is_seen: bool,
    /// The gold's position in its knowledge base.
    pub(super) entity: usize,
    pub(super) gold: usize,
    pub(super) prior: Vec<f32>,
    pub(super) cosines: Vec<f32>,
}

impl Held {
    /// Scores under a weight.
    pub(super) fn scores(&self, weight: f32) -> Vec<f32> {
        let pairs = self.prior.iter().zip(&self.cosines);
        pairs
            .map(|(prior, cosine)| prior + weight * cosine)
            .collect()
    }

    fn rank(&self, weight: f32) -> GoldRank {
        GoldRank::of(&self.scores(weight), self.gold)
    }
}

/// The weights, and what they gain.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Blend {
    /// Where all candidates are trained on.
    pub(super) seen: f32,
    /// Where one is new; 0 where no gain was proven.
    pub(super) new: f32,
    /// Of P@1 under these weights; `None` in the paper's form.
    pub(super) gain: Option<Gain>,
    /// Figures by name, in the order they are printed.
    figures: Metrics,
}

/// One part of the held-out posts under one weight.
struct Tried {
    weight: f32,
    /// Of the mean reciprocal rank, mean over worlds.
    mrr: f64,
    /// Of P@1, mean over worlds.
    p_at_1: f64,
    proven: bool,
}

impl Blend {
    /// The best weights of both parts; `unit` is what the network was trained with.
    pub(super) fn choose(held: &[Held], unit: f64) -> Self {
        let best = |is_seen: bool| {
            let part: Vec<&Held> = held.iter().filter(|held| held.is_seen == is_seen).collect();
            let gains = GRID.map(|factor| tried(&part, (factor * unit) as f32));
            let best = gains.iter().map(|gain| gain.mrr).fold(0.0, f64::max);
            let mut gains = gains.into_iter();
            gains
                .find(|gain| gain.mrr >= KEPT * best)
                .expect("the best is in the grid")
        };
        let (seen, new) = (best(true), best(false));
        let proven = |tried: &Tried| {
            let proven = tried.proven.then_some((tried.weight, tried.p_at_1));
            proven.unwrap_or_default()
        };
        let ((seen_weight, seen_gain), (new_weight, new_gain)) = (proven(&seen), proven(&new));
        Self {
            seen: seen_weight,
            new: new_weight,
            gain: Some(Gain {
                seen: seen_gain,
                new: new_gain,
            }),
            figures: vec![
                ("gain", (seen.mrr + new.mrr) / 2.0),
                ("seen_mrr_gain", seen.mrr),
                ("seen_p@1_gain", seen.p_at_1),
                ("seen_weight", f64::from(seen.weight)),
                ("new_mrr_gain", new.mrr),
                ("new_p@1_gain", new.p_at_1),
                ("new_weight", f64::from(new.weight)),
            ],
        }
    }

    /// The paper's form: the cosine alone.
    pub(super) fn alone(held: &[Held]) -> Self {
        let mean = |is_seen: bool| {
            let part = held.iter().filter(|held| held.is_seen == is_seen);
            let (mut n, mut sum) = (0.0, 0.0);
            for held in part {
                n += 1.0;
                sum += GoldRank::of(&held.cosines, held.gold).reciprocal_rank();
            }
            if n > 0.0 { sum / n } else { 0.0 }
        };
        let (seen, new) = (mean(true), mean(false));
        Self {
            seen: 1.0,
            new: 1.0,
            gain: None,
            figures: vec![
                ("gain", (seen + new) / 2.0),
                ("seen_mrr", seen),
                ("new_mrr", new),
            ],
        }
    }

    pub(super) fn metrics(&self) -> Metrics {
        self.figures.clone()
    }
}

/// What a weight gains over the training-free score.
fn tried(part: &[&Held], weight: f32) -> Tried {
    let mut worlds: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    let mut by_entity: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for held in part {
        let (before, after) = (held.rank(0.0), held.rank(weight));
        let mrr = after.reciprocal_rank() - before.reciprocal_rank();
        let p_at_1 = after.recall_at(1) - before.recall_at(1);
        worlds.entry(held.world).or_default().push((mrr, p_at_1));
        *by_entity.entry((held.world, held.entity)).or_default() += mrr;
    }
    let mean = |of: fn(&(f64, f64)) -> f64| {
        let means = worlds
            .values()
            .map(|gains| gains.iter().map(of).sum::<f64>() / gains.len() as f64);
        means.sum::<f64>() / worlds.len().max(1) as f64
    };
    // Posts of one entity stand or fall together.
    let total: f64 = by_entity.values().sum();
    let error = by_entity.values().map(|sum| sum * sum).sum::<f64>().sqrt();
    Tried {
        weight,
        mrr: mean(|gains| gains.0),
        p_at_1: mean(|gains| gains.1),
        proven: total > PROVEN * error && total > 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(entity: usize, is_seen: bool, cosines: [f32; 2]) -> Held {
        Held {
            world: 0,
            is_seen,
            entity,
            gold: 0,
            prior: vec![0.4, 0.5],
            cosines: cosines.to_vec(),
        }
    }

    #[test]
    fn a_gain_is_kept_where_it_is_proven_and_nowhere_else() {
        let helps = (0..30).map(|entity| held(entity, true, [0.9, 0.1]));
        let hurts = (0..30).map(|entity| {
            let mut held = held(entity, false, [0.1, 0.9]);
            held.prior = vec![0.5, 0.4];
            held
        });
        let blend = Blend::choose(&helps.chain(hurts).collect::<Vec<_>>(), 1.0);
        // Anything above 1/8 turns the order.
        assert_eq!(blend.seen, 0.25, "{blend:?}");
        assert_eq!(blend.new, 0.0, "{blend:?}");
        let once = Blend::choose(&[held(0, true, [0.9, 0.1])], 1.0);
        assert_eq!(once.seen, 0.0, "one entity proves nothing: {once:?}");
    }
}
