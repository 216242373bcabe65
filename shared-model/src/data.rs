//! Plain values: what a dataset holds and what the linker answers.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// At most this many images of a post are used; a caller with more says so.
pub const MAX_IMAGES: usize = 8;

/// A span of a text that names somebody or something, in Unicode scalar offsets, end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mention {
    /// First character.
    pub start: usize,
    /// One past the last character.
    pub end: usize,
}

impl Mention {
    /// The characters that the mention covers.
    ///
    /// # Errors
    ///
    /// [`Error::Span`] if the mention is empty or leaves `text`.
    pub fn surface(self, text: &str) -> Result<&str> {
        let length = text.chars().count();
        if self.start >= self.end || self.end > length {
            return Err(Error::Span {
                start: self.start,
                end: self.end,
                length,
            });
        }
        let byte = |offset: usize| {
            text.char_indices()
                .nth(offset)
                .map_or(text.len(), |(byte, _)| byte)
        };
        Ok(&text[byte(self.start)..byte(self.end)])
    }
}

/// An entry of the knowledge base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entity {
    /// Unique within its knowledge base.
    pub id: String,
    /// The name it is listed under.
    pub name: String,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// One sentence.
    #[serde(default)]
    pub description: String,
}

impl Entity {
    /// The entity's own post, `name. description`.
    pub fn profile(&self) -> String {
        let mut profile = self.name.clone();
        if !self.description.is_empty() {
            profile.push_str(". ");
            profile.push_str(&self.description);
        }
        profile
    }

    /// The name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}

/// A text with image paths: a line of `timeline.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimelinePost {
    /// The owner's id.
    pub entity: String,
    /// May be empty.
    #[serde(default)]
    pub text: String,
    /// Paths relative to the file that names them; may be empty.
    #[serde(default)]
    pub images: Vec<String>,
    /// The id of the row of `train.jsonl` that this post repeats: it never helps to link that row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A post to link: a line of `train.jsonl`, `dev.jsonl`, `test.jsonl`, or of the input of `imn link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Unique within its file.
    #[serde(default)]
    pub id: String,
    /// May be empty if there is an image.
    #[serde(default)]
    pub text: String,
    /// Absent: every mention found is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<Mention>,
    /// Paths relative to the file that names them.
    #[serde(default)]
    pub images: Vec<String>,
    /// Absent: the candidate policy decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidates: Option<Vec<String>>,
    /// The gold; `None` is NIL.
    #[serde(default)]
    pub entity: Option<String>,
}

/// What one cue says of one candidate. `None`: post or candidate lacks that modality.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Cues {
    /// Cosine of the centred texts.
    pub text: Option<f32>,
    /// Cosine of the z-scored images.
    pub image: Option<f32>,
    /// Cosine of the square roots of the image head's class probabilities.
    pub classes: Option<f32>,
    /// Names and words in common, between 0 and 1.
    pub lexical: Option<f32>,
    /// Cosine of u_m and u_e; `None` where the network took no part in this candidate's score.
    #[serde(default)]
    pub imn: Option<f32>,
}

/// A scored candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Entity id.
    pub entity: String,
    /// Higher is better; finite.
    pub score: f32,
    /// Softmax over the scores of all candidates (and NIL, where the bundle has a NIL logit).
    pub probability: f32,
    /// The score's parts.
    pub cues: Cues,
}

/// A mention's candidates, best first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ranking {
    /// The mention that was linked.
    pub mention: Mention,
    /// All candidates; empty if no entity has the name.
    pub candidates: Vec<Candidate>,
    /// `None` where no NIL data was calibrated on.
    pub nil_probability: Option<f32>,
    /// What took part in the scores.
    pub scorer: ScorerKind,
}

/// What took part in the scores of a list of candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScorerKind {
    /// The network, for every candidate; it was trained on all of them.
    Imn,
    /// The network, for at least one candidate; at least one is new to it. [`Cues::imn`] tells for which.
    ImnNew,
    /// The training-free scorer alone.
    Prototype,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surface_counts_characters_not_bytes() {
        let text = "Ünder 🐆 jaguar";
        assert_eq!(
            Mention { start: 8, end: 14 }.surface(text).unwrap(),
            "jaguar"
        );
        assert_eq!(Mention { start: 6, end: 7 }.surface(text).unwrap(), "🐆");
    }

    #[test]
    fn a_span_outside_the_text_is_an_error() {
        for (start, end) in [(0, 0), (3, 2), (0, 4), (9, 12)] {
            let error = Mention { start, end }.surface("abc").unwrap_err();
            assert!(error.to_string().contains("3 characters"), "{error}");
        }
    }
}
