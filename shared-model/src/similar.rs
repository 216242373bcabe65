//! Fuzzy look-up: names that are spelled like a surface or share its words.

use std::collections::HashMap;

use rapidfuzz::distance::jaro_winkler::BatchComparator;

/// Least Jaro-Winkler similarity of two words that count as one word, misspelt.
const SAME_WORD: f64 = 0.85;
/// Similarity of a name that has all words of the surface and others.
const ALL_WORDS: f64 = 0.95;
/// Reduction per other word.
const FURTHER_WORD: f64 = 0.01;
/// Names compared between two checks whether enough have been found.
const BLOCK: usize = 256;

/// Folded names, with upper bounds of their similarity to a surface, so that few of them are compared in full.
///
/// The similarity of two names is the greater of their Jaro-Winkler similarity and the share of the shorter one's words that the longer one has too: `Robertson` is similar to `Pat Robertson`.
#[derive(Debug, Clone)]
pub(crate) struct SimilarNames {
    names: Vec<Name>,
    words: Vec<Word>,
}

#[derive(Debug, Clone)]
struct Name {
    text: String,
    letters: Letters,
    words: Vec<usize>,
    positions: Vec<usize>,
}

#[derive(Debug, Clone)]
struct Word {
    text: String,
    letters: Letters,
    names: Vec<usize>,
}

impl SimilarNames {
    /// Indexes folded names with the positions of the entities that bear them.
    pub(crate) fn new<'a>(named: impl Iterator<Item = (&'a String, &'a Vec<usize>)>) -> Self {
        let mut index = Self {
            names: Vec::new(),
            words: Vec::new(),
        };
        let mut by_text: HashMap<&str, usize> = HashMap::new();
        for (number, (text, positions)) in named.enumerate() {
            let mut words = Vec::new();
            for word in text.split(' ') {
                let id = *by_text.entry(word).or_insert_with(|| {
                    index.words.push(Word {
                        text: word.to_owned(),
                        letters: Letters::of(word),
                        names: Vec::new(),
                    });
                    index.words.len() - 1
                });
                words.push(id);
                if index.words[id].names.last() != Some(&number) {
                    index.words[id].names.push(number);
                }
            }
            index.names.push(Name {
                text: text.clone(),
                letters: Letters::of(text),
                words,
                positions: positions.clone(),
            });
        }
        index
    }

    /// The `n` most similar entities with the similarity of their best name, if it is at least `at_least`, most similar first. Ties are in the order of the positions.
    pub(crate) fn ranked(&self, surface: &str, at_least: f64, n: usize) -> Vec<(usize, f64)> {
        let mut best: HashMap<usize, f64> = HashMap::new();
        for (name, similarity) in self.by_words(surface) {
            keep(&mut best, &self.names[name], similarity, at_least);
        }

        let letters = Letters::of(surface);
        let comparator = BatchComparator::new(surface.chars());
        let mut bounded: Vec<(f64, &Name)> = self
            .names
            .iter()
            .map(|name| (letters.bound(&name.letters), name))
            .filter(|(bound, _)| *bound >= at_least)
            .collect();
        bounded.sort_by(|a, b| b.0.total_cmp(&a.0));
        for block in bounded.chunks(BLOCK) {
            let (bound, _) = block[0];
            if best
                .values()
                .filter(|&&similarity| similarity > bound)
                .count()
                >= n
            {
                break;
            }
            for (_, name) in block {
                let similarity = comparator.similarity(name.text.chars());
                keep(&mut best, name, similarity, at_least);
            }
        }
        let mut ranked: Vec<(usize, f64)> = best.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked.truncate(n);
        ranked
    }

    /// The names that share a word with `surface`, with the similarity by words.
    fn by_words(&self, surface: &str) -> Vec<(usize, f64)> {
        let wanted: Vec<&str> = surface.split(' ').filter(|word| !word.is_empty()).collect();
        // Per word of the index that is similar to a word of the surface: its similarity to each of the surface's words.
        let mut by_word: HashMap<usize, Vec<f64>> = HashMap::new();
        for (i, word) in wanted.iter().enumerate() {
            let letters = Letters::of(word);
            let comparator = BatchComparator::new(word.chars());
            for (id, known) in self.words.iter().enumerate() {
                if letters.bound(&known.letters) >= SAME_WORD {
                    let similarity = comparator.similarity(known.text.chars());
                    if similarity >= SAME_WORD {
                        by_word.entry(id).or_insert_with(|| vec![0.0; wanted.len()])[i] =
                            similarity;
                    }
                }
            }
        }
        let mut names: Vec<usize> = by_word
            .keys()
            .flat_map(|&word| self.words[word].names.iter().copied())
            .collect();
        names.sort_unstable();
        names.dedup();
        let similarity = |name: usize| {
            let words = &self.names[name].words;
            let rows = || words.iter().filter_map(|word| by_word.get(word));
            let (fewer, shared): (usize, f64) = if words.len() < wanted.len() {
                let best = |row: &Vec<f64>| row.iter().copied().fold(0.0, f64::max);
                (words.len(), rows().map(best).sum())
            } else {
                let best = |i: usize| rows().map(|row| row[i]).fold(0.0, f64::max);
                (wanted.len(), (0..wanted.len()).map(best).sum())
            };
            let further = words.len().abs_diff(wanted.len()) as f64;
            (ALL_WORDS - FURTHER_WORD * further).max(0.0) * shared / fewer as f64
        };
        names
            .into_iter()
            .map(|name| (name, similarity(name)))
            .collect()
    }
}

/// Records a name's similarity for the entities that bear it, where it is their best.
fn keep(best: &mut HashMap<usize, f64>, name: &Name, similarity: f64, at_least: f64) {
    if similarity >= at_least {
        for &position in &name.positions {
            let entry = best.entry(position).or_insert(similarity);
            *entry = entry.max(similarity);
        }
    }
}

/// Number of characters of a name, a histogram of them, and the first four.
#[derive(Debug, Clone, Copy)]
struct Letters {
    length: usize,
    histogram: [u8; 32],
    start: [char; 4],
}

impl Letters {
    fn of(name: &str) -> Self {
        let mut letters = Self {
            length: 0,
            histogram: [0; 32],
            start: ['\0'; 4],
        };
        for c in name.chars() {
            if let Some(start) = letters.start.get_mut(letters.length) {
                *start = c;
            }
            let kind = &mut letters.histogram[c as usize % 32];
            *kind = kind.saturating_add(1);
            letters.length += 1;
        }
        letters
    }

    /// An upper bound of the Jaro-Winkler similarity: two names share at most the characters that their histograms share.
    fn bound(&self, other: &Self) -> f64 {
        if self.length > usize::from(u8::MAX) || other.length > usize::from(u8::MAX) {
            return 1.0;
        }
        let counts = self.histogram.iter().zip(&other.histogram);
        let shared: u32 = counts.map(|(a, b)| u32::from(*a.min(b))).sum();
        let shared = f64::from(shared);
        let (a, b) = (self.length.max(1) as f64, other.length.max(1) as f64);
        let jaro = (shared / a + shared / b + 1.0) / 3.0;
        let starts = self.start.iter().zip(&other.start);
        let prefix = starts.take_while(|(a, b)| a == b).count() as f64;
        // Rounding must not lower the bound below the similarity.
        (jaro + 0.1 * prefix * (1.0 - jaro)).min(1.0) + 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[String]) -> SimilarNames {
        let positions: Vec<Vec<usize>> = (0..names.len()).map(|i| vec![i]).collect();
        SimilarNames::new(names.iter().zip(&positions))
    }

    #[test]
    fn a_name_with_all_words_of_the_surface_is_near_and_a_misspelt_one_too() {
        let names = [
            "pat robertson",
            "robert pattinson",
            "robertson davies barnes",
            "robin",
        ];
        let names = names.map(str::to_owned);
        let ranked = |surface| {
            let ranked = index(&names).ranked(surface, 0.0, 3);
            ranked
                .into_iter()
                .map(|(position, _)| position)
                .collect::<Vec<_>>()
        };
        assert_eq!(ranked("robertson")[..2], [0, 2]);
        assert_eq!(ranked("robretson")[..2], [0, 2]);
        assert_eq!(ranked("reverend pat robertson")[0], 0);
    }

    #[test]
    fn the_first_are_those_of_comparing_all() {
        let syllables = ["ka", "lo", "mer", "ti", "zu", "an", "e", "中", " ", "son"];
        let mut state = 1u32;
        let mut next = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % n
        };
        let mut name = || -> String {
            let n = 1 + next(5);
            let name: String = (0..n).map(|_| syllables[next(syllables.len())]).collect();
            name.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let names: Vec<String> = (0..900)
            .map(|_| name())
            .filter(|name| !name.is_empty())
            .collect();
        let index = index(&names);
        for _ in 0..40 {
            let surface = name();
            let all = index.ranked(&surface, 0.0, usize::MAX);
            assert_eq!(all.len(), names.len());
            for (position, similarity) in &all {
                let whole = strsim::jaro_winkler(&surface, &names[*position]);
                assert!(*similarity >= whole);
            }
            assert_eq!(index.ranked(&surface, 0.0, 30), all[..30], "{surface:?}");
            let like = all.iter().filter(|(_, similarity)| *similarity >= 0.88);
            assert_eq!(
                index.ranked(&surface, 0.88, usize::MAX),
                like.copied().collect::<Vec<_>>()
            );
        }
    }
}
