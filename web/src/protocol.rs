//! The messages between the page and its worker. Some come with a buffer, see `message`.

use serde::{Deserialize, Serialize};
pub use shared_model::batch::Figures;
pub use shared_model::calibration::Refusal;
pub use shared_model::cards::{Answer, CardPost, EntityCard};
use shared_model::data::Mention;
pub use shared_model::data::{Effects, WordEffect};
pub use shared_model::evidence::{Conditions, Sides};
pub use shared_model::explain::GRID;
use shared_model::manifest::Licence;
use shared_model::self_test::SelfTest;
pub use shared_model::stages::{Stage, StageTimes};

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// Download the bundle at `base`, verify it, load it onto a device and test it. Answered by `Progress`, `Thumb` and `Loaded`, or a fatal `Error`.
    Load {
        /// What `?device=` asks for.
        device: DeviceChoice,
        /// Absolute address of the bundle's folder, with a final `/`.
        base: String,
    },
    /// Test every device with the bundle at `base`, which is loaded for that alone. Answered by `Progress` and `Tested`, or a fatal `Error`.
    TestDevices {
        /// As in `Load`.
        base: String,
    },
    /// Find the mentions in a text. Answered by `Mentions`.
    Mentions {
        /// The post's text.
        text: String,
    },
    /// Decode a picture; its file is the buffer. Answered by `PictureReady` or `PictureRefused`.
    AddPicture {
        /// Chosen by the page.
        id: u32,
    },
    /// Cover parts of a picture; the others are uncovered.
    CoverPicture {
        /// As in `AddPicture`.
        id: u32,
        /// As in [`covered`](shared_model::cover::covered).
        parts: Vec<usize>,
    },
    /// Forget a picture.
    DropPicture {
        /// As in `AddPicture`.
        id: u32,
    },
    /// Rank the candidates of a mention. Answered by `Stage`s and `Linked`, or an `Error` with this id.
    Link {
        /// Chosen by the page; the answer carries it.
        id: u32,
        /// What to link.
        question: Question,
    },
    /// Rank the candidates of several mentions of a post. Answered by `LinkedAll`.
    LinkAll {
        /// Chosen by the page; the answer carries it.
        id: u32,
        /// The post; its mention is one of them.
        question: Question,
        /// All mentions.
        mentions: Vec<Mention>,
    },
    /// Find out what in the post decides between candidates. Answered by `Explaining`s and `Explained`, or an `Error` with this id.
    Explain {
        /// Chosen by the page; the answer carries it.
        id: u32,
        /// What was linked.
        question: Question,
        /// Ids of the first and the second candidate; one if there is one.
        candidates: Vec<String>,
    },
    /// Choose the prototypes of all entities anew. Answered by `Chosen`.
    Choose {
        /// How.
        prototypes: Choice,
    },
    /// Take a picture's file, the buffer, for an own entity.
    OwnFile {
        /// Chosen by the page.
        id: u32,
    },
    /// Add an own entity. Answered by `Encoding`s and `Own`, or `OwnRefused`.
    AddOwn(NewEntity),
    /// Take an own entity out. Answered by `Own`.
    RemoveOwn {
        /// The entity's id.
        id: String,
    },
    /// Take all own entities out, and those that are kept. Answered by `Own`.
    ClearOwn,
    /// Add the entities of a zip, the buffer. Answered as `AddOwn` is.
    ImportOwn,
    /// Answered by `OwnZip`.
    ExportOwn,
    /// Take a file, the buffer, for `Batch`.
    BatchFile {
        /// Its name.
        name: String,
    },
    /// Link all posts of a file that was taken before. Answered by `Batched`s and `BatchDone`, or `BatchRefused`.
    Batch {
        /// Name of the file of posts.
        posts: String,
    },
}

/// An entity that a visitor brings.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NewEntity {
    /// Its name.
    pub name: String,
    /// Other names.
    pub aliases: Vec<String>,
    /// One sentence.
    pub description: String,
    /// Texts of posts about it, each a post of its own.
    pub texts: Vec<String>,
    /// Ids of `OwnFile`s, each a post of its own.
    pub files: Vec<u32>,
}

/// An own entity as the page lists it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnCard {
    /// The entity's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Number of posts.
    pub n_posts: usize,
    /// Number of pictures.
    pub n_pictures: usize,
}

/// A mention to link, in its post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Question {
    /// The post's text.
    pub text: String,
    /// The mention to link.
    pub mention: Mention,
    /// Ids of pictures added before.
    pub pictures: Vec<u32>,
    /// What the ranking may use.
    pub conditions: Conditions,
}

/// What a mention means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    /// The mention.
    pub mention: Mention,
    /// What the best candidate is; `None` if there is none.
    pub entity: Option<String>,
    /// Probability of the best candidate.
    pub best: Option<f32>,
    /// Probability of "none of these".
    pub nil: Option<f32>,
}

/// How prototypes are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// Number of prototypes per entity and modality.
    pub k: usize,
    /// By PageRank, or at random.
    pub by_pagerank: bool,
}

/// From the worker to the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Event {
    /// The worker has started. Nothing may be sent to it before.
    Hello,
    /// Bytes so far, of all files; the first is sent before the download starts.
    Progress {
        /// Bytes that were downloaded or read from the cache.
        loaded_bytes: u64,
        /// Bytes of all files.
        total_bytes: u64,
    },
    /// All files are there: the weights are loaded onto the device, and the self-test runs.
    Preparing,
    /// A thumbnail; its JPEG file is the buffer.
    Thumb {
        /// As in [`CardPost::images`].
        path: String,
    },
    /// Ready to link.
    Loaded(Box<Loaded>),
    /// What every device made of the self-test.
    Tested(Vec<Tested>),
    /// The mentions in a text.
    Mentions {
        /// The text they were found in.
        text: String,
        /// Leftmost first.
        mentions: Vec<Mention>,
    },
    /// A picture can be linked with.
    PictureReady {
        /// As in `AddPicture`.
        id: u32,
    },
    /// A picture cannot be linked with.
    PictureRefused {
        /// As in `AddPicture`.
        id: u32,
        /// For a person.
        message: String,
    },
    /// A stage of a link begins.
    Stage {
        /// As in `Link`.
        id: u32,
        /// The stage that begins.
        stage: Stage,
    },
    /// An answer.
    Linked {
        /// As in `Link`.
        id: u32,
        /// All candidates, best first, and their cards.
        answer: Answer,
        /// Time of each stage; 0 where an earlier result was reused.
        ms: StageTimes,
    },
    /// What all mentions of a post mean.
    LinkedAll {
        /// As in `LinkAll`.
        id: u32,
        /// One per mention; fewer if another request came first.
        meanings: Vec<Meaning>,
    },
    /// An explanation is under way.
    Explaining {
        /// As in `Explain`.
        id: u32,
        /// Number of steps that are done.
        done: usize,
    },
    /// What in the post decided.
    Explained {
        /// As in `Explain`.
        id: u32,
        /// By words and regions; `None` if another request came first.
        effects: Option<Effects>,
    },
    /// The prototypes are chosen as asked.
    Chosen {
        /// How.
        prototypes: Choice,
    },
    /// The posts of own entities are being encoded.
    Encoding {
        /// Number of posts that are done.
        done: usize,
        /// Number of all posts.
        total: usize,
    },
    /// All own entities.
    Own {
        /// In the order in which they came.
        entities: Vec<OwnCard>,
        /// They are kept for the next visit.
        is_kept: bool,
    },
    /// Nothing was added.
    OwnRefused {
        /// For a person.
        message: String,
    },
    /// All own entities as a dataset folder in one zip, the buffer.
    OwnZip,
    /// Some posts of a batch are linked.
    Batched {
        /// Number of posts that are done.
        done: usize,
        /// Number of all posts.
        total: usize,
    },
    /// All posts of a batch are linked; the lines of `imn link` are the buffer.
    BatchDone {
        /// Number of mentions.
        n_mentions: usize,
        /// Over the lines whose post has a gold.
        figures: Figures,
    },
    /// A batch was not linked.
    BatchRefused {
        /// For a person.
        message: String,
    },
    /// Something went wrong.
    Error {
        /// As in `Link`, where one failed.
        id: Option<u32>,
        /// For a person.
        message: String,
        /// The worker cannot go on.
        fatal: bool,
    },
    /// The graphics processor is gone or does not answer: start a new worker on the CPU.
    DeviceLost,
}

/// What the page needs once the bundle is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// The device.
    pub running: Running,
    /// Milliseconds from the last byte to here.
    pub prepare_ms: f64,
    /// Bytes that were downloaded.
    pub fetched_bytes: u64,
    /// The probabilities were calibrated on held-out data.
    pub calibrated: bool,
    /// The bundle's name.
    pub name: String,
    /// Number of entities.
    pub n_entities: usize,
    /// How the prototypes are chosen in the bundle.
    pub prototypes: Choice,
    /// What thresholds of the probability of "none of these" cost; empty where that is not known.
    pub refusals: Vec<Refusal>,
    /// A trained network takes part.
    pub has_network: bool,
    /// Licences of parts and pictures.
    pub licences: Vec<Licence>,
}

/// What the model runs on, and how it came to that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Running {
    /// What the model runs on.
    pub device: DeviceKind,
    /// The adapter's name, or what the CPU path is.
    pub adapter: String,
    /// WebGPU that is simulated on the CPU.
    pub software: bool,
    /// Differences from the exporting machine.
    pub self_test: SelfTest,
    /// For a person: why WebGPU is used or not, why downloads are not kept.
    pub notices: Vec<String>,
}

/// What a device made of the self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// What it is.
    pub device: DeviceKind,
    /// Its name.
    pub name: String,
    /// What it did, or why it did nothing.
    pub outcome: Result<Outcome, String>,
}

/// What a device did in the self-test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Differences from the exporting machine.
    pub self_test: SelfTest,
    /// Milliseconds for opening the bundle and the first post.
    pub prepare_ms: f64,
    /// Milliseconds that the text encoder takes for a text, once it has started.
    pub text_ms: f64,
    /// Number of tokens of the text.
    pub tokens: usize,
    /// Milliseconds that the image encoder takes for a picture, once it has started.
    pub picture_ms: f64,
}

/// What `?device=` asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// WebGPU on a real GPU that passes the self-test and is faster, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// WebGPU, even a simulated one; an error if there is none.
    Webgpu,
}

/// What the model runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceKind {
    /// Flex, in WebAssembly.
    Cpu,
    /// Burn's WebGPU backend.
    Webgpu,
}
