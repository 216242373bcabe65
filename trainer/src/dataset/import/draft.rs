//! The common target of all foreign formats: entities, rows and timelines, with counts of what was repaired and dropped.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use anyhow::ensure;
use serde::Serialize;
use shared_model::data::{Entity, Mention, Post, TimelinePost};
use shared_model::paths::{UniqueNames, relative};

use super::archives::Archives;
use crate::dataset::account::Account;
use crate::dataset::staging::Staging;
use crate::dataset::{CandidatePolicy, Info, Split, validate};
use crate::files::{read, tracked};

/// Where a format has no timelines, an entity with this many train mentions has them as its timeline.
const TIMELINE: usize = 3;

/// A dataset that is being imported.
pub(super) struct Draft {
    info: Info,
    entities: Vec<Entity>,
    positions: HashMap<String, usize>,
    timeline: Vec<TimelinePost>,
    rows: Vec<(Split, Row)>,
    matters: Account,
}

/// A text of the foreign dataset with one of its mentions.
#[derive(Clone, Default)]
pub(super) struct Row {
    /// Id of the text, unique within its part.
    pub(super) id: String,
    /// Index of the mention among those of its text.
    pub(super) number: usize,
    /// The text.
    pub(super) text: String,
    /// Text of the mention.
    pub(super) surface: String,
    /// First character of the mention, as the format states it.
    pub(super) start: Option<usize>,
    /// Picture paths, looked up under the source folder.
    pub(super) images: Vec<String>,
    /// The format's own candidate list.
    pub(super) candidates: Option<Vec<String>>,
    /// The gold entity; `None` is NIL.
    pub(super) entity: Option<String>,
}

/// Counts of an import.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    entities: usize,
    timeline_posts: usize,
    mentions: BTreeMap<&'static str, usize>,
    nil_mentions: usize,
    pictures: usize,
    matters: Account,
}

impl Draft {
    pub(super) fn new(
        name: &str,
        licence: &str,
        source: &str,
        candidate_policy: CandidatePolicy,
    ) -> Self {
        Self {
            info: Info::new(name, licence, source, candidate_policy),
            entities: Vec::new(),
            positions: HashMap::new(),
            timeline: Vec::new(),
            rows: Vec::new(),
            matters: Account::default(),
        }
    }

    /// Adds an entity unless its id is known; one without a name is dropped. The part of a name before a parenthesis becomes an alias.
    pub(super) fn entity(&mut self, id: &str, name: &str, description: &str) {
        if self.positions.contains_key(id) {
            return;
        }
        let name = name.trim();
        if name.is_empty() {
            self.matter("entity without a name, dropped", id);
            return;
        }
        let plain = name.split(" (").next().unwrap_or_default();
        let aliases = if plain.is_empty() || plain == name {
            Vec::new()
        } else {
            vec![plain.to_owned()]
        };
        self.positions.insert(id.to_owned(), self.entities.len());
        self.entities.push(Entity {
            id: id.to_owned(),
            name: name.to_owned(),
            aliases,
            description: description.trim().to_owned(),
        });
    }

    /// Adds an alias to a known entity.
    pub(super) fn alias(&mut self, id: &str, alias: &str) {
        if let Some(&position) = self.positions.get(id) {
            let entity = &mut self.entities[position];
            if entity.names().all(|name| name != alias) {
                entity.aliases.push(alias.to_owned());
            }
        }
    }

    /// Whether the entity was added.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.positions.contains_key(id)
    }

    /// Adds a post to an entity's timeline.
    pub(super) fn timeline_post(&mut self, entity: &str, text: &str, images: Vec<String>) {
        if !self.knows(entity) {
            self.matter("timeline post of no entity, dropped", entity);
        } else if text.trim().is_empty() && images.is_empty() {
            self.matter("empty timeline post, dropped", entity);
        } else {
            self.timeline.push(TimelinePost {
                entity: entity.to_owned(),
                text: text.to_owned(),
                images,
                id: None,
            });
        }
    }

    /// Adds a row.
    pub(super) fn row(&mut self, split: Split, row: Row) {
        self.rows.push((split, row));
    }

    /// Adds a row of a format without parts to the part of its entity ([`Split::of_entity`]).
    pub(super) fn row_of_no_part(&mut self, row: Row) {
        let id = row.entity.as_deref().unwrap_or(&row.id);
        let split = Split::of_entity(id);
        self.matter(
            "row of no part, put into one by its entity",
            &row.id.clone(),
        );
        self.row(split, row);
    }

    /// Sets the candidates of every row by its mention.
    pub(super) fn give_candidates(&mut self, by_mention: &HashMap<String, Vec<String>>) {
        for (_, row) in &mut self.rows {
            row.candidates = by_mention.get(&row.surface).cloned();
        }
    }

    /// Counts one case of `what` in the report.
    pub(super) fn matter(&mut self, what: &'static str, example: &str) {
        self.matters.matter(what, example);
    }

    /// Drops all but the first mention of each text.
    pub(super) fn keep_first_mentions(&mut self) {
        let (first, others): (Vec<_>, Vec<_>) = std::mem::take(&mut self.rows)
            .into_iter()
            .partition(|(_, row)| row.number == 0);
        self.rows = first;
        for (_, row) in &others {
            self.matter(
                "further mention of its text, left out (--all-mentions keeps it)",
                &row.id,
            );
        }
    }

    /// Writes the dataset folder, or nothing if there is an error.
    pub(super) fn write(
        mut self,
        source: &Path,
        images: Option<&Path>,
        destination: &Path,
    ) -> anyhow::Result<Report> {
        let staging = Staging::new(destination)?;
        let mut posts = self.posts();
        ensure!(
            posts.iter().any(|(_, posts)| !posts.is_empty()),
            "{}: no row of it can be used{}",
            source.display(),
            self.matters.in_short()
        );
        if self.timeline.is_empty() {
            self.timeline = timelines(&posts);
        }
        let folders: Vec<&Path> = images.into_iter().chain([source]).collect();
        let pictures = self.copy_pictures(&staging, &folders, &mut posts)?;
        let parts = posts.iter().filter(|(_, posts)| !posts.is_empty());
        let parts = parts.map(|(split, posts)| (*split, posts));
        staging.write(&self.info, &self.entities, &self.timeline, parts)?;
        staging.finish()?;
        Ok(Report {
            entities: self.entities.len(),
            timeline_posts: self.timeline.len(),
            nil_mentions: posts
                .iter()
                .flat_map(|(_, posts)| posts)
                .filter(|post| post.entity.is_none())
                .count(),
            mentions: posts
                .iter()
                .map(|(split, posts)| (split.file(), posts.len()))
                .collect(),
            pictures,
            matters: self.matters,
        })
    }

    /// The rows as posts, part by part.
    fn posts(&mut self) -> Vec<(Split, Vec<Post>)> {
        let mut parts: Vec<(Split, Vec<Post>)> = Split::ALL.map(|split| (split, Vec::new())).into();
        let mut ids = HashSet::new();
        for (split, row) in std::mem::take(&mut self.rows) {
            let id = row.id.clone();
            if !ids.insert((split.file(), id.clone(), row.number)) {
                self.matter("the id appears twice, second row dropped", &id);
                continue;
            }
            let Some(mut post) = self.post(row) else {
                continue;
            };
            let (_, posts) = parts
                .iter_mut()
                .find(|(part, _)| *part == split)
                .expect("all parts are there");
            if Some(&post.id) == post.entity.as_ref() {
                self.matter("the id was the answer, given another", &id);
                post.id = format!("{}-{}", split.name(), posts.len() + 1);
            }
            posts.push(post);
        }
        parts
    }

    /// A row as a post; `None`, which is counted, if the row cannot be used.
    fn post(&mut self, row: Row) -> Option<Post> {
        let id = &row.id;
        if let Some(entity) = row.entity.as_deref().filter(|entity| !self.knows(entity)) {
            self.matter(
                "its answer is no entity, dropped",
                &format!("{id} ({entity})"),
            );
            return None;
        }
        let Some((mention, repaired)) = span(&row.text, &row.surface, row.start) else {
            self.matter("its text does not hold the mention, dropped", id);
            return None;
        };
        if repaired {
            self.matter("mention found elsewhere than stated", id);
        }
        let candidates = row.candidates.map(|candidates| {
            let mut known: Vec<String> = Vec::new();
            for candidate in candidates {
                if !self.knows(&candidate) {
                    self.matter("candidate is no entity, left out", &candidate);
                } else if !known.contains(&candidate) {
                    known.push(candidate);
                }
            }
            known
        });
        let post = Post {
            id: if row.number == 0 {
                row.id.clone()
            } else {
                format!("{id}-{}", row.number)
            },
            text: row.text,
            mention: Some(mention),
            images: row.images,
            candidates,
            entity: row.entity,
        };
        let text_only = Post {
            images: Vec::new(),
            ..post.clone()
        };
        if validate(&text_only).is_err() {
            self.matter("its text is too long, dropped", &row.id);
            return None;
        }
        Some(post)
    }

    /// Copies the pictures that exist, and replaces the paths in posts and timelines by those of the copies.
    fn copy_pictures(
        &mut self,
        staging: &Staging,
        folders: &[&Path],
        posts: &mut [(Split, Vec<Post>)],
    ) -> anyhow::Result<usize> {
        let archives = Archives::of(folders);
        let mut names = UniqueNames::default();
        let mut copies: HashMap<String, Option<String>> = HashMap::new();
        let mut timeline = std::mem::take(&mut self.timeline);
        let lists = posts
            .iter_mut()
            .flat_map(|(_, posts)| posts.iter_mut().map(|post| &mut post.images))
            .chain(timeline.iter_mut().map(|post| &mut post.images))
            .filter(|images| !images.is_empty())
            .collect::<Vec<_>>();
        for images in tracked(lists, "pictures") {
            for path in std::mem::take(images) {
                let path = relative(&path).unwrap_or(path);
                if !copies.contains_key(&path) {
                    let copy = self.copy_picture(staging, &mut names, folders, &archives, &path)?;
                    copies.insert(path.clone(), copy);
                }
                images.extend(copies[&path].clone());
            }
        }
        timeline.retain(|post| !post.text.trim().is_empty() || !post.images.is_empty());
        self.timeline = timeline;
        Ok(copies.values().flatten().count())
    }

    fn copy_picture(
        &mut self,
        staging: &Staging,
        names: &mut UniqueNames,
        folders: &[&Path],
        archives: &Archives,
        path: &str,
    ) -> anyhow::Result<Option<String>> {
        if let Err(error) = relative(path) {
            let example = format!("{path:?}, which {error}");
            self.matter("picture path is refused, left out", &example);
            return Ok(None);
        }
        let Some(file) = folders
            .iter()
            .map(|folder| folder.join(path))
            .find(|file| file.is_file())
        else {
            match archives.holding(path) {
                Some(archive) => self.matter(
                    "picture is still packed, left out (unpack the archive and import again)",
                    &format!("{path} in {}", archive.display()),
                ),
                None => self.matter("picture is not there, left out", path),
            }
            return Ok(None);
        };
        let copy = format!("images/{}", names.name(path));
        staging.picture(&copy, &read(&file)?)?;
        Ok(Some(copy))
    }
}

/// Timelines from the train rows of entities that have at least [`TIMELINE`].
fn timelines(posts: &[(Split, Vec<Post>)]) -> Vec<TimelinePost> {
    let train = || {
        let train = posts.iter().filter(|(split, _)| *split == Split::Train);
        let posts = train.flat_map(|(_, posts)| posts);
        posts.filter_map(|post| Some((post.entity.as_ref()?, post)))
    };
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for (entity, _) in train() {
        *counts.entry(entity).or_default() += 1;
    }
    train()
        .filter(|(entity, _)| counts[entity.as_str()] >= TIMELINE)
        .map(|(entity, post)| TimelinePost {
            entity: entity.clone(),
            text: post.text.clone(),
            images: post.images.clone(),
            id: Some(post.id.clone()),
        })
        .collect()
}

/// Finds `surface`: at `start`, else as whole words, else anywhere, else regardless of case. The flag says that it was not found at the given `start`.
fn span(text: &str, surface: &str, start: Option<usize>) -> Option<(Mention, bool)> {
    let characters: Vec<char> = text.chars().collect();
    let wanted: Vec<char> = surface.trim().chars().collect();
    if wanted.is_empty() {
        return None;
    }
    let folded = |c: &char| c.to_lowercase().next().unwrap_or(*c);
    let at = |start: usize, same_case: bool| {
        let end = start + wanted.len();
        end <= characters.len()
            && characters[start..end]
                .iter()
                .zip(&wanted)
                .all(|(a, b)| a == b || (!same_case && folded(a) == folded(b)))
    };
    let whole = |start: &usize| {
        let outside = |i: Option<usize>| {
            i.and_then(|i| characters.get(i))
                .is_none_or(|c| !c.is_alphanumeric())
        };
        outside(start.checked_sub(1)) && outside(Some(start + wanted.len()))
    };
    let places = |same_case| (0..characters.len()).filter(move |&i| at(i, same_case));
    let mention = |start| Mention {
        start,
        end: start + wanted.len(),
    };
    if let Some(start) = start.filter(|&start| at(start, true)) {
        return Some((mention(start), false));
    }
    let found = places(true)
        .find(whole)
        .or_else(|| places(true).next())
        .or_else(|| places(false).find(whole))
        .or_else(|| places(false).next())?;
    Some((mention(found), start.is_some()))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} entities, {} timeline posts",
            self.entities, self.timeline_posts
        )?;
        for (file, n) in &self.mentions {
            writeln!(f, "{n} mentions in {file}")?;
        }
        writeln!(
            f,
            "{} mentions without an entity (NIL), {} pictures",
            self.nil_mentions, self.pictures
        )?;
        write!(f, "{}", self.matters)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mention_is_found_as_a_whole_word_first() {
        let found = |text: &str, surface: &str, start| {
            span(text, surface, start).map(|(mention, repaired)| (mention.start, repaired))
        };
        assert_eq!(found("Parisian Paris", "Paris", None), Some((9, false)));
        assert_eq!(found("Parisians", "Paris", None), Some((0, false)));
        assert_eq!(found("über paris", "Paris", None), Some((5, false)));
        assert_eq!(found("Rust or Rust", "Rust", Some(8)), Some((8, false)));
        assert_eq!(found("Rust or Rust", "Rust", Some(3)), Some((0, true)));
        assert_eq!(found("Rust", "Go", None), None);
        assert_eq!(found("Rust", " ", None), None);
    }
}
