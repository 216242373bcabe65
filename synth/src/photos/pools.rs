//! Photographs and sentences of a class, shared out between its timeline and the parts.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

/// The photographs or the sentences of a class by the posts that have them.
#[derive(Debug)]
pub(super) struct Pools<T> {
    pub(super) timeline: Pool<T>,
    /// What only one part has: train, empty for a class that never trains, dev and test.
    pub(super) parts: [Pool<T>; 3],
}

/// Items that take turns.
#[derive(Debug)]
pub(super) struct Pool<T> {
    items: Vec<T>,
    next: usize,
}

impl<T> Pools<T> {
    /// Shares the items out: the first up to half of them to the timeline, which has use for `wanted`; of the rest most to train and least to dev, which has none if there are too few.
    pub(super) fn new(mut items: Vec<T>, wanted: usize, trains: bool) -> Self {
        let n = items.len();
        let timeline = wanted.min(n / 2).max(n.div_ceil(6));
        let rest = n - timeline;
        let (train, dev) = if trains {
            (rest * 9 / 20, rest * 3 / 20)
        } else {
            (0, rest / 5)
        };
        let train = train.max(usize::from(trains)).min(rest);
        let dev = dev.max(1).min((rest - train).saturating_sub(1));
        let mut take = |n: usize| Pool {
            items: items.drain(..n).collect(),
            next: 0,
        };
        Self {
            timeline: take(timeline),
            parts: [train, dev, rest - train - dev].map(take),
        }
    }
}

impl<T: Clone> Pool<T> {
    /// The next item: none comes again before all have come; `None` if there is none.
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Option<T> {
        if self.next == self.items.len() {
            self.items.shuffle(rng);
            self.next = 0;
        }
        self.once()
    }

    /// The next item; `None` once all have come.
    pub(super) fn once(&mut self) -> Option<T> {
        let item = self.items.get(self.next)?.clone();
        self.next += 1;
        Some(item)
    }

    /// A random item.
    pub(super) fn any(&self, rng: &mut StdRng) -> Option<T> {
        let n = self.items.len();
        (n > 0).then(|| self.items[rng.random_range(..n)].clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::rng;

    #[test]
    fn no_item_is_in_two_parts() {
        for (n, wanted, trains, expected) in [
            (0, 3, true, [0, 0, 0, 0]),
            (1, 3, true, [1, 0, 0, 0]),
            (2, 3, true, [1, 1, 0, 0]),
            (2, 3, false, [1, 0, 0, 1]),
            (4, 3, true, [2, 1, 0, 1]),
            (6, 3, true, [3, 1, 1, 1]),
            (6, 10, false, [3, 0, 1, 2]),
            (60, 8, true, [10, 22, 7, 21]),
            (60, 50, false, [30, 0, 6, 24]),
        ] {
            let pools = Pools::new((0..n).collect(), wanted, trains);
            let pools = || std::iter::once(&pools.timeline).chain(&pools.parts);
            let all: Vec<usize> = pools().flat_map(|pool| pool.items.clone()).collect();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            let sizes: Vec<usize> = pools().map(|pool| pool.items.len()).collect();
            assert_eq!(sizes, expected, "{n}, {wanted}, {trains}");
        }
    }

    #[test]
    fn items_take_turns_or_come_once() {
        let pool = || Pool {
            items: vec![1, 2],
            next: 0,
        };
        let rng = &mut rng(1, "test");
        let mut turns = pool();
        let drawn: Vec<i32> = (0..6).filter_map(|_| turns.next(rng)).collect();
        assert_eq!(drawn.len(), 6);
        for pair in drawn.chunks(2) {
            assert_ne!(pair[0], pair[1], "{drawn:?}");
        }
        let mut once = pool();
        assert_eq!([1, 2, 3].map(|_| once.once()), [Some(1), Some(2), None]);
        let mut none = Pool::<i32> {
            items: Vec::new(),
            next: 0,
        };
        assert_eq!(
            (none.next(rng), none.once(), none.any(rng)),
            (None, None, None)
        );
    }
}
