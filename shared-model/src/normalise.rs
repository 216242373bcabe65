//! Text normalisation: names and words are compared without case and diacritics.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

/// The words of `text` without case, diacritics and invisible characters, joined by one space.
pub fn fold(text: &str) -> String {
    let plain: String = text
        .nfkd()
        .filter(|&c| !is_combining_mark(c) && !is_invisible(c))
        .flat_map(char::to_lowercase)
        .collect();
    plain.unicode_words().collect::<Vec<_>>().join(" ")
}

/// The letters and digits of `text` without case and diacritics.
pub(crate) fn letters(text: &str) -> String {
    text.nfkd()
        .filter(|&c| !is_combining_mark(c) && !is_invisible(c))
        .flat_map(char::to_lowercase)
        .filter(|c| c.is_alphanumeric())
        .collect()
}

/// Whether a character is never displayed: Unicode's `Default_Ignorable_Code_Point`, among them soft hyphens, joiners, bidirectional marks and variation selectors.
///
/// The zero-width space is none of them here, as it separates words.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200c}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_diacritics_and_punctuation_are_folded() {
        assert_eq!(fold("  São PAULO, (Brazil)!"), "sao paulo brazil");
        assert_eq!(fold("Œuvre Ünder ﬁsh"), "œuvre under fish");
        assert_eq!(fold("O'Brien's Node.js"), "o'brien's node.js");
        assert_eq!(fold("?! 🐆"), "");
    }

    #[test]
    fn invisible_characters_are_folded() {
        for text in [
            "Tur\u{ad}key is big",
            "\u{feff}Turkey is \u{200e}big",
            "\u{2067}Turkey\u{2069} is b\u{200d}ig",
            "Turkey\u{fe0e} i\u{2060}s big\u{200c}",
        ] {
            assert_eq!(fold(text), "turkey is big", "{text:?}");
            assert_eq!(letters(text), "turkeyisbig", "{text:?}");
        }
        assert_eq!(fold("New\u{200b}York"), "new york");
    }
}
