//! The canonical dataset folder.

mod account;
mod candidates;
mod check;
mod duplicates;
mod import;
mod staging;
mod world;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use image::RgbImage;
use serde::{Deserialize, Serialize};
use shared_model::data::{Entity, MAX_IMAGES, Post, TimelinePost};
use shared_model::error::Error;
use shared_model::paths::is_inside;
use shared_model::tokenizer::MAX_CHARACTERS;

pub(crate) use candidates::candidates;
pub(crate) use check::check;
pub(crate) use duplicates::{are_near, hasher};
pub(crate) use import::{Format, import};
pub(crate) use world::world;

use crate::files::{read, read_json, read_jsonl};

/// The version that this code reads.
const FORMAT: u32 = 1;
/// One in this many entities goes to dev, and one to test, where a format has no parts.
const HELD_OUT: u32 = 10;

/// A dataset without its mentions.
pub(crate) struct Dataset {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// `dataset.json`.
    pub(crate) info: Info,
    /// `entities.jsonl`.
    pub(crate) entities: Vec<Entity>,
    /// `timeline.jsonl`, empty if absent.
    pub(crate) timeline: Vec<TimelinePost>,
}

/// `dataset.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Info {
    format: u32,
    /// What it is called.
    pub(crate) name: String,
    /// Under which licence it stands.
    pub(crate) licence: String,
    /// Where it comes from.
    pub(crate) source: String,
    /// Who the candidates of a row are that names none.
    pub(crate) candidate_policy: CandidatePolicy,
}

impl Info {
    /// Of the format that this code writes.
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

/// Where a mention's candidates come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum CandidatePolicy {
    /// The row's own list; where it has none, the bearers of the name.
    Given,
    /// The 100 entities with the most similar names. The gold is never added.
    #[value(name = "fuzzy-100")]
    #[serde(rename = "fuzzy-100")]
    Fuzzy100,
    /// All entities.
    FullKb,
}

impl CandidatePolicy {
    /// As written in files and flags.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Given => "given",
            Self::Fuzzy100 => "fuzzy-100",
            Self::FullKb => "full-kb",
        }
    }
}

/// A part of the mentions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, ValueEnum)]
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
    /// In this order.
    pub(crate) const ALL: [Self; 3] = [Self::Train, Self::Dev, Self::Test];

    /// Where a format without parts has its rows: all of an entity together.
    pub(crate) fn of_entity(id: &str) -> Self {
        match (hash(id) >> 8) % HELD_OUT {
            0 => Self::Test,
            1 => Self::Dev,
            _ => Self::Train,
        }
    }

    /// As written in files and flags.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Dev => "dev",
            Self::Test => "test",
        }
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
    /// Reads everything but mentions and pictures; ids must be unique and owners known.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Self> {
        let info: Info = read_json(&folder.join("dataset.json")).context("not a dataset folder")?;
        if info.format > FORMAT {
            bail!(
                "{}: format {} is newer than this program, which reads up to {FORMAT}",
                folder.display(),
                info.format
            );
        }
        let dataset = Self {
            entities: read_jsonl(&folder.join("entities.jsonl"))?,
            timeline: optional(&folder.join("timeline.jsonl"))?,
            folder: folder.to_owned(),
            info,
        };
        let mut ids = HashSet::new();
        for entity in &dataset.entities {
            ensure!(
                !entity.name.trim().is_empty(),
                "entities.jsonl: {:?} has no name",
                entity.id
            );
            ensure!(
                ids.insert(entity.id.as_str()),
                "entities.jsonl: the id {:?} stands twice",
                entity.id
            );
        }
        for (i, post) in dataset.timeline.iter().enumerate() {
            ensure!(
                ids.contains(post.entity.as_str()),
                "timeline.jsonl, post {}: no entity {:?}",
                i + 1,
                post.entity
            );
            let checked = bounded(&post.text)
                .and_then(|()| post.images.iter().try_for_each(|path| inside(path)));
            checked.with_context(|| format!("timeline.jsonl, post {}", i + 1))?;
        }
        Ok(dataset)
    }

    /// Reads one part of the mentions.
    pub(crate) fn posts(&self, split: Split) -> anyhow::Result<Vec<Post>> {
        let path = self.folder.join(split.file());
        let posts: Vec<Post> = read_jsonl(&path)?;
        for post in &posts {
            validate(post).with_context(|| format!("{}, {:?}", path.display(), post.id))?;
        }
        Ok(posts)
    }

    /// As [`Self::posts`]; none if the file is absent.
    pub(crate) fn posts_if_any(&self, split: Split) -> anyhow::Result<Vec<Post>> {
        if self.folder.join(split.file()).exists() {
            self.posts(split)
        } else {
            Ok(Vec::new())
        }
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

/// FNV-1a: the same on every platform.
pub(crate) fn hash(id: &str) -> u32 {
    id.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// Refuses an empty post, a mention outside its text, a text that is too long and a path out of the folder.
pub(crate) fn validate(post: &Post) -> anyhow::Result<()> {
    if let Some(mention) = post.mention {
        mention.surface(&post.text)?;
    }
    if post.text.trim().is_empty() && post.images.is_empty() {
        bail!(Error::EmptyPost);
    }
    bounded(&post.text)?;
    post.images.iter().try_for_each(|path| inside(path))
}

/// Refuses a text that no encoder reads.
fn bounded(text: &str) -> anyhow::Result<()> {
    let length = text.chars().count();
    let max = MAX_CHARACTERS;
    ensure!(length <= max, Error::TextTooLong { length, max });
    Ok(())
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

fn inside(path: &str) -> anyhow::Result<()> {
    ensure!(
        is_inside(path),
        "the picture path {path:?} must be relative and may not leave its folder"
    );
    Ok(())
}

fn optional<T: serde::de::DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    if path.exists() {
        read_jsonl(path)
    } else {
        Ok(Vec::new())
    }
}
