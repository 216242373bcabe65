//! Bootstrap intervals and comparisons, and Holm's correction. Clusters are resampled: all mentions of an entity together.

use std::collections::HashMap;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

/// Number of resamples for an interval.
const RESAMPLES: usize = 1_000;
/// Number of resamples for a comparison, whose p-value cannot fall below 2 / (this + 1).
const PAIRED_RESAMPLES: usize = 10_000;
const SEED: u64 = 0;

/// The mean of values; NaN without any.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The sample standard deviation; `None` for fewer than two values.
pub(crate) fn deviation(values: &[f64]) -> Option<f64> {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The cluster of each value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clusters {
    of: Vec<usize>,
    n: usize,
}

/// The difference of two systems on the same mentions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Comparison {
    /// Mean of the first system less mean of the second.
    pub(crate) difference: f64,
    /// 95 % interval of the difference.
    pub(crate) interval: [f64; 2],
    /// Two-sided p-value of the hypothesis that the difference is 0.
    pub(crate) p: f64,
}

impl Clusters {
    /// Clusters of values by name, numbered in the order of their first value.
    pub(crate) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut numbers: HashMap<&str, usize> = HashMap::new();
        let of = names.into_iter().map(|name| {
            let next = numbers.len();
            *numbers.entry(name).or_insert(next)
        });
        Self {
            of: of.collect(),
            n: numbers.len(),
        }
    }

    /// Number of clusters.
    pub(crate) fn len(&self) -> usize {
        self.n
    }

    /// Means of the values in resamples, whose clusters are drawn with replacement, ascending.
    fn resampled(&self, values: &[f64], resamples: usize) -> Vec<f64> {
        assert_eq!(values.len(), self.of.len(), "a cluster for each value");
        let mut sums = vec![(0.0, 0.0); self.n];
        for (value, &cluster) in values.iter().zip(&self.of) {
            sums[cluster].0 += value;
            sums[cluster].1 += 1.0;
        }
        let mut random = StdRng::seed_from_u64(SEED);
        let mut means: Vec<f64> = (0..resamples)
            .map(|_| {
                let (mut sum, mut n) = (0.0, 0.0);
                for _ in 0..self.n {
                    let (more, members) = sums[random.random_range(0..self.n)];
                    sum += more;
                    n += members;
                }
                sum / n
            })
            .collect();
        means.sort_by(f64::total_cmp);
        means
    }
}

/// The 95 % interval of the mean; `None` without values.
pub(crate) fn interval(values: &[f64], clusters: &Clusters) -> Option<[f64; 2]> {
    (!values.is_empty()).then(|| middle(&clusters.resampled(values, RESAMPLES)))
}

/// Compares the values of two systems, mention by mention.
///
/// # Panics
///
/// Without values, or if their number is not that of the clusters' values.
pub(crate) fn paired(a: &[f64], b: &[f64], clusters: &Clusters) -> Comparison {
    assert_eq!(a.len(), b.len(), "the same mentions");
    assert!(!a.is_empty(), "no mention");
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
    let means = clusters.resampled(&differences, PAIRED_RESAMPLES);
    // The interval holds 0 where p is above 0.05: both look at the same tails.
    let tail = |beyond: usize| (beyond + 1) as f64 / (means.len() + 1) as f64;
    let below = means.iter().filter(|&&mean| mean <= 0.0).count();
    let above = means.iter().filter(|&&mean| mean >= 0.0).count();
    Comparison {
        difference: differences.iter().sum::<f64>() / differences.len() as f64,
        interval: middle(&means),
        p: (2.0 * tail(below.min(above))).min(1.0),
    }
}

/// Holm's step-down correction of the p-values of several comparisons.
pub(crate) fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&a, &b| p_values[a].total_cmp(&p_values[b]));
    let mut corrected = vec![0.0; p_values.len()];
    let mut highest = 0.0f64;
    for (rank, &i) in order.iter().enumerate() {
        let left = (p_values.len() - rank) as f64;
        highest = highest.max((left * p_values[i]).min(1.0));
        corrected[i] = highest;
    }
    corrected
}

/// The 2.5th and 97.5th percentile of ascending values, interpolated.
fn middle(ascending: &[f64]) -> [f64; 2] {
    [0.025, 0.975].map(|share| {
        let at = share * (ascending.len() - 1) as f64;
        let (below, above) = (at.floor() as usize, at.ceil() as usize);
        ascending[below] + (ascending[above] - ascending[below]) * at.fract()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: f64, wanted: f64, within: f64) {
        assert!(
            (got - wanted).abs() <= within,
            "{got} instead of {wanted}, {within} is allowed"
        );
    }

    /// 300 mentions of 60 entities of 1, 3, 5, 7 or 9 mentions. Two systems that are right more often on some entities than on others.
    fn mentions() -> (Vec<f64>, Vec<f64>, Clusters) {
        let (mut a, mut b, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for entity in 0..60_usize {
            for mention in 0..1 + 2 * (entity % 5) {
                a.push(f64::from(u8::from((entity * 7 + mention) % 10 < 7)));
                b.push(f64::from(u8::from(
                    (entity * entity + mention * 3) % 11 < 7,
                )));
                names.push(entity.to_string());
            }
        }
        let clusters = Clusters::of(names.iter().map(String::as_str));
        (a, b, clusters)
    }

    #[test]
    fn percentiles_are_interpolated() {
        let ascending: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(middle(&ascending), [2.5, 97.5]);
        assert_eq!(middle(&[4.0]), [4.0, 4.0]);
    }

    /// A resample of two clusters has each of them twice with probability 1/4: the interval spans their means.
    #[test]
    fn mentions_of_one_entity_are_drawn_together() {
        let values = [1.0, 1.0, 1.0, 0.0];
        let clusters = Clusters::of(["a", "a", "a", "b"]);
        assert_eq!(interval(&values, &clusters), Some([0.0, 1.0]));
        let one = Clusters::of(["a", "a", "a", "a"]);
        assert_eq!(interval(&values, &one), Some([0.75, 0.75]));
        assert_eq!(interval(&[], &Clusters::of([])), None);

        // Resampled means are 1, 3/4 and 0, with probabilities 1/4, 1/2 and 1/4.
        let means = clusters.resampled(&values, 10_000);
        let share = |mean: f64| means.iter().filter(|&&m| m == mean).count() as f64 / 1e4;
        check(share(0.0), 0.25, 0.02);
        check(share(0.75), 0.5, 0.02);
        check(share(1.0), 0.25, 0.02);
    }

    /// Percentiles of 200,000 resamples: for the pairs `sorted(sum(d[i] for i in c) / sum(n[i] for i in c) for c in (random.choices(entities, k=60) for _ in range(200_000)))`, where `d` and `n` are an entity's sum and count, in Python with seed 1.
    #[test]
    fn intervals_and_p_values_are_those_of_the_reference() {
        let (a, b, clusters) = mentions();
        let [low, high] = middle(&clusters.resampled(&a, 100_000));
        check(low, 0.6507, 0.001);
        check(high, 0.7453, 0.001);
        let [low, high] = interval(&a, &clusters).unwrap();
        check(low, 0.6507, 0.01);
        check(high, 0.7453, 0.01);
        let comparison = paired(&a, &b, &clusters);
        check(comparison.difference, 0.0567, 1e-4);
        check(comparison.interval[0], 0.0, 0.004);
        check(comparison.interval[1], 0.1091, 0.004);
        check(comparison.p, 0.0556, 0.01);
    }

    #[test]
    fn equal_systems_do_not_differ_and_a_sure_one_does() {
        let (a, _, clusters) = mentions();
        let same = paired(&a, &a, &clusters);
        assert_eq!(
            (same.difference, same.interval, same.p),
            (0.0, [0.0, 0.0], 1.0)
        );
        let worse: Vec<f64> = a.iter().map(|value| value - 0.5).collect();
        check(paired(&a, &worse, &clusters).p, 2.0 / 10_001.0, 1e-12);
        let turned = paired(&worse, &a, &clusters);
        assert_eq!(turned.interval, [-0.5, -0.5]);
    }

    /// By hand: 4 x 0.01; 3 x 0.02 raised to no less; 2 x 0.03 = 0.06; 0.06 is raised to that.
    #[test]
    fn holm_multiplies_by_how_many_are_left_and_never_falls() {
        for (got, wanted) in holm(&[0.03, 0.01, 0.04, 0.02])
            .into_iter()
            .zip([0.06, 0.04, 0.06, 0.06])
        {
            check(got, wanted, 1e-12);
        }
        assert_eq!(holm(&[0.7, 0.6]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
