//! Timeline posts as examples: knowledge learning.

use std::collections::HashSet;

use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use shared_model::aliases::AliasIndex;
use shared_model::imn::Modality;

use super::{Example, Query, TrainingSet};
use crate::dataset::namesakes;
use crate::files::tracked;
use crate::holdout::Part;
use crate::learn::rng;

/// Candidates of a post.
const CANDIDATES: usize = 17;
/// Posts of one dataset, at most.
const MAX_POSTS: usize = 4000;

impl TrainingSet {
    /// Adds timeline posts of the entities that are trained on, for knowledge learning. Those that repeat a held-out mention are no examples.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn add_posts(&mut self, seed: u64, modalities: &[Modality]) -> anyhow::Result<()> {
        let trained: HashSet<usize> = self.trained.iter().copied().collect();
        let aliases = AliasIndex::new(&self.kb.text.entities);
        let mut rng = rng(seed, "posts", 0);
        let mut n_posts = vec![0usize; self.kb.text.entities.len()];
        for post in &self.kb.text.posts {
            n_posts[post.entity] += 1;
        }
        // An owner that would be left with nothing is skipped.
        let mut posts: Vec<usize> = (0..self.kb.text.posts.len())
            .filter(|&post| {
                let entity = self.kb.text.posts[post].entity;
                trained.contains(&entity)
                    && n_posts[entity] > 1
                    && !self.timeline(entity, Some(post)).is_empty()
            })
            .collect();
        posts.shuffle(&mut rng);
        let mut chosen = Vec::new();
        for post in posts {
            let found = &self.kb.text.posts[post];
            if chosen.len() < MAX_POSTS
                && !self
                    .hold_out
                    .repeats(&self.folder, &found.text, &found.images)?
            {
                chosen.push(post);
            }
        }
        for post in tracked(chosen, "posts") {
            let owner = self.kb.text.posts[post].entity;
            let mut others = namesakes(&self.kb.text.entities, owner, &aliases);
            others.retain(|other| trained.contains(other));
            others.shuffle(&mut rng);
            others.truncate(CANDIDATES - 1);
            for _ in 0..4 * CANDIDATES {
                let other = self.trained[rng.random_range(0..self.trained.len())];
                if others.len() + 1 < CANDIDATES && other != owner && !others.contains(&other) {
                    others.push(other);
                }
            }
            if others.is_empty() {
                continue;
            }
            let candidates: Vec<usize> = std::iter::once(owner).chain(others).collect();
            let query = Query::Timeline(post);
            self.posts.push(Example {
                cues: self.cues_of(&query, &candidates, Some(post), modalities),
                query,
                pooled: Vec::new(),
                candidates,
                gold: Some(0),
                without: Some(post),
                part: Part::Fit,
            });
        }
        Ok(())
    }
}
