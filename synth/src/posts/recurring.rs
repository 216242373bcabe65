//! Tags that recur.

use std::collections::{BTreeMap, BTreeSet};

use super::tags::{Marker, tags};

/// The least number of posts that make a tag an entity.
pub const MIN_POSTS: usize = 3;

/// A tag that recurs.
#[derive(Debug)]
pub(super) struct Tag {
    /// The form by which it is compared.
    pub(super) key: String,
    /// The form in which it first occurs.
    pub(super) written: String,
    /// Positions of the posts that contain it with its sign.
    pub(super) posts: BTreeSet<usize>,
}

/// The tags that recur in these texts, ordered by key.
pub(super) fn recurring<'a>(texts: impl Iterator<Item = &'a str>, marker: Marker) -> Vec<Tag> {
    let mut all: BTreeMap<String, Tag> = BTreeMap::new();
    for (post, text) in texts.enumerate() {
        for (key, written) in tags(text, marker) {
            let tag = all.entry(key.clone()).or_insert_with(|| Tag {
                key,
                written,
                posts: BTreeSet::new(),
            });
            tag.posts.insert(post);
        }
    }
    all.into_values()
        .filter(|tag| tag.posts.len() >= MIN_POSTS)
        .collect()
}
