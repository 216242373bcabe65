//! Posts with the tags that recur in them.

use std::collections::{HashMap, HashSet};

use super::recurring::{MIN_POSTS, Tag, recurring};
use super::settings::Settings;
use super::split::{Parts, Ties};
use super::tags::{self, Marker};
use crate::random::rng;
use crate::{Note, Part};

/// A post without labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcePost {
    /// Unique within its corpus.
    pub id: String,
    /// May be empty.
    pub text: String,
    /// Paths of its pictures.
    pub images: Vec<String>,
}

/// Posts, the tags that recur in them, and the part that each tag belongs to.
pub struct Corpus {
    pub(super) settings: Settings,
    pub(super) posts: Vec<TaggedPost>,
    pub(super) tags: Vec<Tag>,
    pub(super) ties: Ties,
    pub(super) parts: Parts,
    notes: Vec<Note>,
}

/// Fewer than two tags recur.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} occurs in {MIN_POSTS} posts or more; it takes two that recur",
    .only.as_ref().map_or(format!("no {marker}"), |only| format!("only the {marker} {only:?}"))
)]
pub struct FewTags {
    /// What makes a word a tag.
    pub marker: Marker,
    /// The one tag that recurs.
    pub only: Option<String>,
}

/// A post with its tags.
pub(super) struct TaggedPost {
    pub(super) source: SourcePost,
    /// Tags that it has with their sign, and that it can be a mention of.
    pub(super) marked: Vec<usize>,
    /// Tags that it contains in whatever form.
    pub(super) contained: HashSet<usize>,
}

impl Corpus {
    /// Finds the tags that recur, and divides them into parts.
    ///
    /// # Errors
    ///
    /// [`FewTags`] if fewer than two recur.
    pub fn new(posts: Vec<SourcePost>, settings: Settings) -> Result<Self, FewTags> {
        let marker = settings.marker;
        let tags = recurring(posts.iter().map(|post| post.text.as_str()), marker);
        if tags.len() < 2 {
            let only = tags.into_iter().next().map(|tag| tag.written);
            return Err(FewTags { marker, only });
        }
        let ties = Ties::new(&tags);
        let parts = Parts::new(&ties, tags.len(), &mut rng(settings.seed, "parts"));
        let mut corpus = Self {
            settings,
            posts: tagged(posts, &tags),
            tags,
            ties,
            parts,
            notes: Vec::new(),
        };
        corpus.keep_test_posts_out_of_train();
        corpus.drop_rare_tags();
        Ok(corpus)
    }

    /// Number of tags that can be entities.
    pub fn n_entities(&self) -> usize {
        self.tags.iter().filter(|tag| !tag.posts.is_empty()).count()
    }

    /// What was left out.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// A post with a test tag is not used for its other tags.
    fn keep_test_posts_out_of_train(&mut self) {
        let is_test = |tag: &usize| self.parts.part(*tag) == Part::Test;
        for (i, post) in self.posts.iter_mut().enumerate() {
            if !post.marked.iter().any(is_test) {
                continue;
            }
            for &tag in post.marked.iter().filter(|tag| !is_test(tag)) {
                let what = "post of a train tag has a test tag, not used for the first";
                self.notes.push(Note::new(what, &post.source.id));
                self.tags[tag].posts.remove(&i);
            }
            post.marked.retain(is_test);
        }
    }

    /// Tags without a post beside their timeline are no entities.
    fn drop_rare_tags(&mut self) {
        for (i, tag) in self.tags.iter_mut().enumerate() {
            if tag.posts.len() <= self.settings.timeline {
                let what = "tag has too few posts for timeline and mention, left out";
                self.notes.push(Note::new(what, &tag.written));
                for &post in &tag.posts {
                    self.posts[post].marked.retain(|&other| other != i);
                }
                tag.posts.clear();
            }
        }
    }

    /// Positions of the posts that have a tag.
    pub(super) fn mentionable(&self) -> impl Iterator<Item = usize> {
        (0..self.posts.len()).filter(move |&post| !self.posts[post].marked.is_empty())
    }
}

fn tagged(posts: Vec<SourcePost>, tags: &[Tag]) -> Vec<TaggedPost> {
    let mut marked = vec![Vec::new(); posts.len()];
    for (i, tag) in tags.iter().enumerate() {
        for &post in &tag.posts {
            marked[post].push(i);
        }
    }
    let positions: HashMap<&str, usize> =
        tags.iter().map(|tag| tag.key.as_str()).zip(0..).collect();
    posts
        .into_iter()
        .zip(marked)
        .map(|(source, marked)| TaggedPost {
            contained: tags::forms(&source.text)
                .iter()
                .filter_map(|form| positions.get(form.as_str()).copied())
                .collect(),
            source,
            marked,
        })
        .collect()
}
