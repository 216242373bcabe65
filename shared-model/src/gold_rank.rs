//! The rank of the gold among its candidates.

use serde::{Deserialize, Serialize};

/// How ties count, as printed.
pub const TIE_RULE: &str = "expected value over the orders of equal scores";

/// The rank of the gold among its candidates, ties included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoldRank {
    /// Number of candidates with a higher score.
    better: usize,
    /// Number of other candidates with the same score.
    equal: usize,
}

impl GoldRank {
    /// The rank of the candidate at position `gold`.
    ///
    /// # Panics
    ///
    /// If a score is NaN: its gold would be ranked first.
    pub fn of(scores: &[f32], gold: usize) -> Self {
        assert!(scores.iter().all(|score| !score.is_nan()), "{scores:?}");
        let count = |test: fn(&f32, &f32) -> bool| {
            let others = scores.iter();
            others.filter(|other| test(other, &scores[gold])).count()
        };
        Self {
            better: count(f32::gt),
            equal: count(f32::eq) - 1,
        }
    }

    /// The share of the orders of equal scores in which the gold is among the first k.
    pub fn recall_at(self, k: usize) -> f64 {
        let among_first = k.saturating_sub(self.better).min(self.equal + 1);
        among_first as f64 / (self.equal + 1) as f64
    }

    /// The reciprocal rank, as the mean over the orders of equal scores.
    pub fn reciprocal_rank(self) -> f64 {
        let ranks = self.better + 1..=self.better + self.equal + 1;
        ranks.map(|rank| 1.0 / rank as f64).sum::<f64>() / (self.equal + 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_by_expectation() {
        let tied = GoldRank::of(&[2.0, 1.0, 1.0, 1.0], 2);
        assert_eq!(
            tied,
            GoldRank {
                better: 1,
                equal: 2
            }
        );
        assert_eq!(tied.recall_at(1), 0.0);
        assert!((tied.recall_at(3) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(tied.recall_at(10), 1.0);
        assert!((tied.reciprocal_rank() - (0.5 + 1.0 / 3.0 + 0.25) / 3.0).abs() < 1e-12);
        let first = GoldRank::of(&[2.0, 1.0], 0);
        assert_eq!((first.recall_at(1), first.reciprocal_rank()), (1.0, 1.0));
    }

    #[test]
    fn a_score_that_is_not_a_number_is_not_ranked() {
        for scores in [[f32::NAN, 1.0], [1.0, f32::NAN], [f32::NAN; 2]] {
            let rank = std::panic::catch_unwind(|| GoldRank::of(&scores, 0));
            assert!(rank.is_err(), "{rank:?}");
        }
    }
}
