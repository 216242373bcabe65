//! The messages between the page and its worker: JSON in `message`, at most one `ArrayBuffer` in `buffer`, transferred.

use serde::{Deserialize, Serialize};
use shared_model::data::{Mention, Ranking};
use shared_model::manifest::Licence;
use shared_model::self_test::SelfTest;
pub use shared_model::stages::{Stage, StageTimes};

/// From the page to the worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Request {
    /// Fetch the bundle below `base`, check it, put it on a device, test it. Answered by `Progress`, `Thumb` and `Loaded`, or a fatal `Error`.
    Load {
        /// What `?device=` asks for.
        device: DeviceChoice,
        /// Absolute address of the bundle's folder, `/` at its end.
        base: String,
    },
    /// Find the mentions in a text. Answered by `Mentions`.
    Mentions {
        /// The post's text.
        text: String,
    },
    /// Decode and encode a picture; its file comes as the buffer. Answered by `PictureReady` or `PictureRefused`.
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
        /// What to link.
        mention: Mention,
        /// Selected by hand: similar names count where no equal one is found.
        by_hand: bool,
        /// Ids of pictures added before.
        pictures: Vec<u32>,
    },
    /// Delete the cached bundle. Answered by `CacheCleared`.
    ClearCache,
}

/// From the worker to the page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Event {
    /// The worker listens. Nothing may be sent before.
    Hello,
    /// The manifest is read: what the download will cost, before it starts.
    Manifest {
        /// The bundle's name.
        name: String,
        /// Bytes of all files.
        total_bytes: u64,
        /// Of these, bytes that lie in the cache already.
        cached_bytes: u64,
    },
    /// Bytes so far, over all files.
    Progress {
        /// Fetched or read from the cache, and checked.
        loaded_bytes: u64,
        /// Of all files.
        total_bytes: u64,
    },
    /// Downloaded; weights go to the device and the self-test runs.
    Preparing,
    /// A thumbnail; its JPEG comes as the buffer.
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
        /// After its EXIF turn, in pixels.
        width: u32,
        /// As `width`.
        height: u32,
    },
    /// A picture cannot be read.
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
        /// Which.
        stage: Stage,
    },
    /// An answer.
    Linked {
        /// As in `Link`.
        id: u32,
        /// All candidates, best first.
        ranking: Ranking,
        /// Time of each stage; 0 where an earlier result was used again.
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
    /// The GPU went away: start a new worker on the CPU.
    DeviceLost {
        /// What the browser said.
        message: String,
    },
    /// The cached bundle is deleted.
    CacheCleared,
}

/// What the page needs once the bundle is ready.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Loaded {
    /// What the model runs on.
    pub device: DeviceKind,
    /// The adapter's name, or what the CPU path is.
    pub adapter: String,
    /// WebGPU, but simulated on the CPU.
    pub software: bool,
    /// Differences from the exporting machine, where a self-test ran.
    pub self_test: Option<SelfTest>,
    /// For a person: why not WebGPU, why nothing was cached.
    pub notices: Vec<String>,
    /// Milliseconds from the last byte to here.
    pub prepare_ms: f64,
    /// Bytes that came over the network.
    pub fetched_bytes: u64,
    /// The scores' probabilities were fitted on validation data.
    pub calibrated: bool,
    /// The bundle's name.
    pub name: String,
    /// The knowledge base.
    pub entities: Vec<EntityCard>,
    /// Of parts and pictures.
    pub licences: Vec<Licence>,
}

/// An entity as the page shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EntityCard {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// One sentence.
    pub description: String,
    /// Pictures of its prototypes, best first.
    pub thumbs: Vec<String>,
    /// Texts of its prototypes, best first.
    pub posts: Vec<String>,
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
