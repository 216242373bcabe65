//! What the page shows, as signals of plain values.

use std::collections::HashMap;

use leptos::prelude::*;
use shared_model::data::Ranking;
use web::phase::Phase;
use web::post::{Chosen, Name, Picture};
use web::protocol::{EntityCard, Loaded, StageTimes};

/// All signals of the page. Copies share them.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    /// What the page is busy with.
    pub(crate) phase: RwSignal<Phase>,
    /// Size of the model's files; `None` until the manifest is read.
    pub(crate) model_bytes: RwSignal<Option<u64>>,
    /// Bytes of the model that are downloaded or read from the browser's store.
    pub(crate) loaded_bytes: RwSignal<u64>,
    /// Whether the browser keeps downloads for the next visit; `None` until it has been asked.
    pub(crate) is_kept: RwSignal<Option<bool>>,
    /// The model, once it is loaded.
    pub(crate) loaded: RwSignal<Option<Loaded>>,
    /// Blob addresses of the knowledge base's pictures.
    pub(crate) thumbs: RwSignal<HashMap<String, String>>,
    /// The post's text.
    pub(crate) text: RwSignal<String>,
    /// The mentions in the text, leftmost first.
    pub(crate) found: RwSignal<Vec<Name>>,
    /// The mention to link.
    pub(crate) chosen: RwSignal<Option<Chosen>>,
    /// The post's pictures.
    pub(crate) pictures: RwSignal<Vec<Picture>>,
    /// The latest answer; it belongs to the current post only in [`Phase::Done`].
    pub(crate) answer: RwSignal<Option<Answer>>,
    /// The last failure, for a person.
    pub(crate) error: RwSignal<Option<String>>,
    /// What a visitor could do next.
    pub(crate) hint: RwSignal<Option<&'static str>>,
    /// Something worth knowing that is not an error.
    pub(crate) notice: RwSignal<Option<String>>,
}

/// An answer of the worker.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The words that were linked.
    pub(crate) surface: String,
    /// The candidates, best first.
    pub(crate) ranking: Ranking,
    /// The time that it took; `None` for one that was computed at export.
    pub(crate) ms: Option<StageTimes>,
    /// Cards of the candidates, where the model that has all of them is not loaded.
    pub(crate) entities: Vec<EntityCard>,
}
