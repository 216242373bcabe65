//! How alike two names are.

use std::collections::HashMap;

use crate::data::Entity;
use crate::normalise::fold;

/// The names of entities, prepared to be compared with a mention.
#[derive(Debug, Clone)]
pub struct Names(Vec<Vec<Name>>);

/// A mention that names are compared with.
#[derive(Debug, Clone)]
pub struct NameQuery {
    name: Name,
    edits: Edits,
}

/// Fuzzy ratio, exact match, share of the mention's words that the name has, and surname match, each between 0 and 1.
pub(crate) type NameCues = [f32; 4];

impl Names {
    /// Of all entities.
    pub fn of(entities: &[Entity]) -> Self {
        let names = |entity: &Entity| entity.names().map(Name::of).collect();
        Self(entities.iter().map(names).collect())
    }

    /// The mean of the cues of an entity's best name: the baseline that knows nothing else.
    pub fn score(&self, mention: &NameQuery, entity: usize) -> f32 {
        self.cues(mention, entity).iter().sum::<f32>() / 4.0
    }

    /// The cues of the name that has most of them.
    pub(crate) fn cues(&self, mention: &NameQuery, entity: usize) -> NameCues {
        self.0[entity]
            .iter()
            .map(|name| mention.cues(name))
            .max_by(|a, b| a.iter().sum::<f32>().total_cmp(&b.iter().sum()))
            .unwrap_or_default()
    }

    /// How many entities there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A folded name.
#[derive(Debug, Clone)]
struct Name {
    text: String,
    /// In characters.
    length: usize,
    /// Each once.
    words: Vec<String>,
}

impl Name {
    fn of(name: &str) -> Self {
        let folded = fold(name);
        let mut words: Vec<String> = Vec::new();
        for word in folded.split(' ').filter(|word| !word.is_empty()) {
            if !words.iter().any(|other| other == word) {
                words.push(word.to_owned());
            }
        }
        Self {
            length: folded.chars().count(),
            words,
            text: folded,
        }
    }

    fn surname(&self) -> &str {
        self.text.rsplit(' ').next().unwrap_or_default()
    }
}

impl NameQuery {
    /// Of a mention's characters.
    pub fn of(surface: &str) -> Self {
        let name = Name::of(surface);
        Self {
            edits: Edits::of(&name.text),
            name,
        }
    }

    /// Whether a folded word is one of the mention's.
    pub(crate) fn has(&self, word: &str) -> bool {
        self.name.words.iter().any(|own| own == word)
    }

    fn cues(&self, other: &Name) -> NameCues {
        let own = &self.name;
        let shared = own.words.iter().filter(|word| other.words.contains(word));
        let shared = shared.count();
        let longer = own.length.max(other.length);
        let ratio = if longer > 0 {
            1.0 - self.edits.to(&own.text, &other.text) as f64 / longer as f64
        } else {
            1.0
        };
        [
            ratio as f32,
            f32::from(own.text == other.text),
            shared as f32 / own.words.len().max(1) as f32,
            f32::from(own.surname() == other.surname()),
        ]
    }
}

/// Levenshtein distances to one name: where each of its characters stands, a bit a place, so that a column of the table is a few operations (Myers 1999, Hyyrö 2003).
#[derive(Debug, Clone)]
struct Edits {
    ascii: [u64; 128],
    others: HashMap<char, u64>,
    length: usize,
}

impl Edits {
    fn of(name: &str) -> Self {
        let mut edits = Self {
            ascii: [0; 128],
            others: HashMap::new(),
            length: name.chars().count(),
        };
        if edits.length <= 64 {
            for (place, c) in name.chars().enumerate() {
                let bits = match edits.ascii.get_mut(c as usize) {
                    Some(bits) => bits,
                    None => edits.others.entry(c).or_default(),
                };
                *bits |= 1 << place;
            }
        }
        edits
    }

    /// The distance from `own`, which these were made of.
    fn to(&self, own: &str, other: &str) -> usize {
        if self.length == 0 || self.length > 64 {
            return strsim::levenshtein(own, other);
        }
        let last = 1 << (self.length - 1);
        // Where the distance rises or falls by 1 from one place of the column to the next.
        let (mut rises, mut falls) = (u64::MAX, 0);
        let mut distance = self.length;
        for c in other.chars() {
            let same = match self.ascii.get(c as usize) {
                Some(&bits) => bits,
                None => self.others.get(&c).copied().unwrap_or_default(),
            };
            let diagonal = ((same & rises).wrapping_add(rises) ^ rises) | same | falls;
            let right_rises = falls | !(diagonal | rises);
            let right_falls = diagonal & rises;
            distance += usize::from(right_rises & last != 0);
            distance -= usize::from(right_falls & last != 0);
            let right_rises = (right_rises << 1) | 1;
            rises = (right_falls << 1) | !(diagonal | right_rises);
            falls = right_rises & diagonal;
        }
        distance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues(mention: &str, name: &str) -> NameCues {
        NameQuery::of(mention).cues(&Name::of(name))
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
    fn distances_are_levenshteins() {
        let syllables = ["ka", "lo", "mer", "ti", "an", "e", "中", "ß", " ", "son"];
        let mut state = 1u32;
        let mut next = |n: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 16) as usize % n
        };
        let mut name = |n: usize| -> String {
            let n = next(n);
            (0..n).map(|_| syllables[next(syllables.len())]).collect()
        };
        for _ in 0..60 {
            // Some are longer than 64 characters.
            let own = name(50);
            let edits = Edits::of(&own);
            for _ in 0..20 {
                let other = name(40);
                let wanted = strsim::levenshtein(&own, &other);
                assert_eq!(edits.to(&own, &other), wanted, "{own:?}, {other:?}");
            }
        }
    }
}
