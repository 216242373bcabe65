//! The weight folder: encoders as `.bpk` files, each with its licence, source and SHA-256.

mod fetch;
mod import;
mod state_dict;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::prelude::Device;
use clap::ValueEnum;
use shared_model::encoders::{Encoders, Models, Packs};
use shared_model::manifest::Licence;
use shared_model::pack::Pack;

pub(crate) use fetch::fetch;
pub(crate) use import::import;

use crate::files::read;

/// What `weights import` converts.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A text encoder: BertModel weights with config.json and tokenizer.json.
    Bert,
    /// An image encoder: DETR with a ResNet-50.
    Detr,
    /// Word vectors, a word and its numbers a line.
    Glove,
}

/// An image encoder in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum VisionKind {
    /// `efficientnet.bpk`
    Efficientnet,
    /// `detr.bpk`
    Detr,
}

impl VisionKind {
    /// DETR, else the default.
    pub(crate) fn of(detr: bool) -> Self {
        if detr { Self::Detr } else { Self::Efficientnet }
    }

    /// In the folder.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Efficientnet => "efficientnet.bpk",
            Self::Detr => "detr.bpk",
        }
    }
}

/// The given folder, else `imn/weights` in the user's data folder; `IMN_WEIGHTS` overrides the latter.
pub(crate) fn folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given.or_else(|| std::env::var_os("IMN_WEIGHTS").map(PathBuf::from)) {
        return Ok(folder);
    }
    let data = dirs::data_dir()
        .context("this user has no data folder; name one with --to or --weights")?;
    Ok(data.join("imn").join("weights"))
}

/// The encoders of a weight folder with what a bundle says about them.
pub(crate) struct Loaded {
    /// On the device.
    pub(crate) encoders: Encoders,
    /// Their sizes.
    pub(crate) models: Models,
    /// Their sources.
    pub(crate) licences: Vec<Licence>,
    /// `text.bpk`, `vision.bpk` and, where there are any, `words.bpk` and `joint.bpk`.
    pub(crate) packs: Vec<(&'static str, Pack)>,
    /// `tokenizer.json`
    pub(crate) tokenizer: Vec<u8>,
}

/// Loads a weight folder.
///
/// # Arguments
///
/// - joint: the file of a joint encoder.
pub(crate) fn load(
    folder: &Path,
    vision: VisionKind,
    joint: Option<&Path>,
    device: &Device,
) -> anyhow::Result<Loaded> {
    let text = open(folder, "text.bpk", "imn weights fetch")?;
    let vision = match vision {
        VisionKind::Efficientnet => open(folder, vision.file(), "imn weights fetch")?,
        VisionKind::Detr => open(
            folder,
            vision.file(),
            "imn weights import detr hf:facebook/detr-resnet-50",
        )?,
    };
    let words = folder
        .join("words.bpk")
        .exists()
        .then(|| open(folder, "words.bpk", "imn weights fetch"))
        .transpose()?;
    let joint = joint.map(|path| {
        Pack::read(&path.display().to_string(), read(path)?).map_err(anyhow::Error::from)
    });
    let joint = joint.transpose()?;
    let tokenizer = read(&folder.join("tokenizer.json"))?;
    let models = Models {
        text: config(&text)?,
        vision: config(&vision)?,
        words: words.is_some(),
        joint: joint.as_ref().map(config).transpose()?,
    };
    let packs = Packs {
        text: &text,
        vision: &vision,
        words: words.as_ref(),
        joint: joint.as_ref(),
    };
    let encoders = Encoders::from_parts(&models, &tokenizer, packs, device)?;
    let packs: Vec<_> = [("text.bpk", text), ("vision.bpk", vision)]
        .into_iter()
        .chain(words.map(|words| ("words.bpk", words)))
        .chain(joint.map(|joint| ("joint.bpk", joint)))
        .collect();
    let licences = packs
        .iter()
        .map(|(file, pack)| Licence {
            file: (*file).to_owned(),
            licence: pack.metadata("licence").unwrap_or("not stated").to_owned(),
            source: pack.metadata("source").unwrap_or("not stated").to_owned(),
        })
        .collect();
    Ok(Loaded {
        encoders,
        models,
        licences,
        packs,
        tokenizer,
    })
}

fn open(folder: &Path, file: &str, remedy: &str) -> anyhow::Result<Pack> {
    pack(folder, file)?
        .with_context(|| format!("{} has no {file}; get it with `{remedy}`", folder.display()))
}

/// Reads a weight file; `None` if the folder does not have it.
pub(crate) fn pack(folder: &Path, file: &str) -> anyhow::Result<Option<Pack>> {
    let path = folder.join(file);
    if !path.exists() {
        return Ok(None);
    }
    Ok(Some(Pack::read(&path.display().to_string(), read(&path)?)?))
}

/// Reads the sizes that a weight file states.
pub(crate) fn config<T: serde::de::DeserializeOwned>(pack: &Pack) -> anyhow::Result<T> {
    let config = pack
        .metadata("config")
        .with_context(|| format!("{} says nothing of its sizes", pack.file()))?;
    serde_json::from_str(config)
        .with_context(|| format!("{}: its sizes are malformed", pack.file()))
}
