//! A world of unlabelled posts: a tag or handle that recurs is an entity, and every post that bears one asks, masked, which.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Deserialize;
use shared_model::data::{Entity, Post, TimelinePost};

use super::split::{Parts, Ties};
use super::{By, Summary, draws, name_of, tags};
use crate::dataset::account::Account;
use crate::dataset::duplicates::{Pictures, Texts};
use crate::dataset::staging::Staging;
use crate::dataset::{CandidatePolicy, Info, Split, inside, picture, validate};
use crate::files::{progress, read, read_jsonl};

/// Fewer posts do not make an entity.
const RECURS: usize = 3;
/// The gold and its rivals.
const CANDIDATES: usize = 17;
const LICENCE: &str = "of the posts and pictures: that of the file they come from";

/// What can be turned.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The posts.
    pub(crate) posts: PathBuf,
    /// Where their pictures lie, if not beside them.
    pub(crate) images: Option<PathBuf>,
    /// Timeline posts of every entity.
    pub(crate) timeline: usize,
    /// Of all draws.
    pub(crate) seed: u64,
}

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default)]
    id: String,
    #[serde(default)]
    text: String,
    #[serde(default)]
    images: Vec<String>,
}

/// A post that bears tags.
struct Source {
    id: String,
    text: String,
    /// Paths below the picture folder.
    images: Vec<String>,
    /// Entities that it bears with their sign.
    signed: Vec<usize>,
    /// Entities that it bears in whatever form.
    borne: HashSet<usize>,
}

/// A tag that recurs.
pub(super) struct Tag {
    key: String,
    written: String,
    /// Positions of the posts that bear it with its sign.
    pub(super) posts: BTreeSet<usize>,
}

#[cfg(test)]
impl Tag {
    /// A tag of these posts.
    pub(super) fn of_posts(posts: std::ops::Range<usize>) -> Self {
        Self {
            key: String::new(),
            written: String::new(),
            posts: posts.collect(),
        }
    }
}

/// Makes the dataset folder, or one a fold.
pub(super) fn make(
    by: By,
    settings: &Settings,
    folds: Option<u32>,
    destination: &Path,
) -> anyhow::Result<Summary> {
    let staging = Staging::new(destination)?;
    let mut summary = Summary::default();
    let world = World::read(by, settings, &mut summary.matters)?;
    summary.entities = world
        .tags
        .iter()
        .filter(|tag| !tag.posts.is_empty())
        .count();
    let name = name_of(destination);
    match folds {
        None => {
            let held = world.set_apart();
            world.write(&name, 0, &held, &staging, &mut summary)?;
        }
        Some(n) => {
            let folds = world.folds(n as usize);
            for (i, held) in (1_u64..).zip(&folds) {
                let staging = staging.within(&format!("fold-{i}"))?;
                world.write(
                    &format!("{name}, fold {i} of {n}"),
                    i,
                    held,
                    &staging,
                    &mut summary,
                )?;
                staging.finish()?;
            }
        }
    }
    let rows = summary
        .mentions
        .values()
        .map(|rows| rows.rows)
        .sum::<usize>();
    ensure!(
        rows > 0,
        "{}: no post can be a mention{}",
        settings.posts.display(),
        summary.matters.in_short()
    );
    staging.finish()?;
    Ok(summary)
}

/// Posts, tags, and which of them train.
struct World<'a> {
    by: By,
    settings: &'a Settings,
    /// Where the pictures lie.
    folder: PathBuf,
    sources: Vec<Source>,
    tags: Vec<Tag>,
    ties: Ties,
    parts: Parts,
}

impl<'a> World<'a> {
    fn read(by: By, settings: &'a Settings, account: &mut Account) -> anyhow::Result<Self> {
        let file = &settings.posts;
        let beside = file.parent().unwrap_or(Path::new(""));
        let folder = settings.images.as_deref().unwrap_or(beside).to_owned();
        let mut sources = sources(file, &folder, account)?;
        let tags = recurring(&sources, by);
        ensure!(
            tags.len() > 1,
            "{}: {} in {RECURS} posts or more{}; it takes two that recur{}",
            file.display(),
            match tags.first() {
                None => "nothing stands".to_owned(),
                Some(tag) => format!("only {:?} stands", tag.written),
            },
            match by {
                By::Hashtag => " as a hashtag",
                By::Handle => " as a handle",
            },
            account.in_short()
        );
        for (tag, at) in tags.iter().zip(0..) {
            for &post in &tag.posts {
                sources[post].signed.push(at);
            }
        }
        let positions: HashMap<&str, usize> =
            tags.iter().map(|tag| tag.key.as_str()).zip(0..).collect();
        for source in &mut sources {
            let forms = tags::forms(&source.text);
            let borne = forms.iter().filter_map(|form| positions.get(form.as_str()));
            source.borne = borne.copied().collect();
        }
        let ties = Ties::of(&tags);
        let parts = Parts::of(&ties, tags.len(), &mut draws(settings.seed, "parts"));
        let mut world = Self {
            by,
            settings,
            folder,
            sources,
            tags,
            ties,
            parts,
        };
        world.keep_test_posts_out_of_train(account);
        Ok(world)
    }

    /// A post that bears a test tag is of no use to the other tags.
    fn keep_test_posts_out_of_train(&mut self, account: &mut Account) {
        let parts = &self.parts;
        for (at, source) in self.sources.iter_mut().enumerate() {
            let is_test = |&tag: &usize| parts.split(tag) == Split::Test;
            if !source.signed.iter().any(is_test) {
                continue;
            }
            for &tag in source.signed.iter().filter(|tag| !is_test(tag)) {
                account.matter(
                    "post of a train tag bears a test tag, not used for the first",
                    &source.id,
                );
                self.tags[tag].posts.remove(&at);
            }
            source.signed.retain(is_test);
        }
        for (tag, at) in self.tags.iter_mut().zip(0..) {
            if tag.posts.len() <= self.settings.timeline {
                account.matter(
                    "tag has too few posts for timeline and mention, left out",
                    &tag.written,
                );
                for &post in &tag.posts {
                    self.sources[post].signed.retain(|&other| other != at);
                }
                tag.posts.clear();
            }
        }
    }

    /// The posts that are mentions where there are no folds: all but as many of each tag as its timeline takes, shared between tags where they can be.
    fn set_apart(&self) -> HashSet<usize> {
        let draws = &mut draws(self.settings.seed, "timelines");
        let mut kept: HashSet<usize> = HashSet::new();
        let mut order: Vec<&Tag> = self.tags.iter().collect();
        order.shuffle(draws);
        for tag in order {
            let mut posts: Vec<usize> = tag.posts.iter().copied().collect();
            posts.shuffle(draws);
            posts.sort_by_key(|post| !kept.contains(post));
            kept.extend(posts.iter().take(self.settings.timeline));
        }
        self.mentionable()
            .filter(|post| !kept.contains(post))
            .collect()
    }

    /// Deals the posts out so that each tag's posts are spread over the folds.
    fn folds(&self, n: usize) -> Vec<HashSet<usize>> {
        let mut order: Vec<usize> = self.mentionable().collect();
        order.shuffle(&mut draws(self.settings.seed, "folds"));
        let rarest = |post: usize| {
            let tags = self.sources[post].signed.iter();
            tags.map(|&tag| self.tags[tag].posts.len()).min()
        };
        order.sort_by_key(|&post| rarest(post));
        let mut folds = vec![HashSet::new(); n];
        for post in order {
            let crowd = |fold: &HashSet<usize>| -> usize {
                let tags = self.sources[post].signed.iter().map(|&tag| &self.tags[tag]);
                // What a tag can spare is what counts: its other posts are its timeline.
                let crowded = tags.map(|tag| {
                    let there = tag.posts.iter().filter(|post| fold.contains(post)).count();
                    1000 * there / (tag.posts.len() - self.settings.timeline)
                });
                crowded.sum()
            };
            let best = (0..n)
                .min_by_key(|&fold| (crowd(&folds[fold]), folds[fold].len()))
                .expect("there are folds");
            folds[best].insert(post);
        }
        folds
    }

    fn mentionable(&self) -> impl Iterator<Item = usize> {
        let sources = self.sources.iter().zip(0..);
        sources
            .filter(|(source, _)| !source.signed.is_empty())
            .map(|(_, at)| at)
    }

    /// Writes a dataset folder in which the posts that are held are mentions, and timelines hold others.
    fn write(
        &self,
        name: &str,
        fold: u64,
        held: &HashSet<usize>,
        staging: &Staging,
        summary: &mut Summary,
    ) -> anyhow::Result<()> {
        let draws = &mut draws(self.settings.seed.wrapping_add(fold), "mentions");
        let timelines = self.timelines(held, draws);
        let mut album = Album::new(&self.folder, staging);
        let mut timeline = Vec::new();
        for (&tag, posts) in &timelines {
            for &post in posts {
                let source = &self.sources[post];
                timeline.push(TimelinePost {
                    entity: self.id(tag),
                    text: tags::masked(&source.text, &self.tags[tag].key, self.by).0,
                    images: album.add(&source.images)?,
                    id: None,
                });
            }
        }
        let mut parts = Split::ALL.map(|split| (split, Vec::new()));
        let mut asked: HashMap<usize, usize> = HashMap::new();
        let mut order: Vec<usize> = held.iter().copied().collect();
        order.sort_unstable();
        for post in order {
            let Some((split, mut row)) = self.mention(post, &timelines, &mut asked, draws, summary)
            else {
                continue;
            };
            row.images = album.add(&row.images)?;
            let part = parts.iter_mut().find(|(part, _)| *part == split);
            part.expect("all parts are there").1.push(row);
        }

        let entities: Vec<Entity> = timelines
            .keys()
            .map(|&tag| Entity {
                id: self.id(tag),
                name: self.tags[tag].written.clone(),
                aliases: vec![tags::MASK.to_owned()],
                description: String::new(),
            })
            .collect();
        staging.info(&Info::new(
            name,
            LICENCE,
            "imn data world, from unlabelled posts; recurring tags are the entities, masked in every text",
            CandidatePolicy::Given,
        ))?;
        staging.entities(&entities)?;
        staging.timeline(&timeline)?;
        let trained: HashSet<String> = parts[0]
            .1
            .iter()
            .filter_map(|row: &Post| row.entity.clone())
            .collect();
        for (split, rows) in &parts {
            staging.posts(*split, rows)?;
            summary.count(*split, rows, |entity| trained.contains(entity));
        }
        summary.folders += 1;
        summary.timeline_posts += timeline.len();
        summary.pictures += album.copied.len();
        Ok(())
    }

    /// The timelines of all tags that have posts enough beside those that are held; all of one length.
    fn timelines(&self, held: &HashSet<usize>, draws: &mut StdRng) -> BTreeMap<usize, Vec<usize>> {
        let mut timelines = BTreeMap::new();
        for (tag, at) in self.tags.iter().zip(0..) {
            let mut posts: Vec<usize> = tag.posts.iter().copied().collect();
            posts.retain(|post| !held.contains(post));
            if posts.len() >= self.settings.timeline {
                posts.shuffle(draws);
                posts.truncate(self.settings.timeline);
                posts.sort_unstable();
                timelines.insert(at, posts);
            }
        }
        timelines
    }

    /// A post as a row of one of its tags, of the one that was asked for least; its pictures are still those of the file.
    fn mention(
        &self,
        post: usize,
        timelines: &BTreeMap<usize, Vec<usize>>,
        asked: &mut HashMap<usize, usize>,
        draws: &mut StdRng,
        summary: &mut Summary,
    ) -> Option<(Split, Post)> {
        let source = &self.sources[post];
        let tags = source.signed.iter().copied();
        let Some(gold) = tags
            .filter(|tag| timelines.contains_key(tag))
            // A post of a dev tag is no row of a train tag.
            .min_by_key(|&tag| {
                (
                    self.parts.split(tag) == Split::Train,
                    asked.get(&tag).copied(),
                )
            })
        else {
            let what = "post has no tag with posts enough beside it, left out";
            summary.matters.matter(what, &source.id);
            return None;
        };
        let split = self.parts.split(gold);
        let mut rivals: Vec<usize> = timelines.keys().copied().collect();
        rivals.retain(|&tag| {
            self.parts.is_rival(tag, split)
                && !source.borne.contains(&tag)
                && !self.ties.are_tied(tag, gold)
        });
        rivals.shuffle(draws);
        rivals.truncate(CANDIDATES - 1);
        if rivals.is_empty() {
            summary
                .matters
                .matter("post has no other candidates, left out", &source.id);
            return None;
        }
        if rivals.len() < CANDIDATES - 1 {
            summary
                .matters
                .matter("row has fewer than 17 candidates", &source.id);
        }
        let mut candidates = [&rivals[..], &[gold]].concat();
        candidates.shuffle(draws);
        *asked.entry(gold).or_default() += 1;
        let (text, mention) = tags::masked(&source.text, &self.tags[gold].key, self.by);
        let row = Post {
            id: source.id.clone(),
            text,
            mention,
            images: source.images.clone(),
            candidates: Some(candidates.into_iter().map(|tag| self.id(tag)).collect()),
            entity: Some(self.id(gold)),
        };
        Some((split, row))
    }

    /// Says nothing of the tag.
    fn id(&self, tag: usize) -> String {
        format!("tag-{:04}", tag + 1)
    }
}

/// The posts of the file that are no near-duplicates of earlier ones.
fn sources(file: &Path, folder: &Path, account: &mut Account) -> anyhow::Result<Vec<Source>> {
    let lines: Vec<Line> = read_jsonl(file)?;
    let (mut ids, mut texts, mut pictures) = (HashSet::new(), Texts::default(), Pictures::new());
    let bar = progress(lines.len(), "posts");
    let mut sources = Vec::new();
    for (number, line) in (1..).zip(lines) {
        bar.inc(1);
        let Line {
            mut id,
            text,
            images,
        } = line;
        if id.is_empty() {
            id = format!("post-{number}");
        }
        let post = || format!("{}: {id:?}", file.display());
        ensure!(ids.insert(id.clone()), "{} stands twice", post());
        let mut whole = Vec::new();
        let mut is_new = texts.insert(&text);
        for path in images {
            inside(&path).with_context(post)?;
            let at = folder.join(&path);
            if !at.is_file() {
                account.matter("picture is not there, left out", &path);
                continue;
            }
            match picture(&at) {
                Ok(picture) => {
                    is_new &= pictures.insert(&picture);
                    whole.push(path);
                }
                Err(error) => account.matter("corrupt picture, left out", &format!("{error:#}")),
            }
        }
        let candidate = Post {
            id: id.clone(),
            text: text.clone(),
            mention: None,
            images: whole.clone(),
            candidates: None,
            entity: None,
        };
        if !is_new {
            account.matter(
                "text or picture nearly that of an earlier post, left out",
                &id,
            );
        } else if let Err(error) = validate(&candidate) {
            account.matter("post of no use, left out", &format!("{id} ({error:#})"));
        } else {
            sources.push(Source {
                id,
                text,
                images: whole,
                signed: Vec::new(),
                borne: HashSet::new(),
            });
        }
    }
    bar.finish_and_clear();
    Ok(sources)
}

/// Tags in posts enough, in the order of their keys.
fn recurring(sources: &[Source], by: By) -> Vec<Tag> {
    let mut tags: BTreeMap<String, Tag> = BTreeMap::new();
    for (source, at) in sources.iter().zip(0..) {
        for (key, written) in tags::tags(&source.text, by) {
            let tag = tags.entry(key.clone()).or_insert_with(|| Tag {
                key,
                written,
                posts: BTreeSet::new(),
            });
            tag.posts.insert(at);
        }
    }
    tags.into_values()
        .filter(|tag| tag.posts.len() >= RECURS)
        .collect()
}

/// The pictures of a dataset folder, each copied once.
struct Album<'a> {
    folder: &'a Path,
    staging: &'a Staging,
    copied: HashSet<String>,
}

impl<'a> Album<'a> {
    fn new(folder: &'a Path, staging: &'a Staging) -> Self {
        Self {
            folder,
            staging,
            copied: HashSet::new(),
        }
    }

    /// Their paths in the dataset folder.
    fn add(&mut self, paths: &[String]) -> anyhow::Result<Vec<String>> {
        let mut copies = Vec::new();
        for path in paths {
            let copy = format!("images/{}", path.replace('/', "_"));
            if self.copied.insert(copy.clone()) {
                self.staging
                    .picture(&copy, &read(&self.folder.join(path))?)?;
            }
            copies.push(copy);
        }
        Ok(copies)
    }
}
