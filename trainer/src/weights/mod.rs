//! The weight folder: the encoders as `.bpk` files, each with its licence, source and SHA-256.

mod classes;
mod fetch;
mod import;
mod state_dict;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use burn::prelude::Device;
use clap::ValueEnum;
use shared_model::encoders::{Encoders, Models};
use shared_model::hash::sha256;
use shared_model::manifest::Licence;
use shared_model::pack::Pack;
use shared_model::vision::{VisionConfig, VisionKind};

pub(crate) use fetch::fetch;
pub(crate) use import::import;

use crate::files::read;
use import::Origin;

/// The name of the word vectors' file in weight folders, and in bundles with a joint encoder.
pub(crate) const WORDS: &str = "words.bpk";
/// The name of a joint encoder's file in runs, weight folders and bundles.
pub(crate) const JOINT: &str = "joint.bpk";
/// The name of the class embeddings' file in weight folders and bundles.
pub(crate) const CLASSES: &str = "classes.bpk";
/// The name of a context encoder's file in weight folders and bundles; `imn train --stage text` makes it.
pub(crate) const CONTEXT: &str = "context.bpk";
/// The command that gets the default encoders.
const FETCH: &str = "imn weights fetch";

/// What `imn weights import` converts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Importable {
    /// A text encoder: the weights of a BertModel, with config.json and tokenizer.json.
    Bert,
    /// DETR with a ResNet-50: 100 query tokens per picture.
    Detr,
    /// Word vectors: one word with its numbers per line.
    Glove,
}

/// The given folder, else the one that `IMN_WEIGHTS` names, else `imn/weights` in the user's data folder.
pub(crate) fn folder(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    if let Some(folder) = given.or_else(|| std::env::var_os("IMN_WEIGHTS").map(PathBuf::from)) {
        return Ok(folder);
    }
    let data = dirs::data_dir()
        .context("this user has no data folder; name one with --to or --weights")?;
    Ok(data.join("imn").join("weights"))
}

/// The encoders of a weight folder, with what a bundle says about them.
pub(crate) struct Loaded {
    /// The encoders, on the device.
    pub(crate) encoders: Encoders,
    /// Sizes of the encoders.
    pub(crate) models: Models,
    /// Licences and sources of the encoders.
    pub(crate) licences: Vec<Licence>,
    /// `text.bpk`, `vision.bpk` and those of the others that are present.
    pub(crate) packs: Vec<(&'static str, Pack)>,
    /// `tokenizer.json`.
    pub(crate) tokenizer: Vec<u8>,
    /// Hashes of the files that were read.
    pub(crate) fingerprint: Fingerprint,
}

/// Hashes over the weight files: what the encoders compute is a function of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Hash of the text and the image encoder.
    pub(crate) encoders: String,
    /// Hash of the context encoder; `None` without one. `encoders` covers the text encoder whose layers it shares.
    pub(crate) context: Option<String>,
    /// Hash of the joint encoder and of the word vectors that it reads; `None` without a joint encoder.
    pub(crate) joint: Option<String>,
}

impl Fingerprint {
    /// Combines the files' SHA-256 hashes; `file` looks one up by the name that a bundle gives it.
    pub(crate) fn new(file: impl Fn(&str) -> Option<String>) -> Self {
        let combined = |names: &[&str]| {
            let hashes: String = names.iter().filter_map(|name| file(name)).collect();
            sha256(hashes.as_bytes())[..16].to_owned()
        };
        Self {
            encoders: combined(&["tokenizer.json", "text.bpk", "vision.bpk"]),
            context: file(CONTEXT).map(|_| combined(&[CONTEXT])),
            joint: file(JOINT).map(|_| combined(&[WORDS, JOINT])),
        }
    }
}

/// Loads a weight folder.
///
/// # Arguments
///
/// - joint: the path of a joint encoder.
pub(crate) fn load(
    folder: &Path,
    vision: VisionKind,
    joint: Option<&Path>,
    device: &Device,
) -> anyhow::Result<Loaded> {
    let mut hashes = BTreeMap::new();
    let mut pack = |name: &'static str, path: &Path, bytes: Vec<u8>| -> anyhow::Result<Pack> {
        hashes.insert(name, sha256(&bytes));
        Ok(Pack::read(&path.display().to_string(), bytes)?)
    };
    let mut own = |name, file: &str, remedy| {
        let path = folder.join(file);
        if !path.exists() {
            bail!("{} has no {file}; get it with `{remedy}`", folder.display());
        }
        pack(name, &path, read(&path)?)
    };
    let text = own("text.bpk", "text.bpk", FETCH)?;
    let remedy = match vision {
        VisionKind::Efficientnet => FETCH,
        VisionKind::Detr => "imn weights import detr hf:facebook/detr-resnet-50",
    };
    let image = own("vision.bpk", &vision.file(), remedy)?;
    let has_words = folder.join(WORDS).exists();
    let words = has_words.then(|| own(WORDS, WORDS, FETCH));
    let words = words.transpose()?;
    let has_classes = vision == VisionKind::Efficientnet && folder.join(CLASSES).exists();
    let classes = has_classes.then(|| own(CLASSES, CLASSES, FETCH));
    let classes = classes.transpose()?;
    let context = folder.join(CONTEXT).exists();
    let context = context.then(|| own(CONTEXT, CONTEXT, FETCH)).transpose()?;
    let joint = joint.map(|path| pack(JOINT, path, read(path)?));
    let joint = joint.transpose()?;
    let tokenizer = read(&folder.join("tokenizer.json"))?;
    hashes.insert("tokenizer.json", sha256(&tokenizer));
    let made_by = [(&classes, FETCH), (&context, "imn train --stage text")];
    for (made, remedy) in made_by {
        let Some(made) = made else { continue };
        ensure!(
            is_of_text(made, &hashes["text.bpk"]),
            "{} does not name text.bpk beside it as its text encoder; `{remedy}` makes it anew",
            made.file()
        );
    }

    let config_of_image: VisionConfig = config(&image)?;
    ensure!(
        config_of_image.kind() == vision,
        "{} holds the weights of {}",
        image.file(),
        config_of_image.kind()
    );
    let models = Models {
        text: config(&text)?,
        context: context.as_ref().map(config).transpose()?,
        vision: config_of_image,
        words: words.is_some(),
        classes: classes.is_some(),
        joint: joint.as_ref().map(config).transpose()?,
    };
    let packs: Vec<_> = [("text.bpk", text), ("vision.bpk", image)]
        .into_iter()
        .chain(words.map(|words| (WORDS, words)))
        .chain(classes.map(|classes| (CLASSES, classes)))
        .chain(context.map(|context| (CONTEXT, context)))
        .chain(joint.map(|joint| (JOINT, joint)))
        .collect();
    let encoders = Encoders::load(
        &models,
        &tokenizer,
        |path| {
            let found = packs.iter().find(|(file, _)| *file == path);
            Ok(Cow::Borrowed(&found.expect("the models name no other").1))
        },
        device,
    )?;
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
        fingerprint: Fingerprint::new(|name| hashes.get(name).cloned()),
    })
}

/// Key of the metadata with the SHA-256 of the text encoder that a file was made with.
pub(crate) const MADE_WITH: &str = "text";

/// Whether a file was made with the text encoder of this hash.
fn is_of_text(pack: &Pack, text: &str) -> bool {
    pack.metadata(MADE_WITH) == Some(text)
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
        .with_context(|| format!("{} does not state its sizes", pack.file()))?;
    serde_json::from_str(config)
        .with_context(|| format!("{}: the sizes that it states are malformed", pack.file()))
}
