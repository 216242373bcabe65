//! A run's or bundle's model: encoders, scorer and trained systems, without a knowledge base.

use std::path::Path;

use burn::prelude::Device;
use shared_model::bundle::Bundle;
use shared_model::calibration::Calibration;
use shared_model::encoders::{Encoders, Models};
use shared_model::imn::{ImnScorer, TrainedImn};
use shared_model::kb::KnowledgeBase;
use shared_model::linker::Linker;
use shared_model::manifest::{MANIFEST, Training};
use shared_model::pack::Pack;
use shared_model::scorer::ScorerConfig;

use super::bundle::{open_bundle, part};
use super::{EncoderOrigin, Run, SavedBaseline, SavedSystem};
use crate::weights::{self, Fingerprint};

/// A model without a knowledge base.
pub(crate) struct Model {
    /// The encoders, on the device.
    pub(crate) encoders: Encoders,
    /// Sizes of the encoders.
    pub(crate) sizes: Models,
    /// Hashes of the encoders' files.
    pub(crate) fingerprint: Fingerprint,
    /// Weights of the training-free scorer.
    pub(crate) scorer: ScorerConfig,
    /// Fitted temperature and NIL logit.
    pub(crate) calibration: Option<Calibration>,
    /// The trained systems, in the order of the tables.
    pub(crate) systems: Vec<LearnedSystem>,
}

/// A trained system with its weights.
#[derive(Debug, Clone)]
pub(crate) enum LearnedSystem {
    /// The paper's network.
    Imn(Network),
    /// A system of the paper's Table 2.
    Baseline(TrainedBaseline),
    /// ET.
    ExtraTrees(TrainedTrees),
}

/// A trained system of the paper's Table 2.
#[derive(Debug, Clone)]
pub(crate) struct TrainedBaseline {
    /// Weights of the network.
    pub(crate) pack: Pack,
    /// Everything else.
    pub(crate) saved: SavedBaseline,
}

/// A trained ET.
#[derive(Debug, Clone)]
pub(crate) struct TrainedTrees {
    /// Its JMEL, with the terms of the trees.
    pub(crate) jmel: TrainedBaseline,
    /// The rows that the trees are fitted on.
    pub(crate) rows: Pack,
    /// Seed of the trees.
    pub(crate) seed: u64,
}

/// A trained network without a knowledge base.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    /// Weights of the network.
    pub(crate) pack: Pack,
    /// Shape of the network and weights of its term.
    pub(crate) trained: TrainedImn,
    /// What it was trained on.
    pub(crate) training: Training,
}

impl Model {
    /// Opens the model of a run or bundle folder.
    pub(crate) fn open(folder: &Path, device: &Device) -> anyhow::Result<Self> {
        if folder.join(MANIFEST).exists() {
            let folder = folder.to_owned();
            return EncoderOrigin::Bundle { folder }.load(device);
        }
        let run = Run::open(folder)?;
        Ok(Self {
            systems: run.learned(folder)?,
            scorer: run.scorer,
            calibration: run.calibration,
            ..run.encoders.load(device)?
        })
    }

    /// Joins the model with a knowledge base.
    pub(crate) fn linker(&self, kb: KnowledgeBase) -> anyhow::Result<Linker> {
        let encoders = self.encoders.clone();
        let imn = Network::among(&self.systems);
        let imn = imn.map(|network| network.scorer(&kb, &encoders.device));
        let calibration = self.calibration.clone();
        let calibration = calibration.map(|fitted| fitted.beside(&kb.text.entities));
        let imn = imn.transpose()?;
        Ok(Linker::new(encoders, kb, self.scorer, imn, calibration))
    }
}

impl LearnedSystem {
    /// The system as `run.json` has it.
    pub(crate) fn saved(&self) -> SavedSystem {
        match self {
            Self::Imn(network) => SavedSystem::Imn {
                trained: network.trained.clone(),
                training: network.training.clone(),
            },
            Self::Baseline(baseline) => SavedSystem::Baseline(baseline.saved.clone()),
            Self::ExtraTrees(TrainedTrees { jmel, seed, .. }) => SavedSystem::ExtraTrees {
                jmel: jmel.saved.clone(),
                seed: *seed,
            },
        }
    }

    /// Its weights, and the names of their files in a run folder.
    pub(crate) fn weights(&self) -> Vec<(&'static str, &Pack)> {
        match self {
            Self::Imn(network) => vec![(Network::FILE, &network.pack)],
            Self::Baseline(baseline) => vec![(TrainedBaseline::FILE, &baseline.pack)],
            Self::ExtraTrees(TrainedTrees { jmel, rows, .. }) => vec![
                (TrainedBaseline::FILE, &jmel.pack),
                (TrainedTrees::FILE, rows),
            ],
        }
    }

    /// What it was trained on.
    pub(crate) fn training(&self) -> &Training {
        match self {
            Self::Imn(network) => &network.training,
            Self::Baseline(baseline) => &baseline.saved.training,
            Self::ExtraTrees(trees) => &trees.jmel.saved.training,
        }
    }
}

impl TrainedBaseline {
    /// The name of the weights' file in runs.
    pub(crate) const FILE: &str = "baseline.bpk";
}

impl TrainedTrees {
    /// The name of the rows' file in runs.
    pub(crate) const FILE: &str = "trees.bpk";
}

impl Network {
    /// The name of the weights' file in runs and bundles.
    pub(crate) const FILE: &str = "imn.bpk";

    /// The network among a run's systems, if there is one.
    pub(crate) fn among(systems: &[LearnedSystem]) -> Option<&Self> {
        systems.iter().find_map(|system| match system {
            LearnedSystem::Imn(network) => Some(network),
            LearnedSystem::Baseline(_) | LearnedSystem::ExtraTrees(_) => None,
        })
    }

    /// Encodes a knowledge base's entities.
    pub(crate) fn scorer(&self, kb: &KnowledgeBase, device: &Device) -> anyhow::Result<ImnScorer> {
        let entities = self.training.entities.iter().map(String::as_str).collect();
        let network = self.trained.config.load(&self.pack, device)?;
        let scorer = ImnScorer::new(network, self.trained.clone(), &entities, kb, device);
        Ok(pollster::block_on(scorer)?)
    }
}

impl EncoderOrigin {
    /// Loads the encoders; a bundle's come with its scorer, calibration and network.
    pub(crate) fn load(&self, device: &Device) -> anyhow::Result<Model> {
        match self {
            Self::Weights {
                folder,
                vision,
                joint,
            } => {
                let loaded = weights::load(folder, *vision, joint.as_deref(), device)?;
                Ok(Model {
                    encoders: loaded.encoders,
                    sizes: loaded.models,
                    fingerprint: loaded.fingerprint,
                    scorer: ScorerConfig::default(),
                    calibration: None,
                    systems: Vec::new(),
                })
            }
            Self::Bundle { folder } => {
                let Bundle {
                    manifest, linker, ..
                } = open_bundle(folder, device)?;
                let mut systems = Vec::new();
                if let Some(trained) = manifest.imn.clone() {
                    let bytes = part(folder, &manifest, Network::FILE)?;
                    systems.push(LearnedSystem::Imn(Network {
                        pack: Pack::read(Network::FILE, bytes)?,
                        trained,
                        training: manifest.training.unwrap_or_default(),
                    }));
                }
                let fingerprint = Fingerprint::new(|name| {
                    let entry = manifest.files.iter().find(|entry| entry.path == name)?;
                    Some(entry.sha256.clone())
                });
                Ok(Model {
                    encoders: linker.encoders,
                    sizes: manifest.models,
                    fingerprint,
                    scorer: manifest.scorer,
                    calibration: manifest.calibration,
                    systems,
                })
            }
        }
    }
}
