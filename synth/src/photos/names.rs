//! Invented names.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

const ONSETS: [&str; 18] = [
    "b", "br", "d", "dr", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "tr", "v", "w", "z",
];
const NUCLEI: [&str; 8] = ["a", "e", "i", "o", "u", "ai", "ei", "ou"];
const CODAS: [&str; 8] = ["l", "m", "n", "r", "s", "th", "x", "nd"];

/// A new name that is not among the words that are taken, to which it is added.
pub(super) fn invent(taken: &mut HashSet<String>, rng: &mut StdRng) -> String {
    loop {
        let mut syllable = || -> String {
            let onset = ONSETS.choose(rng);
            [onset, NUCLEI.choose(rng)]
                .into_iter()
                .flatten()
                .copied()
                .collect()
        };
        let mut word = [syllable(), syllable(), syllable()].concat();
        word.extend(CODAS.choose(rng).copied());
        if taken.insert(word.clone()) {
            return word[..1].to_uppercase() + &word[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::rng;

    #[test]
    fn names_are_new() {
        let mut taken = HashSet::new();
        let names: HashSet<String> = (0..500)
            .map(|_| invent(&mut taken, &mut rng(1, "names")))
            .collect();
        assert_eq!(names.len(), 500);
    }
}
