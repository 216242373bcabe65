//! Text normalisation: names and words are compared without case and diacritics.

use unicode_normalization::{UnicodeNormalization as _, char::is_combining_mark};
use unicode_segmentation::UnicodeSegmentation as _;

/// The words of `text` without case and diacritics, joined by one space.
pub fn fold(text: &str) -> String {
    let plain: String = text
        .nfkd()
        .filter(|&c| !is_combining_mark(c))
        .flat_map(char::to_lowercase)
        .collect();
    plain.unicode_words().collect::<Vec<_>>().join(" ")
}
