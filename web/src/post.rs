//! The post on the page: the names found in its text, and its pictures.

use serde::Deserialize;
use shared_model::cards::Answer;
use shared_model::data::{MAX_IMAGES, Mention};

use crate::wording::pictures as wording;

/// Larger picture files are refused before they are read.
const MAX_PICTURE_BYTES: f64 = 60e6;

/// A mention and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// Its position in the text.
    pub mention: Mention,
    /// The words at that position.
    pub surface: String,
}

/// The mention to link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The mention and its words.
    pub name: Name,
    /// Selected in the text by the visitor instead of found by the model.
    pub by_hand: bool,
}

/// A picture of the post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its id in requests to the worker.
    pub id: u32,
    /// Its file's name.
    pub name: String,
    /// Its blob address.
    pub address: String,
    /// Whether it can be linked with.
    pub state: PictureState,
    /// Parts that the model does not see, as in [`covered`](shared_model::cover::covered).
    pub covered: Vec<usize>,
}

/// Whether a picture can be linked with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PictureState {
    /// The worker has not decoded it yet.
    Waiting,
    /// It can be linked with.
    Ready,
    /// It is left out, for this reason.
    Refused(String),
}

/// A ready-made post: an entry of the bundle's `examples.json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Example {
    /// A few words.
    pub title: String,
    /// The post's text.
    pub text: String,
    /// First character of the mention.
    pub start: usize,
    /// One past the last character of the mention.
    pub end: usize,
    /// Paths relative to the bundle.
    #[serde(default)]
    pub images: Vec<String>,
    /// The answer, computed at export; `None` in earlier bundles.
    #[serde(default)]
    pub answer: Option<Answer>,
}

impl Name {
    /// `None` if the mention leaves the text.
    pub fn new(mention: Mention, text: &str) -> Option<Self> {
        let surface = mention.surface(text).ok()?.to_owned();
        Some(Self { mention, surface })
    }

    /// Whether the same words are at the same position of another text.
    pub fn occurs_in(&self, text: &str) -> bool {
        self.mention
            .surface(text)
            .is_ok_and(|surface| surface == self.surface)
    }
}

impl Chosen {
    /// The mention to link once the names in a changed text are known.
    ///
    /// A selection by hand is kept. Otherwise the name at the old position, else the first of the same words, else the first of all.
    pub fn after_search(chosen: Option<Self>, found: &[Name]) -> Option<Self> {
        if chosen.as_ref().is_some_and(|chosen| chosen.by_hand) {
            return chosen;
        }
        let kept = chosen.and_then(|Self { name, .. }| {
            let same = found.iter().find(|other| **other == name);
            same.or_else(|| found.iter().find(|other| other.surface == name.surface))
        });
        let name = kept.or(found.first())?.clone();
        Some(Self {
            name,
            by_hand: false,
        })
    }
}

impl Picture {
    /// Whether it counts as one of the post's.
    pub fn is_used(&self) -> bool {
        !matches!(self.state, PictureState::Refused(_))
    }
}

impl PictureState {
    /// The state of a new file, of which only size and media type are known, in a post that uses `n_used` pictures.
    pub fn of_file(bytes: f64, media_type: &str, n_used: usize) -> Self {
        if bytes > MAX_PICTURE_BYTES {
            Self::Refused(wording::too_large(MAX_PICTURE_BYTES / 1e6))
        } else if !media_type.is_empty() && !media_type.starts_with("image/") {
            Self::Refused(wording::NOT_A_PICTURE.to_owned())
        } else if n_used >= MAX_IMAGES {
            Self::Refused(wording::too_many(MAX_IMAGES))
        } else {
            Self::Waiting
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(start: usize, end: usize, text: &str) -> Name {
        Name::new(Mention { start, end }, text).expect("a span of the text")
    }

    fn chosen(name: Name, by_hand: bool) -> Option<Chosen> {
        Some(Chosen { name, by_hand })
    }

    #[test]
    fn a_name_occurs_where_its_words_are_unchanged() {
        let jaguar = name(6, 12, "Saw a jaguar today");
        assert_eq!(jaguar.surface, "jaguar");
        for text in [
            "Saw a jaguar",
            "Saw a jaguar and a puma",
            "🐆🐆🐆🐆🐆🐆jaguar",
        ] {
            assert!(jaguar.occurs_in(text), "{text}");
        }
        for text in [
            "",
            "Saw a jagua",
            "Saw the jaguar today",
            "Saw a Jaguar today",
        ] {
            assert!(!jaguar.occurs_in(text), "{text}");
        }
        assert_eq!(Name::new(Mention { start: 3, end: 9 }, "Saw a"), None);
    }

    #[test]
    fn the_chosen_name_survives_an_edit_where_it_can() {
        let before = "a jaguar, a puma and a jaguar";
        let after = "no, a jaguar, a puma and a jaguar";
        let found = [name(6, 12, after), name(16, 20, after), name(27, 33, after)];
        let check = |old: Option<Chosen>, expected: Option<Chosen>| {
            assert_eq!(Chosen::after_search(old, &found), expected);
        };
        // Nothing was chosen: the first name.
        check(None, chosen(found[0].clone(), false));
        // It is still where it was.
        check(
            chosen(found[2].clone(), false),
            chosen(found[2].clone(), false),
        );
        // It moved.
        check(
            chosen(name(12, 16, before), false),
            chosen(found[1].clone(), false),
        );
        // It is gone.
        check(
            chosen(name(0, 1, before), false),
            chosen(found[0].clone(), false),
        );
        // It was selected by hand.
        let by_hand = chosen(name(20, 23, after), true);
        check(by_hand.clone(), by_hand);
        assert_eq!(
            Chosen::after_search(chosen(found[1].clone(), false), &[]),
            None
        );
    }

    #[test]
    fn files_are_refused_before_they_are_read() {
        let check = |bytes: f64, media_type: &str, n_used, expected: Option<&str>| {
            let state = PictureState::of_file(bytes, media_type, n_used);
            match (&state, expected) {
                (PictureState::Waiting, None) => {}
                (PictureState::Refused(reason), Some(said)) if reason.contains(said) => {}
                _ => panic!("{bytes}, {media_type:?}, {n_used}: {state:?}"),
            }
        };
        check(2e6, "image/jpeg", 0, None);
        // The decoder names these formats.
        check(2e6, "image/heic", 7, None);
        check(2e6, "", 0, None);
        check(61e6, "image/jpeg", 0, Some("60 MB"));
        check(2e6, "application/pdf", 0, Some("not a picture"));
        check(2e6, "video/mp4", 0, Some("not a picture"));
        check(2e6, "image/jpeg", 8, Some("at most 8 pictures"));
    }
}
