//! The exported bundle: a manifest with hashes, and the parts it names.

use burn::prelude::Device;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::data::Mention;
use crate::error::{Error, Result};
use crate::imn::{ImnScorer, Modality, TrainedImn};
use crate::kb::KnowledgeBase;
use crate::linker::{Encoders, Linker, Models, PostVectors};
use crate::pack::{Entry, Pack};
use crate::scorer::{Calibration, ScorerConfig};

/// The version that this code writes and reads.
pub const FORMAT: u32 = 1;
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
    /// What a page shows.
    pub name: String,
    /// Sizes of the encoders.
    pub models: Models,
    /// The scorer's weights.
    pub scorer: ScorerConfig,
    /// What was trained; `None` for the training-free scorer.
    pub training: Option<Training>,
    /// The network in `imn.bpk`; `None` for the training-free scorer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imn: Option<TrainedImn>,
    /// Fitted temperature and NIL logit.
    pub calibration: Option<Calibration>,
    /// Every other file.
    pub files: Vec<FileEntry>,
    /// Of the parts.
    pub licences: Vec<Licence>,
    /// Over this file with this field empty.
    pub sha256: String,
}

/// What the exported run was trained on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Training {
    /// Ids of the entities that the model trained on.
    pub entities: Vec<String>,
    /// The datasets, each with its licence.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub datasets: Vec<String>,
    /// What the network gains over `prototype`; `None` where nothing was held out, and of the paper's form, which has no `prototype` beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain: Option<Gain>,
}

/// P@1 less that of `prototype`, in shares, on held-out mentions of the training data, the ones that chose what the network weighs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Gain {
    /// Of lists whose entities were all trained on.
    pub seen: f64,
    /// Of lists with a new entity.
    pub new: f64,
}

/// A file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Relative, `/` between folders.
    pub path: String,
    /// Its size.
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
        let entry = self
            .files
            .iter()
            .find(|file| file.path == path)
            .ok_or_else(|| Error::file(path, "the bundle does not name this file"))?;
        if entry.bytes != bytes.len() as u64 {
            return Err(Error::file(
                path,
                format!(
                    "{} bytes instead of {}: incomplete or altered",
                    bytes.len(),
                    entry.bytes
                ),
            ));
        }
        if entry.sha256 != sha256(bytes) {
            return Err(Error::file(
                path,
                "its hash differs: the file was altered or damaged",
            ));
        }
        Ok(())
    }

    /// Bytes of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

/// A verified bundle, on a device.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Its manifest.
    pub manifest: Manifest,
    /// Everything but the self-test.
    pub linker: Linker,
    /// The self-test.
    pub golden: Golden,
}

impl Bundle {
    /// Reads the parts through `file`, checking each.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming the first part that is missing, altered or of another shape, [`Error::Device`] if the device fails.
    pub async fn open(
        manifest: Manifest,
        mut file: impl FnMut(&str) -> Result<Vec<u8>>,
        device: &Device,
    ) -> Result<Self> {
        let mut checked = |path: &str| {
            let bytes = file(path)?;
            manifest.check(path, &bytes)?;
            Ok::<_, Error>(bytes)
        };
        let encoders = Encoders::load(&manifest.models, &mut checked, device)?;
        let golden = Golden::from_pack(&Pack::read("golden.bpk", checked("golden.bpk")?)?)?;
        let kb = Pack::read("kb.bpk", checked("kb.bpk")?)?;
        let kb = KnowledgeBase::from_parts(&checked("kb.json")?, &kb, &manifest.models)?;
        let n_entities = kb.text.entities.len();
        if golden.candidates.iter().any(|&entity| entity >= n_entities) {
            return Err(Error::file(
                "golden.bpk",
                "a candidate is not in the knowledge base",
            ));
        }
        let imn = match &manifest.imn {
            Some(trained) => {
                let pack = Pack::read("imn.bpk", checked("imn.bpk")?)?;
                let training = manifest.training.iter();
                let entities = training.flat_map(|training| &training.entities);
                let entities = entities.map(String::as_str).collect();
                let fits = trained
                    .config
                    .inputs
                    .iter()
                    .all(|input| match input.modality {
                        Modality::Text => input.width == manifest.models.text.hidden_size,
                        Modality::Image => input.width == manifest.models.vision.widths().0,
                        Modality::Joint => {
                            let joint = manifest.models.joint.as_ref();
                            joint.is_some_and(|joint| input.width == joint.width)
                        }
                    });
                if !fits {
                    return Err(Error::file(
                        "imn.bpk",
                        "the network reads other vectors than the encoders give",
                    ));
                }
                let network = trained.config.load(&pack, device)?;
                Some(ImnScorer::new(network, trained.clone(), &entities, &kb, device).await?)
            }
            None => None,
        };
        let linker = Linker::new(
            encoders,
            kb,
            manifest.scorer,
            imn,
            manifest.calibration.clone(),
        );
        Ok(Self {
            manifest,
            linker,
            golden,
        })
    }
}

/// A post with the tensors that the exporting machine computed for it: what a device must reproduce before it is trusted.
#[derive(Debug, Clone, PartialEq)]
pub struct Golden {
    text: String,
    mention: Mention,
    picture: RgbImage,
    candidates: Vec<usize>,
    text_tokens: Vec<f32>,
    image_tokens: Vec<f32>,
    scores: Vec<f32>,
}

/// The largest differences between a device and the golden tensors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SelfTest {
    /// Of the text's tokens.
    pub text: f32,
    /// Of the picture's tokens.
    pub image: f32,
    /// Of the scores.
    pub score: f32,
}

impl SelfTest {
    /// Whether the device agrees: tokens within 5e-3, scores within 1e-3. A NaN never does.
    pub fn passed(self) -> bool {
        self.text <= 5e-3 && self.image <= 5e-3 && self.score <= 1e-3
    }
}

impl Golden {
    /// Computes the tensors with `linker`.
    ///
    /// # Errors
    ///
    /// As [`Linker::rank`].
    pub async fn record(
        linker: &Linker,
        text: &str,
        mention: Mention,
        picture: RgbImage,
        candidates: Vec<usize>,
    ) -> Result<Self> {
        let unrecorded = Self {
            text: text.to_owned(),
            mention,
            picture,
            candidates,
            text_tokens: Vec::new(),
            image_tokens: Vec::new(),
            scores: Vec::new(),
        };
        let (text_tokens, image_tokens, scores) = unrecorded.run(linker).await?;
        Ok(Self {
            text_tokens,
            image_tokens,
            scores,
            ..unrecorded
        })
    }

    /// Runs the post on the linker's device. It also warms the device up.
    ///
    /// # Errors
    ///
    /// As [`Linker::rank`].
    pub async fn test(&self, linker: &Linker) -> Result<SelfTest> {
        let (text, image, scores) = self.run(linker).await?;
        Ok(SelfTest {
            text: difference(&text, &self.text_tokens),
            image: difference(&image, &self.image_tokens),
            score: difference(&scores, &self.scores),
        })
    }

    async fn run(&self, linker: &Linker) -> Result<(Vec<f32>, Vec<f32>, Vec<f32>)> {
        let encoders = &linker.encoders;
        let encoded = encoders.tokenizer.encode(&self.text, Some(self.mention))?;
        let text = encoders.text(&encoded).await?;
        let image = encoders.image(&self.picture).await?;
        let (text_tokens, image_tokens) = (text.tokens.clone(), image.tokens.clone());
        let mut post = PostVectors {
            text: Some(text),
            images: vec![image],
            joint: None,
        };
        let surface = self.mention.surface(&self.text)?;
        encoders.join(&mut post, &encoded, Some(surface)).await?;
        let readings = linker.read(&[post]).await?;
        let ranking = linker.rank(&readings[0], &self.text, self.mention, &self.candidates)?;
        let score = |&entity: &usize| {
            let id = &linker.kb.text.entities[entity].id;
            ranking
                .candidates
                .iter()
                .find(|candidate| candidate.entity == *id)
        };
        let scores = self
            .candidates
            .iter()
            .filter_map(score)
            .map(|candidate| candidate.score)
            .collect();
        Ok((text_tokens, image_tokens, scores))
    }

    /// The entries of `golden.bpk`.
    pub fn entries(&self) -> Vec<Entry> {
        let post = GoldenPost {
            text: self.text.clone(),
            mention: self.mention,
            width: self.picture.width(),
            height: self.picture.height(),
            candidates: self.candidates.clone(),
        };
        let vector =
            |name: &str, values: &[f32]| Entry::floats(name, [values.len()], values.to_vec());
        vec![
            Entry::bytes("post", serde_json::to_vec(&post).expect("plain values")),
            Entry::bytes("picture", self.picture.as_raw().clone()),
            vector("text_tokens", &self.text_tokens),
            vector("image_tokens", &self.image_tokens),
            vector("scores", &self.scores),
        ]
    }

    fn from_pack(pack: &Pack) -> Result<Self> {
        let refuse = |reason: String| Error::file(pack.file(), reason);
        let post: GoldenPost = serde_json::from_slice(&pack.bytes("post")?)
            .map_err(|error| refuse(error.to_string()))?;
        Ok(Self {
            picture: RgbImage::from_raw(post.width, post.height, pack.bytes("picture")?)
                .ok_or_else(|| refuse("the picture is not as large as it says".to_owned()))?,
            text: post.text,
            mention: post.mention,
            candidates: post.candidates,
            text_tokens: pack.floats("text_tokens")?.1,
            image_tokens: pack.floats("image_tokens")?.1,
            scores: pack.floats("scores")?.1,
        })
    }
}

#[derive(Serialize, Deserialize)]
struct GoldenPost {
    text: String,
    mention: Mention,
    width: u32,
    height: u32,
    candidates: Vec<usize>,
}

/// Lower-case hexadecimal SHA-256.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether a path that came with the data stays below the folder that it is relative to.
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The largest absolute difference; infinite if the lengths differ or a value is not a number.
fn difference(a: &[f32], b: &[f32]) -> f32 {
    if a.len() != b.len() {
        return f32::INFINITY;
    }
    a.iter()
        .zip(b)
        .map(|(x, y)| (x - y).abs())
        .fold(0.0, |worst, x| {
            if x.is_nan() {
                f32::INFINITY
            } else {
                worst.max(x)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::BertConfig;
    use crate::vision::VisionConfig;

    fn manifest() -> Manifest {
        Manifest {
            format: FORMAT,
            name: "test".to_owned(),
            models: Models {
                text: BertConfig {
                    hidden_size: 8,
                    num_hidden_layers: 1,
                    num_attention_heads: 2,
                    intermediate_size: 16,
                    vocab_size: 10,
                    max_position_embeddings: 16,
                    type_vocab_size: 2,
                    layer_norm_eps: 1e-12,
                },
                vision: VisionConfig::Efficientnet,
                words: false,
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
            &text.replace("\"format\": 1", "\"format\": 2"),
            "newer than this program",
        );
        check_refused(&text[..text.len() / 2], "not a bundle's manifest");
    }

    #[test]
    fn paths_stay_inside() {
        for path in ["kb.json", "thumbs/a.jpg", "a..b"] {
            assert!(is_inside(path), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "thumbs/../../a",
            "a//b",
            "C:a",
            "a\\b",
            "./a",
        ] {
            assert!(!is_inside(path), "{path}");
        }
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

    #[test]
    fn a_difference_that_is_not_a_number_fails_the_self_test() {
        let test = SelfTest {
            text: difference(&[f32::NAN], &[0.0]),
            image: 0.0,
            score: 0.0,
        };
        assert!(!test.passed());
        assert_eq!(difference(&[1.0], &[]), f32::INFINITY);
    }
}
