//! The knowledge base: entities, their timelines as pooled vectors, and the prototypes chosen from them.

use serde::{Deserialize, Serialize};

use crate::context;
use crate::data::Entity;
use crate::error::{Error, Result};
use crate::pack::{Entry, Pack};
use crate::prototype::{Chosen, Selection, choose};
use crate::statistics::{Moments, Statistics};
use crate::vectors::{PooledVectors, Widths};

/// The tensor of the descriptions without names in `kb.bpk`.
pub const CONTEXT: &str = "context";
/// The tensors of timelines and descriptions without names under the context encoder in `kb.bpk`.
pub const TUNED: [&str; 2] = ["tuned", "tuned_profile"];

/// A timeline post; its pictures are thumbnails in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KbPost {
    /// Position of the owner in the knowledge base.
    pub entity: usize,
    /// May be empty.
    #[serde(default)]
    pub text: String,
    /// Paths inside the bundle; may be empty.
    #[serde(default)]
    pub images: Vec<String>,
}

/// The chosen posts of an entity, highest PageRank first; `post` counts over the whole knowledge base.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Prototypes {
    /// Chosen by text; the profile is one more text prototype beside these.
    pub text: Vec<Chosen>,
    /// Chosen by image.
    pub image: Vec<Chosen>,
    /// Chosen by the joint vector; empty without a joint encoder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joint: Vec<Chosen>,
}

impl Prototypes {
    /// Chooses from an entity's timeline: posts by position, each with its vectors.
    pub fn choose(
        timeline: &[(usize, &PooledVectors)],
        statistics: &Statistics,
        k: usize,
        selection: Selection,
    ) -> Self {
        let pick = |vector: &dyn Fn(&PooledVectors) -> Option<Vec<f32>>| -> Vec<Chosen> {
            let (posts, vectors): (Vec<usize>, Vec<Vec<f32>>) = timeline
                .iter()
                .filter_map(|&(post, pooled)| Some((post, vector(pooled)?)))
                .unzip();
            let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
            let mut chosen = choose(&vectors, k, selection);
            for Chosen { post, .. } in &mut chosen {
                *post = posts[*post];
            }
            chosen
        };
        Self {
            text: pick(&|pooled| Some(statistics.centre_text(pooled.text.as_deref()?))),
            image: pick(&|pooled| Some(statistics.centre_image(pooled.image.as_deref()?))),
            joint: pick(&|pooled| Some(statistics.centre_joint(pooled.joint.as_deref()?))),
        }
    }

    /// Chosen posts of all modalities; a post may occur in several.
    pub fn all(&self) -> impl Iterator<Item = &Chosen> {
        self.text.iter().chain(&self.image).chain(&self.joint)
    }
}

/// The part of a knowledge base that is kept as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KbText {
    /// All entities.
    pub entities: Vec<Entity>,
    /// All timelines, one after the other.
    pub posts: Vec<KbPost>,
    /// One per entity.
    #[serde(default)]
    pub prototypes: Vec<Prototypes>,
    /// Number of prototypes per entity and modality.
    pub k: usize,
    /// How they were chosen.
    pub selection: Selection,
}

/// A knowledge base, ready to be scored against.
#[derive(Debug, Clone)]
pub struct KnowledgeBase {
    /// Names, texts and chosen posts.
    pub text: KbText,
    /// One per post.
    pub pooled: Vec<PooledVectors>,
    /// One per entity: the vectors of its profile, which has a text and no picture; the context is the description without the names.
    pub profiles: Vec<PooledVectors>,
    /// Statistics of the timelines and profiles.
    pub statistics: Statistics,
}

impl KnowledgeBase {
    /// Chooses the prototypes and takes the statistics; `text.prototypes` is filled.
    pub fn new(text: KbText, pooled: Vec<PooledVectors>, profiles: Vec<PooledVectors>) -> Self {
        let mut moments = Moments::default();
        pooled
            .iter()
            .chain(&profiles)
            .for_each(|pooled| moments.add(pooled));
        let (k, selection) = (text.k, text.selection);
        let mut kb = Self {
            text,
            pooled,
            profiles,
            statistics: moments.statistics(),
        };
        kb.choose(k, selection);
        kb
    }

    /// Chooses the prototypes of all entities.
    pub(crate) fn choose(&mut self, k: usize, selection: Selection) {
        let mut timelines = vec![Vec::new(); self.text.entities.len()];
        for (position, (post, pooled)) in self.text.posts.iter().zip(&self.pooled).enumerate() {
            timelines[post.entity].push((position, pooled));
        }
        let prototypes = timelines
            .iter()
            .map(|timeline| Prototypes::choose(timeline, &self.statistics, k, selection));
        let prototypes = prototypes.collect();
        self.text.prototypes = prototypes;
        self.text.k = k;
        self.text.selection = selection;
    }

    /// Takes out entities with their posts. The prototypes have to be chosen anew.
    pub(crate) fn remove(&mut self, is_meant: impl Fn(&Entity) -> bool) {
        let is_left: Vec<bool> = self
            .text
            .entities
            .iter()
            .map(|entity| !is_meant(entity))
            .collect();
        let mut position = 0;
        let positions: Vec<usize> = is_left
            .iter()
            .map(|&is_left| {
                position += usize::from(is_left);
                position.saturating_sub(1)
            })
            .collect();
        let mut of_post = self.text.posts.iter().map(|post| is_left[post.entity]);
        self.pooled.retain(|_| of_post.next() == Some(true));
        self.text.posts.retain(|post| is_left[post.entity]);
        for post in &mut self.text.posts {
            post.entity = positions[post.entity];
        }
        let keep = |at: &mut usize| {
            *at += 1;
            is_left[*at - 1]
        };
        let (mut a, mut b) = (0, 0);
        self.profiles.retain(|_| keep(&mut a));
        self.text.entities.retain(|_| keep(&mut b));
    }

    /// Reads `kb.json` and `kb.bpk`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for malformed JSON, dangling positions, or tensors that match neither the posts nor the encoders' widths.
    pub fn from_parts(json: &[u8], pack: &Pack, widths: &Widths) -> Result<Self> {
        let text: KbText =
            serde_json::from_slice(json).map_err(|error| Error::file("kb.json", error))?;
        let (n_entities, n_posts) = (text.entities.len(), text.posts.len());
        let dangling = text.posts.iter().any(|post| post.entity >= n_entities)
            || text.prototypes.len() != n_entities
            || text
                .prototypes
                .iter()
                .flat_map(Prototypes::all)
                .any(|chosen| chosen.post >= n_posts);
        if dangling {
            return Err(Error::file(
                "kb.json",
                "a post or prototype names an entity or post that is not there",
            ));
        }

        let posts = || text.posts.iter();
        let n_texts = posts().filter(|post| !post.text.is_empty()).count();
        let n_images = posts().filter(|post| !post.images.is_empty()).count();
        // Without pictures there is nothing to be as wide as the image encoder.
        let (image_width, n_classes) = if n_images > 0 {
            (widths.image, widths.classes)
        } else {
            (0, 0)
        };
        let rows = |name: &str, n: usize, width: usize| {
            let values = pack.shaped(name, &[n, width])?;
            let rows = values.chunks(width.max(1)).map(<[f32]>::to_vec);
            Ok::<_, Error>(rows.collect::<Vec<_>>().into_iter())
        };
        let joint = |name: &str, n: usize| match widths.joint {
            Some(width) => rows(name, n, width),
            None => Ok(Vec::new().into_iter()),
        };
        let mut texts = rows("text", n_texts, widths.text)?;
        let mut images = rows("image", n_images, image_width)?;
        let mut classes = rows("classes", n_images, n_classes)?;
        let mut joints = joint("joint", n_posts)?;
        let mut joint_profiles = joint("joint_profile", n_entities)?;
        let described = text
            .entities
            .iter()
            .map(|entity| context::of_entity(entity).is_some());
        let described: Vec<bool> = described.collect();
        let n_described = described.iter().filter(|described| **described).count();
        let has_contexts = pack.names().any(|name| name == CONTEXT);
        let mut contexts = match has_contexts {
            true => rows(CONTEXT, n_described, widths.text)?,
            false => Vec::new().into_iter(),
        };
        let is_left =
            |post: &KbPost| context::of_text(&post.text, &text.entities[post.entity]).is_some();
        // A run that was made before its weight folder got a context encoder has no such vectors, and no weight for them.
        let is_tuned = widths.context && pack.names().any(|name| name == TUNED[0]);
        let with_context: Vec<bool> = posts().map(|post| is_tuned && is_left(post)).collect();
        let n_with_context = with_context.iter().filter(|with| **with).count();
        let [mut tuned, mut tuned_profiles] = match is_tuned {
            true => [
                rows(TUNED[0], n_with_context, widths.text)?,
                rows(TUNED[1], n_described, widths.text)?,
            ],
            false => Default::default(),
        };
        let pooled = posts()
            .zip(with_context)
            .map(|(post, with_context)| PooledVectors {
                text: (!post.text.is_empty()).then(|| texts.next()).flatten(),
                image: (!post.images.is_empty()).then(|| images.next()).flatten(),
                classes: (!post.images.is_empty()).then(|| classes.next()).flatten(),
                joint: joints.next(),
                context: None,
                tuned: with_context.then(|| tuned.next()).flatten(),
            })
            .collect();
        let profiles = rows("profile", n_entities, widths.text)?
            .zip(described)
            .map(|(text, is_described)| PooledVectors {
                // In a bundle that was exported before there were contexts, the profile stands for the description.
                context: is_described.then(|| contexts.next().unwrap_or_else(|| text.clone())),
                text: Some(text),
                tuned: is_described.then(|| tuned_profiles.next()).flatten(),
                joint: joint_profiles.next(),
                ..PooledVectors::default()
            })
            .collect();
        Ok(Self {
            pooled,
            profiles,
            statistics: Statistics::from_pack(pack, image_width, widths)?,
            text,
        })
    }

    /// The entries of `kb.bpk`.
    pub fn entries(&self) -> Vec<Entry> {
        let matrix = |name: &str,
                      of: &[PooledVectors],
                      vector: fn(&PooledVectors) -> &Option<Vec<f32>>,
                      width| {
            let rows: Vec<&Vec<f32>> = of.iter().filter_map(|row| vector(row).as_ref()).collect();
            let shape = [rows.len(), width];
            Entry::floats(name, shape, rows.into_iter().flatten().copied().collect())
        };
        let (posts, profiles) = (&self.pooled, &self.profiles);
        let classes = posts.iter().find_map(|post| post.classes.as_ref());
        let [text, image, joint] = self.statistics.widths();
        let mut entries = vec![
            matrix("text", posts, |row| &row.text, text),
            matrix("image", posts, |row| &row.image, image),
            matrix(
                "classes",
                posts,
                |row| &row.classes,
                classes.map_or(0, Vec::len),
            ),
            matrix("profile", profiles, |row| &row.text, text),
            matrix(CONTEXT, profiles, |row| &row.context, text),
        ];
        if joint > 0 {
            entries.extend([
                matrix("joint", posts, |row| &row.joint, joint),
                matrix("joint_profile", profiles, |row| &row.joint, joint),
            ]);
        }
        if posts.iter().chain(profiles).any(|row| row.tuned.is_some()) {
            let [of_posts, of_profiles] = TUNED;
            entries.extend([
                matrix(of_posts, posts, |row| &row.tuned, text),
                matrix(of_profiles, profiles, |row| &row.tuned, text),
            ]);
        }
        entries.extend(self.statistics.entries());
        entries
    }

    /// The position of an entity, by a linear search.
    pub fn position(&self, id: &str) -> Option<usize> {
        self.text.entities.iter().position(|entity| entity.id == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Precision, write};

    fn entity(id: &str, description: &str) -> Entity {
        Entity {
            id: id.to_owned(),
            name: "Jaguar".to_owned(),
            aliases: Vec::new(),
            description: description.to_owned(),
        }
    }

    fn post(entity: usize, text: &str) -> KbPost {
        KbPost {
            entity,
            text: text.to_owned(),
            images: Vec::new(),
        }
    }

    /// A knowledge base with a post that is a name alone, one without a text, and an entity without a description.
    fn kb(has_context_encoder: bool) -> KnowledgeBase {
        let vector = |i: usize| Some(vec![i as f32, 1.0]);
        let tuned = |i: usize, is_left: bool| vector(i).filter(|_| is_left && has_context_encoder);
        let posts = [
            (post(0, "jaguar!"), false),
            (post(0, ""), false),
            (post(0, "a jaguar in the river"), true),
            (post(1, "the Jaguar of my uncle"), true),
        ];
        let pooled = posts
            .iter()
            .enumerate()
            .map(|(i, (post, is_left))| PooledVectors {
                text: vector(i).filter(|_| !post.text.is_empty()),
                tuned: tuned(10 + i, *is_left),
                ..PooledVectors::default()
            });
        let profiles = [true, false].into_iter().enumerate();
        let profiles = profiles.map(|(i, is_described)| PooledVectors {
            text: vector(20 + i),
            context: vector(30 + i).filter(|_| is_described),
            tuned: tuned(40 + i, is_described),
            ..PooledVectors::default()
        });
        let text = KbText {
            entities: vec![entity("cat", "large cat"), entity("car", "Jaguar")],
            posts: posts.iter().map(|(post, _)| post.clone()).collect(),
            prototypes: Vec::new(),
            k: 10,
            selection: Selection::Pagerank,
        };
        let (pooled, profiles) = (pooled.collect(), profiles.collect());
        KnowledgeBase::new(text, pooled, profiles)
    }

    #[test]
    fn vectors_come_back_at_their_posts() {
        for (has_context_encoder, is_wanted) in [(true, true), (true, false), (false, true)] {
            let kb = kb(has_context_encoder);
            let json = serde_json::to_vec(&kb.text).unwrap();
            let pack = write(kb.entries(), &[], Precision::F32).unwrap();
            let pack = Pack::read("kb.bpk", pack).unwrap();
            let widths = Widths {
                text: 2,
                context: is_wanted,
                image: 3,
                classes: 4,
                joint: None,
            };
            let read = KnowledgeBase::from_parts(&json, &pack, &widths).unwrap();
            let without = |rows: &[PooledVectors]| -> Vec<PooledVectors> {
                let rows = rows.iter().cloned();
                rows.map(|row| PooledVectors {
                    tuned: row.tuned.filter(|_| is_wanted),
                    ..row
                })
                .collect()
            };
            assert_eq!(read.pooled, without(&kb.pooled));
            assert_eq!(read.profiles, without(&kb.profiles));
        }
    }
}
