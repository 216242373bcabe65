//! The hold-out: which train mentions, and which entities with all their mentions, are kept for validation.
//!
//! Every training takes its hold-out from here, so that one which is built on the result of another (a network beside a context
//! encoder) is measured on mentions that neither has seen:
//!
//! - Entities that occur in one another's candidate lists are held out together, up to [`MAX_GROUP`]: a list is either known or new.
//! - Mentions that show the same picture, or repeat a text of the same entity, are held out together.
//! - A group is held out by the hash of its smallest name, so that neither the order of a file nor of the datasets matters.
//!
//! Pictures are compared by content, and texts without case and punctuation.

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use petgraph::unionfind::UnionFind;
use sha2::{Digest as _, Sha256};
use shared_model::data::{Entity, Post};
use shared_model::normalise::fold;

use crate::dataset::{Dataset, candidates, hash};
use crate::files;

/// One in this many groups of entities is held out, and as many groups of mentions of the others.
const VALIDATION: u32 = 10;
/// Entities that are held out together, at most; those of a larger group are held out one by one.
const MAX_GROUP: usize = 20;
/// One in this many mentions may be held out together, and always [`MAX_GROUP`]; those of a larger group are held out by their
/// first picture.
const MAX_SHARE: usize = 20;

/// Use of a train mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Training.
    Fit,
    /// Validation; its entity may be trained on.
    HeldMention,
    /// Validation; its entity is held out with all its mentions.
    HeldEntity,
}

/// Train mentions of one dataset.
pub(crate) struct Mentions<'a> {
    /// Folder that picture paths are relative to.
    pub(crate) folder: &'a Path,
    /// All entities of the dataset.
    pub(crate) entities: &'a [Entity],
    /// Mentions with their candidates, as positions among `entities`.
    pub(crate) rows: Vec<(&'a Post, &'a [usize])>,
    /// Number of the last rows that are held out, those of dev.jsonl; `None` to draw among all rows.
    pub(crate) n_dev: Option<usize>,
}

/// The hold-out of a training.
#[derive(Debug, Default)]
pub(crate) struct HoldOut {
    /// By dataset, then by row.
    parts: Vec<Vec<Part>>,
    held: Contents,
    fit: Contents,
    pictures: RefCell<Pictures>,
}

/// Texts and pictures of several mentions.
#[derive(Debug, Default)]
struct Contents {
    texts: HashSet<String>,
    pictures: HashSet<Picture>,
}

/// Hash of a picture's content.
type Picture = [u8; 32];

/// Hashes of the pictures that were read so far.
#[derive(Debug, Default)]
struct Pictures(HashMap<PathBuf, Picture>);

/// A train mention as the hold-out compares it.
struct Row<'a> {
    /// First picture or id, which is hashed.
    name: String,
    entity: Option<&'a str>,
    /// Folded; `None` without a word.
    text: Option<String>,
    pictures: Vec<Picture>,
}

impl HoldOut {
    /// Divides the mentions of all datasets of a training.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn new(datasets: &[Mentions]) -> anyhow::Result<Self> {
        let held_entities = held_entities(datasets);
        let mut pictures = Pictures::default();
        let (mut rows, mut given) = (Vec::new(), Vec::new());
        for dataset in datasets {
            for (post, _) in &dataset.rows {
                rows.push(Row::new(dataset.folder, post, &mut pictures)?);
            }
            let n = dataset.rows.len();
            let part = |n_dev, i| {
                if i + n_dev < n {
                    Part::Fit
                } else {
                    Part::HeldMention
                }
            };
            given.extend((0..n).map(|i| Some(part(dataset.n_dev?, i))));
        }
        let mut hold_out = Self {
            pictures: RefCell::new(pictures),
            ..Self::default()
        };
        let mut parts = Vec::with_capacity(rows.len());
        for ((row, is_held), given) in rows.iter().zip(held_rows(&rows)).zip(given) {
            let part = match (given, row.entity) {
                (Some(part), _) => part,
                (None, Some(entity)) if held_entities.contains(entity) => Part::HeldEntity,
                (None, _) if is_held => Part::HeldMention,
                (None, _) => Part::Fit,
            };
            let contents = match part {
                Part::Fit => &mut hold_out.fit,
                Part::HeldMention | Part::HeldEntity => &mut hold_out.held,
            };
            contents.texts.extend(row.text.clone());
            contents.pictures.extend(&row.pictures);
            parts.push(part);
        }
        let mut parts = parts.into_iter();
        let take = |dataset: &Mentions| parts.by_ref().take(dataset.rows.len()).collect();
        hold_out.parts = datasets.iter().map(take).collect();
        Ok(hold_out)
    }

    /// Divides the mentions among the train rows of `datasets`; returns their candidates too, by dataset and mention.
    ///
    /// # Errors
    ///
    /// A row whose candidates cannot be found, by its dataset and id; an unreadable picture, by its path.
    pub(crate) fn of_rows(
        datasets: &[Dataset],
        rows: &[Vec<Post>],
    ) -> anyhow::Result<(Self, Vec<Vec<Vec<usize>>>)> {
        let mut lists = Vec::new();
        for (dataset, rows) in datasets.iter().zip(rows) {
            let mentions: Vec<&Post> = mentions(rows).collect();
            let found = candidates(dataset, &mentions, dataset.info.candidate_policy);
            lists.push(found.with_context(|| dataset.folder.display().to_string())?);
        }
        let all = datasets.iter().zip(rows).zip(&lists);
        let all = all.map(|((dataset, rows), lists)| Mentions {
            folder: &dataset.folder,
            entities: &dataset.entities,
            rows: mentions(rows)
                .zip(lists.iter().map(Vec::as_slice))
                .collect(),
            n_dev: None,
        });
        let hold_out = Self::new(&all.collect::<Vec<_>>())?;
        Ok((hold_out, lists))
    }

    /// The parts of a dataset's mentions, in their order.
    pub(crate) fn parts(&self, dataset: usize) -> &[Part] {
        &self.parts[dataset]
    }

    /// Whether a post has the text or a picture of a held-out mention.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn repeats(
        &self,
        folder: &Path,
        text: &str,
        images: &[String],
    ) -> anyhow::Result<bool> {
        Ok(self.held.contain(&self.content(folder, text, images)?))
    }

    /// Whether any post is held out: one that repeats a mention goes with it, another by the hash of its text or first picture.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn holds(
        &self,
        folder: &Path,
        text: &str,
        images: &[String],
    ) -> anyhow::Result<bool> {
        let content = self.content(folder, text, images)?;
        if self.held.contain(&content) {
            return Ok(true);
        }
        let name = content.0.as_deref().or(images.first().map(String::as_str));
        Ok(!self.fit.contain(&content) && is_held_text(name.unwrap_or_default()))
    }

    fn content(
        &self,
        folder: &Path,
        text: &str,
        images: &[String],
    ) -> anyhow::Result<(Option<String>, Vec<Picture>)> {
        let pictures = &mut *self.pictures.borrow_mut();
        Ok((text_key(text), pictures.of(folder, images)?))
    }
}

impl Contents {
    fn contain(&self, (text, pictures): &(Option<String>, Vec<Picture>)) -> bool {
        let text = text.as_ref();
        text.is_some_and(|text| self.texts.contains(text))
            || pictures
                .iter()
                .any(|picture| self.pictures.contains(picture))
    }
}

impl Pictures {
    fn of(&mut self, folder: &Path, images: &[String]) -> anyhow::Result<Vec<Picture>> {
        let images = images.iter();
        images
            .map(|image| {
                let path = folder.join(image);
                if let Some(picture) = self.0.get(&path) {
                    return Ok(*picture);
                }
                let picture = Sha256::digest(files::read(&path)?).into();
                self.0.insert(path, picture);
                Ok(picture)
            })
            .collect()
    }
}

impl<'a> Row<'a> {
    fn new(folder: &Path, post: &'a Post, pictures: &mut Pictures) -> anyhow::Result<Self> {
        let shown = post.images.first();
        Ok(Self {
            name: format!("row {}", shown.unwrap_or(&post.id)),
            entity: post.entity.as_deref(),
            text: text_key(&post.text),
            pictures: pictures.of(folder, &post.images)?,
        })
    }
}

/// The rows with a mention.
pub(crate) fn mentions(rows: &[Post]) -> impl Iterator<Item = &Post> {
    rows.iter().filter(|row| row.mention.is_some())
}

/// Ids of the entities that are held out. An id of several datasets is one entity.
fn held_entities<'a>(datasets: &[Mentions<'a>]) -> HashSet<&'a str> {
    let mut positions: HashMap<&str, usize> = HashMap::new();
    let mut ids: Vec<&str> = Vec::new();
    let of_dataset = |dataset: &Mentions<'a>| -> Vec<usize> {
        let entities = dataset.entities.iter().map(|entity| entity.id.as_str());
        entities
            .map(|id| {
                *positions.entry(id).or_insert_with(|| {
                    ids.push(id);
                    ids.len() - 1
                })
            })
            .collect()
    };
    let entities: Vec<Vec<usize>> = datasets.iter().map(of_dataset).collect();
    let mut sets = UnionFind::new(ids.len());
    for (dataset, entities) in datasets.iter().zip(&entities) {
        for (_, candidates) in &dataset.rows {
            for pair in candidates.windows(2) {
                sets.union(entities[pair[0]], entities[pair[1]]);
            }
        }
    }
    let names: Vec<&str> = leaders(&ids, sets, MAX_GROUP);
    let held = ids.iter().zip(names).filter(|(_, name)| is_held(name));
    held.map(|(id, _)| *id).collect()
}

/// Whether each row is held out for what it shows or says.
fn held_rows(rows: &[Row]) -> Vec<bool> {
    let mut sets = UnionFind::new(rows.len());
    let mut by_picture: HashMap<Picture, usize> = HashMap::new();
    let mut by_text: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for (position, row) in rows.iter().enumerate() {
        for picture in &row.pictures {
            sets.union(position, *by_picture.entry(*picture).or_insert(position));
        }
        // One text under two entities is two questions, and knowing one of the answers is of no use for the other.
        if let Some(text) = &row.text {
            let key = (text.as_str(), row.entity);
            sets.union(position, *by_text.entry(key).or_insert(position));
        }
    }
    let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    let largest = MAX_GROUP.max(rows.len() / MAX_SHARE);
    let leaders = leaders(&names, sets, largest);
    leaders.into_iter().map(is_held).collect()
}

/// For each name the smallest of its set, or itself if the set is larger than `largest`.
fn leaders<'a>(names: &[&'a str], sets: UnionFind<usize>, largest: usize) -> Vec<&'a str> {
    let labels = sets.into_labeling();
    let mut members: BTreeMap<usize, (usize, &str)> = BTreeMap::new();
    for (&label, &name) in labels.iter().zip(names) {
        let (size, smallest) = members.entry(label).or_insert((0, name));
        *size += 1;
        *smallest = (*smallest).min(name);
    }
    let leader = |(label, name): (&usize, &&'a str)| match members[label] {
        (size, smallest) if size <= largest => smallest,
        _ => *name,
    };
    labels.iter().zip(names).map(leader).collect()
}

/// A text as repeats are found by it; `None` without a word.
pub(crate) fn text_key(text: &str) -> Option<String> {
    let folded = fold(text);
    (!folded.is_empty()).then_some(folded)
}

/// Whether what has this name is held out.
fn is_held(name: &str) -> bool {
    // Not the bits by which an import divides a dataset: its train part would hold none of these entities.
    (hash(name) >> 16).is_multiple_of(VALIDATION)
}

/// Whether a post that is no mention is held out.
fn is_held_text(text: &str) -> bool {
    let digest: [u8; 32] = Sha256::digest(text).into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    u64::from_le_bytes([a, b, c, d, e, f, g, h]).is_multiple_of(VALIDATION.into())
}
