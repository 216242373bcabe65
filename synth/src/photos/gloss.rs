//! The informative words of a gloss.

use std::collections::HashSet;

use shared_model::normalise::fold;

/// Function words, and words that fit every thing; all of two letters or more.
const EMPTY: [&str; 85] = [
    "about",
    "above",
    "all",
    "also",
    "an",
    "and",
    "any",
    "are",
    "as",
    "at",
    "be",
    "been",
    "being",
    "below",
    "both",
    "but",
    "by",
    "can",
    "certain",
    "etc",
    "especially",
    "for",
    "from",
    "genus",
    "has",
    "have",
    "having",
    "held",
    "how",
    "if",
    "in",
    "into",
    "is",
    "it",
    "its",
    "kind",
    "less",
    "like",
    "made",
    "many",
    "may",
    "more",
    "most",
    "not",
    "now",
    "of",
    "often",
    "on",
    "one",
    "only",
    "or",
    "other",
    "out",
    "over",
    "resembling",
    "same",
    "several",
    "some",
    "something",
    "such",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "type",
    "up",
    "used",
    "usually",
    "various",
    "very",
    "was",
    "when",
    "where",
    "which",
    "with",
    "without",
    "you",
];

/// A word of a gloss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    /// Its form in a sentence.
    pub(super) written: String,
    /// The form by which words are compared.
    pub(super) folded: String,
}

/// The informative words, each once; those of the names only if there are no two others.
pub(super) fn words<'a>(gloss: &str, names: impl Iterator<Item = &'a str>) -> Vec<Word> {
    let named: HashSet<String> = names
        .flat_map(|name| fold(name).split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    let mut met = HashSet::new();
    let all: Vec<Word> = gloss
        .split(|c: char| !c.is_alphanumeric() && c != '-' && c != '\'')
        .map(|word| word.trim_matches(['-', '\'']))
        .map(|word| Word {
            written: word.to_owned(),
            folded: fold(word),
        })
        .filter(|word| word.folded.chars().count() > 1)
        .filter(|word| !EMPTY.contains(&word.folded.as_str()))
        .filter(|word| met.insert(word.folded.clone()))
        .collect();
    let others: Vec<Word> = all
        .iter()
        .filter(|word| !named.contains(&word.folded))
        .cloned()
        .collect();
    if others.len() < 2 { all } else { others }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_names_and_function_words_are_left_out() {
        let told = |gloss, names: &[&str]| -> Vec<String> {
            let words = words(gloss, names.iter().copied());
            words.into_iter().map(|word| word.written).collect()
        };
        assert_eq!(
            told(
                "large web-footed birds of the Southern sea; a large one",
                &["sea bird"]
            ),
            ["large", "web-footed", "birds", "Southern"]
        );
        assert_eq!(told("a spoon made of wood", &["spoon"]), ["spoon", "wood"]);
        assert_eq!(told("of the", &[]), [""; 0]);
    }
}
