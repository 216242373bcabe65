//! Names that nothing bears.

use std::collections::HashSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;

const ONSETS: [&str; 18] = [
    "b", "br", "d", "dr", "f", "g", "k", "l", "m", "n", "p", "r", "s", "t", "tr", "v", "w", "z",
];
const NUCLEI: [&str; 8] = ["a", "e", "i", "o", "u", "ai", "ei", "ou"];
const CODAS: [&str; 8] = ["l", "m", "n", "r", "s", "th", "x", "nd"];

/// A name that is neither among the words that are taken nor a name of before; it is taken from then on.
pub(super) fn name(taken: &mut HashSet<String>, draws: &mut StdRng) -> String {
    loop {
        let mut syllable = || -> String {
            let onset = ONSETS.choose(draws);
            [onset, NUCLEI.choose(draws)]
                .into_iter()
                .flatten()
                .copied()
                .collect()
        };
        let mut word = [syllable(), syllable(), syllable()].concat();
        word.extend(CODAS.choose(draws).copied());
        if taken.insert(word.clone()) {
            return word[..1].to_uppercase() + &word[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::world::draws;

    #[test]
    fn names_are_new() {
        let mut taken = HashSet::new();
        let names: HashSet<String> = (0..500)
            .map(|_| name(&mut taken, &mut draws(1, "names")))
            .collect();
        assert_eq!(names.len(), 500);
    }
}
