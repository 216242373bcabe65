//! What a user chooses.

use std::ops::RangeInclusive;

/// Parameters of the photo benchmark generator.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Number of classes that share an invented name.
    pub ambiguity: usize,
    /// Number of candidates up to which random classes of other names are added to those of the name; `None` for the classes of the name alone, or 17 candidates if texts are sentences.
    pub candidates: Option<usize>,
    /// Mean share of the words of a gloss that a text contains.
    pub text: f64,
    /// Share of off-topic timeline posts.
    pub noise: f64,
    /// Share of posts without a picture, or, in timelines, without a picture or a text.
    pub missing: f64,
    /// Maximum number of pictures per post.
    pub images: usize,
    /// Share of mentions whose class is not among the candidates.
    pub nil: f64,
    /// Share of the names whose classes have no train mentions.
    pub unseen: f64,
    /// Number of timeline posts per entity.
    pub posts: RangeInclusive<usize>,
    /// Number of train mentions with an entity, from which the sizes of dev and test follow.
    pub mentions: usize,
    /// Seed of the random generators.
    pub seed: u64,
}
