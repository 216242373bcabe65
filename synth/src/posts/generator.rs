//! Entities, timelines and mentions.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::data::{Entity, Mention, Post, TimelinePost};

use super::corpus::{Corpus, TaggedPost};
use super::folds::{all_but_timelines, folds};
use super::tags::{self, MASK};
use crate::album::{Album, Source};
use crate::random::rng;
use crate::{Benchmark, Note, Part};

/// The gold and its negatives.
const CANDIDATES: usize = 17;

/// Makes one benchmark, in which every post that no timeline needs is a mention.
pub fn generate(corpus: &Corpus) -> Benchmark {
    benchmark(corpus, 0, &all_but_timelines(corpus))
}

/// Makes a benchmark per fold: over all of them, every post is a mention once.
pub fn generate_folds(corpus: &Corpus, n: usize) -> impl Iterator<Item = Benchmark> {
    (1_u64..)
        .zip(folds(corpus, n))
        .map(|(number, mentions)| benchmark(corpus, number, &mentions))
}

/// Makes the posts of a benchmark, and collects the pictures that they show.
struct Generator<'a> {
    corpus: &'a Corpus,
    /// Positions of the timeline posts of each tag that has enough beside the mentions.
    timelines: BTreeMap<usize, Vec<usize>>,
    /// Number of mentions so far by tag.
    n_mentions: HashMap<usize, usize>,
    album: Album,
    notes: Vec<Note>,
    rng: StdRng,
}

/// Makes the benchmark with these posts as its mentions.
fn benchmark(corpus: &Corpus, fold: u64, mentions: &BTreeSet<usize>) -> Benchmark {
    let mut rng = rng(corpus.settings.seed.wrapping_add(fold), "mentions");
    let mut generator = Generator {
        corpus,
        timelines: timelines(corpus, mentions, &mut rng),
        n_mentions: HashMap::new(),
        album: Album::default(),
        notes: Vec::new(),
        rng,
    };
    let mut timeline = Vec::new();
    for (&tag, posts) in &generator.timelines {
        for &post in posts {
            let post = &corpus.posts[post];
            timeline.push(TimelinePost {
                entity: id(tag),
                text: masked(corpus, post, tag).0,
                images: show(&mut generator.album, post),
                id: None,
            });
        }
    }
    let mut rows = [const { Vec::new() }; 3];
    for &post in mentions {
        if let Some((part, row)) = generator.mention(&corpus.posts[post]) {
            rows[part as usize].push(row);
        }
    }
    let entities = generator.timelines.keys().map(|&tag| Entity {
        id: id(tag),
        name: corpus.tags[tag].written.clone(),
        aliases: vec![MASK.to_owned()],
        description: String::new(),
    });
    Benchmark {
        entities: entities.collect(),
        timeline,
        mentions: rows,
        pictures: generator.album.pictures,
        notes: generator.notes,
    }
}

impl Generator<'_> {
    /// A post as a mention of the one of its tags that has the fewest so far.
    fn mention(&mut self, post: &TaggedPost) -> Option<(Part, Post)> {
        let corpus = self.corpus;
        let tags = post.marked.iter().copied();
        let Some(gold) = tags
            .filter(|tag| self.timelines.contains_key(tag))
            // A post of a dev tag is no mention of a train tag.
            .min_by_key(|tag| {
                (
                    corpus.parts.part(*tag) == Part::Train,
                    self.n_mentions.get(tag).copied(),
                )
            })
        else {
            self.note(
                "post has no tag with posts enough beside it, left out",
                post,
            );
            return None;
        };
        let part = corpus.parts.part(gold);
        let mut candidates: Vec<usize> = self.timelines.keys().copied().collect();
        candidates.retain(|&tag| {
            corpus.parts.may_be_negative(tag, part)
                && !post.contained.contains(&tag)
                && !corpus.ties.are_tied(tag, gold)
        });
        candidates.shuffle(&mut self.rng);
        candidates.truncate(CANDIDATES - 1);
        if candidates.is_empty() {
            self.note("post has no other candidates, left out", post);
            return None;
        }
        if candidates.len() < CANDIDATES - 1 {
            self.note("row has fewer than 17 candidates", post);
        }
        candidates.push(gold);
        candidates.shuffle(&mut self.rng);
        *self.n_mentions.entry(gold).or_default() += 1;
        let (text, mention) = masked(corpus, post, gold);
        let row = Post {
            id: post.source.id.clone(),
            text,
            mention,
            images: show(&mut self.album, post),
            candidates: Some(candidates.into_iter().map(id).collect()),
            entity: Some(id(gold)),
        };
        Some((part, row))
    }

    fn note(&mut self, what: &'static str, post: &TaggedPost) {
        self.notes.push(Note::new(what, &post.source.id));
    }
}

/// The timelines of all tags that have enough posts beside the mentions, all of the same length.
fn timelines(
    corpus: &Corpus,
    mentions: &BTreeSet<usize>,
    rng: &mut StdRng,
) -> BTreeMap<usize, Vec<usize>> {
    let mut timelines = BTreeMap::new();
    for (i, tag) in corpus.tags.iter().enumerate() {
        let mut posts: Vec<usize> = tag.posts.iter().copied().collect();
        posts.retain(|post| !mentions.contains(post));
        if posts.len() >= corpus.settings.timeline {
            posts.shuffle(rng);
            posts.truncate(corpus.settings.timeline);
            posts.sort_unstable();
            timelines.insert(i, posts);
        }
    }
    timelines
}

/// The text of a post with a tag masked, and where.
fn masked(corpus: &Corpus, post: &TaggedPost, tag: usize) -> (String, Option<Mention>) {
    let key = &corpus.tags[tag].key;
    tags::mask(&post.source.text, key, corpus.settings.marker)
}

/// The paths of a post's pictures in the dataset folder.
fn show(album: &mut Album, post: &TaggedPost) -> Vec<String> {
    post.source
        .images
        .iter()
        .map(|path| album.add(Source::File(PathBuf::from(path)), |_| path.clone()))
        .collect()
}

/// The id of a tag's entity, which says nothing of the tag.
fn id(tag: usize) -> String {
    format!("tag-{:04}", tag + 1)
}
