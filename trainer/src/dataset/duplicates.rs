//! Near-duplicate texts and pictures.

use std::collections::HashSet;

use image::RgbImage;
use image_hasher::{HashAlg, Hasher, HasherConfig, ImageHash};
use shared_model::normalise::fold;

/// Largest Hamming distance between the 64-bit hashes of near-duplicate pictures.
const NEAR: u32 = 4;
/// Texts with this many equal first words are near-duplicates: one is a cut copy of the other.
const OPENING: usize = 8;

/// Makes the perceptual hashes.
pub(crate) fn hasher() -> Hasher {
    HasherConfig::new()
        .hash_alg(HashAlg::Gradient)
        .preproc_dct()
        .to_hasher()
}

/// Whether two pictures are nearly the same.
pub(crate) fn are_near(a: &ImageHash, b: &ImageHash) -> bool {
    a.dist(b) <= NEAR
}

/// Pictures added so far, by their perceptual hashes.
pub(super) struct Pictures {
    hasher: Hasher,
    hashes: Vec<ImageHash>,
}

impl Pictures {
    /// No picture yet.
    pub(super) fn new() -> Self {
        Self {
            hasher: hasher(),
            hashes: Vec::new(),
        }
    }

    /// Adds a picture; false if a near-duplicate was added before.
    pub(super) fn insert(&mut self, picture: &RgbImage) -> bool {
        let hash = self.hasher.hash_image(picture);
        let is_new = !self.hashes.iter().any(|other| are_near(other, &hash));
        self.hashes.push(hash);
        is_new
    }
}

/// Texts added so far.
#[derive(Default)]
pub(super) struct Texts {
    whole: HashSet<String>,
    openings: HashSet<String>,
}

impl Texts {
    /// Adds a text; false if one was added before that has the same words or the same first eight. Retweet marks, handles and links are ignored.
    pub(super) fn insert(&mut self, text: &str) -> bool {
        let said: Vec<&str> = text
            .split_whitespace()
            .filter(|word| !word.starts_with('@') && !word.starts_with("http") && *word != "RT")
            .collect();
        let folded = fold(&said.join(" "));
        if folded.is_empty() {
            return true;
        }
        let words: Vec<&str> = folded.split(' ').collect();
        let opening = words.get(..OPENING).map(|words| words.join(" "));
        let opening_is_new = opening.is_none_or(|opening| self.openings.insert(opening));
        self.whole.insert(folded) && opening_is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retweets_and_cut_copies_are_the_same_text() {
        let mut texts = Texts::default();
        for (text, is_new) in [
            ("Good morning, world!", true),
            ("RT @user: good MORNING world https://t.co/x", false),
            ("One two three four five six seven eight nine ten", true),
            ("One two three four five six seven eight ni\u{2026}", false),
            ("One two three", true),
            ("@user", true),
            ("@user http://x", true),
        ] {
            assert_eq!(texts.insert(text), is_new, "{text}");
        }
    }
}
