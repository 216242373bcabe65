//! Lexical cues: agreement of a post's names, words and character n-grams with an entity's.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;

use crate::kb::KbText;
use crate::names::{NameQuery, Names};
use crate::normalise::fold;

/// Agreement of a post's names and words with an entity's, each between 0 and 1.
///
/// Four cues of the name: Levenshtein ratio, exact match, share of the mention's words, match of the last words. Two cues of the context: overlap of idf-weighted words, tf-idf cosine of character 3-5-grams.
pub type LexicalCues = [f32; 6];

/// An inverted index of each entity's profile and timeline as one document.
///
/// Words and n-grams point to the documents that contain them, so that a post is compared with all entities in one pass over its own words and n-grams.
#[derive(Debug, Clone)]
pub struct LexicalIndex {
    names: Names,
    words: HashMap<String, Term<u32>>,
    grams: HashMap<u32, Term<(u32, f32)>>,
}

/// A word or n-gram: its weight and the documents that contain it.
#[derive(Debug, Clone)]
struct Term<P> {
    idf: f32,
    postings: Vec<P>,
}

/// The words and n-grams of an entity's profile and timeline.
#[derive(Debug, Clone)]
pub struct Document {
    words: BTreeSet<String>,
    /// L2-normalised tf-idf.
    grams: BTreeMap<u32, f32>,
}

/// A post's words and n-grams, compared once with all entities. Ordered, so that sums are the same to the last digit.
pub struct LexicalQuery {
    mention: NameQuery,
    words: BTreeSet<String>,
    grams: BTreeMap<u32, f32>,
    /// Summed idf of all words, shared or not.
    total_idf: f32,
    /// Summed idf of the shared words per entity.
    shared_idf: Vec<f32>,
    /// Cosine of the n-grams per entity.
    cosines: Vec<f32>,
}

impl LexicalIndex {
    /// Indexes all entities.
    pub fn new(kb: &KbText) -> Self {
        let mut timelines = vec![Vec::new(); kb.entities.len()];
        for post in &kb.posts {
            timelines[post.entity].push(post.text.as_str());
        }
        let texts: Vec<String> = kb
            .entities
            .iter()
            .zip(timelines)
            .map(|(entity, timeline)| joined(&entity.profile(), timeline))
            .collect();
        let mut index = Self {
            names: Names::of(&kb.entities),
            words: terms(texts.iter().map(|text| words(text)), texts.len()),
            grams: terms(
                texts.iter().map(|text| gram_counts(text).into_keys()),
                texts.len(),
            ),
        };
        for (entity, text) in texts.iter().enumerate() {
            let entity = entity as u32;
            for word in words(text) {
                let term = index.words.get_mut(&word);
                term.expect("terms of all documents are known")
                    .postings
                    .push(entity);
            }
            for (gram, weight) in index.weighted(gram_counts(text)) {
                let term = index.grams.get_mut(&gram);
                term.expect("terms of all documents are known")
                    .postings
                    .push((entity, weight));
            }
        }
        index
    }

    /// Compares a post's context, its text without the mention's words, with all entities.
    pub fn query(&self, text: &str, mention: &str) -> LexicalQuery {
        let mention = NameQuery::of(mention);
        let context: Vec<String> = fold(text)
            .split(' ')
            .filter(|word| !word.is_empty() && !mention.has(word))
            .map(str::to_owned)
            .collect();
        let grams = self.weighted(gram_counts(&context.join(" ")));
        let words: BTreeSet<String> = context.into_iter().collect();

        let mut shared_idf = vec![0.0; self.names.len()];
        for term in words.iter().filter_map(|word| self.words.get(word)) {
            for &entity in &term.postings {
                shared_idf[entity as usize] += term.idf;
            }
        }
        let mut cosines = vec![0.0; self.names.len()];
        for (gram, weight) in &grams {
            for &(entity, other) in &self.grams[gram].postings {
                cosines[entity as usize] += weight * other;
            }
        }
        LexicalQuery {
            total_idf: words.iter().map(|word| self.word_idf(word)).sum(),
            mention,
            words,
            grams,
            shared_idf,
            cosines,
        }
    }

    /// The document of a profile and a timeline, such as an entity's without one of its posts.
    pub fn document<'a>(
        &self,
        profile: &str,
        timeline: impl IntoIterator<Item = &'a str>,
    ) -> Document {
        let text = joined(profile, timeline);
        Document {
            words: words(&text),
            grams: self.weighted(gram_counts(&text)),
        }
    }

    /// Compares a post with an entity.
    pub fn cues(&self, query: &LexicalQuery, entity: usize) -> LexicalCues {
        self.with_names(
            query,
            entity,
            query.shared_idf[entity],
            query.cosines[entity],
        )
    }

    /// As [`Self::cues`], with another document in place of the entity's own.
    pub fn cues_with(
        &self,
        query: &LexicalQuery,
        entity: usize,
        document: &Document,
    ) -> LexicalCues {
        let shared = query.words.intersection(&document.words);
        let shared = shared.map(|word| self.word_idf(word)).sum();
        let cosine = query
            .grams
            .iter()
            .filter_map(|(gram, weight)| Some(weight * document.grams.get(gram)?))
            .sum();
        self.with_names(query, entity, shared, cosine)
    }

    fn with_names(
        &self,
        query: &LexicalQuery,
        entity: usize,
        shared: f32,
        cosine: f32,
    ) -> LexicalCues {
        let [ratio, exact, tokens, surname] = self.names.cues(&query.mention, entity);
        let overlap = if query.total_idf > 0.0 {
            shared / query.total_idf
        } else {
            0.0
        };
        [ratio, exact, tokens, surname, overlap, cosine]
    }

    /// Inverse document frequency of a word; 0 if no document contains it.
    fn word_idf(&self, word: &str) -> f32 {
        self.words.get(word).map_or(0.0, |term| term.idf)
    }

    /// L2-normalised tf-idf of the n-grams that the index knows.
    fn weighted(&self, mut counts: BTreeMap<u32, f32>) -> BTreeMap<u32, f32> {
        counts.retain(|gram, _| self.grams.contains_key(gram));
        for (gram, count) in &mut counts {
            *count *= self.grams[gram].idf;
        }
        let norm = counts
            .values()
            .map(|weight| weight * weight)
            .sum::<f32>()
            .sqrt();
        counts.values_mut().for_each(|weight| *weight /= norm);
        counts
    }
}

fn joined<'a>(profile: &str, timeline: impl IntoIterator<Item = &'a str>) -> String {
    let mut text = fold(profile);
    for post in timeline {
        text.push(' ');
        text.push_str(&fold(post));
    }
    text
}

fn words(folded: &str) -> BTreeSet<String> {
    folded
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Counts of the hashed 3-, 4- and 5-grams of each word, padded with a space at both ends.
fn gram_counts(folded: &str) -> BTreeMap<u32, f32> {
    let mut counts = BTreeMap::new();
    for word in folded.split(' ').filter(|word| !word.is_empty()) {
        let padded: Vec<char> = std::iter::once(' ')
            .chain(word.chars())
            .chain([' '])
            .collect();
        for n in 3..=5 {
            for gram in padded.windows(n) {
                *counts.entry(hash(gram)).or_default() += 1.0;
            }
        }
    }
    counts
}

/// FNV-1a: the same on every platform.
fn hash(gram: &[char]) -> u32 {
    gram.iter().fold(0x811C_9DC5, |hash, &c| {
        (hash ^ c as u32).wrapping_mul(0x0100_0193)
    })
}

/// The terms of documents, without their postings; idf is `ln((1 + n) / (1 + documents that contain the term)) + 1`.
fn terms<T: Hash + Eq, P>(
    documents: impl Iterator<Item = impl IntoIterator<Item = T>>,
    n: usize,
) -> HashMap<T, Term<P>> {
    let mut terms: HashMap<T, Term<P>> = HashMap::new();
    for term in documents.flatten() {
        let term = terms.entry(term).or_insert_with(|| Term {
            idf: 0.0,
            postings: Vec::new(),
        });
        term.idf += 1.0;
    }
    for term in terms.values_mut() {
        term.idf = ((1.0 + n as f32) / (1.0 + term.idf)).ln() + 1.0;
    }
    terms
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Entity;
    use crate::kb::KbPost;
    use crate::prototype::Selection;

    fn index() -> LexicalIndex {
        let entity = |id: &str, description: &str| Entity {
            id: id.to_owned(),
            name: "Jaguar".to_owned(),
            aliases: vec!["Panthera onca".to_owned()],
            description: description.to_owned(),
        };
        LexicalIndex::new(&KbText {
            entities: vec![
                entity("cat", "a spotted cat of the rain forest"),
                entity("car", "a maker of luxury cars"),
            ],
            posts: vec![KbPost {
                entity: 1,
                text: "The engine roars on the motorway".to_owned(),
                images: Vec::new(),
            }],
            prototypes: Vec::new(),
            k: 10,
            selection: Selection::Pagerank,
        })
    }

    fn mean(cues: LexicalCues) -> f32 {
        cues.iter().sum::<f32>() / cues.len() as f32
    }

    #[test]
    fn words_of_the_timeline_and_profile_count() {
        let index = index();
        let score = |text: &str, entity| mean(index.cues(&index.query(text, "jaguar"), entity));
        assert!(score("a jaguar engine", 1) > score("a jaguar engine", 0));
        assert!(
            score("a jaguar in the forests", 0) > score("a jaguar in the forests", 1),
            "n-grams see the plural"
        );
    }

    #[test]
    fn cues_lie_between_0_and_1_and_an_exact_name_without_context_has_all_of_the_name() {
        let index = index();
        let cues = |text: &str, mention: &str| index.cues(&index.query(text, mention), 0);
        assert_eq!(cues("jaguar", "JAGUAR"), [1.0, 1.0, 1.0, 1.0, 0.0, 0.0]);
        assert!((0.0..0.3).contains(&mean(cues("", "zebra"))));
        let all = cues("spotted cat of the rain forest jaguar", "jaguar");
        assert!(all.iter().all(|cue| (0.0..=1.0).contains(cue)), "{all:?}");
    }

    #[test]
    fn the_index_says_what_comparing_document_by_document_says() {
        let index = index();
        let documents = [
            index.document("Jaguar. a spotted cat of the rain forest", []),
            index.document(
                "Jaguar. a maker of luxury cars",
                ["The engine roars on the motorway"],
            ),
        ];
        for text in [
            "jaguar",
            "the jaguar roars in the rain, in the forests of cars",
            "?",
        ] {
            let query = index.query(text, "jaguar");
            for (entity, document) in documents.iter().enumerate() {
                let direct = index.cues_with(&query, entity, document);
                assert_eq!(index.cues(&query, entity), direct, "{text:?}");
            }
        }
    }

    #[test]
    fn without_its_post_an_entity_knows_nothing_of_its_words() {
        let index = index();
        let query = index.query("jaguar engine", "jaguar");
        let without = index.document("Jaguar. a maker of luxury cars", []);
        let [.., overlap, grams] = index.cues_with(&query, 1, &without);
        assert_eq!((overlap, grams), (0.0, 0.0));
    }
}
