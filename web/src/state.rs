//! What the page shows, as signals of plain values.

use std::collections::HashMap;

use leptos::prelude::*;
use serde::Deserialize;
use shared_model::data::{Mention, Ranking};
use web::protocol::{Loaded, Stage, StageTimes};

/// All signals of the page. A copy is the same state.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    /// What the page is busy with.
    pub(crate) phase: RwSignal<Phase>,
    /// Bytes of the bundle; `None` until the manifest is read.
    pub(crate) price: RwSignal<Option<u64>>,
    /// Bytes of the bundle that are there.
    pub(crate) loaded_bytes: RwSignal<u64>,
    /// What the worker said when the model was ready.
    pub(crate) loaded: RwSignal<Option<Loaded>>,
    /// Blob addresses of the knowledge base's pictures.
    pub(crate) thumbs: RwSignal<HashMap<String, String>>,
    /// The post's text.
    pub(crate) text: RwSignal<String>,
    /// The mentions in it, leftmost first.
    pub(crate) found: RwSignal<Vec<Name>>,
    /// The mention to link.
    pub(crate) chosen: RwSignal<Option<Chosen>>,
    /// The post's pictures.
    pub(crate) pictures: RwSignal<Vec<Picture>>,
    /// The latest answer; it belongs to the post as it stands only in [`Phase::Done`].
    pub(crate) answer: RwSignal<Option<Answer>>,
    /// What went wrong, for a person.
    pub(crate) error: RwSignal<Option<String>>,
    /// What a visitor could do next.
    pub(crate) hint: RwSignal<Option<&'static str>>,
    /// Something worth knowing that is no error.
    pub(crate) notice: RwSignal<Option<String>>,
}

/// What the page is busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The model is not loaded.
    #[default]
    Idle,
    /// Its files are on their way.
    Downloading,
    /// It goes to the device and tests itself.
    Preparing,
    /// It waits for a post.
    Ready,
    /// It links.
    Running(Option<Stage>),
    /// The answer is there.
    Done,
    /// See [`State::error`].
    Error,
}

/// A mention and its characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name {
    /// Where it stands.
    pub(crate) mention: Mention,
    /// What stands there.
    pub(crate) surface: String,
}

/// The mention to link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// Where and what.
    pub(crate) name: Name,
    /// Selected in the text instead of found.
    pub(crate) by_hand: bool,
}

/// A picture of the post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    /// Names it to the worker.
    pub(crate) id: u32,
    /// Its file's name.
    pub(crate) name: String,
    /// A blob address.
    pub(crate) address: String,
    /// How far it is.
    pub(crate) state: PictureState,
}

/// How far a picture is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum PictureState {
    /// The model has not seen it.
    Waiting,
    /// It can be linked with.
    Ready,
    /// It is left out, and why.
    Refused(String),
}

/// An answer of the worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// What was asked for.
    pub(crate) surface: String,
    /// The candidates.
    pub(crate) ranking: Ranking,
    /// How long it took.
    pub(crate) ms: StageTimes,
}

/// A ready-made post: an entry of the bundle's `examples.json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Example {
    /// A few words.
    pub(crate) title: String,
    /// The post.
    pub(crate) text: String,
    /// Its mention's first character.
    pub(crate) start: usize,
    /// One past the mention's last character.
    pub(crate) end: usize,
    /// Paths relative to the bundle.
    #[serde(default)]
    pub(crate) images: Vec<String>,
}

impl Phase {
    /// The value of `data-state`.
    pub(crate) fn state(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Downloading | Self::Preparing => "loading",
            Self::Ready => "ready",
            Self::Running(_) => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }
}

impl Name {
    /// `None` if the mention leaves the text.
    pub(crate) fn new(mention: Mention, text: &str) -> Option<Self> {
        let surface = mention.surface(text).ok()?.to_owned();
        Some(Self { mention, surface })
    }

    /// Whether it still stands where it stood.
    pub(crate) fn stands_in(&self, text: &str) -> bool {
        self.mention
            .surface(text)
            .is_ok_and(|surface| surface == self.surface)
    }
}

impl Picture {
    /// Whether it counts as one of the post's.
    pub(crate) fn is_used(&self) -> bool {
        !matches!(self.state, PictureState::Refused(_))
    }
}
