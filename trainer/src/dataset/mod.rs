//! The canonical dataset folder.

mod account;
mod candidates;
mod check;
mod duplicates;
mod import;
mod modalities;
mod staging;
mod world;
mod zipped;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, anyhow, bail, ensure};
use clap::ValueEnum;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use shared_model::batch::validate;
use shared_model::data::{Entity, MAX_IMAGES, Post, TimelinePost};
use shared_model::error::Error;
use shared_model::paths::relative;
use shared_model::tokenizer::MAX_CHARACTERS;
use tempfile::TempDir;

pub(crate) use candidates::{candidates, namesakes};
pub(crate) use check::check;
pub(crate) use duplicates::{are_near, hasher};
pub(crate) use import::{ForeignFolder, import};
pub(crate) use modalities::Modalities;
pub(crate) use world::{WorldSource, world};

use crate::files::{from_json, read, read_json, read_lines, read_lines_if_any};

/// The newest version of the dataset format that this code reads.
const FORMAT: u32 = 1;
/// Where a foreign format has no parts, one in this many entities goes to dev and one to test.
const HELD_OUT: u32 = 10;

/// A dataset without its mentions.
#[derive(Clone)]
pub(crate) struct Dataset {
    /// The dataset folder.
    pub(crate) folder: PathBuf,
    /// `dataset.json`.
    pub(crate) info: Info,
    /// `entities.jsonl`.
    pub(crate) entities: Vec<Entity>,
    /// `timeline.jsonl`, empty if absent.
    pub(crate) timeline: Vec<TimelinePost>,
    /// The folder, if it was unpacked from a zip; it is removed with this value.
    pub(crate) _unpacked: Option<Rc<TempDir>>,
}

/// `dataset.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Info {
    format: u32,
    /// Name of the dataset.
    pub(crate) name: String,
    /// Licence of the dataset.
    pub(crate) licence: String,
    /// Source of the dataset.
    pub(crate) source: String,
    /// Candidates of a row that names none.
    pub(crate) candidate_policy: CandidatePolicy,
}

impl Info {
    /// A description in the format that this code writes.
    fn new(name: &str, licence: &str, source: &str, candidate_policy: CandidatePolicy) -> Self {
        Self {
            format: FORMAT,
            name: name.to_owned(),
            licence: licence.to_owned(),
            source: source.to_owned(),
            candidate_policy,
        }
    }
}

/// Source of a mention's candidates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CandidatePolicy {
    /// The row's own list; for a row without one, the entities that have the name.
    Given,
    /// The 100 entities with the most similar names. The gold is never added.
    #[value(name = "fuzzy-100")]
    #[serde(rename = "fuzzy-100")]
    Fuzzy100,
    /// All entities.
    FullKb,
}

impl CandidatePolicy {
    /// The name in files and flags.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Fuzzy100 => "fuzzy-100",
            Self::FullKb => "full-kb",
        }
    }
}

/// One of the three parts of a dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Split {
    /// `train.jsonl`
    Train,
    /// `dev.jsonl`
    Dev,
    /// `test.jsonl`
    Test,
}

impl Split {
    /// All parts, train first.
    pub(crate) const ALL: [Self; 3] = [Self::Train, Self::Dev, Self::Test];

    /// The part of an entity's rows where a foreign format has no parts: all rows of an entity stay together.
    pub(crate) fn of_entity(id: &str) -> Self {
        match (hash(id) >> 8) % HELD_OUT {
            0 => Self::Test,
            1 => Self::Dev,
            _ => Self::Train,
        }
    }

    /// The name in files and flags.
    pub(crate) fn name(self) -> &'static str {
        self.file().trim_end_matches(".jsonl")
    }

    /// The name of the part's file.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Train => "train.jsonl",
            Self::Dev => "dev.jsonl",
            Self::Test => "test.jsonl",
        }
    }
}

impl Dataset {
    /// Reads everything but mentions and pictures. Entity ids must be unique, and a timeline post's entity known.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        if folder.is_file() {
            return zipped::open(folder);
        }
        let info: Info = read_json(&folder.join("dataset.json")).context("not a dataset folder")?;
        if info.format > FORMAT {
            bail!(
                "{}: format {} is newer than this program, which reads up to {FORMAT}",
                folder.display(),
                info.format
            );
        }
        let mut ids = HashSet::new();
        let entities = read_lines(&folder.join("entities.jsonl"), |_, line| {
            let entity: Entity = from_json(line)?;
            let id = &entity.id;
            ensure!(!entity.name.trim().is_empty(), "{id:?} has no name");
            ensure!(ids.insert(id.clone()), "the id {id:?} appears twice");
            Ok(entity)
        })?;
        let timeline = read_lines_if_any(&folder.join("timeline.jsonl"), |_, line| {
            let post: TimelinePost = from_json(line)?;
            ensure!(ids.contains(&post.entity), "no entity {:?}", post.entity);
            check_length(&post.text)?;
            post.images.iter().try_for_each(|path| inside(path))?;
            Ok(post)
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            info,
            entities,
            timeline,
            _unpacked: None,
        })
    }

    /// Reads several dataset folders.
    pub(crate) fn open_all(folders: &[PathBuf]) -> anyhow::Result<Vec<Self>> {
        folders.iter().map(|folder| Self::open(folder)).collect()
    }

    /// Reads one part of the mentions.
    pub(crate) fn posts(&self, split: Split) -> anyhow::Result<Vec<Post>> {
        read_lines(&self.folder.join(split.file()), validated)
    }

    /// Reads one part of the mentions, which is empty if its file is absent.
    pub(crate) fn posts_if_any(&self, split: Split) -> anyhow::Result<Vec<Post>> {
        read_lines_if_any(&self.folder.join(split.file()), validated)
    }

    /// Each entity's position by its id.
    pub(crate) fn positions(&self) -> HashMap<&str, usize> {
        self.entities
            .iter()
            .enumerate()
            .map(|(position, entity)| (entity.id.as_str(), position))
            .collect()
    }
}

/// The train rows of each dataset; none where it has no such part.
pub(crate) fn train_rows(datasets: &[Dataset]) -> anyhow::Result<Vec<Vec<Post>>> {
    let rows = datasets.iter();
    rows.map(|dataset| dataset.posts_if_any(Split::Train))
        .collect()
}

/// The FNV-1a hash, the same on every platform.
pub(crate) fn hash(id: &str) -> u32 {
    id.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A row of a file of mentions.
fn validated(_: usize, line: &str) -> anyhow::Result<Post> {
    let post = from_json(line)?;
    validate(&post)?;
    Ok(post)
}

/// Refuses a text that no encoder reads.
fn check_length(text: &str) -> anyhow::Result<()> {
    let length = text.chars().count();
    let max = MAX_CHARACTERS;
    ensure!(length <= max, Error::TextTooLong { length, max });
    Ok(())
}

/// Refuses a picture path that may leave its folder.
pub(crate) fn inside(path: &str) -> anyhow::Result<()> {
    match relative(path) {
        Ok(_) => Ok(()),
        Err(error) => Err(anyhow!("the picture path {path:?} {error}")),
    }
}

/// Decodes the pictures of a post, at most [`MAX_IMAGES`]; more are named on standard error.
pub(crate) fn pictures(folder: &Path, paths: &[String]) -> anyhow::Result<Vec<RgbImage>> {
    if paths.len() > MAX_IMAGES {
        eprintln!(
            "{} has {} pictures; the first {MAX_IMAGES} are used",
            paths[0],
            paths.len()
        );
    }
    paths
        .iter()
        .take(MAX_IMAGES)
        .map(|path| picture(&folder.join(path)))
        .collect()
}

/// Decodes one picture.
pub(crate) fn picture(path: &Path) -> anyhow::Result<RgbImage> {
    picture_of(&read(path)?, &path.display().to_string())
}

/// Decodes the bytes of one picture.
pub(crate) fn picture_of(bytes: &[u8], path: &str) -> anyhow::Result<RgbImage> {
    shared_model::image::decode(bytes).with_context(|| path.to_owned())
}
