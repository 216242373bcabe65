//! The photo benchmark: groups of classes share a name, and the text, the picture or both say which class is meant.
//!
//! Texts are made from words of the classes' glosses, or are sentences about the classes.

mod classes;
mod descriptions;
mod generator;
mod gloss;
mod groups;
mod montage;
mod names;
mod pools;
mod sentences;
mod settings;
mod texts;
mod wording;

pub use classes::{Class, ClassError, MIN_PHOTOS, Photo};
pub use descriptions::split;
pub use generator::{FewClasses, generate};
pub use montage::montage;
pub use settings::Settings;
