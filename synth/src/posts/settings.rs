//! What a user chooses.

use super::tags::Marker;

/// Parameters of the post benchmark generator.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What makes a word a tag.
    pub marker: Marker,
    /// Number of timeline posts of every entity.
    pub timeline: usize,
    /// Seed of the random generators.
    pub seed: u64,
}
