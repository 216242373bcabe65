//! Finds and masks hashtags and handles in texts.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use shared_model::data::Mention;
use shared_model::normalise::fold;

/// What a tag is replaced with.
pub(super) const MASK: &str = "@someone";
/// A tag of several words is also found where they are written apart, up to this number of words.
const MAX_WORDS: usize = 4;

/// What makes a word a tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marker {
    /// `#tag`
    Hashtag,
    /// `@name`
    Handle,
}

impl Marker {
    fn signs(self) -> [char; 2] {
        match self {
            Self::Hashtag => ['#', '＃'],
            Self::Handle => ['@', '＠'],
        }
    }

    /// Whether the character is a sign of any marker.
    fn is_sign(c: char) -> bool {
        [Self::Hashtag, Self::Handle]
            .iter()
            .any(|marker| marker.signs().contains(&c))
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hashtag => "hashtag",
            Self::Handle => "handle",
        })
    }
}

/// A run of letters and digits.
struct Word {
    /// First character.
    start: usize,
    /// One past the last.
    end: usize,
    key: String,
}

/// The form by which tags are compared: letters and digits, without case and diacritics.
fn key(word: &str) -> String {
    fold(word).chars().filter(|c| c.is_alphanumeric()).collect()
}

fn words(characters: &[char]) -> Vec<Word> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_' || is_mark(c);
    let mut words = Vec::new();
    let mut start = 0;
    for word in characters.split(|&c| !is_inside(c)) {
        let end = start + word.len();
        let key = key(&word.iter().collect::<String>());
        if !key.is_empty() {
            words.push(Word { start, end, key });
        }
        start = end + 1;
    }
    words
}

/// A combining mark, as far as tags are written with them.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36F}' | '\u{200D}' | '\u{FE0F}')
}

/// The tags of a text by key, each in the form in which it first occurs. A tag has a letter and more than one character.
pub(super) fn tags(text: &str, marker: Marker) -> BTreeMap<String, String> {
    let characters: Vec<char> = text.chars().collect();
    let mut tags = BTreeMap::new();
    for word in words(&characters) {
        let sign = word.start.checked_sub(1).map(|i| characters[i]);
        let glued = word.start.checked_sub(2).map(|i| characters[i]);
        let is_tag = sign.is_some_and(|sign| marker.signs().contains(&sign))
            && glued.is_none_or(|c| !c.is_alphanumeric())
            && word.key.chars().any(char::is_alphabetic)
            && word.key.chars().count() > 1;
        if is_tag {
            let written = characters[word.start..word.end].iter().collect();
            tags.entry(word.key).or_insert(written);
        }
    }
    tags
}

/// Keys of all words, and of neighbouring words run together: every tag that the text contains, in whatever form, is among them.
pub(super) fn forms(text: &str) -> HashSet<String> {
    let characters: Vec<char> = text.chars().collect();
    let words = words(&characters);
    let mut forms = HashSet::new();
    for i in 0..words.len() {
        let mut form = String::new();
        for word in words[i..].iter().take(MAX_WORDS) {
            form.push_str(&word.key);
            forms.insert(form.clone());
        }
    }
    forms
}

/// The text with every occurrence of a tag masked, with or without its sign, and the first mask that replaces a sign of `marker`.
pub(super) fn mask(text: &str, tag: &str, marker: Marker) -> (String, Option<Mention>) {
    let characters: Vec<char> = text.chars().collect();
    let words = words(&characters);
    let (mut masked, mut length, mut from, mut mention) = (String::new(), 0, 0, None);
    let mut i = 0;
    while i < words.len() {
        let is_tag = |n: &usize| {
            let mut keys = words[i..i + n].iter().map(|word| word.key.as_str());
            let rest = keys.try_fold(tag, |rest, key| rest.strip_prefix(key));
            rest.is_some_and(str::is_empty)
        };
        let Some(n) = (1..=MAX_WORDS.min(words.len() - i)).find(is_tag) else {
            i += 1;
            continue;
        };
        let start = words[i].start;
        let sign = start.checked_sub(1).map(|at| characters[at]);
        let begin = start - usize::from(sign.is_some_and(Marker::is_sign));
        masked.extend(&characters[from..begin]);
        length += begin - from;
        let end = length + MASK.chars().count();
        if mention.is_none() && sign.is_some_and(|sign| marker.signs().contains(&sign)) {
            mention = Some(Mention { start: length, end });
        }
        masked.push_str(MASK);
        length = end;
        from = words[i + n - 1].end;
        i += n;
    }
    masked.extend(&characters[from..]);
    (masked, mention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_with_their_sign() {
        let found = |text, marker| -> Vec<String> { tags(text, marker).into_keys().collect() };
        assert_eq!(
            found(
                "#Love, #LOVE #été! a#b #1 #x (#good_day) @me",
                Marker::Hashtag
            ),
            ["ete", "goodday", "love"]
        );
        assert_eq!(
            found("@Me: hi @me_too #no me@mail", Marker::Handle),
            ["me", "metoo"]
        );
    }

    #[track_caller]
    fn check(text: &str, tag: &str, expected: &str, start: Option<usize>) {
        let (masked, mention) = mask(text, tag, Marker::Hashtag);
        assert_eq!(masked, expected);
        assert_eq!(mention.map(|mention| mention.start), start);
        if let Some(mention) = mention {
            assert_eq!(mention.surface(&masked).unwrap(), MASK);
        }
        assert!(!forms(&masked).contains(tag), "{masked}");
    }

    #[test]
    fn every_form_is_masked() {
        check("I love #Love", "love", "I @someone @someone", Some(11));
        check("#lovely, lover", "love", "#lovely, lover", None);
        check(
            "été: #Ete #ÉTÉ's",
            "ete",
            "@someone: @someone @someone's",
            Some(10),
        );
        check(
            "Merry Christmas! #MerryChristmas",
            "merrychristmas",
            "@someone! @someone",
            Some(10),
        );
        check("@love only", "love", "@someone only", None);
        check("#love#love", "love", "@someone@someone", Some(0));
    }
}
