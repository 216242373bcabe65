//! The messages between the page and its worker. Some come with a buffer, see `message`.

use serde::{Deserialize, Serialize};
pub use shared_model::cards::EntityCard;
use shared_model::data::{Mention, Ranking};
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
    /// Forget a picture.
    DropPicture {
        /// As in `AddPicture`.
        id: u32,
    },
    /// Rank the candidates of a mention. Answered by `Stage`s and `Linked`, or an `Error` with this id.
    Link {
        /// Chosen by the page; the answer carries it.
        id: u32,
        /// The post's text.
        text: String,
        /// The mention to link.
        mention: Mention,
        /// Ids of pictures added before.
        pictures: Vec<u32>,
    },
    /// Delete the cached bundle. Answered by `CacheCleared`.
    ClearCache,
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
        /// As in [`EntityCard::thumbs`].
        path: String,
    },
    /// Ready to link.
    Loaded(Box<Loaded>),
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
        /// All candidates, best first.
        ranking: Ranking,
        /// Time of each stage; 0 where an earlier result was reused.
        ms: StageTimes,
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
    /// The cached bundle is deleted.
    CacheCleared,
}

/// What the page needs once the bundle is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// The device.
    pub running: Running,
    /// Downloads are kept for the next visit.
    pub is_kept: bool,
    /// Milliseconds from the last byte to here.
    pub prepare_ms: f64,
    /// Bytes that were downloaded.
    pub fetched_bytes: u64,
    /// The probabilities were calibrated on held-out data.
    pub calibrated: bool,
    /// The bundle's name.
    pub name: String,
    /// The knowledge base.
    pub entities: Vec<EntityCard>,
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
    /// For a person: why WebGPU is not used, why downloads are not kept.
    pub notices: Vec<String>,
}

impl Loaded {
    /// The entity with this id.
    pub fn card(&self, id: &str) -> Option<&EntityCard> {
        self.entities.iter().find(|card| card.id == id)
    }
}

/// What `?device=` asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// WebGPU on a real GPU that passes the self-test, else the CPU.
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
