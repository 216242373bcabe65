//! Where a run's encoders are.

use std::path::PathBuf;

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, Serialize};
use shared_model::vision::VisionKind;

use crate::cli::ModelArgs;
use crate::weights::{self, JOINT};

/// Where a run's encoders are.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum EncoderOrigin {
    /// A weight folder.
    Weights {
        /// Absolute path of the folder.
        folder: PathBuf,
        /// Which image encoder of the folder.
        #[serde(alias = "detr", deserialize_with = "vision")]
        vision: VisionKind,
        /// Absolute path of the joint encoder.
        #[serde(default)]
        joint: Option<PathBuf>,
    },
    /// A bundle whose model is kept.
    Bundle {
        /// Absolute path of the folder.
        folder: PathBuf,
    },
}

impl EncoderOrigin {
    /// The encoders that a command's flags name: a bundle's, else those of a weight folder, by default the user's own.
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

    /// The encoders of a weight folder; the joint encoder is that of the run folder `joint`, else the weight folder's own, if it holds one.
    pub(crate) fn of_weights(
        folder: PathBuf,
        vision: VisionKind,
        joint: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let joint = match joint {
            Some(run) => {
                let file = run.join(JOINT);
                let absolute = file.canonicalize();
                Some(absolute.with_context(|| {
                    format!("{} does not exist; `imn pretrain` makes it", file.display())
                })?)
            }
            None => Some(folder.join(JOINT)).filter(|file| file.exists()),
        };
        Ok(Self::Weights {
            folder,
            vision,
            joint,
        })
    }
}

/// Reads the image encoder's name, or the `detr: bool` of format 1.
fn vision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<VisionKind, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        IsDetr(bool),
        Name(String),
    }

    match Written::deserialize(deserializer)? {
        Written::IsDetr(false) => Ok(VisionKind::Efficientnet),
        Written::IsDetr(true) => Ok(VisionKind::Detr),
        Written::Name(name) => name.parse().map_err(serde::de::Error::custom),
    }
}
