//! Tags and handles in texts: found, and masked.

use std::collections::{BTreeMap, HashSet};

use shared_model::data::Mention;
use shared_model::normalise::fold;

use super::By;

/// What stands in a tag's place.
pub(super) const MASK: &str = "@someone";
/// A tag of several words is found where they stand apart, up to this many.
const WORDS: usize = 4;

/// A run of letters and digits.
struct Word {
    /// First character.
    start: usize,
    /// One past the last.
    end: usize,
    key: String,
}

/// What tags are compared by: letters and digits, without case and diacritics.
fn key(word: &str) -> String {
    fold(word).chars().filter(|c| c.is_alphanumeric()).collect()
}

fn is_sign(c: char) -> bool {
    matches!(c, '#' | '@' | '＃' | '＠')
}

fn words(characters: &[char]) -> Vec<Word> {
    let is_inside = |c: char| c.is_alphanumeric() || c == '_' || is_mark(c);
    let mut words = Vec::new();
    let mut start = 0;
    while start < characters.len() {
        let length = characters[start..]
            .iter()
            .take_while(|&&c| is_inside(c))
            .count();
        let end = start + length;
        let key = key(&characters[start..end].iter().collect::<String>());
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

/// The tags with their sign, as first written, by key. A tag has a letter and more than one character.
pub(super) fn tags(text: &str, by: By) -> BTreeMap<String, String> {
    let characters: Vec<char> = text.chars().collect();
    let signs = match by {
        By::Hashtag => ['#', '＃'],
        By::Handle => ['@', '＠'],
    };
    let mut tags = BTreeMap::new();
    for word in words(&characters) {
        let sign = word.start.checked_sub(1).map(|i| characters[i]);
        let glued = word.start.checked_sub(2).map(|i| characters[i]);
        let is_tag = sign.is_some_and(|sign| signs.contains(&sign))
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

/// Keys of all words and of neighbouring words run together: every tag that the text bears in whatever form is among them.
pub(super) fn forms(text: &str) -> HashSet<String> {
    let characters: Vec<char> = text.chars().collect();
    let words = words(&characters);
    let mut forms = HashSet::new();
    for i in 0..words.len() {
        let mut form = String::new();
        for word in words[i..].iter().take(WORDS) {
            form.push_str(&word.key);
            forms.insert(form.clone());
        }
    }
    forms
}

/// The text with every occurrence of a tag masked, with and without its sign, and the first that had one of `by`'s.
pub(super) fn masked(text: &str, tag: &str, by: By) -> (String, Option<Mention>) {
    let characters: Vec<char> = text.chars().collect();
    let words = words(&characters);
    let signs = match by {
        By::Hashtag => ['#', '＃'],
        By::Handle => ['@', '＠'],
    };
    let (mut said, mut length, mut from, mut mention) = (String::new(), 0, 0, None);
    let mut i = 0;
    while i < words.len() {
        let Some(n) = (1..=WORDS.min(words.len() - i)).find(|n| {
            let mut rest = tag;
            let mut parts = words[i..i + n].iter();
            parts.all(|word| match rest.strip_prefix(word.key.as_str()) {
                Some(after) => {
                    rest = after;
                    true
                }
                None => false,
            }) && rest.is_empty()
        }) else {
            i += 1;
            continue;
        };
        let start = words[i].start;
        let sign = start.checked_sub(1).map(|at| characters[at]);
        let begin = if sign.is_some_and(is_sign) {
            start - 1
        } else {
            start
        };
        said.extend(&characters[from..begin]);
        length += begin - from;
        let end = length + MASK.chars().count();
        if mention.is_none() && sign.is_some_and(|sign| signs.contains(&sign)) {
            mention = Some(Mention { start: length, end });
        }
        said.push_str(MASK);
        length = end;
        from = words[i + n - 1].end;
        i += n;
    }
    said.extend(&characters[from..]);
    (said, mention)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_found_with_their_sign() {
        let found = |text, by| -> Vec<String> { tags(text, by).into_keys().collect() };
        assert_eq!(
            found("#Love, #LOVE #été! a#b #1 #x (#good_day) @me", By::Hashtag),
            ["ete", "goodday", "love"]
        );
        assert_eq!(
            found("@Me: hi @me_too #no me@mail", By::Handle),
            ["me", "metoo"]
        );
    }

    #[track_caller]
    fn check(text: &str, tag: &str, expected: &str, start: Option<usize>) {
        let (said, mention) = masked(text, tag, By::Hashtag);
        assert_eq!(said, expected);
        assert_eq!(mention.map(|mention| mention.start), start);
        if let Some(mention) = mention {
            assert_eq!(mention.surface(&said).unwrap(), MASK);
        }
        assert!(!forms(&said).contains(tag), "{said}");
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
