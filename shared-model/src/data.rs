//! Plain values: what a dataset holds and what the linker answers.

use serde::{Deserialize, Deserializer, Serialize};

use crate::error::{Error, Result};
use crate::paths;

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
    #[serde(default, deserialize_with = "or_default")]
    pub aliases: Vec<String>,
    /// One sentence.
    #[serde(default, deserialize_with = "or_default")]
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
    #[serde(default, deserialize_with = "or_default")]
    pub text: String,
    /// Paths relative to the file that names them; may be empty.
    #[serde(default, deserialize_with = "picture_paths")]
    pub images: Vec<String>,
    /// The id of the row of `train.jsonl` that this post repeats: it never helps to link that row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A post to link: a line of `train.jsonl`, `dev.jsonl`, `test.jsonl`, or of the input of `imn link`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    /// Unique within its file.
    #[serde(default, deserialize_with = "or_default")]
    pub id: String,
    /// May be empty if there is an image.
    #[serde(default, deserialize_with = "or_default")]
    pub text: String,
    /// Absent: every mention found is linked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<Mention>,
    /// Paths relative to the file that names them.
    #[serde(default, deserialize_with = "picture_paths")]
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
    /// Cosine of the post's text without the mention and the candidate's texts.
    #[serde(default)]
    pub context: Option<f32>,
    /// The same under the context encoder, without the names in any text.
    #[serde(default)]
    pub tuned: Option<f32>,
    /// Cosine of the z-scored images.
    pub image: Option<f32>,
    /// Cosine of the square roots of the image head's class probabilities.
    pub classes: Option<f32>,
    /// How well the post's pictures fit the candidate's texts.
    #[serde(default)]
    pub image_text: Option<f32>,
    /// How well the post's text fits the candidate's pictures.
    #[serde(default)]
    pub text_image: Option<f32>,
    /// Names and words in common, between 0 and 1.
    pub lexical: Option<f32>,
    /// Cosine of u_m and u_e; `None` where the network took no part in this candidate's score.
    #[serde(default)]
    pub imn: Option<f32>,
}

/// What each cue adds to the score of a candidate, above what it adds to entities in the mean; a missing cue adds 0. The parts sum to the score.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Parts {
    /// Part of [`Cues::text`].
    pub text: f32,
    /// Part of [`Cues::context`].
    pub context: f32,
    /// Part of [`Cues::tuned`].
    pub tuned: f32,
    /// Part of [`Cues::image`].
    pub image: f32,
    /// Part of [`Cues::classes`].
    pub classes: f32,
    /// Part of [`Cues::image_text`].
    pub image_text: f32,
    /// Part of [`Cues::text_image`].
    pub text_image: f32,
    /// Part of [`Cues::lexical`].
    pub lexical: f32,
    /// What a candidate with this kind of evidence is given.
    pub evidence: f32,
    /// Part of the network.
    pub imn: f32,
}

impl Parts {
    /// The score.
    pub fn sum(&self) -> f32 {
        self.array().into_iter().sum()
    }

    /// All parts, in the order of the fields.
    pub fn array(&self) -> [f32; 10] {
        let Self {
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
            lexical,
            evidence,
            imn,
        } = *self;
        [
            text, context, tuned, image, classes, image_text, text_image, lexical, evidence, imn,
        ]
    }
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
    /// What the cues say.
    pub cues: Cues,
    /// What they add to the score.
    #[serde(default)]
    pub parts: Parts,
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

/// Words and regions of a post with what they add to the lead of the first candidate over the second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Effects {
    /// Words, in the order of the text.
    pub words: Vec<WordEffect>,
    /// Per picture the regions of a square grid, row by row.
    pub pictures: Vec<Vec<f32>>,
}

/// What a word adds to the lead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct WordEffect {
    /// Its span in the text.
    pub word: Mention,
    /// How much smaller the lead is without it; below 0 if it speaks for the second candidate.
    pub effect: f32,
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

/// Reads `null` as the default value.
///
/// # Errors
///
/// The deserializer's, for a value of another type.
pub fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// Reads picture paths, each as [`paths::relative`] gives it; one that is refused stays as written, for whoever reads the rows to name.
///
/// # Errors
///
/// The deserializer's, for anything but a list of strings or `null`.
pub fn picture_paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let mut paths: Vec<String> = or_default(deserializer)?;
    for path in &mut paths {
        if let Ok(relative) = paths::relative(path) {
            *path = relative;
        }
    }
    Ok(paths)
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
    fn null_is_the_default() {
        let nulls = r#"{"id":null,"text":null,"mention":null,"images":null,"candidates":null,"entity":null}"#;
        let post: Post = serde_json::from_str(nulls).unwrap();
        assert_eq!(post, serde_json::from_str("{}").unwrap());
        let post = r#"{"entity":"a","text":null,"images":null,"id":null}"#;
        let post: TimelinePost = serde_json::from_str(post).unwrap();
        assert!(post.text.is_empty() && post.images.is_empty() && post.id.is_none());
        let entity = r#"{"id":"a","name":"A","aliases":null,"description":null}"#;
        let entity: Entity = serde_json::from_str(entity).unwrap();
        assert!(entity.aliases.is_empty() && entity.description.is_empty());
        assert!(serde_json::from_str::<Post>(r#"{"images":"a.jpg"}"#).is_err());
        assert!(serde_json::from_str::<Post>(r#"{"images":[null]}"#).is_err());
    }

    #[test]
    fn picture_paths_are_read_in_one_form() {
        let post = r#"{"images":["./a.jpg","images//b.jpg","images\\c.jpg","../d.jpg"]}"#;
        let post: Post = serde_json::from_str(post).unwrap();
        assert_eq!(
            post.images,
            ["a.jpg", "images/b.jpg", "images/c.jpg", "../d.jpg"]
        );
    }

    #[test]
    fn a_span_outside_the_text_is_an_error() {
        for (start, end) in [(0, 0), (3, 2), (0, 4), (9, 12)] {
            let error = Mention { start, end }.surface("abc").unwrap_err();
            assert!(error.to_string().contains("3 characters"), "{error}");
        }
    }
}
