//! The run folder, and opening whatever holds a model: a run or a bundle.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use burn::prelude::Device;
use serde::{Deserialize, Serialize};
use shared_model::bundle::Bundle;
use shared_model::calibration::Calibration;
use shared_model::data::{Mention, picture_paths};
use shared_model::encoders::{Encoders, Models};
use shared_model::error::{Error, Result};
use shared_model::hash::sha256;
use shared_model::imn::{ImnScorer, TrainedImn};
use shared_model::kb::KnowledgeBase;
use shared_model::linker::Linker;
use shared_model::manifest::{FileEntry, Licence, MANIFEST, Manifest, Training};
use shared_model::pack::Pack;
use shared_model::prototype::Selection;
use shared_model::scorer::ScorerConfig;

use crate::cli::{ModelArgs, VisionArg};
use crate::files::{read, read_json};
use crate::weights::{self, VisionKind};

/// A joint encoder's file, in runs, weight folders and bundles.
pub(crate) const JOINT: &str = "joint.bpk";
/// The version that this code writes and reads.
pub(crate) const FORMAT: u32 = 1;

/// `run.json`: everything about a run but its knowledge base, which lies beside it as `kb.json` and `kb.bpk`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// The dataset's name.
    pub(crate) name: String,
    /// The dataset's licence.
    pub(crate) licence: String,
    /// The dataset's source.
    pub(crate) source: String,
    /// Where the encoders are.
    pub(crate) encoders: EncoderOrigin,
    /// Weights of the cues.
    pub(crate) scorer: ScorerConfig,
    /// Fitted temperature and NIL logit.
    pub(crate) calibration: Option<Calibration>,
    /// The network in `imn.bpk`; `None` for the training-free scorer.
    #[serde(default)]
    pub(crate) imn: Option<TrainedImn>,
    /// What it was trained on.
    #[serde(default)]
    pub(crate) training: Option<Training>,
    /// Posts that a page offers to try.
    pub(crate) examples: Vec<Example>,
    /// Of the pictures in `thumbs/` and `examples/`.
    pub(crate) credits: Vec<Licence>,
}

/// Where a run's encoders are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncoderOrigin {
    /// A weight folder.
    Weights {
        /// Absolute.
        folder: PathBuf,
        /// DETR instead of EfficientNet-Lite0.
        detr: bool,
        /// The file of a joint encoder, absolute.
        #[serde(default)]
        joint: Option<PathBuf>,
    },
    /// A bundle whose model is kept.
    Bundle {
        /// Absolute.
        folder: PathBuf,
    },
}

/// What the encoders compute is a function of this: hashes over their files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Of the text and image encoders.
    pub(crate) encoders: String,
    /// Of the joint encoder and the word vectors that it reads; `None` without one.
    pub(crate) joint: Option<String>,
}

/// A line of `examples.jsonl` in a dataset folder, and of `examples.json` in a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Example {
    /// On the button.
    pub(crate) title: String,
    /// The post's text.
    pub(crate) text: String,
    /// The mention to link.
    #[serde(flatten)]
    pub(crate) mention: Mention,
    /// Picture paths.
    #[serde(default, deserialize_with = "picture_paths")]
    pub(crate) images: Vec<String>,
}

/// A model without a knowledge base.
pub(crate) struct Model {
    /// On the device.
    pub(crate) encoders: Encoders,
    /// Their sizes.
    pub(crate) sizes: Models,
    /// Weights of the cues.
    pub(crate) scorer: ScorerConfig,
    /// Fitted temperature and NIL logit.
    pub(crate) calibration: Option<Calibration>,
    /// The trained network, if there is one.
    pub(crate) imn: Option<Network>,
}

/// A trained network without a knowledge base.
pub(crate) struct Network {
    /// `imn.bpk`, as it was read.
    pub(crate) pack: Pack,
    /// Its shape and what it weighs.
    pub(crate) trained: TrainedImn,
    /// What it was trained on.
    pub(crate) training: Training,
}

impl Model {
    /// The model of a run folder.
    pub(crate) fn of_run(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        let run = open_run(folder)?;
        let model = run.encoders.load(device)?;
        let imn = run.network(folder)?;
        Ok(Self {
            encoders: model.encoders,
            sizes: model.sizes,
            scorer: run.scorer,
            calibration: run.calibration,
            imn,
        })
    }

    /// Puts the model beside a knowledge base.
    pub(crate) fn linker(self, kb: KnowledgeBase) -> anyhow::Result<Linker> {
        let imn = match self.imn {
            Some(network) => Some(network.scorer(&kb, &self.encoders.device)?),
            None => None,
        };
        Ok(Linker::new(
            self.encoders,
            kb,
            self.scorer,
            imn,
            self.calibration,
        ))
    }
}

impl Network {
    /// Encodes a knowledge base's entities.
    pub(crate) fn scorer(&self, kb: &KnowledgeBase, device: &Device) -> anyhow::Result<ImnScorer> {
        let entities = self.training.entities.iter().map(String::as_str).collect();
        let network = self.trained.config.load(&self.pack, device)?;
        let scorer = ImnScorer::new(network, self.trained.clone(), &entities, kb, device);
        Ok(pollster::block_on(scorer)?)
    }
}

impl Run {
    /// The network that lies in the run's folder.
    pub(crate) fn network(&self, folder: &Path) -> anyhow::Result<Option<Network>> {
        let Some(trained) = &self.imn else {
            return Ok(None);
        };
        let path = folder.join("imn.bpk");
        Ok(Some(Network {
            pack: Pack::read(&path.display().to_string(), read(&path)?)?,
            trained: trained.clone(),
            training: self.training.clone().unwrap_or_default(),
        }))
    }
}

impl EncoderOrigin {
    /// A bundle's encoders if one is given, else those of a weight folder, else of the default one.
    pub(crate) fn of(ModelArgs { encoders, joint }: ModelArgs) -> anyhow::Result<Self> {
        if let Some(bundle) = encoders.bundle {
            let folder = bundle.canonicalize();
            return Ok(Self::Bundle {
                folder: folder.with_context(|| bundle.display().to_string())?,
            });
        }
        let folder = weights::folder(encoders.weights)?;
        let folder = folder.canonicalize().with_context(|| {
            format!(
                "{} does not exist; `imn weights fetch` makes it",
                folder.display()
            )
        })?;
        Self::of_weights(folder, encoders.vision, joint)
    }

    /// A weight folder's encoders; the joint encoder is that of a run if one is given, else the folder's own if it holds one.
    pub(crate) fn of_weights(
        folder: PathBuf,
        vision: VisionArg,
        joint: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let joint = match joint {
            Some(run) => {
                let file = run.join(JOINT);
                let absolute = file.canonicalize();
                Some(absolute.with_context(|| {
                    format!("{} is not there; `imn pretrain` makes it", file.display())
                })?)
            }
            None => Some(folder.join(JOINT)).filter(|file| file.exists()),
        };
        Ok(Self::Weights {
            folder,
            detr: matches!(vision, VisionArg::Detr),
            joint,
        })
    }

    /// See [`Fingerprint`].
    pub(crate) fn fingerprint(&self) -> anyhow::Result<Fingerprint> {
        let (folder, vision, joint) = match self {
            Self::Weights {
                folder,
                detr,
                joint,
            } => (folder, VisionKind::of(*detr).file(), joint.clone()),
            Self::Bundle { folder } => {
                let joint = Some(folder.join(JOINT)).filter(|file| file.exists());
                (folder, "vision.bpk", joint)
            }
        };
        let of = |files: &[PathBuf]| -> anyhow::Result<String> {
            let mut hashes = String::new();
            for file in files {
                hashes += &sha256(&read(file)?);
            }
            Ok(sha256(hashes.as_bytes())[..16].to_owned())
        };
        let words = Some(folder.join("words.bpk")).filter(|file| file.exists());
        let joint = joint.map(|joint| {
            let files: Vec<PathBuf> = words.into_iter().chain([joint]).collect();
            of(&files)
        });
        Ok(Fingerprint {
            encoders: of(&["tokenizer.json", "text.bpk", vision].map(|file| folder.join(file)))?,
            joint: joint.transpose()?,
        })
    }

    /// Loads the encoders and the scorer's weights.
    pub(crate) fn load(&self, device: &Device) -> anyhow::Result<Model> {
        match self {
            Self::Weights {
                folder,
                detr,
                joint,
            } => {
                let vision = VisionKind::of(*detr);
                let loaded = weights::load(folder, vision, joint.as_deref(), device)?;
                Ok(Model {
                    encoders: loaded.encoders,
                    sizes: loaded.models,
                    scorer: ScorerConfig::default(),
                    calibration: None,
                    imn: None,
                })
            }
            Self::Bundle { folder } => {
                let Bundle {
                    manifest, linker, ..
                } = open_bundle(folder, device)?;
                let imn = match manifest.imn.clone() {
                    Some(trained) => Some(Network {
                        pack: Pack::read("imn.bpk", part(folder, &manifest, "imn.bpk")?)?,
                        trained,
                        training: manifest.training.unwrap_or_default(),
                    }),
                    None => None,
                };
                Ok(Model {
                    encoders: linker.encoders,
                    sizes: manifest.models,
                    scorer: manifest.scorer,
                    calibration: manifest.calibration,
                    imn,
                })
            }
        }
    }
}

/// Reads `run.json`.
pub(crate) fn open_run(folder: &Path) -> anyhow::Result<Run> {
    let path = folder.join("run.json");
    ensure!(
        path.exists(),
        "{} is not a run folder; make one with `imn prototypes`",
        folder.display()
    );
    let run: Run = read_json(&path)?;
    if run.format > FORMAT {
        bail!(
            "{}: format {} is newer than this program, which reads up to {FORMAT}",
            path.display(),
            run.format
        );
    }
    Ok(run)
}

/// Opens a bundle folder, every file verified.
pub(crate) fn open_bundle(folder: &Path, device: &Device) -> anyhow::Result<Bundle> {
    let named = || folder.display().to_string();
    let manifest = manifest(folder)?;
    let mut opened = HashSet::new();
    let bundle = pollster::block_on(Bundle::open(
        manifest.clone(),
        |path| {
            opened.insert(path.to_owned());
            part(folder, &manifest, path)
        },
        device,
    ))
    .with_context(named)?;
    for FileEntry { path, .. } in &manifest.files {
        if !opened.contains(path) {
            manifest
                .check(path, &part(folder, &manifest, path)?)
                .with_context(named)?;
        }
    }
    Ok(bundle)
}

/// How the prototypes of a run or a bundle were chosen, from its `kb.json`.
#[derive(Deserialize)]
pub(crate) struct Prototyping {
    /// A modality.
    pub(crate) k: usize,
    /// PageRank or random.
    pub(crate) selection: Selection,
}

impl Prototyping {
    /// Reads it from the folder of a run or a bundle.
    pub(crate) fn of(folder: &Path) -> anyhow::Result<Self> {
        read_json(&folder.join("kb.json"))
    }
}

/// Reads and verifies `bundle.json`.
pub(crate) fn manifest(folder: &Path) -> anyhow::Result<Manifest> {
    let path = folder.join(MANIFEST);
    ensure!(
        path.exists(),
        "{} is not a bundle folder: it has no {MANIFEST}",
        folder.display()
    );
    Manifest::parse(&read(&path)?).with_context(|| folder.display().to_string())
}

/// Reads a part whose size is the manifest's.
fn part(folder: &Path, manifest: &Manifest, path: &str) -> Result<Vec<u8>> {
    let refuse = |reason: &dyn std::fmt::Display| Error::file(path, reason);
    let expected = manifest
        .files
        .iter()
        .find(|file| file.path == path)
        .ok_or_else(|| refuse(&"the bundle does not name this file"))?;
    let file = folder.join(path);
    let found = std::fs::metadata(&file)
        .map_err(|error| refuse(&error))?
        .len();
    if found != expected.bytes {
        return Err(refuse(&format!(
            "{found} bytes instead of {}: incomplete or altered",
            expected.bytes
        )));
    }
    std::fs::read(&file).map_err(|error| refuse(&error))
}
