//! Sentences about classes, with the shared name of the group in place of the class's own.

use std::collections::{HashMap, HashSet};

use shared_model::data::Mention;
use shared_model::normalise::fold;
use unicode_segmentation::UnicodeSegmentation as _;

use super::classes::Class;
use crate::Note;

/// Sentences of a class that share this part of their words (of all words that either has) say the same.
const SAME: f64 = 0.6;
const REPEATED: &str = "sentence says nearly what another of its class does, left out";
const SHARED: &str = "sentence said of several classes, left out";
/// What may stand between the words of a name.
const JOINTS: [char; 7] = [' ', '-', '_', '\u{a0}', '\'', '\u{2019}', '.'];

/// A sentence about a class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Description {
    /// The sentence, without the class's own names.
    pub(super) text: String,
    /// Where the shared name first occurs.
    pub(super) mention: Option<Mention>,
}

/// The sentences of a text.
pub fn split(text: &str) -> Vec<String> {
    let sentences = text.unicode_sentences();
    sentences
        .map(|sentence| sentence.trim().to_owned())
        .collect()
}

/// The sentences of the class that differ from one another, with `name` in place of all its names.
pub(super) fn of_class(class: &Class, name: &str, notes: &mut Vec<Note>) -> Vec<Description> {
    let own = class.entity.names();
    let mut names: Vec<Vec<String>> = own
        .chain(class.shared_name.as_deref())
        .chain([name])
        .map(|name| words(name).into_iter().map(|word| word.folded).collect())
        .filter(|words: &Vec<String>| !words.is_empty())
        .collect();
    names.sort_by_key(|words| std::cmp::Reverse(words.len()));
    let named: HashSet<String> = words(name).into_iter().map(|word| word.folded).collect();
    let mut known: Vec<HashSet<String>> = Vec::new();
    let mut descriptions = Vec::new();
    for sentence in &class.sentences {
        let description = rename(sentence, &names, name);
        let said: HashSet<String> = words(&description.text)
            .into_iter()
            .map(|word| word.folded)
            .filter(|word| !named.contains(word))
            .collect();
        if !said.is_empty() && known.iter().all(|other| !is_same(other, &said)) {
            known.push(said);
            descriptions.push(description);
        } else {
            notes.push(Note::new(REPEATED, sentence));
        }
    }
    descriptions
}

/// Leaves out the sentences that are said of several classes: they tell none of them, and would be in several parts.
pub(super) fn keep_distinctive(classes: &mut [Vec<Description>], notes: &mut Vec<Note>) {
    let mut n: HashMap<String, usize> = HashMap::new();
    for Description { text, .. } in classes.iter().flatten() {
        *n.entry(fold(text)).or_default() += 1;
    }
    for descriptions in classes {
        descriptions.retain(|Description { text, .. }| {
            let is_distinctive = n[&fold(text)] == 1;
            if !is_distinctive {
                notes.push(Note::new(SHARED, text));
            }
            is_distinctive
        });
    }
}

impl Description {
    /// The sentence and where the shared name is in it: in front, if the sentence has no name.
    pub(super) fn with_mention(self, name: &str) -> (String, Mention) {
        match self.mention {
            Some(mention) => (self.text, mention),
            None => {
                let end = name.chars().count();
                (format!("{name}: {}", self.text), Mention { start: 0, end })
            }
        }
    }
}

fn is_same(a: &HashSet<String>, b: &HashSet<String>) -> bool {
    let common = a.intersection(b).count();
    common as f64 >= SAME * (a.len() + b.len() - common) as f64
}

/// A word of a text.
struct Word {
    folded: String,
    /// Its place in characters.
    start: usize,
    end: usize,
}

/// The runs of letters and digits.
fn words(text: &str) -> Vec<Word> {
    let characters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut start = 0;
    for run in characters.split(|c| !c.is_alphanumeric()) {
        let end = start + run.len();
        if !run.is_empty() {
            words.push(Word {
                folded: fold(&run.iter().collect::<String>()),
                start,
                end,
            });
        }
        start = end + 1;
    }
    words
}

/// Puts `name` in the place of each of `names`, the longest first, also of a plural.
fn rename(sentence: &str, names: &[Vec<String>], name: &str) -> Description {
    let characters: Vec<char> = sentence.trim().chars().collect();
    let text = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    let words = words(sentence.trim());
    let is_named = |at: &[Word], name: &[String]| {
        let [first @ .., last] = name else {
            return false;
        };
        let said = |word: &Word, name: &str| word.folded == name;
        at.len() >= name.len()
            && at.iter().zip(first).all(|(word, name)| said(word, name))
            && ["", "s", "es"]
                .iter()
                .any(|plural| said(&at[first.len()], &format!("{last}{plural}")))
            && at[..name.len()].windows(2).all(|pair| {
                let between = &characters[pair[0].end..pair[1].start];
                between.iter().all(|c| JOINTS.contains(c))
            })
    };
    let mut renamed = String::new();
    let mut mention = None;
    let (mut done, mut at) = (0, 0);
    while at < words.len() {
        let found = names.iter().find(|name| is_named(&words[at..], name));
        if let Some(found) = found {
            renamed += &text(done, words[at].start);
            let start = renamed.chars().count();
            renamed += name;
            mention.get_or_insert(Mention {
                start,
                end: renamed.chars().count(),
            });
            at += found.len();
            done = words[at - 1].end;
        } else {
            at += 1;
        }
    }
    renamed += &text(done, characters.len());
    Description {
        text: renamed,
        mention,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use shared_model::data::Entity;

    use super::*;
    use crate::photos::Photo;

    fn class(name: &str, sentences: &[&str]) -> Class {
        let entity = Entity {
            id: name.to_owned(),
            name: name.to_owned(),
            aliases: vec!["Vélo".to_owned()],
            description: String::new(),
        };
        let photo = |i: usize| Photo {
            file: PathBuf::from(i.to_string()),
            extension: "jpg",
        };
        let sentences = sentences.iter().map(|&said| said.to_owned()).collect();
        let shared = Some("Warbler".to_owned());
        Class::with_sentences(entity, sentences, shared, (0..6).map(photo).collect()).unwrap()
    }

    #[test]
    fn every_name_of_the_class_becomes_the_shared_one() {
        for (sentence, expected, start) in [
            (
                "The Bay-breasted WARBLER sings.",
                "The warbler sings.",
                Some(4),
            ),
            (
                "É: bay breasted warblers' songs",
                "É: warbler' songs",
                Some(3),
            ),
            (
                "Two Warblers, one velo.",
                "Two warbler, one warbler.",
                Some(4),
            ),
            ("A bay. Breasted birds", "A bay. Breasted birds", None),
            (
                "Bay breasted Warblerish, velodrome",
                "Bay breasted Warblerish, velodrome",
                None,
            ),
        ] {
            let class = class("Bay breasted Warbler", &[sentence]);
            let [description] = &of_class(&class, "warbler", &mut Vec::new())[..] else {
                panic!("{sentence}")
            };
            assert_eq!(description.text, expected);
            assert_eq!(description.mention.map(|mention| mention.start), start);
            let (text, mention) = description.clone().with_mention("warbler");
            assert_eq!(mention.surface(&text).unwrap(), "warbler");
        }
    }

    #[test]
    fn a_sentence_is_said_once() {
        let class = class(
            "Bay Warbler",
            &[
                "The bay warbler has a long tail.",
                "The warbler, too, has a long tail.",
                "The warbler has a short beak and white wings.",
                "Warbler!",
                "Bay warblers migrate.",
            ],
        );
        let texts = |descriptions: Vec<Description>| -> Vec<String> {
            descriptions.into_iter().map(|said| said.text).collect()
        };
        let mut notes = Vec::new();
        let described = of_class(&class, "warbler", &mut notes);
        let expected = [
            "The warbler has a long tail.",
            "The warbler has a short beak and white wings.",
            "warbler migrate.",
        ];
        assert_eq!(texts(described.clone()), expected);
        let mut both = [described.clone(), described[..2].to_vec()];
        keep_distinctive(&mut both, &mut notes);
        let notes: Vec<&str> = notes.iter().map(|note| note.what).collect();
        assert_eq!(notes, [REPEATED, REPEATED, SHARED, SHARED, SHARED, SHARED]);
        assert_eq!(
            both.map(texts),
            [vec!["warbler migrate.".to_owned()], vec![]]
        );
    }

    #[test]
    fn a_gloss_is_split_into_its_sentences() {
        let split = split("White juicy pulp, 4.5 cm.  Mellow and sweet! ");
        assert_eq!(split, ["White juicy pulp, 4.5 cm.", "Mellow and sweet!"]);
    }
}
