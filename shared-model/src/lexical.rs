//! Names and words that a post shares with an entity.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::aliases::fold;
use crate::data::Entity;
use crate::kb::KbText;

/// How a post's names and words agree with an entity's, each between 0 and 1.
///
/// Of the name: fuzzy ratio, exact match, token overlap, surname match. Of the context: overlap of idf-weighted words, tf-idf cosine of character 3-5-grams.
pub type LexicalCues = [f32; 6];

/// What the post's words are compared with: each entity's profile and timeline as one document.
#[derive(Debug, Clone)]
pub struct LexicalIndex {
    names: Vec<Vec<String>>,
    documents: Vec<Document>,
    word_idf: HashMap<String, f32>,
    gram_idf: HashMap<u32, f32>,
}

/// The words and n-grams of an entity's profile and timeline.
#[derive(Debug, Clone)]
pub struct Document {
    words: BTreeSet<String>,
    /// L2-normalised tf-idf.
    grams: BTreeMap<u32, f32>,
}

/// A post's words and n-grams, taken once for all candidates. Ordered, so that sums are the same to the last digit.
#[derive(Debug, Clone)]
pub struct LexicalQuery {
    mention: String,
    words: BTreeSet<String>,
    grams: BTreeMap<u32, f32>,
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
        let words: Vec<BTreeSet<String>> = texts.iter().map(|text| words(text)).collect();
        let counts: Vec<BTreeMap<u32, f32>> = texts.iter().map(|text| gram_counts(text)).collect();
        let word_idf = idf(words.iter().map(|words| words.iter().cloned()), texts.len());
        let gram_idf = idf(
            counts.iter().map(|counts| counts.keys().copied()),
            texts.len(),
        );
        Self {
            names: kb
                .entities
                .iter()
                .map(|entity| entity.names().map(fold).collect())
                .collect(),
            documents: words
                .into_iter()
                .zip(counts)
                .map(|(words, counts)| Document {
                    words,
                    grams: weighted(counts, &gram_idf),
                })
                .collect(),
            word_idf,
            gram_idf,
        }
    }

    /// Prepares a post for [`Self::score`]. The mention's own words are left out of the context.
    pub fn query(&self, text: &str, mention: &str) -> LexicalQuery {
        let mention = fold(mention);
        let named = words(&mention);
        let context: Vec<String> = fold(text)
            .split(' ')
            .filter(|word| !word.is_empty() && !named.contains(*word))
            .map(str::to_owned)
            .collect();
        LexicalQuery {
            grams: weighted(gram_counts(&context.join(" ")), &self.gram_idf),
            words: context.into_iter().collect(),
            mention,
        }
    }

    /// The document of a profile and a timeline: an entity's without one of its posts, say.
    pub fn document<'a>(
        &self,
        profile: &str,
        timeline: impl IntoIterator<Item = &'a str>,
    ) -> Document {
        let text = joined(profile, timeline);
        Document {
            words: words(&text),
            grams: weighted(gram_counts(&text), &self.gram_idf),
        }
    }

    /// Compares a post with an entity.
    pub fn cues(&self, query: &LexicalQuery, entity: usize) -> LexicalCues {
        self.cues_with(query, entity, &self.documents[entity])
    }

    /// As [`Self::cues`], with another document in the place of the entity's own.
    pub fn cues_with(
        &self,
        query: &LexicalQuery,
        entity: usize,
        document: &Document,
    ) -> LexicalCues {
        let [ratio, exact, tokens, surname] = self.names[entity]
            .iter()
            .map(|name| name_cues(&query.mention, name))
            .max_by(|a, b| a.iter().sum::<f32>().total_cmp(&b.iter().sum()))
            .unwrap_or_default();

        let idf = |word: &String| self.word_idf.get(word).copied().unwrap_or_default();
        let total: f32 = query.words.iter().map(idf).sum();
        let shared: f32 = query.words.intersection(&document.words).map(idf).sum();
        let overlap = if total > 0.0 { shared / total } else { 0.0 };
        let cosine: f32 = query
            .grams
            .iter()
            .filter_map(|(gram, weight)| Some(weight * document.grams.get(gram)?))
            .sum();
        [ratio, exact, tokens, surname, overlap, cosine]
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

/// The mean of the name's cues, of an entity's best name: the baseline that knows nothing else.
pub fn name_score(mention: &str, entity: &Entity) -> f32 {
    let mention = fold(mention);
    let scores = entity
        .names()
        .map(|name| name_cues(&mention, &fold(name)).iter().sum::<f32>() / 4.0);
    scores.fold(0.0, f32::max)
}

/// Fuzzy ratio, exact match, token overlap and surname match of two folded names.
fn name_cues(mention: &str, name: &str) -> [f32; 4] {
    let (a, b) = (words(mention), words(name));
    let overlap = a.intersection(&b).count() as f32 / a.union(&b).count().max(1) as f32;
    let surname = |name: &str| name.rsplit(' ').next().unwrap_or_default().to_owned();
    [
        strsim::normalized_levenshtein(mention, name) as f32,
        f32::from(mention == name),
        overlap,
        f32::from(surname(mention) == surname(name)),
    ]
}

fn words(folded: &str) -> BTreeSet<String> {
    folded
        .split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Counts of the hashed 3-, 4- and 5-grams of each word with a space at both ends.
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

/// `ln((1 + n) / (1 + documents that hold the term)) + 1`
fn idf<T: std::hash::Hash + Eq>(
    documents: impl Iterator<Item = impl Iterator<Item = T>>,
    n: usize,
) -> HashMap<T, f32> {
    let mut counts: HashMap<T, f32> = HashMap::new();
    for term in documents.flatten() {
        *counts.entry(term).or_default() += 1.0;
    }
    counts
        .values_mut()
        .for_each(|count| *count = ((1.0 + n as f32) / (1.0 + *count)).ln() + 1.0);
    counts
}

fn weighted(mut counts: BTreeMap<u32, f32>, idf: &HashMap<u32, f32>) -> BTreeMap<u32, f32> {
    counts.retain(|gram, _| idf.contains_key(gram));
    for (gram, count) in &mut counts {
        *count *= idf[gram];
    }
    let norm = counts
        .values()
        .map(|weight| weight * weight)
        .sum::<f32>()
        .sqrt();
    counts.values_mut().for_each(|weight| *weight /= norm);
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn without_its_post_an_entity_knows_nothing_of_its_words() {
        let index = index();
        let query = index.query("jaguar engine", "jaguar");
        let without = index.document("Jaguar. a maker of luxury cars", []);
        let [.., overlap, grams] = index.cues_with(&query, 1, &without);
        assert_eq!((overlap, grams), (0.0, 0.0));
    }
}
