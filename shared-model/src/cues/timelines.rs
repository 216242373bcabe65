//! Cues of timeline posts against their owners and others, from which the scales of the cues are learned.

use std::collections::HashMap;

use super::{CueIndex, CueQuery};
use crate::evidence::Observed;
use crate::kb::KnowledgeBase;
use crate::normalise::fold;

/// Number of posts, at most; they are taken from all over the knowledge base.
const MAX_POSTS: usize = 200;
/// Number of candidates of a post, at most.
const CANDIDATES: usize = 17;

impl CueIndex {
    /// Cues of timeline posts against their owners, first, and others: namesakes, then entities from all over the knowledge base.
    pub(super) fn timeline_cues(&self, kb: &KnowledgeBase) -> Vec<Vec<Observed>> {
        let n_entities = kb.text.entities.len();
        let posts: Vec<usize> = (0..kb.text.posts.len())
            .filter(|&post| self.timelines[kb.text.posts[post].entity].len() > 1)
            .collect();
        let step = posts.len().div_ceil(MAX_POSTS).max(1);
        let posts: Vec<usize> = posts.into_iter().step_by(step).collect();
        let namesakes = namesakes(kb, posts.iter().map(|&post| kb.text.posts[post].entity));
        let cues = posts.iter().map(|&post| {
            let owner = kb.text.posts[post].entity;
            let mut candidates = vec![owner];
            let spread =
                (1..CANDIDATES).map(|i| (owner + i * n_entities / CANDIDATES) % n_entities);
            for other in namesakes[&owner].iter().copied().chain(spread) {
                if candidates.len() == CANDIDATES {
                    break;
                }
                if !candidates.contains(&other) {
                    candidates.push(other);
                }
            }
            let query = CueQuery {
                post: &kb.pooled[post],
                text: &kb.text.posts[post].text,
                mention: "",
            };
            as_the_owner_has(self.cues(kb, &query, &candidates, Some(post)))
        });
        cues.collect()
    }
}

/// The entities that share a name with each of these, themselves included.
fn namesakes(
    kb: &KnowledgeBase,
    owners: impl Iterator<Item = usize>,
) -> HashMap<usize, Vec<usize>> {
    let mut found: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut owners_of: HashMap<String, Vec<usize>> = HashMap::new();
    for owner in owners {
        if found.insert(owner, Vec::new()).is_none() {
            for name in kb.text.entities[owner].names() {
                owners_of.entry(fold(name)).or_default().push(owner);
            }
        }
    }
    for (position, entity) in kb.text.entities.iter().enumerate() {
        for name in entity.names() {
            for owner in owners_of.get(&fold(name)).into_iter().flatten() {
                found.entry(*owner).or_default().push(position);
            }
        }
    }
    found
}

/// The cues of an owner without one of its posts, first, and others; a cue that is lost with the post is left out for all.
fn as_the_owner_has(mut cues: Vec<Observed>) -> Vec<Observed> {
    let owner = cues[0].vectors.array();
    for cues in &mut cues {
        cues.vectors = cues.vectors.zip(owner, |cue, owner| owner.map(|_| cue));
    }
    cues
}
