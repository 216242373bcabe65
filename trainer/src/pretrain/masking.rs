//! Masking of tokens and patches.

use std::ops::Range;

use rand::{Rng, RngExt as _};

/// Probabilities of masking a token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shares {
    /// Probability for a token of the mention.
    pub(crate) mention: f64,
    /// Probability for any other token.
    pub(crate) other: f64,
}

impl Shares {
    /// The paper's: the mention is to be predicted from its context.
    pub(crate) const MENTION: Self = Self {
        mention: 0.85,
        other: 0.15,
    };
    /// BERT's, for the ablation.
    pub(crate) const PLAIN: Self = Self {
        mention: 0.15,
        other: 0.15,
    };
}

/// Word pieces that replace a masked one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// Id of `[MASK]`.
    pub(crate) mask: u32,
    /// Size of the vocabulary.
    pub(crate) n: u32,
}

/// A masked text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Masked {
    /// Word pieces, some of them replaced.
    pub(crate) ids: Vec<u32>,
    /// Positions that are to be predicted.
    pub(crate) asked: Vec<usize>,
    /// Whether a mention token is masked: the mention's word vector would give it away.
    pub(crate) hides_mention: bool,
}

/// Masks tokens between `[CLS]` and `[SEP]`: of ten, eight become `[MASK]`, one another piece, one stays.
pub(crate) fn mask(
    ids: &[u32],
    mention: Option<&Range<usize>>,
    shares: Shares,
    pieces: Pieces,
    rng: &mut impl Rng,
) -> Masked {
    let mut masked = Masked {
        ids: ids.to_vec(),
        asked: Vec::new(),
        hides_mention: false,
    };
    for position in 1..ids.len().saturating_sub(1) {
        let in_mention = mention.is_some_and(|mention| mention.contains(&position));
        let share = if in_mention {
            shares.mention
        } else {
            shares.other
        };
        if !rng.random_bool(share) {
            continue;
        }
        masked.asked.push(position);
        masked.hides_mention |= in_mention;
        match rng.random_range(0..10) {
            0 => masked.ids[position] = rng.random_range(0..pieces.n),
            1 => {}
            _ => masked.ids[position] = pieces.mask,
        }
    }
    masked
}

/// As many patches as 5 of FashionBERT's 64, at least one.
pub(crate) fn patches(n: usize, rng: &mut impl Rng) -> Vec<usize> {
    let hidden = (n * 5 + 32) / 64;
    let mut chosen = rand::seq::index::sample(rng, n, hidden.max(1)).into_vec();
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::rng;

    const PIECES: Pieces = Pieces { mask: 7, n: 1000 };

    /// Shares of the mention's and the others' tokens that are asked for, and of the asked ones that are masked, replaced and kept.
    fn shares(shares: Shares) -> [f64; 5] {
        let ids: Vec<u32> = (100..164).collect();
        let mention = 10..14;
        let [mut in_mention, mut others] = [0, 0];
        let [mut masked, mut replaced, mut kept] = [0, 0, 0];
        let rounds = 2000;
        for round in 0..rounds {
            let mut rng = rng(1, "masking", round);
            let result = mask(&ids, Some(&mention), shares, PIECES, &mut rng);
            for &position in &result.asked {
                assert!(position > 0 && position < 63, "[CLS] and [SEP] stay");
                match result.ids[position] {
                    7 => masked += 1,
                    id if id == ids[position] => kept += 1,
                    _ => replaced += 1,
                }
            }
            let inside = result
                .asked
                .iter()
                .filter(|at| mention.contains(at))
                .count();
            assert_eq!(result.hides_mention, inside > 0);
            in_mention += inside;
            others += result.asked.len() - inside;
        }
        let all = f64::from(masked + replaced + kept);
        [
            in_mention as f64 / (4 * rounds) as f64,
            others as f64 / (58 * rounds) as f64,
            f64::from(masked) / all,
            f64::from(replaced) / all,
            f64::from(kept) / all,
        ]
    }

    #[track_caller]
    fn check(got: [f64; 5], want: [f64; 5]) {
        for (got, want) in got.into_iter().zip(want) {
            assert!((got - want).abs() < 0.015, "{got} instead of {want}");
        }
    }

    #[test]
    fn the_mention_is_asked_for_more_often() {
        check(shares(Shares::MENTION), [0.85, 0.15, 0.8, 0.1, 0.1]);
    }

    #[test]
    fn a_plain_run_masks_as_bert_does() {
        check(shares(Shares::PLAIN), [0.15, 0.15, 0.8, 0.1, 0.1]);
    }

    #[test]
    fn five_of_64_patches_are_hidden() {
        let mut rng = rng(1, "patches", 0);
        let count = |n, rng: &mut _| patches(n, rng).len();
        assert_eq!([64, 49, 100, 1].map(|n| count(n, &mut rng)), [5, 4, 8, 1]);
    }
}
