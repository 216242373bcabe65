//! Where a gold stands among its candidates, ties included.

/// How ties count, as printed.
pub(crate) const TIE_RULE: &str = "expected value over the orders of equal scores";

/// Candidates with a higher and with the same score as the gold; `None` if the gold is no candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(Option<(usize, usize)>);

impl Place {
    /// Of the candidate at `gold`.
    ///
    /// # Panics
    ///
    /// If a score is NaN: it would rank its gold first.
    pub(crate) fn of(scores: &[f32], gold: Option<usize>) -> Self {
        assert!(scores.iter().all(|score| !score.is_nan()), "{scores:?}");
        Self(gold.map(|gold| {
            let count = |test: fn(&f32, &f32) -> bool| {
                let others = scores.iter();
                others.filter(|other| test(other, &scores[gold])).count()
            };
            (count(f32::gt), count(f32::eq) - 1)
        }))
    }

    /// The share of orders of equal scores in which the gold is among the first k.
    pub(crate) fn recall_at(self, k: usize) -> f64 {
        self.0.map_or(0.0, |(better, equal)| {
            k.saturating_sub(better).min(equal + 1) as f64 / (equal + 1) as f64
        })
    }

    /// The mean over the orders of equal scores.
    pub(crate) fn reciprocal_rank(self) -> f64 {
        self.0.map_or(0.0, |(better, equal)| {
            let ranks = better + 1..=better + equal + 1;
            ranks.map(|rank| 1.0 / rank as f64).sum::<f64>() / (equal + 1) as f64
        })
    }

    /// 1 if the gold is a candidate.
    pub(crate) fn recall(self) -> f64 {
        f64::from(u8::from(self.0.is_some()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_by_expectation_and_a_missing_gold_is_a_miss() {
        let tied = Place::of(&[2.0, 1.0, 1.0, 1.0], Some(2));
        assert_eq!(tied, Place(Some((1, 2))));
        assert_eq!(tied.recall_at(1), 0.0);
        assert!((tied.recall_at(3) - 2.0 / 3.0).abs() < 1e-12);
        assert_eq!(tied.recall_at(10), 1.0);
        assert!((tied.reciprocal_rank() - (0.5 + 1.0 / 3.0 + 0.25) / 3.0).abs() < 1e-12);

        let missed = Place::of(&[2.0], None);
        assert_eq!(
            (
                missed.recall_at(10),
                missed.reciprocal_rank(),
                missed.recall()
            ),
            (0.0, 0.0, 0.0)
        );
        let first = Place::of(&[2.0, 1.0], Some(0));
        assert_eq!(
            (first.recall_at(1), first.reciprocal_rank(), first.recall()),
            (1.0, 1.0, 1.0)
        );
    }

    #[test]
    fn a_score_that_is_no_number_is_no_rank() {
        let place = std::panic::catch_unwind(|| Place::of(&[f32::NAN, 1.0], Some(0)));
        assert!(place.is_err(), "{place:?}");
    }
}
