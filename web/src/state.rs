//! What the page shows, as signals of plain values.

use std::collections::HashMap;

use leptos::prelude::*;
use web::cache::Store;
use web::phase::Phase;
use web::post::{Chosen, Example, Name, Picture};
use web::protocol::{
    Answer, Choice, Conditions, Effects, Figures, Loaded, Meaning, OwnCard, Question, StageTimes,
    Tested,
};

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
    /// The bundle's ready-made posts.
    pub(crate) examples: RwSignal<Vec<Example>>,
    /// Position of the lesson's case; `None` outside a lesson.
    pub(crate) lesson: RwSignal<Option<usize>>,
    /// The post's text.
    pub(crate) text: RwSignal<String>,
    /// The mentions in the text, leftmost first.
    pub(crate) found: RwSignal<Vec<Name>>,
    /// What the mentions mean, once all were asked for.
    pub(crate) meanings: RwSignal<Vec<Meaning>>,
    /// The mention to link.
    pub(crate) chosen: RwSignal<Option<Chosen>>,
    /// The post's pictures.
    pub(crate) pictures: RwSignal<Vec<Picture>>,
    /// The latest answer; it belongs to the current post only in [`Phase::Done`].
    pub(crate) answer: RwSignal<Option<Answered>>,
    /// What the rankings may use.
    pub(crate) conditions: RwSignal<Conditions>,
    /// Probability from which on "none of these" is the answer; `None` where it must be likelier than every candidate.
    pub(crate) threshold: RwSignal<Option<f32>>,
    /// How the prototypes are chosen; `None` until the model is loaded.
    pub(crate) prototypes: RwSignal<Option<Choice>>,
    /// What in the post decided, of the latest answer.
    pub(crate) effects: RwSignal<Option<Effects>>,
    /// Number of steps of the explanation that are done, while one is under way.
    pub(crate) explaining: RwSignal<Option<usize>>,
    /// Entities that the visitor brought.
    pub(crate) own: RwSignal<Vec<OwnCard>>,
    /// What became of the last one.
    pub(crate) adding: RwSignal<Adding>,
    /// What became of many posts at once.
    pub(crate) batch: RwSignal<Batch>,
    /// What the browser keeps, or why that is not known; `None` until somebody looks.
    pub(crate) stored: RwSignal<Option<Result<Stored, String>>>,
    /// The test of all devices.
    pub(crate) testing: RwSignal<Testing>,
    /// The last failure, for a person.
    pub(crate) error: RwSignal<Option<String>>,
    /// What a visitor could do next.
    pub(crate) hint: RwSignal<Option<&'static str>>,
    /// Something worth knowing that is not an error.
    pub(crate) notice: RwSignal<Option<String>>,
}

/// What becomes of an entity that the visitor adds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Adding {
    /// Nothing is being added.
    #[default]
    Idle,
    /// Its posts are being encoded.
    Encoding {
        /// Number of posts that are done.
        done: usize,
        /// Number of all posts; 0 while they are not known.
        total: usize,
    },
    /// It was added, and is kept.
    Added,
    /// It was added, and is gone with this visit: the browser keeps nothing.
    NotKept,
    /// It was not added, for this reason.
    Refused(String),
}

/// What becomes of many posts at once.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Batch {
    /// None were given.
    #[default]
    Idle,
    /// They are being linked.
    Running {
        /// Number of posts that are done.
        done: usize,
        /// Number of all posts; 0 while it is not known.
        total: usize,
    },
    /// They were not linked, for this reason.
    Refused(String),
    /// The results can be saved.
    Done {
        /// Number of mentions.
        n_mentions: usize,
        /// Over those with a gold.
        figures: Figures,
    },
}

/// What the browser keeps of this page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Number of bytes of each store.
    pub(crate) stores: Vec<(Store, u64)>,
    /// Number of bytes that the browser allows; `None` where it does not say.
    pub(crate) quota: Option<u64>,
}

/// The test of all devices.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) enum Testing {
    /// Nobody asked for it.
    #[default]
    Idle,
    /// It runs.
    Running,
    /// It did not end, for this reason.
    Failed(String),
    /// What each device made of it.
    Done(Vec<Tested>),
}

/// The latest answer and the post that it belongs to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answered {
    /// The words that were linked.
    pub(crate) surface: String,
    /// The text that they are in.
    pub(crate) text: String,
    /// Addresses of the pictures that were linked with.
    pub(crate) pictures: Vec<String>,
    /// The candidates and their cards, best first.
    pub(crate) answer: Answer,
    /// What was asked; `None` for an answer that was computed at export.
    pub(crate) question: Option<Question>,
    /// The time that it took; `None` for one that was computed at export.
    pub(crate) ms: Option<StageTimes>,
}
