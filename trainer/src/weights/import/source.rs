//! Where a checkpoint's files are: on Hugging Face, in a folder, or in shards that an index lists.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;
use shared_model::hash::sha256;
use shared_model::paths::is_inside;

use crate::files;
use crate::weights::state_dict::{self, StateDict};

/// Names of a checkpoint's weights on Hugging Face, best first. An index lists the shards of a large one.
const WEIGHTS: [&str; 4] = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
];

/// A checkpoint's weight files, and the folder with its configuration.
pub(in crate::weights) struct Checkpoint {
    /// More than one if the checkpoint is sharded.
    files: Vec<PathBuf>,
    /// The folder of `config.json` and `tokenizer.json`.
    pub(super) folder: PathBuf,
}

impl Checkpoint {
    /// Finds a checkpoint.
    ///
    /// # Arguments
    ///
    /// - source: `hf:owner/name`, a folder, a weight file, or the index of shards.
    /// - companions: other files that `hf:` downloads.
    pub(super) fn find(source: &str, companions: &[&str]) -> anyhow::Result<Self> {
        if let Some(repository) = source.strip_prefix("hf:") {
            return hugging_face(repository, companions);
        }
        let path = Path::new(source);
        ensure!(path.exists(), "{source} does not exist");
        let file = if path.is_dir() {
            weight_file(path)?
        } else {
            path.to_owned()
        };
        ensure!(
            !is_shard(&file),
            "{} is one shard of several; name its folder",
            file.display()
        );
        let folder = file.parent().map(Path::to_owned).unwrap_or_default();
        if !is_index(&file) {
            return Ok(Self::file(&file));
        }
        let files: Vec<PathBuf> = shards(&file)?
            .iter()
            .map(|shard| folder.join(shard))
            .collect();
        if let Some(missing) = files.iter().find(|shard| !shard.is_file()) {
            bail!(
                "{} is missing; {} lists it",
                missing.display(),
                file.display()
            );
        }
        Ok(Self { files, folder })
    }

    /// A checkpoint that is one file.
    pub(in crate::weights) fn file(path: &Path) -> Self {
        Self {
            files: vec![path.to_owned()],
            folder: path.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Reads the tensors of all weight files.
    pub(super) fn read(&self) -> anyhow::Result<StateDict> {
        let mut state = StateDict::new();
        for file in &self.files {
            for (name, tensor) in state_dict::read(file)? {
                ensure!(
                    state.insert(name.clone(), tensor).is_none(),
                    "{}: another shard holds {name} too",
                    file.display()
                );
            }
        }
        Ok(state)
    }

    /// The SHA-256 of each weight file, separated by spaces.
    pub(super) fn sha256(&self) -> anyhow::Result<String> {
        let digests: Vec<String> = self
            .files
            .iter()
            .map(|file| Ok(sha256(&files::read(file)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(digests.join(" "))
    }

    /// What error messages call it: its weight file, or the folder of its shards.
    pub(super) fn name(&self) -> String {
        match &self.files[..] {
            [file] => file.display().to_string(),
            _ => self.folder.display().to_string(),
        }
    }
}

/// The weight file of a folder: under one of Hugging Face's names, else the only one.
fn weight_file(folder: &Path) -> anyhow::Result<PathBuf> {
    let known = WEIGHTS.map(|name| folder.join(name));
    if let Some(file) = known.into_iter().find(|file| file.is_file()) {
        return Ok(file);
    }
    let extensions = ["safetensors", "pth", "pt", "bin"];
    let found = files_with(folder, &extensions)?;
    if found.iter().all(|file| is_shard(file)) && !found.is_empty() {
        bail!(
            "{} holds shards without the index that lists them, {}",
            folder.display(),
            WEIGHTS[1]
        );
    }
    only(found, folder, &extensions, "weight")
}

/// The one file that was found in a folder.
pub(super) fn only(
    mut found: Vec<PathBuf>,
    folder: &Path,
    extensions: &[&str],
    what: &str,
) -> anyhow::Result<PathBuf> {
    let (shown, extensions) = (folder.display(), extensions.join(", ."));
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => bail!("{shown} holds no .{extensions} file"),
        n => bail!("{shown} holds {n} {what} files; name one"),
    }
}

/// The files of a folder with one of the extensions, sorted.
pub(super) fn files_with(folder: &Path, extensions: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = files::list(folder)?;
    found.retain(|path| {
        let extension = path.extension().and_then(|extension| extension.to_str());
        extension.is_some_and(|extension| extensions.contains(&extension))
    });
    Ok(found)
}

fn hugging_face(repository: &str, companions: &[&str]) -> anyhow::Result<Checkpoint> {
    let api = hf_hub::api::sync::ApiBuilder::new()
        .build()
        .context("Hugging Face")?;
    let model = api.model(repository.to_owned());
    let get = |file: &str| {
        model
            .get(file)
            .with_context(|| format!("hf:{repository}: cannot get {file}"))
    };
    for file in companions {
        get(file)?;
    }
    let weights = WEIGHTS[1..].iter().fold(get(WEIGHTS[0]), |found, name| {
        found.or_else(|first| get(name).map_err(|_| first))
    })?;
    let folder = weights.parent().map(Path::to_owned).unwrap_or_default();
    let files = if is_index(&weights) {
        let shards = shards(&weights)?;
        shards
            .iter()
            .map(|shard| get(shard))
            .collect::<Result<_, _>>()?
    } else {
        vec![weights]
    };
    Ok(Checkpoint { files, folder })
}

fn is_index(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "json")
}

/// Whether a file is named like `model-00001-of-00002.safetensors`.
fn is_shard(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|stem| stem.to_str());
    let n_shards = stem.and_then(|stem| stem.rsplit_once("-of-")?.1.parse::<u32>().ok());
    n_shards.is_some_and(|n| n > 1)
}

/// The names of the shards that an index lists, sorted.
fn shards(index: &Path) -> anyhow::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Index {
        weight_map: BTreeMap<String, String>,
    }
    let Index { weight_map } = files::read_json(index)?;
    let shards: BTreeSet<String> = weight_map.into_values().collect();
    ensure!(!shards.is_empty(), "{} lists no shard", index.display());
    if let Some(outside) = shards.iter().find(|shard| !is_inside(shard)) {
        bail!("{}: {outside} is outside its folder", index.display());
    }
    Ok(shards)
}
