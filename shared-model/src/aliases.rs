//! Names: from a surface to the entities that bear it, and from a text to the mentions in it.

use std::collections::HashMap;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::data::{Entity, Mention};

/// A hand-chosen span that no name equals still finds names this similar (Jaro-Winkler, 0 to 1).
const FUZZY: f64 = 0.88;

/// An index of all names of a knowledge base. Entities are named by their position in it.
#[derive(Debug, Clone)]
pub struct AliasIndex {
    exact: HashMap<String, Vec<usize>>,
    folded: HashMap<String, Vec<usize>>,
    profiles: Vec<Profile>,
    max_words: usize,
}

/// A folded name with what bounds its similarity to another.
#[derive(Debug, Clone)]
struct Profile {
    name: String,
    letters: Letters,
    positions: Vec<usize>,
}

impl AliasIndex {
    /// Indexes the names and aliases of `entities`.
    pub fn new(entities: &[Entity]) -> Self {
        let mut index = Self {
            exact: HashMap::new(),
            folded: HashMap::new(),
            profiles: Vec::new(),
            max_words: 0,
        };
        for (position, entity) in entities.iter().enumerate() {
            for name in entity.names() {
                push(&mut index.exact, name.to_owned(), position);
                let folded = fold(name);
                if !folded.is_empty() {
                    index.max_words = index.max_words.max(folded.split(' ').count());
                    push(&mut index.folded, folded, position);
                }
            }
        }
        index.profiles = index
            .folded
            .iter()
            .map(|(name, positions)| Profile {
                letters: Letters::of(name),
                name: name.clone(),
                positions: positions.clone(),
            })
            .collect();
        index
    }

    /// The entities that bear `surface`: those whose name equals it without regard to case and diacritics, those that equal it to the letter first.
    pub fn candidates(&self, surface: &str) -> Vec<usize> {
        let exact = self.exact.get(surface).into_iter().flatten();
        let folded = self.folded.get(&fold(surface)).into_iter().flatten();
        let mut found = Vec::new();
        for &position in exact.chain(folded) {
            if !found.contains(&position) {
                found.push(position);
            }
        }
        found
    }

    /// As [`Self::candidates`]; where there are none, the entities with a similar name, most similar first.
    pub fn fuzzy_candidates(&self, surface: &str) -> Vec<usize> {
        let found = self.candidates(surface);
        if found.is_empty() {
            self.ranked(surface, FUZZY, usize::MAX)
                .into_iter()
                .map(|(position, _)| position)
                .collect()
        } else {
            found
        }
    }

    /// The `n` entities with the most similar names, most similar first: the candidate policy `fuzzy-100`.
    pub fn nearest(&self, surface: &str, n: usize) -> Vec<usize> {
        let mut ranked = self.ranked(surface, 0.0, n);
        ranked.truncate(n);
        ranked.into_iter().map(|(position, _)| position).collect()
    }

    /// The mentions in `text`: longest match, leftmost, on word boundaries. `#` and `@` are no part of a word.
    pub fn mentions(&self, text: &str) -> Vec<Mention> {
        let words: Vec<(usize, &str)> = text.unicode_word_indices().collect();
        let folded: Vec<String> = words.iter().map(|(_, word)| fold(word)).collect();
        let characters = |byte: usize| text[..byte].chars().count();
        let mut mentions = Vec::new();
        let mut first = 0;
        while first < words.len() {
            let longest = (1..=self.max_words.min(words.len() - first))
                .rev()
                .find(|n| {
                    self.folded
                        .contains_key(&folded[first..first + n].join(" "))
                });
            if let Some(n) = longest {
                let (start, _) = words[first];
                let (last, word) = words[first + n - 1];
                mentions.push(Mention {
                    start: characters(start),
                    end: characters(last + word.len()),
                });
            }
            first += longest.unwrap_or(1);
        }
        mentions
    }

    /// Entities with their names' similarity, most similar first: of at least `at_least`, and all of the first `n`.
    ///
    /// Names are compared in the order of an upper bound of their similarity, until no other can be among the first `n`.
    fn ranked(&self, surface: &str, at_least: f64, n: usize) -> Vec<(usize, f64)> {
        const BLOCK: usize = 256;
        let surface = fold(surface);
        let letters = Letters::of(&surface);
        let mut bounded: Vec<(f64, &Profile)> = self
            .profiles
            .iter()
            .map(|profile| (letters.bound(&profile.letters), profile))
            .filter(|(bound, _)| *bound >= at_least)
            .collect();
        bounded.sort_by(|a, b| b.0.total_cmp(&a.0));

        let mut best: HashMap<usize, f64> = HashMap::new();
        for block in bounded.chunks(BLOCK) {
            let (bound, _) = block[0];
            if best.len() >= n
                && best
                    .values()
                    .filter(|&&similarity| similarity > bound)
                    .count()
                    >= n
            {
                break;
            }
            for (_, profile) in block {
                let similarity = strsim::jaro_winkler(&surface, &profile.name);
                if similarity >= at_least {
                    for &position in &profile.positions {
                        let entry = best.entry(position).or_default();
                        *entry = entry.max(similarity);
                    }
                }
            }
        }
        let mut ranked: Vec<(usize, f64)> = best.into_iter().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        ranked
    }
}

/// How many characters a name has, how many of each kind, and how it begins.
#[derive(Debug, Clone, Copy)]
struct Letters {
    length: usize,
    kinds: [u8; 32],
    start: [char; 4],
}

impl Letters {
    fn of(name: &str) -> Self {
        let mut letters = Self {
            length: 0,
            kinds: [0; 32],
            start: ['\0'; 4],
        };
        for c in name.chars() {
            if let Some(start) = letters.start.get_mut(letters.length) {
                *start = c;
            }
            let kind = &mut letters.kinds[c as usize % 32];
            *kind = kind.saturating_add(1);
            letters.length += 1;
        }
        letters
    }

    /// At least the Jaro-Winkler similarity of the two names, which cannot share more characters than they have of each kind.
    fn bound(&self, other: &Self) -> f64 {
        if self.length > usize::from(u8::MAX) || other.length > usize::from(u8::MAX) {
            return 1.0;
        }
        let kinds = self.kinds.iter().zip(&other.kinds);
        let shared: u32 = kinds.map(|(a, b)| u32::from(*a.min(b))).sum();
        let shared = f64::from(shared);
        let (a, b) = (self.length.max(1) as f64, other.length.max(1) as f64);
        let jaro = (shared / a + shared / b + 1.0) / 3.0;
        let starts = self.start.iter().zip(&other.start);
        let prefix = starts.take_while(|(a, b)| a == b).count() as f64;
        // Rounding may not turn the bound into less than the similarity.
        (jaro + 0.1 * prefix * (1.0 - jaro)).min(1.0) + 1e-9
    }
}

/// The words of `text` without case and diacritics, joined by one space.
pub fn fold(text: &str) -> String {
    let plain: String = text
        .nfkd()
        .filter(|&c| !is_combining_mark(c))
        .flat_map(char::to_lowercase)
        .collect();
    plain.unicode_words().collect::<Vec<_>>().join(" ")
}

fn push(index: &mut HashMap<String, Vec<usize>>, name: String, position: usize) {
    let positions = index.entry(name).or_default();
    if !positions.contains(&position) {
        positions.push(position);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(names: &[&[&str]]) -> AliasIndex {
        let entities: Vec<Entity> = names
            .iter()
            .map(|names| Entity {
                id: names[0].to_owned(),
                name: names[0].to_owned(),
                aliases: names[1..].iter().map(|&name| name.to_owned()).collect(),
                description: String::new(),
            })
            .collect();
        AliasIndex::new(&entities)
    }

    #[track_caller]
    fn check(index: &AliasIndex, text: &str, expected: &[&str]) {
        let found: Vec<&str> = index
            .mentions(text)
            .iter()
            .map(|mention| mention.surface(text).unwrap())
            .collect();
        assert_eq!(found, expected, "in {text:?}");
    }

    #[test]
    fn the_longest_leftmost_match_on_word_boundaries_wins() {
        let index = index(&[
            &["New York"],
            &["New York Times"],
            &["York"],
            &["Jaguar"],
            &["Œuvre", "Zürich"],
            &["中国"],
        ]);
        check(
            &index,
            "The New York Times of york",
            &["New York Times", "york"],
        );
        check(
            &index,
            "#Jaguar, @jaguar and jaguars",
            &["Jaguar", "jaguar"],
        );
        check(
            &index,
            "a new  york minute in ZURICH",
            &["new  york", "ZURICH"],
        );
        check(&index, "🐆🐆 JAGUAR!", &["JAGUAR"]);
        check(&index, "我爱中国", &["中国"]);
        check(&index, "", &[]);
    }

    #[test]
    fn the_nearest_are_those_of_comparing_all() {
        let syllables = ["ka", "lo", "mer", "ti", "zu", "an", "é", "中", " ", "son"];
        let mut state = 1u32;
        let mut next = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % n
        };
        let mut name = || -> String {
            let n = 1 + next(5);
            (0..n).map(|_| syllables[next(syllables.len())]).collect()
        };
        let names: Vec<[String; 2]> = (0..900).map(|_| [name(), name()]).collect();
        let named: Vec<[&str; 2]> = names
            .iter()
            .map(|n| [n[0].as_str(), n[1].as_str()])
            .collect();
        let named: Vec<&[&str]> = named.iter().map(<[&str; 2]>::as_slice).collect();
        let index = index(&named);
        for _ in 0..40 {
            let surface = name();
            let folded = fold(&surface);
            let mut all: Vec<(usize, f64)> = names
                .iter()
                .map(|names| names.each_ref().map(|name| fold(name)))
                .map(|names| {
                    let known = names.iter().filter(|name| !name.is_empty());
                    known
                        .map(|name| strsim::jaro_winkler(&folded, name))
                        .fold(-1.0, f64::max)
                })
                .enumerate()
                .filter(|(_, similarity)| *similarity >= 0.0)
                .collect();
            all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            let expected: Vec<usize> = all.iter().map(|(position, _)| *position).take(30).collect();
            assert_eq!(index.nearest(&surface, 30), expected, "{surface:?}");
        }
    }

    #[test]
    fn an_exact_name_comes_before_a_folded_one_and_fuzzy_only_when_asked() {
        let index = index(&[&["rust"], &["Rust"], &["Mercury"]]);
        assert_eq!(index.candidates("Rust"), [1, 0]);
        assert_eq!(index.candidates("RUST"), [0, 1]);
        assert!(index.candidates("Mercuri").is_empty());
        assert_eq!(index.fuzzy_candidates("Mercuri"), [2]);
        assert!(index.fuzzy_candidates("Helicopter").is_empty());
        assert_eq!(index.nearest("Mercuri", 1), [2]);
    }
}
