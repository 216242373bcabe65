//! Names: from a surface to the entities that bear it, and from a text to the mentions in it.

use std::collections::HashMap;

use unicode_segmentation::UnicodeSegmentation as _;

use crate::data::{Entity, Mention};
use crate::normalise::fold;
use crate::similar::SimilarNames;

/// A hand-chosen span that no name equals still finds names this similar.
const FUZZY: f64 = 0.88;

/// An index of all names of a knowledge base. Entities are named by their position in it.
#[derive(Debug, Clone)]
pub struct AliasIndex {
    exact: HashMap<String, Vec<usize>>,
    folded: HashMap<String, Vec<usize>>,
    similar: SimilarNames,
    max_words: usize,
}

impl AliasIndex {
    /// Indexes the names and aliases of `entities`.
    pub fn new(entities: &[Entity]) -> Self {
        let mut index = Self {
            exact: HashMap::new(),
            folded: HashMap::new(),
            similar: SimilarNames::new(std::iter::empty()),
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
        let mut names: Vec<_> = index.folded.iter().collect();
        names.sort();
        index.similar = SimilarNames::new(names.into_iter());
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
            self.similar
                .ranked(&fold(surface), FUZZY, usize::MAX)
                .into_iter()
                .map(|(position, _)| position)
                .collect()
        } else {
            found
        }
    }

    /// The `n` entities with the most similar names, most similar first: the candidate policy `fuzzy-100`.
    pub fn nearest(&self, surface: &str, n: usize) -> Vec<usize> {
        let ranked = self.similar.ranked(&fold(surface), 0.0, n);
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
