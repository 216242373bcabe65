//! Similarity of a mention to an entity's names.

use rapidfuzz::distance::levenshtein::BatchComparator;

use crate::data::Entity;
use crate::normalise::fold;

/// Names per entity, prepared for comparison with a mention.
#[derive(Debug, Clone)]
pub struct Names(Vec<Vec<Name>>);

/// A mention, prepared for comparison with many names.
pub struct NameQuery {
    name: Name,
    comparator: BatchComparator<char>,
}

/// Levenshtein ratio, exact match, share of the mention's words that the name has, and match of the last words, each between 0 and 1.
pub(crate) type NameCues = [f32; 4];

impl Names {
    /// Prepares the names and aliases of `entities`.
    pub fn of(entities: &[Entity]) -> Self {
        let names = |entity: &Entity| entity.names().map(Name::new).collect();
        Self(entities.iter().map(names).collect())
    }

    /// Mean of the cues of an entity's best name: the score of the baseline `name-only`.
    pub fn score(&self, mention: &NameQuery, entity: usize) -> f32 {
        self.cues(mention, entity).iter().sum::<f32>() / 4.0
    }

    /// The cues of the name with the greatest sum of cues.
    pub(crate) fn cues(&self, mention: &NameQuery, entity: usize) -> NameCues {
        self.0[entity]
            .iter()
            .map(|name| mention.cues(name))
            .max_by(|a, b| a.iter().sum::<f32>().total_cmp(&b.iter().sum()))
            .unwrap_or_default()
    }

    /// Number of entities.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A folded name.
#[derive(Debug, Clone)]
struct Name {
    text: String,
    n_chars: usize,
    /// Distinct words in order of first appearance.
    words: Vec<String>,
}

impl Name {
    fn new(name: &str) -> Self {
        let text = fold(name);
        let mut words: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            if !words.iter().any(|other| other == word) {
                words.push(word.to_owned());
            }
        }
        Self {
            n_chars: text.chars().count(),
            words,
            text,
        }
    }

    fn last_word(&self) -> &str {
        self.text.rsplit(' ').next().unwrap_or_default()
    }
}

impl NameQuery {
    /// Prepares a mention's surface.
    pub fn of(surface: &str) -> Self {
        let name = Name::new(surface);
        Self {
            comparator: BatchComparator::new(name.text.chars()),
            name,
        }
    }

    /// Whether the mention contains a folded word.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.name.words.iter().any(|own| own == word)
    }

    fn cues(&self, other: &Name) -> NameCues {
        let own = &self.name;
        let shared = own.words.iter().filter(|word| other.words.contains(word));
        let n_shared = shared.count();
        let longer = own.n_chars.max(other.n_chars);
        let ratio = if longer > 0 {
            let distance = self.comparator.distance(other.text.chars());
            1.0 - distance as f64 / longer as f64
        } else {
            1.0
        };
        [
            ratio as f32,
            f32::from(own.text == other.text),
            n_shared as f32 / own.words.len().max(1) as f32,
            f32::from(own.last_word() == other.last_word()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(mention: &str, name: &str) -> NameCues {
        NameQuery::of(mention).cues(&Name::new(name))
    }

    #[test]
    fn cues_of_some_names() {
        assert_eq!(cues("JAGUAR", "jaguar"), [1.0; 4]);
        assert_eq!(
            cues("Mercury", "Freddie Mercury"),
            [7.0 / 15.0, 0.0, 1.0, 1.0]
        );
        assert_eq!(cues("Mercury, Freddie", "Mercury")[2], 0.5);
        assert_eq!(cues("John John", "John"), [4.0 / 9.0, 0.0, 1.0, 1.0]);
        assert_eq!(
            cues("?", "!"),
            [1.0, 1.0, 0.0, 1.0],
            "nothing is left of them"
        );
        assert_eq!(cues("?", "a"), [0.0; 4]);
    }

    #[test]
    fn the_ratio_counts_characters_of_long_names_and_other_scripts() {
        assert_eq!(cues("straße", "strasse")[0], (1.0 - 2.0 / 7.0) as f32);
        // Each ideograph is a word: `中 国` and `中 國 人`.
        assert_eq!(cues("中国", "中國人")[0], (1.0 - 3.0 / 5.0) as f32);
        let long = "ab".repeat(60);
        let longer = format!("{long}ba");
        assert_eq!(cues(&long, &longer)[0], (1.0 - 2.0 / 122.0) as f32);
    }
}
