//! The names of entities: from a surface to its candidates.

use std::collections::{BTreeMap, HashMap};

use crate::data::Entity;
use crate::normalise::fold;
use crate::pieces::{Piece, Pieces, key};
use crate::similar::SimilarNames;

/// Least similarity of a name that counts as similar.
const SIMILAR: f64 = 0.88;
/// Longest name that is searched for in texts, in bytes of letters and digits.
const MAX_NAME_BYTES: usize = 200;

/// Which names make an entity a candidate for a surface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameMatch {
    /// Equal names: without regard to case and diacritics; where there are none, without regard to spaces, punctuation and a possessive ending either.
    Equal,
    /// Equal names; where there are none, similar ones.
    Similar,
}

/// An index of all names of a knowledge base. Entities are identified by their position in it.
#[derive(Debug, Clone)]
pub struct AliasIndex {
    /// Names by their letters and digits.
    pub(crate) names: HashMap<String, Vec<Name>>,
    similar: SimilarNames,
    /// Bytes of the longest key that is searched for in texts.
    pub(crate) longest: usize,
}

/// A name as it is written, and the entities that bear it.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    text: String,
    folded: String,
    /// Where the name is split into words: bytes of the key, and the punctuation there.
    splits: Vec<(usize, String)>,
    entities: Vec<usize>,
}

impl AliasIndex {
    /// Indexes the names and aliases of `entities`.
    pub fn new(entities: &[Entity]) -> Self {
        let mut names: HashMap<String, Vec<Name>> = HashMap::new();
        let mut folded: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (position, entity) in entities.iter().enumerate() {
            for text in entity.names() {
                let pieces = Pieces::of(text);
                let known = names.entry(key(&pieces.pieces)).or_default();
                let name = match known.iter_mut().find(|name| name.text == text) {
                    Some(name) => name,
                    None => {
                        known.push(Name::new(text, &pieces.pieces));
                        known.last_mut().expect("just added")
                    }
                };
                add(&mut name.entities, position);
                if !name.folded.is_empty() {
                    add(folded.entry(name.folded.clone()).or_default(), position);
                }
            }
        }
        Self {
            longest: names
                .keys()
                .map(String::len)
                .max()
                .unwrap_or_default()
                .min(MAX_NAME_BYTES),
            names,
            similar: SimilarNames::new(folded.iter()),
        }
    }

    /// The entities whose names match `surface`: those with the very same name first, or the most similar first.
    pub fn candidates(&self, surface: &str, names: NameMatch) -> Vec<usize> {
        let pieces = Pieces::of(surface);
        let mut found = self.equal(surface, &key(&pieces.pieces));
        if let Some(end) = pieces.possessor().filter(|_| found.is_empty()) {
            let owner = &surface[..end];
            found = self.equal(owner, &key(&Pieces::of(owner).pieces));
        }
        if found.is_empty() && names == NameMatch::Similar {
            let ranked = self.similar.ranked(&fold(surface), SIMILAR, usize::MAX);
            found = ranked.into_iter().map(|(position, _)| position).collect();
        }
        found
    }

    /// The `n` entities with the most similar names, most similar first: the candidate policy `fuzzy-100`.
    pub fn nearest(&self, surface: &str, n: usize) -> Vec<usize> {
        let ranked = self.similar.ranked(&fold(surface), 0.0, n);
        ranked.into_iter().map(|(position, _)| position).collect()
    }

    fn equal(&self, surface: &str, key: &str) -> Vec<usize> {
        let names = self.names.get(key).map_or(&[][..], Vec::as_slice);
        let bearers = |is_wanted: &dyn Fn(&Name) -> bool| {
            let wanted = names.iter().filter(|name| is_wanted(name));
            let mut bearers: Vec<usize> = wanted.flat_map(|name| &name.entities).copied().collect();
            bearers.sort_unstable();
            bearers.dedup();
            bearers
        };
        let folded = fold(surface);
        let mut found = bearers(&|name| name.text == surface);
        if !key.is_empty() {
            for position in bearers(&|name| name.folded == folded) {
                add(&mut found, position);
            }
            if found.is_empty() {
                found = bearers(&|_| true);
            }
        }
        found
    }
}

impl Name {
    fn new(text: &str, pieces: &[Piece]) -> Self {
        let mut splits = Vec::new();
        let mut offset = 0;
        for (i, piece) in pieces.iter().enumerate() {
            if i > 0 && !piece.gap.is_optional {
                splits.push((offset, piece.gap.marks.clone()));
            }
            offset += piece.key.len();
        }
        Self {
            text: text.to_owned(),
            folded: fold(text),
            splits,
            entities: Vec::new(),
        }
    }

    /// Whether pieces with this name's letters are split into words as the name is, by no punctuation that it lacks.
    pub(crate) fn is_spelled(&self, pieces: &[Piece]) -> bool {
        let mut splits = self.splits.iter().peekable();
        let mut offset = 0;
        for (i, piece) in pieces.iter().enumerate() {
            let gap = &piece.gap;
            if i > 0 {
                match splits.next_if(|(split, _)| *split == offset) {
                    Some((_, marks)) if gap.marks.is_empty() || gap.marks == *marks => {}
                    None if gap.is_optional => {}
                    _ => return false,
                }
            }
            offset += piece.key.len();
        }
        splits.next().is_none()
    }
}

fn add(positions: &mut Vec<usize>, position: usize) {
    if !positions.contains(&position) {
        positions.push(position);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An index of entities with these names.
    pub(crate) fn index(names: &[&[&str]]) -> AliasIndex {
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

    #[test]
    fn the_very_same_name_comes_first_and_similar_ones_only_on_request() {
        let index = index(&[&["rust"], &["Rust"], &["Mercury"], &["RU'ST"], &["🐆"]]);
        let equal = |surface| index.candidates(surface, NameMatch::Equal);
        let similar = |surface| index.candidates(surface, NameMatch::Similar);
        assert_eq!(equal("Rust"), [1, 0]);
        assert_eq!(equal("RUST"), [0, 1]);
        assert_eq!(equal("Rust's"), [1, 0]);
        assert_eq!(equal("R.U.S.T."), [0, 1, 3]);
        assert_eq!(equal("🐆"), [4]);
        for (surface, expected) in [
            ("Mercuri", &[2][..]),
            ("Merkury", &[2]),
            ("Helicopter", &[]),
            ("?", &[]),
        ] {
            assert!(equal(surface).is_empty(), "{surface}");
            assert_eq!(similar(surface), expected, "{surface}");
        }
        assert_eq!(similar("rust"), equal("rust"));
        assert_eq!(index.nearest("Mercuri", 1), [2]);
    }
}
