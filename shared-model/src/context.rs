//! Context: a text without the name that it is about.
//!
//! A sentence encoder lets a famous name drown the sentence around it; with a neutral word in its place, the rest decides.

use crate::data::{Entity, Mention};
use crate::error::Result;
use crate::tokenizer::MAX_CHARACTERS;

/// Stands for the name: a pronoun, which every sentence encoder has learned, unlike a mask token.
const NEUTRAL: &str = "it";

/// A text of a post without its mention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// The text with a neutral word in place of the name.
    pub text: String,
    /// Span of the word that replaced the mention.
    pub mention: Mention,
}

/// The text of a post with the mention, and every other occurrence of it as a whole word, replaced by a neutral word; `None` if no other word is left.
///
/// # Errors
///
/// [`Error::Span`](crate::error::Error::Span) for a mention outside the text.
pub fn of_post(text: &str, mention: Mention) -> Result<Option<Context>> {
    let name = mention.surface(text)?;
    let (replaced, start) = replace(text, &[name], Some(mention));
    Ok(replaced.map(|text| Context {
        text,
        mention: Mention {
            start,
            end: start + NEUTRAL.chars().count(),
        },
    }))
}

/// The description of an entity with every occurrence of its names replaced by a neutral word; `None` if no other word is left.
pub fn of_entity(entity: &Entity) -> Option<String> {
    of_text(&entity.description, entity)
}

/// A text about an entity with every occurrence of its names replaced by a neutral word; `None` if no other word is left.
pub fn of_text(text: &str, entity: &Entity) -> Option<String> {
    let names: Vec<&str> = entity.names().collect();
    replace(text, &names, None).0
}

/// The text with a neutral word in place of the names, unless no other word is left, and where the one in place of `span` starts.
fn replace(text: &str, names: &[&str], span: Option<Mention>) -> (Option<String>, usize) {
    let characters: Vec<char> = text.chars().collect();
    let lower: Vec<char> = characters.iter().copied().map(lowercase).collect();
    let mut names: Vec<Vec<char>> = names
        .iter()
        .map(|name| name.trim().chars().map(lowercase).collect())
        .filter(|name: &Vec<char>| !name.is_empty())
        .collect();
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));

    let is_inside_word =
        |at: usize| at > 0 && at < lower.len() && [at - 1, at].iter().all(|&i| is_word(lower[i]));
    let named = |at: usize| {
        if is_inside_word(at) {
            return None;
        }
        let mut names = names.iter();
        let name =
            names.find(|name| lower[at..].starts_with(name) && !is_inside_word(at + name.len()))?;
        Some(at + name.len())
    };
    let mut replaced = String::with_capacity(text.len());
    let (mut at, mut is_left, mut start_of_span) = (0, false, 0);
    while at < characters.len() {
        let end = match span {
            Some(Mention { start, end }) if at == start => Some(end),
            // An occurrence that overlaps the span from the left must not swallow its start.
            Some(Mention { start, .. }) => named(at).filter(|&end| at > start || end <= start),
            None => named(at),
        };
        if let Some(end) = end {
            // The sign of a hashtag or handle belongs to the name.
            if replaced.ends_with(['#', '@']) {
                replaced.pop();
            }
            if span.is_some_and(|span| at == span.start) {
                start_of_span = replaced.chars().count();
            }
            replaced.push_str(NEUTRAL);
            at = end;
        } else {
            is_left |= characters[at].is_alphanumeric();
            replaced.push(characters[at]);
            at += 1;
        }
    }
    // "It" may be longer than the name.
    let fits = replaced.chars().count() <= MAX_CHARACTERS;
    ((is_left && fits).then_some(replaced), start_of_span)
}

/// One character for each, so that positions stay.
fn lowercase(character: char) -> char {
    character.to_lowercase().next().unwrap_or(character)
}

/// Whether a character may continue the word before it. Chinese, Japanese and Thai have no spaces between words: there a name is found anywhere.
fn is_word(character: char) -> bool {
    let has_no_spaces = matches!(character, '\u{e00}'..='\u{e7f}' | '\u{3040}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}');
    (character.is_alphanumeric() && !has_no_spaces) || character == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(text: &str, name: &str) -> Option<String> {
        let byte = text.find(name).unwrap();
        let start = text[..byte].chars().count();
        let end = start + name.chars().count();
        let context = of_post(text, Mention { start, end }).unwrap()?;
        assert_eq!(context.mention.surface(&context.text).unwrap(), NEUTRAL);
        Some(context.text)
    }

    #[test]
    fn every_occurrence_of_the_mention_is_replaced() {
        for (text, name, expected) in [
            ("Saw a jaguar today", "jaguar", "Saw a it today"),
            ("Jaguar! JAGUAR? jaguars", "Jaguar", "it! it? jaguars"),
            ("my #Jaguar and @jaguar", "Jaguar", "my it and it"),
            ("Ünder São Paulo, são paulo", "São Paulo", "Ünder it, it"),
            ("pythonic python", "python", "itic it"),
            ("🐆 in New York 🐆", "New York", "🐆 in it 🐆"),
            ("我爱苹果手机，苹果贵", "苹果", "我爱it手机，it贵"),
        ] {
            assert_eq!(context(text, name).as_deref(), Some(expected), "{text}");
        }
        let jaguars = Mention { start: 6, end: 13 };
        let ends = of_post("jaguar jaguars ", Mention { start: 7, end: 14 });
        let ends = ends.unwrap().unwrap();
        assert_eq!(ends.text, "jaguar it ");
        assert_eq!(ends.mention, Mention { start: 7, end: 9 });
        assert!(of_post("jaguar", jaguars).is_err());
    }

    #[test]
    fn a_mention_without_another_word_has_no_context() {
        for (text, name) in [
            ("jaguar", "jaguar"),
            ("#Jaguar!! 🐆", "Jaguar"),
            ("jaguar, Jaguar", "jaguar"),
            ("Saw a jaguar today", "Saw a jaguar today"),
        ] {
            assert_eq!(context(text, name), None, "{text}");
        }
    }

    #[test]
    fn a_text_that_grows_too_long_has_no_context() {
        let text = format!("{}b", "a ".repeat(MAX_CHARACTERS / 2 - 1));
        let span = Mention { start: 0, end: 1 };
        assert_eq!(of_post(&text, span).unwrap(), None);
        let shorter = format!("{}b", "a ".repeat(10));
        assert!(of_post(&shorter, span).unwrap().is_some());
    }

    #[test]
    fn a_description_is_left_without_the_names() {
        let entity = |description: &str| Entity {
            id: "Q1".to_owned(),
            name: "Jaguar".to_owned(),
            aliases: vec!["Jaguar Cars".to_owned(), String::new()],
            description: description.to_owned(),
        };
        let text = "Jaguar Cars is the maker of the Jaguar E-Type";
        assert_eq!(
            of_entity(&entity(text)).as_deref(),
            Some("it is the maker of the it E-Type")
        );
        for empty in ["", "Jaguar", "jaguar cars."] {
            assert_eq!(of_entity(&entity(empty)), None);
        }
    }
}
