//! Which words of a gloss a text contains.

use std::collections::HashSet;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::classes::Class;
use super::gloss::Word;
use super::groups::Group;

/// Chooses words of the glosses of `classes`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wording<'a> {
    pub(super) classes: &'a [Class],
    /// Mean share of the words of a gloss that a text contains.
    pub(super) share: f64,
}

impl<'a> Wording<'a> {
    /// Words of the class.
    pub(super) fn of_class(self, class: usize, rng: &mut StdRng) -> Vec<&'a str> {
        let words = &self.classes[class].words;
        let n = self.amount(words.len(), rng);
        let mut words: Vec<&Word> = words.iter().collect();
        words.shuffle(rng);
        written(&words[..n])
    }

    /// Words of the class, at least one of them of no other class of the group.
    pub(super) fn of_one(self, group: &Group, class: usize, rng: &mut StdRng) -> Vec<&'a str> {
        let words = &self.classes[class].words;
        let n = self.amount(words.len(), rng);
        let own = self.exclusive(group, [class, class]);
        let first = own.choose(rng).copied();
        let mut chosen: Vec<&Word> = words.iter().filter(|&word| Some(word) != first).collect();
        chosen.shuffle(rng);
        chosen.splice(..0, first);
        chosen.truncate(n);
        chosen.shuffle(rng);
        written(&chosen)
    }

    /// As many words of one class as of the other, and none of a third class of the group.
    pub(super) fn of_two(self, group: &Group, two: [usize; 2], rng: &mut StdRng) -> Vec<&'a str> {
        let [class, other] = two;
        let mut lists = [[class, other], [other, class]].map(|two| self.exclusive(group, two));
        let shorter = lists[0].len().min(lists[1].len());
        let n = self.amount(shorter, rng);
        for list in &mut lists {
            list.shuffle(rng);
            list.truncate(n);
        }
        let [mut chosen, more] = lists;
        for word in more {
            if chosen.iter().all(|other| other.folded != word.folded) {
                chosen.push(word);
            }
        }
        chosen.shuffle(rng);
        written(&chosen)
    }

    /// How many of `n` words a text contains: between one and twice the mean share.
    fn amount(self, n: usize, rng: &mut StdRng) -> usize {
        let share = rng.random_range(0.0..=2.0 * self.share);
        ((n as f64 * share).round() as usize).clamp(1, n)
    }

    /// The words of the first class that no other class of the group has, the second aside; all its words if there are none.
    fn exclusive(self, group: &Group, two: [usize; 2]) -> Vec<&'a Word> {
        let words = &self.classes[two[0]].words;
        let others: HashSet<&str> = group
            .members
            .iter()
            .filter(|member| !two.contains(member))
            .flat_map(|&member| &self.classes[member].words)
            .map(|word| word.folded.as_str())
            .collect();
        let own: Vec<&Word> = words
            .iter()
            .filter(|word| !others.contains(word.folded.as_str()))
            .collect();
        if own.is_empty() {
            words.iter().collect()
        } else {
            own
        }
    }
}

fn written<'a>(words: &[&'a Word]) -> Vec<&'a str> {
    words.iter().map(|word| word.written.as_str()).collect()
}
