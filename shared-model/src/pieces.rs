//! Segmentation of a text for name look-up: words, parts of words, and what separates them.

use std::ops::Range;

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

use crate::addresses::addresses;
use crate::normalise::{is_invisible, letters};

/// The pieces of a text.
#[derive(Debug)]
pub(crate) struct Pieces {
    /// In the order of the text.
    pub(crate) pieces: Vec<Piece>,
    /// Ranges of pieces that are a whole hashtag or handle.
    pub(crate) tags: Vec<Range<usize>>,
}

/// A run of letters and digits: a word, or a part of one (`O` of `O'Brien`, `Visit` of `#VisitTurkey`).
#[derive(Debug)]
pub(crate) struct Piece {
    /// Bytes of the text.
    pub(crate) range: Range<usize>,
    /// Its letters and digits without case and diacritics.
    pub(crate) key: String,
    /// What separates it from the previous piece.
    pub(crate) gap: Gap,
    /// Whether a name may begin here.
    pub(crate) begins: bool,
    /// Whether a name may end here.
    pub(crate) ends: bool,
}

/// What separates two pieces.
#[derive(Debug, Default)]
pub(crate) struct Gap {
    /// Whether a word of a name may extend over the gap: zero-width spaces and the joints of a hashtag in camel case.
    pub(crate) is_optional: bool,
    /// Punctuation that a name extends over only if it has the same.
    pub(crate) marks: String,
}

impl Pieces {
    /// Splits a text into pieces.
    pub(crate) fn of(text: &str) -> Self {
        // Whether a byte is inside of an address, its first one excepted.
        let mut inside = vec![false; text.len() + 1];
        for address in addresses(text) {
            if !address.is_empty() {
                inside[address.start + 1..address.end].fill(true);
            }
        }
        let mut split = Self {
            pieces: Vec::new(),
            tags: Vec::new(),
        };
        for (start, word) in text.unicode_word_indices() {
            let first = split.pieces.len();
            let before = text[..start].trim_end_matches(is_invisible);
            let is_hashtag = before.ends_with(['#', '＃']);
            for run in runs(word, is_hashtag) {
                let range = start + run.start..start + run.end;
                let key = letters(&text[range.clone()]);
                if !key.is_empty() {
                    split.push(text, range, key, first, is_hashtag);
                }
            }
            let mut last = split.pieces.len();
            if has_possessive(&split.pieces[first..]) {
                last -= 1;
                split.pieces[last - 1].ends = true;
            }
            if first < last && (is_hashtag || before.ends_with(['@', '＠'])) {
                split.tags.push(first..last);
            }
        }
        for piece in &mut split.pieces {
            piece.begins &= !inside[piece.range.start];
            piece.ends &= !inside[piece.range.end];
        }
        let Self { pieces, tags } = &mut split;
        tags.retain(|tag| pieces[tag.start].begins && pieces[tag.end - 1].ends);
        split
    }

    /// The end of the text without its possessive ending, in bytes; `None` if it has none.
    pub(crate) fn possessor(&self) -> Option<usize> {
        let n = self.pieces.len();
        has_possessive(&self.pieces).then(|| self.pieces[n - 2].range.end)
    }

    /// Adds a piece of the word whose pieces begin at `first`.
    fn push(
        &mut self,
        text: &str,
        range: Range<usize>,
        key: String,
        first: usize,
        is_hashtag: bool,
    ) {
        let is_in_word = self.pieces.len() > first;
        let mut piece = Piece {
            range,
            key,
            gap: Gap::default(),
            begins: true,
            ends: true,
        };
        if let Some(previous) = self.pieces.last_mut() {
            let between = &text[previous.range.end..piece.range.start];
            let between: String = between.chars().filter(|&c| !is_invisible(c)).collect();
            piece.gap.marks = marks(&between);
            if !is_in_word {
                piece.gap.is_optional = between == "\u{200b}";
            } else if is_hashtag && matches!(between.as_str(), "" | "_") {
                piece.gap.is_optional = true;
            } else if matches!(between.as_str(), "." | ":" | "．" | "：")
                && !is_number(text, previous)
            {
                // Two sentences without a space between, or an abbreviation such as `U.S.`.
                piece.begins = piece.key.chars().nth(1).is_some();
                previous.ends = previous.key.chars().nth(1).is_some();
            } else {
                piece.begins = false;
                previous.ends = false;
            }
        }
        self.pieces.push(piece);
    }
}

/// The letters and digits of pieces.
pub(crate) fn key(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.key.as_str()).collect()
}

/// Whether the pieces of a word end in `'s`.
fn has_possessive(pieces: &[Piece]) -> bool {
    let [.., _, ending] = pieces else {
        return false;
    };
    ending.key == "s" && ending.gap.marks == "'"
}

fn is_number(text: &str, piece: &Piece) -> bool {
    text[piece.range.clone()].ends_with(char::is_numeric)
}

/// The runs of letters and digits in a word, in bytes; in a hashtag each word in camel case is one.
fn runs(word: &str, is_hashtag: bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut is_open = false;
    let mut characters = word
        .char_indices()
        .filter(|(_, c)| !is_invisible(*c))
        .peekable();
    let mut previous = '\0';
    while let Some((start, c)) = characters.next() {
        let end = start + c.len_utf8();
        let next = characters.peek().map_or('\0', |(_, next)| *next);
        let starts_word = is_hashtag && is_camel_case_boundary(previous, c, next);
        match runs.last_mut() {
            Some(run) if is_open && is_combining_mark(c) => run.end = end,
            Some(run) if is_open && c.is_alphanumeric() && !starts_word => run.end = end,
            _ if c.is_alphanumeric() => runs.push(start..end),
            _ => {}
        }
        is_open = c.is_alphanumeric() || is_open && is_combining_mark(c);
        previous = c;
    }
    runs
}

/// Whether a word begins with `c`: `T` in `VisitTurkey`, `L` in `ILove`, `2` in `Turkey2024`.
fn is_camel_case_boundary(previous: char, c: char, next: char) -> bool {
    previous.is_lowercase() && c.is_uppercase()
        || previous.is_uppercase() && c.is_uppercase() && next.is_lowercase()
        || previous.is_numeric() != c.is_numeric()
}

/// The punctuation between two words that ends a name, compatibility forms and kinds of apostrophe made equal.
///
/// An apostrophe counts if it is alone: that of `O'Brien`, not that of `Guns N' Roses`.
fn marks(between: &str) -> String {
    if matches!(between, "'" | "’" | "‘" | "＇") {
        return "'".to_owned();
    }
    let is_spaced =
        between.starts_with(char::is_whitespace) && between.ends_with(char::is_whitespace);
    between
        .nfkd()
        .filter_map(|c| match c {
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => Some('\n'),
            '-' | '\u{2010}' | '\u{2011}' | '–' if is_spaced => Some('-'),
            '.' | ',' | ';' | ':' | '!' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '<' | '>'
            | '|' | '#' | '@' | '—' | '―' | '•' | '¡' | '¿' | '。' | '、' | '〈' | '〉' | '《'
            | '》' | '「' | '」' | '『' | '』' | '【' | '】' | '،' | '؛' | '؟' | '।' => {
                Some(c)
            }
            _ => None,
        })
        .collect()
}
