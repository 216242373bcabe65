//! What a generator gives.

use shared_model::data::{Entity, Post, TimelinePost};

use crate::album::Picture;

/// A labelled dataset, complete but for the bytes of its pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Benchmark {
    /// The knowledge base.
    pub entities: Vec<Entity>,
    /// The entities' posts.
    pub timeline: Vec<TimelinePost>,
    /// The mentions of each part, in the order of [`Part::ALL`].
    pub mentions: [Vec<Post>; 3],
    /// The pictures that the posts show, each once.
    pub pictures: Vec<Picture>,
    /// What was left out or came out smaller than asked for.
    pub notes: Vec<Note>,
}

/// Something that a user should know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// What happened; notes of the same kind are equal here.
    pub what: &'static str,
    /// The class, tag or post that it happened to.
    pub example: String,
}

impl Note {
    pub(crate) fn new(what: &'static str, example: &str) -> Self {
        Self {
            what,
            example: example.to_owned(),
        }
    }
}

/// A part of the mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// For training.
    Train,
    /// For choices between models.
    Dev,
    /// For the figures that are reported.
    Test,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Train, Self::Dev, Self::Test];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
    }
}
