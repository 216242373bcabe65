//! `bundle.json`: the parts of a bundle, with hashes, licences and everything about the model but its weights.

use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::encoders::Models;
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::imn::TrainedImn;
use crate::paths::is_inside;
use crate::scorer::ScorerConfig;

/// The version that this code writes and reads.
pub const FORMAT: u32 = 2;
/// The manifest's file name.
pub const MANIFEST: &str = "bundle.json";
/// A manifest larger than this is refused.
pub const MAX_MANIFEST_BYTES: usize = 4 << 20;
/// A part larger than this is refused before it is read.
pub const MAX_PART_BYTES: u64 = 1 << 30;

/// `bundle.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// Name that the page shows.
    pub name: String,
    /// Sizes of the encoders.
    pub models: Models,
    /// Weights of the cues.
    pub scorer: ScorerConfig,
    /// Record of the training; `None` for the training-free scorer.
    pub training: Option<Training>,
    /// Network in `imn.bpk`; `None` for the training-free scorer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imn: Option<TrainedImn>,
    /// Fitted temperature and NIL logit.
    pub calibration: Option<Calibration>,
    /// Every other file.
    pub files: Vec<FileEntry>,
    /// Licences of the parts.
    pub licences: Vec<Licence>,
    /// Hash of this file with this field empty.
    pub sha256: String,
}

/// What the exported run was trained on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Ids of the entities that the model trained on.
    pub entities: Vec<String>,
    /// Names of the datasets, each with its licence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// What the network gains over `prototype`; `None` where nothing was held out, and of the paper's form, which has no `prototype` beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
}

/// Difference in P@1 to `prototype`, between 0 and 1, on the held-out mentions of the training data that also chose the network's weights.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Gain on lists whose entities were all trained on.
    pub seen: f64,
    /// Gain on lists with a new entity.
    pub new: f64,
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative, `/` between folders.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
}

/// Where a part comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// A part or a picture.
    pub file: String,
    /// An SPDX identifier where there is one.
    pub licence: String,
    /// Package, author or address.
    pub source: String,
}

impl Manifest {
    /// Reads and verifies `bundle.json`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is malformed, altered, too new, or names a path outside the bundle.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: String| Error::file(MANIFEST, reason);
        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(refuse(format!(
                "{} bytes are more than a manifest has",
                bytes.len()
            )));
        }
        #[derive(Deserialize)]
        struct Version {
            format: u32,
        }
        let version: Version = serde_json::from_slice(bytes)
            .map_err(|error| refuse(format!("not a bundle's manifest: {error}")))?;
        if version.format > FORMAT {
            return Err(refuse(format!(
                "format {} is newer than this program, which reads up to {FORMAT}; update it",
                version.format
            )));
        }
        if version.format < FORMAT {
            return Err(refuse(format!(
                "format {} is older than this program's, {FORMAT}; export its run again with `imn export` (a run with a network: train it again)",
                version.format
            )));
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| refuse(error.to_string()))?;
        let text = std::str::from_utf8(bytes).map_err(|error| refuse(error.to_string()))?;
        let unsigned = text.replacen(
            &format!("\"sha256\": \"{}\"\n}}", manifest.sha256),
            "\"sha256\": \"\"\n}",
            1,
        );
        if manifest.sha256 != sha256(unsigned.as_bytes()) {
            return Err(refuse(
                "its hash differs: the file was altered or damaged".to_owned(),
            ));
        }
        if !manifest.scorer.is_valid() {
            return Err(refuse(
                "a weight of the scorer is negative or not finite".to_owned(),
            ));
        }
        for file in &manifest.files {
            if !is_inside(&file.path) {
                return Err(refuse(format!(
                    "the path {:?} leads out of the bundle",
                    file.path
                )));
            }
            if file.bytes > MAX_PART_BYTES {
                return Err(refuse(format!(
                    "{} is said to have {} bytes; too many",
                    file.path, file.bytes
                )));
            }
        }
        Ok(manifest)
    }

    /// The bytes of `bundle.json`, hash filled in.
    pub fn to_bytes(&self) -> Vec<u8> {
        let unsigned = Self {
            sha256: String::new(),
            ..self.clone()
        };
        let json =
            |manifest: &Self| serde_json::to_string_pretty(manifest).expect("plain values") + "\n";
        let sha256 = sha256(json(&unsigned).as_bytes());
        json(&Self { sha256, ..unsigned }).into_bytes()
    }

    /// Checks the bytes of one file.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the manifest does not name it, or its size or hash differ.
    pub fn check(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let n = bytes.len() as u64;
        let reason = match self.files.iter().find(|file| file.path == path) {
            None => "the bundle does not name this file".to_owned(),
            Some(FileEntry { bytes, .. }) if *bytes != n => {
                format!("{n} bytes instead of {bytes}: incomplete or altered")
            }
            Some(entry) if entry.sha256 != sha256(bytes) => {
                "its hash differs: the file was altered or damaged".to_owned()
            }
            Some(_) => return Ok(()),
        };
        Err(Error::file(path, reason))
    }

    /// Number of bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{BertConfig, HiddenAct};
    use crate::vision::VisionConfig;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "test".to_owned(),
            models: Models {
                text: BertConfig {
                    d_model: 8,
                    n_layers: 1,
                    n_heads: 2,
                    d_ff: 16,
                    vocab_size: 10,
                    max_tokens: 16,
                    type_vocab_size: 2,
                    layer_norm_eps: 1e-12,
                    hidden_act: HiddenAct::Gelu,
                },
                context: None,
                vision: VisionConfig::Efficientnet,
                words: false,
                classes: false,
                joint: None,
            },
            scorer: ScorerConfig::default(),
            training: None,
            imn: None,
            calibration: None,
            files: vec![FileEntry {
                path: "kb.json".to_owned(),
                bytes: 2,
                sha256: sha256(b"{}"),
            }],
            licences: Vec::new(),
            sha256: String::new(),
        }
    }

    #[track_caller]
    fn check_refused(text: &str, reason: &str) {
        let error = Manifest::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.starts_with("bundle.json: ") && error.contains(reason),
            "{error:?} does not say {reason:?}"
        );
    }

    #[test]
    fn a_manifest_round_trips_and_any_change_is_refused() {
        let bytes = manifest().to_bytes();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let parsed = Manifest::parse(&bytes).unwrap();
        assert_eq!(parsed.to_bytes(), bytes);
        check_refused(
            &text.replace("\"name\": \"test\"", "\"name\": \"tess\""),
            "hash differs",
        );
        check_refused(
            &text.replace("\"format\": 2", "\"format\": 3"),
            "newer than this program",
        );
        check_refused(
            &text.replace("\"format\": 2", "\"format\": 1"),
            "export its run again",
        );
        check_refused(&text[..text.len() / 2], "not a bundle's manifest");
    }

    #[test]
    fn a_negative_weight_is_refused() {
        let mut manifest = manifest();
        manifest.scorer.worth[2].scale = -1.0;
        let bytes = manifest.to_bytes();
        check_refused(std::str::from_utf8(&bytes).unwrap(), "negative");
    }

    #[test]
    fn a_path_out_of_the_bundle_is_refused() {
        let mut manifest = manifest();
        manifest.files[0].path = "../kb.json".to_owned();
        check_refused(
            &String::from_utf8(manifest.to_bytes()).unwrap(),
            "leads out of the bundle",
        );
    }

    #[test]
    fn a_file_is_checked_for_name_size_and_hash() {
        let manifest = manifest();
        let message = |path, bytes: &[u8]| manifest.check(path, bytes).unwrap_err().to_string();
        assert!(manifest.check("kb.json", b"{}").is_ok());
        assert!(message("kb.json", b"{").contains("1 bytes instead of 2"));
        assert!(message("kb.json", b"[]").contains("hash differs"));
        assert!(message("other", b"").contains("does not name"));
    }
}
