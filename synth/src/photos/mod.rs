//! The photo benchmark: groups of classes share an invented name, and the text, the picture or only both together say which class is meant.

mod classes;
mod generator;
mod gloss;
mod groups;
mod montage;
mod names;
mod sentences;
mod settings;
mod wording;

pub use classes::{Class, ClassError, MIN_PHOTOS, Photo};
pub use generator::{FewClasses, generate};
pub use montage::montage;
pub use settings::Settings;
