//! The post benchmark: a tag that recurs is an entity, and each post that contains it asks, with the tag masked, which one it was.

mod corpus;
mod folds;
mod generator;
mod recurring;
mod settings;
mod split;
mod tags;

pub use corpus::{Corpus, FewTags, SourcePost};
pub use generator::{generate, generate_folds};
pub use recurring::MIN_POSTS;
pub use settings::Settings;
pub use tags::Marker;
