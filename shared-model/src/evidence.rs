//! What a post and a candidate have to compare, as the scorer weighs it.

use serde::{Deserialize, Serialize};

use crate::lexical::LexicalCues;

/// Every cue: those of [`VectorCues`] in order, less their backgrounds, then [`LexicalCues`]; 0 for a missing one.
pub type AllCues = [f32; 13];

/// The cues of a candidate as the scorer weighs them.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Observed {
    /// Comparisons of vectors, less their backgrounds.
    pub(crate) vectors: VectorCues,
    pub(crate) lexical: LexicalCues,
    /// Whether the post has another word than the mention.
    pub(crate) has_words: bool,
}

/// What a post and a candidate have to compare, besides names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Evidence {
    /// Texts, beyond the mention and the names, and pictures.
    Both,
    /// Texts.
    Texts,
    /// Pictures.
    Pictures,
    /// Pictures of the post, texts of the candidate.
    ImageText,
    /// Text of the post, pictures of the candidate.
    TextImage,
    /// Nothing.
    Nothing,
}

/// Modalities of a post or of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sides {
    /// Whether there are texts, beyond the mention and the names.
    pub text: bool,
    /// Whether there are pictures.
    pub image: bool,
}

impl Sides {
    /// Texts and pictures.
    pub const ALL: Self = Self {
        text: true,
        image: true,
    };
}

/// What a ranking may use of what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conditions {
    /// Modalities of the post.
    pub post: Sides,
    /// Modalities of the candidates; the network reads candidates with all of them or not at all.
    pub candidate: Sides,
    /// Whether the network takes part.
    pub network: bool,
}

impl Default for Conditions {
    /// Everything.
    fn default() -> Self {
        Self {
            post: Sides::ALL,
            candidate: Sides::ALL,
            network: true,
        }
    }
}

impl Evidence {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Both,
        Self::Texts,
        Self::Pictures,
        Self::ImageText,
        Self::TextImage,
        Self::Nothing,
    ];
}

impl Observed {
    /// What there is to compare.
    pub fn evidence(&self) -> Evidence {
        let VectorCues {
            context,
            image,
            image_text,
            text_image,
            ..
        } = self.vectors;
        match (context.is_some(), image.is_some()) {
            (true, true) => Evidence::Both,
            (true, false) => Evidence::Texts,
            (false, true) => Evidence::Pictures,
            (false, false) if image_text.is_some() => Evidence::ImageText,
            (false, false) if text_image.is_some() => Evidence::TextImage,
            (false, false) => Evidence::Nothing,
        }
    }

    /// All cues.
    ///
    /// What a text, its words and n-grams have in common with a name is 0 where there are pictures to compare, or where the text is the mention alone:
    /// it says less than these, and the name cues say it already.
    pub fn values(&self) -> AllCues {
        let is_by_name = self.has_words && self.evidence() == Evidence::Nothing;
        let texts_count = self.vectors.context.is_some() || is_by_name;
        let [ratio, exact, tokens, surname, words, grams] = self.lexical;
        let [words, grams] = [words, grams].map(|cue| if texts_count { cue } else { 0.0 });
        let [text, rest @ ..] = self.vectors.array();
        let vectors = [text.filter(|_| texts_count)].into_iter().chain(rest);
        let lexical = [ratio, exact, tokens, surname, words, grams];
        let all = vectors.map(Option::unwrap_or_default).chain(lexical);
        let mut values = AllCues::default();
        values
            .iter_mut()
            .zip(all)
            .for_each(|(value, cue)| *value = cue);
        values
    }

    /// The cues of a post and a candidate with these modalities alone.
    #[must_use]
    pub fn restricted(&self, post: Sides, candidate: Sides) -> Self {
        Self {
            vectors: self.vectors.restricted(post, candidate),
            lexical: self.lexical,
            has_words: self.has_words && post.text && candidate.text,
        }
    }
}

/// Cues that compare vectors; `None` where post or candidate lacks what is compared.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct VectorCues {
    /// Cosine of the centred texts.
    pub text: Option<f32>,
    /// Cosine of the post's text without the mention and the candidate's texts, its description without the names among them.
    pub context: Option<f32>,
    /// As `context`, under the context encoder and without the names in any text; `None` without such an encoder.
    pub tuned: Option<f32>,
    /// Cosine of the z-scored images.
    pub image: Option<f32>,
    /// Bhattacharyya coefficient of the class probabilities.
    pub classes: Option<f32>,
    /// Cosine of the post's pictures, carried into the space of texts, and the candidate's texts; `None` if its name is all.
    pub image_text: Option<f32>,
    /// Cosine of the post's text without the mention and the candidate's pictures, carried into the space of texts.
    pub text_image: Option<f32>,
}

impl VectorCues {
    /// The cues of a post and a candidate with these modalities alone.
    #[must_use]
    pub(crate) fn restricted(self, post: Sides, candidate: Sides) -> Self {
        let (texts, pictures) = (post.text && candidate.text, post.image && candidate.image);
        let (image_text, text_image) = (post.image && candidate.text, post.text && candidate.image);
        let is_left = [
            texts, texts, texts, pictures, pictures, image_text, text_image,
        ];
        self.zip(is_left, |cue, is_left| is_left.then_some(cue))
    }

    /// The inverse of [`Self::array`].
    pub(crate) fn of(mut cues: impl Iterator<Item = Option<f32>>) -> Self {
        let mut next = || cues.next().flatten();
        Self {
            text: next(),
            context: next(),
            tuned: next(),
            image: next(),
            classes: next(),
            image_text: next(),
            text_image: next(),
        }
    }

    /// Changes each cue that there is by the value in its place of [`Self::array`]; a missing one stays missing.
    pub(crate) fn zip<T>(self, others: [T; 7], change: impl Fn(f32, T) -> Option<f32>) -> Self {
        let pairs = self.array().into_iter().zip(others);
        Self::of(pairs.map(|(cue, other)| change(cue?, other)))
    }

    pub(crate) fn array(self) -> [Option<f32>; 7] {
        let Self {
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
        } = self;
        [text, context, tuned, image, classes, image_text, text_image]
    }
}
