//! Names of the cues, for flags and plans.

use clap::ValueEnum;
use serde::Deserialize;
use shared_model::scorer::ScorerConfig;

/// A cue of the training-free scorer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cue {
    /// Cosine of the texts.
    Text,
    /// The post's text without the mention.
    Context,
    /// The same under the context encoder.
    Tuned,
    /// Cosine of the pictures.
    Image,
    /// Class probabilities of the pictures.
    Classes,
    /// The post's pictures against the candidate's texts.
    ImageText,
    /// The post's text against the candidate's pictures.
    TextImage,
    /// Names and words in common.
    Lexical,
}

impl Cue {
    /// Its weight.
    pub(crate) fn weight(self, scorer: &mut ScorerConfig) -> &mut f32 {
        match self {
            Self::Text => &mut scorer.text,
            Self::Context => &mut scorer.context,
            Self::Tuned => &mut scorer.tuned,
            Self::Image => &mut scorer.image,
            Self::Classes => &mut scorer.classes,
            Self::ImageText => &mut scorer.image_text,
            Self::TextImage => &mut scorer.text_image,
            Self::Lexical => &mut scorer.lexical,
        }
    }
}
