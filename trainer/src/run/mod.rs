//! The run folder: `run.json`, the knowledge base in `kb.json` and `kb.bpk`, and the weights of trained systems.

mod bundle;
mod model;
mod origin;

use std::path::Path;

use anyhow::ensure;
use serde::{Deserialize, Serialize};
use shared_model::baselines::BaselineConfig;
use shared_model::calibration::Calibration;
use shared_model::data::{Mention, picture_paths};
use shared_model::imn::{NetworkTerm, TrainedImn};
use shared_model::manifest::{Licence, Training};
use shared_model::pack::Pack;
use shared_model::scorer::ScorerConfig;

pub(crate) use bundle::{manifest, open_bundle};
pub(crate) use model::{LearnedSystem, Model, Network, TrainedBaseline, TrainedTrees};
pub(crate) use origin::EncoderOrigin;

use crate::files::{read, read_json};

/// The version of `run.json` that this code writes; it reads the older ones too.
pub(crate) const FORMAT: u32 = 2;

/// `run.json`: everything about a run but its knowledge base and weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Run {
    /// See [`FORMAT`].
    pub(crate) format: u32,
    /// Name of the dataset.
    pub(crate) name: String,
    /// Licence of the dataset.
    pub(crate) licence: String,
    /// Source of the dataset.
    pub(crate) source: String,
    /// Where the encoders are.
    pub(crate) encoders: EncoderOrigin,
    /// Weights of the training-free scorer.
    pub(crate) scorer: ScorerConfig,
    /// Fitted temperature and NIL logit.
    pub(crate) calibration: Option<Calibration>,
    /// The trained systems, in the order of the tables.
    #[serde(default)]
    pub(crate) systems: Vec<SavedSystem>,
    /// Posts that the page offers to try.
    pub(crate) examples: Vec<Example>,
    /// Licences of the pictures in `thumbs/` and `examples/`.
    pub(crate) credits: Vec<Licence>,
}

/// A trained system in `run.json`. Its weights are in `NAME.bpk`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "kebab-case")]
pub(crate) enum SavedSystem {
    /// The paper's network.
    Imn {
        /// Shape of the network and weights of its term.
        trained: TrainedImn,
        /// What it was trained on.
        training: Training,
    },
    /// A system of the paper's Table 2 with a network.
    Baseline(SavedBaseline),
    /// ET.
    ExtraTrees {
        /// Its JMEL, with the terms of the trees.
        jmel: SavedBaseline,
        /// Seed of the trees.
        seed: u64,
    },
}

/// A trained system of the paper's Table 2, but for its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SavedBaseline {
    /// Shape of the network.
    pub(crate) config: BaselineConfig,
    /// Term of the system beside the training-free score of a candidate that it was trained on.
    pub(crate) seen: NetworkTerm,
    /// Term of the system beside the training-free score of a candidate that is new to it.
    pub(crate) new: NetworkTerm,
    /// What it was trained on.
    pub(crate) training: Training,
}

/// A line of `examples.jsonl` in a dataset folder, and an item of `examples.json` in a bundle.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Example {
    /// Label of the button.
    pub(crate) title: String,
    /// Text of the post.
    pub(crate) text: String,
    /// The mention to link.
    #[serde(flatten)]
    pub(crate) mention: Mention,
    /// Paths of the pictures.
    #[serde(default, deserialize_with = "picture_paths")]
    pub(crate) images: Vec<String>,
}

impl Run {
    /// Reads `run.json`.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        #[derive(Deserialize)]
        struct Header {
            format: u32,
            /// A network, in format 1.
            imn: Option<serde::de::IgnoredAny>,
        }

        let path = folder.join("run.json");
        ensure!(
            path.exists(),
            "{} is not a run folder; make one with `imn prototypes`",
            folder.display()
        );
        let Header { format, imn } = read_json(&path)?;
        ensure!(
            format <= FORMAT,
            "{}: format {format} is newer than this program, which reads up to {FORMAT}",
            path.display()
        );
        ensure!(
            imn.is_none(),
            "{}: its network is of format {format}, without the background means that format {FORMAT} needs; \
             train it again with `imn train`",
            path.display()
        );
        read_json(&path)
    }

    /// Reads the weights of the trained systems.
    pub(crate) fn learned(&self, folder: &Path) -> anyhow::Result<Vec<LearnedSystem>> {
        let pack = |file: &str| -> anyhow::Result<Pack> {
            let path = folder.join(file);
            Ok(Pack::read(&path.display().to_string(), read(&path)?)?)
        };
        let load = |system: &SavedSystem| {
            Ok(match system.clone() {
                SavedSystem::Imn { trained, training } => LearnedSystem::Imn(Network {
                    pack: pack(Network::FILE)?,
                    trained,
                    training,
                }),
                SavedSystem::Baseline(saved) => LearnedSystem::Baseline(TrainedBaseline {
                    pack: pack(TrainedBaseline::FILE)?,
                    saved,
                }),
                SavedSystem::ExtraTrees { jmel, seed } => LearnedSystem::ExtraTrees(TrainedTrees {
                    jmel: TrainedBaseline {
                        pack: pack(TrainedBaseline::FILE)?,
                        saved: jmel,
                    },
                    rows: pack(TrainedTrees::FILE)?,
                    seed,
                }),
            })
        };
        self.systems.iter().map(load).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shared_model::vision::VisionKind;

    use super::*;

    fn open(change: impl FnOnce(&mut Value)) -> anyhow::Result<Run> {
        let mut run = json!({
            "format": 1, "name": "n", "licence": "CC0-1.0", "source": "s",
            "encoders": {"weights": {"folder": "w", "detr": false, "joint": null}},
            "scorer": ScorerConfig::default(), "calibration": null,
            "imn": null, "training": null, "examples": [], "credits": [],
        });
        change(&mut run);
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("run.json"), run.to_string()).unwrap();
        Run::open(folder.path())
    }

    #[test]
    fn a_run_of_format_1_is_read() {
        for (detr, expected) in [(false, VisionKind::Efficientnet), (true, VisionKind::Detr)] {
            let run = open(|run| run["encoders"]["weights"]["detr"] = json!(detr)).unwrap();
            let EncoderOrigin::Weights { vision, .. } = run.encoders else {
                panic!("{:?}", run.encoders)
            };
            assert_eq!(vision, expected);
            assert!(run.systems.is_empty());
        }
        let run = open(|run| run["encoders"] = json!({"bundle": {"folder": "b"}})).unwrap();
        let written = serde_json::to_value(&run.encoders).unwrap();
        assert_eq!(written, json!({"bundle": {"folder": "b"}}));
    }

    #[test]
    fn an_encoder_is_written_by_its_name() {
        for kind in VisionKind::ALL {
            let origin = EncoderOrigin::Weights {
                folder: "w".into(),
                vision: kind,
                joint: None,
            };
            let written = serde_json::to_value(&origin).unwrap();
            assert_eq!(written["weights"]["vision"], kind.name());
            let run = open(|run| run["encoders"] = written).unwrap();
            assert!(
                matches!(run.encoders, EncoderOrigin::Weights { vision, .. } if vision == kind)
            );
        }
        let error =
            open(|run| run["encoders"]["weights"] = json!({"folder": "w", "vision": "clip"}));
        let error = format!("{:#}", error.unwrap_err());
        assert!(
            error.contains("run.json") && error.contains("clip"),
            "{error}"
        );
    }

    #[test]
    fn a_run_that_cannot_be_read_is_refused_with_its_version() {
        for (said, change) in [
            ("format 3 is newer", json!({"format": 3})),
            ("imn train", json!({"imn": {"seen": 0.3, "new": 0.0}})),
            ("of format 1", json!({"imn": {}})),
        ] {
            let refused = open(|run| {
                let run = run.as_object_mut().unwrap();
                run.extend(change.as_object().unwrap().clone());
            });
            let error = format!("{:#}", refused.unwrap_err());
            assert!(error.contains(said), "{error}");
        }
    }
}
