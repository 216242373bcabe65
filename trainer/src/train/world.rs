//! A dataset as training sees it: its knowledge base, and the mentions from which something can be learned.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::ensure;
use rand::RngExt as _;
use rand::seq::SliceRandom as _;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::cues::{AllCues, CueIndex, CueQuery};
use shared_model::data::Post;
use shared_model::encoders::Encoders;
use shared_model::kb::KnowledgeBase;
use shared_model::vectors::{ImageVectors, PostVectors, TokenVectors};

use crate::dataset::{Dataset, Split, hash};
use crate::features::{FeatureLevel, Features, PostFeatures};
use crate::files::progress;
use crate::learn::rng;
use crate::mentions::{self, EncodedMention};
use crate::prototypes::{PrototypeSettings, build, timeline};
use crate::weights::Fingerprint;

/// One in this many entities, with all its mentions, is held out for validation, and as many mentions of the others.
const VALIDATION: u32 = 10;
/// Entities that stand in one another's candidate lists are held out together, up to this many.
const MAX_GROUP: usize = 20;
/// Candidates of a post in knowledge learning.
const CANDIDATES: usize = 17;
/// Posts of a dataset that knowledge learning takes.
const MAX_POSTS: usize = 4000;

/// A dataset with its examples.
pub(crate) struct World {
    /// Built from its timelines and profiles.
    pub(crate) kb: KnowledgeBase,
    /// Mentions with an entity, for task learning and validation.
    pub(crate) examples: Vec<Example>,
    /// Mentions that mean no candidate.
    pub(crate) nil: Vec<Example>,
    /// Train mentions whose entity is no candidate or the only one.
    pub(crate) left_out: usize,
    /// Entities that are trained on, by position.
    pub(crate) trained: Vec<usize>,
}

/// A post to be linked.
pub(crate) struct Example {
    /// The post.
    pub(crate) query: Query,
    /// Positions in the knowledge base.
    pub(crate) candidates: Vec<usize>,
    /// Of the entity among them; of no meaning where it is none.
    pub(crate) gold: usize,
    /// The post of the knowledge base that this one repeats.
    pub(crate) without: Option<usize>,
    /// A candidate each.
    pub(crate) cues: Vec<AllCues>,
    /// What it is used for.
    pub(crate) part: Part,
}

/// Where a post's vectors come from.
pub(crate) enum Query {
    /// A mention, with its tokens.
    Mention(PostFeatures),
    /// A post of the knowledge base, of which the pooled vectors are kept.
    Timeline(usize),
}

/// What an example is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Training.
    Fit,
    /// Validation, all candidates being trained on.
    Seen,
    /// Validation, with a candidate that is new.
    New,
}

impl World {
    /// Builds the knowledge base and encodes the train mentions.
    pub(crate) fn open(
        dataset: &Dataset,
        encoders: &Encoders,
        fingerprint: &Fingerprint,
        prototyping: PrototypeSettings,
        wanted: FeatureLevel,
    ) -> anyhow::Result<Self> {
        let features = Features::open(dataset, encoders, fingerprint)?;
        let kb = build(dataset, encoders, &features, prototyping)?;
        let posts = dataset.posts_if_any(Split::Train)?;
        let mut world = Self {
            examples: Vec::new(),
            nil: Vec::new(),
            left_out: 0,
            trained: (0..kb.text.entities.len()).collect(),
            kb,
        };
        if posts.is_empty() {
            return Ok(world);
        }
        world.add_mentions(dataset, &posts, encoders, &features, wanted)?;
        ensure!(
            world
                .examples
                .iter()
                .any(|example| example.part == Part::Fit),
            "{}: train.jsonl has no mention with its entity and another among the candidates; \
             `imn prototypes` makes a run without training",
            dataset.folder.display()
        );
        Ok(world)
    }

    /// Adds the train mentions from which something can be learned. A mention's own post never speaks for its gold.
    fn add_mentions(
        &mut self,
        dataset: &Dataset,
        posts: &[Post],
        encoders: &Encoders,
        features: &Features,
        wanted: FeatureLevel,
    ) -> anyhow::Result<()> {
        let own: HashMap<&str, usize> = timeline(dataset)
            .into_iter()
            .enumerate()
            .filter_map(|(position, post)| Some((post.id.as_deref()?, position)))
            .collect();
        let positions = dataset.positions();
        let policy = dataset.info.candidate_policy;
        let index = CueIndex::new(&self.kb);
        let posts: Vec<&Post> = posts.iter().filter(|post| post.mention.is_some()).collect();
        let mentions = mentions::encode(dataset, &posts, policy, encoders, features, wanted)?;

        let gold_of = |mention: &EncodedMention| {
            let id = mention.post.entity.as_deref()?;
            let entity = positions.get(id)?;
            mention.candidates.iter().position(|other| other == entity)
        };
        let groups = Groups::of(self.kb.text.entities.len(), &mentions);
        let held_out = |entity: usize| {
            let id = &self.kb.text.entities[groups.leader(entity)].id;
            is_validation(id)
        };
        // Rows that show the same picture are held out together.
        let row_of = |mention: &EncodedMention| {
            let shown = mention.post.images.first();
            format!("row {}", shown.unwrap_or(&mention.post.id))
        };
        let mut trained = HashSet::new();
        for mention in &mentions {
            if let Some(gold) = gold_of(mention) {
                let entity = mention.candidates[gold];
                if !held_out(entity) && !is_validation(&row_of(mention)) {
                    trained.insert(entity);
                }
            }
        }

        let bar = progress(mentions.len(), "cues");
        for mention in mentions {
            bar.inc(1);
            let gold = gold_of(&mention);
            let is_nil = mention.post.entity.is_none();
            if (gold.is_none() && !is_nil)
                || mention.candidates.len() <= usize::from(gold.is_some())
            {
                self.left_out += 1;
                continue;
            }
            let without = own.get(mention.post.id.as_str()).copied();
            let query = CueQuery {
                post: &mention.features.without_tokens().pooled(),
                text: &mention.post.text,
                mention: mention.surface,
            };
            let cues = index.cues(&self.kb, &query, &mention.candidates, without);
            let row = row_of(&mention);
            let all_trained = || {
                mention
                    .candidates
                    .iter()
                    .all(|other| trained.contains(other))
            };
            let part = match gold.map(|gold| mention.candidates[gold]) {
                Some(entity) if held_out(entity) => Part::New,
                _ if !is_validation(&row) => Part::Fit,
                _ if all_trained() => Part::Seen,
                _ => Part::New,
            };
            let example = Example {
                query: Query::Mention(mention.features),
                candidates: mention.candidates,
                gold: gold.unwrap_or_default(),
                without,
                cues,
                part,
            };
            if is_nil {
                self.nil.push(example);
            } else {
                self.examples.push(example);
            }
        }
        bar.finish_and_clear();
        self.trained = trained.into_iter().collect();
        self.trained.sort_unstable();
        Ok(())
    }

    /// The timeline posts of the entities that are trained on, each to be matched to its owner: knowledge learning.
    pub(crate) fn posts(&self, seed: u64) -> Vec<Example> {
        let trained: HashSet<usize> = self.trained.iter().copied().collect();
        let aliases = AliasIndex::new(&self.kb.text.entities);
        let index = CueIndex::new(&self.kb);
        let mut rng = rng(seed, "posts", 0);
        let mut n_posts = vec![0usize; self.kb.text.entities.len()];
        for post in &self.kb.text.posts {
            n_posts[post.entity] += 1;
        }
        // An owner left with nothing is skipped.
        let mut posts: Vec<usize> = (0..self.kb.text.posts.len())
            .filter(|&post| {
                let entity = self.kb.text.posts[post].entity;
                trained.contains(&entity)
                    && n_posts[entity] > 1
                    && !timeline_without(&self.kb, entity, post).is_empty()
            })
            .collect();
        posts.shuffle(&mut rng);
        posts.truncate(MAX_POSTS);
        let bar = progress(posts.len(), "posts");
        let examples = posts.into_iter().filter_map(|post| {
            bar.inc(1);
            let owner = self.kb.text.posts[post].entity;
            let names = self.kb.text.entities[owner].names();
            let mut others: Vec<usize> = names
                .flat_map(|name| aliases.candidates(name, NameMatch::Equal))
                .filter(|other| *other != owner && trained.contains(other))
                .collect();
            others.sort_unstable();
            others.dedup();
            others.shuffle(&mut rng);
            others.truncate(CANDIDATES - 1);
            for _ in 0..4 * CANDIDATES {
                let other = self.trained[rng.random_range(0..self.trained.len())];
                if others.len() + 1 < CANDIDATES && other != owner && !others.contains(&other) {
                    others.push(other);
                }
            }
            if others.is_empty() {
                return None;
            }
            let candidates: Vec<usize> = std::iter::once(owner).chain(others).collect();
            let query = CueQuery {
                post: &self.kb.pooled[post],
                text: &self.kb.text.posts[post].text,
                mention: "",
            };
            let cues = index.cues(&self.kb, &query, &candidates, Some(post));
            Some(Example {
                query: Query::Timeline(post),
                candidates,
                gold: 0,
                without: Some(post),
                cues,
                part: Part::Fit,
            })
        });
        let examples = examples.collect();
        bar.finish_and_clear();
        examples
    }

    /// An example's vectors.
    pub(crate) fn vectors(&self, query: &Query) -> PostVectors {
        match query {
            Query::Mention(features) => features.vectors(),
            Query::Timeline(post) => {
                let pooled = &self.kb.pooled[*post];
                let untokened = |pooled| {
                    Arc::new(TokenVectors {
                        pooled,
                        tokens: Vec::new(),
                    })
                };
                PostVectors {
                    joint: pooled.joint.clone().map(untokened),
                    text: pooled.text.clone().map(untokened),
                    images: pooled
                        .image
                        .iter()
                        .zip(&pooled.classes)
                        .map(|(image, classes)| ImageVectors {
                            pooled: image.clone(),
                            classes: classes.clone(),
                            tokens: Vec::new(),
                        })
                        .map(Arc::new)
                        .collect(),
                }
            }
        }
    }
}

/// The posts that stand for an entity when one of its own is to be linked.
fn timeline_without(kb: &KnowledgeBase, entity: usize, post: usize) -> Vec<usize> {
    super::batch::timeline(kb, entity, Some(post))
}

/// Entities that stand in one another's candidate lists.
struct Groups(Vec<usize>);

impl Groups {
    fn of(n_entities: usize, mentions: &[EncodedMention]) -> Self {
        let mut leaders: Vec<usize> = (0..n_entities).collect();
        for mention in mentions {
            for pair in mention.candidates.windows(2) {
                let (a, b) = (find(&leaders, pair[0]), find(&leaders, pair[1]));
                leaders[a.max(b)] = a.min(b);
            }
        }
        let mut sizes = vec![0usize; n_entities];
        let leaders: Vec<usize> = (0..n_entities)
            .map(|entity| find(&leaders, entity))
            .collect();
        leaders.iter().for_each(|&leader| sizes[leader] += 1);
        let alone = |(entity, leader)| {
            if sizes[leader] <= MAX_GROUP {
                leader
            } else {
                entity
            }
        };
        Self(leaders.into_iter().enumerate().map(alone).collect())
    }

    fn leader(&self, entity: usize) -> usize {
        self.0[entity]
    }
}

fn find(leaders: &[usize], mut entity: usize) -> usize {
    while leaders[entity] != entity {
        entity = leaders[entity];
    }
    entity
}

/// Whether what bears this id is kept for validation.
pub(super) fn is_validation(id: &str) -> bool {
    // Not the bits by which an import cuts a dataset: its train part would hold none of these entities.
    (hash(id) >> 16).is_multiple_of(VALIDATION)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_of_a_train_part_that_was_cut_by_entity() {
        let ids = (0..10_000).map(|i| format!("Q{i}"));
        let train: Vec<String> = ids
            .filter(|id| Split::of_entity(id) == Split::Train)
            .collect();
        let kept = train.iter().filter(|id| is_validation(id)).count();
        let share = kept as f64 / train.len() as f64;
        assert!((0.08..0.12).contains(&share), "{share}");
    }
}
