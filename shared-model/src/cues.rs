//! Cues: what each candidate has in common with a post, before anything is weighted.
//!
//! A cue that the post lacks is 0 for all candidates. A cue that a candidate lacks is imputed with its background mean:
//! the average between a post and the entities that do not own it, so that having no picture is neither an advantage nor a fault.

use crate::kb::KnowledgeBase;
use crate::lexical::{LexicalCues, LexicalIndex, LexicalQuery};
use crate::math::{cosine, mean, normalised};
use crate::prototype::Chosen;
use crate::vectors::PooledVectors;

/// Every cue: text, image, classes, then [`LexicalCues`].
pub type AllCues = [f32; 9];

/// At most this many pairs of a post and an entity are compared for the background means.
const MAX_PAIRS: usize = 100_000;

/// A post and its mention, as the cues compare them.
#[derive(Debug, Clone, Copy)]
pub struct CueQuery<'a> {
    /// Pooled vectors of the post.
    pub post: &'a PooledVectors,
    /// Text of the post.
    pub text: &'a str,
    /// Characters of the mention, for the name cues.
    pub mention: &'a str,
}

/// Cues of one candidate; `None` where post or candidate lacks the modality.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CandidateCues {
    /// Cosine of the centred texts.
    pub text: Option<f32>,
    /// Cosine of the z-scored images.
    pub image: Option<f32>,
    /// Bhattacharyya coefficient of the class probabilities.
    pub classes: Option<f32>,
    /// Names and words in common.
    pub lexical: Option<LexicalCues>,
    /// All cues, missing ones imputed.
    pub imputed: AllCues,
}

/// What the cues need of a knowledge base, computed once.
#[derive(Debug, Clone)]
pub struct CueIndex {
    lexical: LexicalIndex,
    entities: Vec<EntityVectors>,
    /// Posts of each entity, by position in the knowledge base.
    timelines: Vec<Vec<usize>>,
    background: Background,
}

/// Mean of an entity's normalised prototype vectors, one per modality.
#[derive(Debug, Clone)]
struct EntityVectors {
    text: Option<Vec<f32>>,
    image: Option<Vec<f32>>,
    classes: Option<Vec<f32>>,
}

/// Mean cues between a post and the entities that do not own it; `None` without pictures.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Background {
    image: Option<f32>,
    classes: Option<f32>,
}

/// The post's side of all comparisons.
struct Prepared {
    text: Option<Vec<f32>>,
    image: Option<Vec<f32>>,
    classes: Option<Vec<f32>>,
    lexical: Option<LexicalQuery>,
    /// Imputed where a candidate lacks the cue; `None` where the post lacks it.
    background: Background,
}

impl CueIndex {
    /// Indexes all entities.
    pub fn new(kb: &KnowledgeBase) -> Self {
        let n_entities = kb.text.entities.len();
        let entities: Vec<EntityVectors> = (0..n_entities)
            .map(|entity| EntityVectors::of(kb, entity, None))
            .collect();
        let mut timelines = vec![Vec::new(); n_entities];
        for (position, post) in kb.text.posts.iter().enumerate() {
            timelines[post.entity].push(position);
        }
        Self {
            lexical: LexicalIndex::new(&kb.text),
            background: Background::of(kb, &entities),
            entities,
            timelines,
        }
    }

    /// Cues of `candidates` (positions in the knowledge base), in the order given.
    pub fn observe(
        &self,
        kb: &KnowledgeBase,
        query: &CueQuery,
        candidates: &[usize],
    ) -> Vec<CandidateCues> {
        let prepared = self.prepare(kb, query);
        let candidates = candidates.iter();
        candidates
            .map(|&entity| self.compare(&prepared, entity))
            .collect()
    }

    /// All cues of `candidates`, missing ones imputed: for fitting the weights.
    ///
    /// # Arguments
    ///
    /// - without: the post of the knowledge base that repeats the query; its owner is compared without it.
    pub fn cues(
        &self,
        kb: &KnowledgeBase,
        query: &CueQuery,
        candidates: &[usize],
        without: Option<usize>,
    ) -> Vec<AllCues> {
        let prepared = self.prepare(kb, query);
        let cues = |&entity: &usize| match without {
            Some(post) if kb.text.posts[post].entity == entity => {
                self.compare_without(kb, &prepared, entity, post)
            }
            _ => self.compare(&prepared, entity),
        };
        let candidates = candidates.iter();
        candidates.map(|entity| cues(entity).imputed).collect()
    }

    fn prepare(&self, kb: &KnowledgeBase, query: &CueQuery) -> Prepared {
        let CueQuery {
            post,
            text,
            mention,
        } = *query;
        let statistics = &kb.statistics;
        let centred = |image: &Vec<f32>| statistics.centre_image(image);
        Prepared {
            text: post.text.as_ref().map(|text| statistics.centre_text(text)),
            image: post.image.as_ref().map(centred),
            classes: post.classes.as_deref().map(root),
            lexical: (!text.is_empty()).then(|| self.lexical.query(text, mention)),
            background: Background {
                image: post.image.as_ref().and(self.background.image),
                classes: post.classes.as_ref().and(self.background.classes),
            },
        }
    }

    fn compare(&self, query: &Prepared, entity: usize) -> CandidateCues {
        let lexical = query.lexical.as_ref();
        let lexical = lexical.map(|query| self.lexical.cues(query, entity));
        CandidateCues::of(query, &self.entities[entity], lexical)
    }

    /// As [`Self::compare`], as if the entity had never written one of its posts.
    fn compare_without(
        &self,
        kb: &KnowledgeBase,
        query: &Prepared,
        entity: usize,
        without: usize,
    ) -> CandidateCues {
        let others = self.timelines[entity].iter();
        let others = others.filter(|&&post| post != without);
        let texts = others.map(|&post| kb.text.posts[post].text.as_str());
        let profile = kb.text.entities[entity].profile();
        let document = self.lexical.document(&profile, texts);
        let lexical = query.lexical.as_ref();
        CandidateCues::of(
            query,
            &EntityVectors::of(kb, entity, Some(without)),
            lexical.map(|query| self.lexical.cues_with(query, entity, &document)),
        )
    }
}

impl CandidateCues {
    fn of(query: &Prepared, entity: &EntityVectors, lexical: Option<LexicalCues>) -> Self {
        let text = compare(&query.text, &entity.text);
        let image = compare(&query.image, &entity.image);
        let classes = compare(&query.classes, &entity.classes);
        let [a, b, c, d, e, f] = lexical.unwrap_or_default();
        let imputed = [
            text,
            image.or(query.background.image),
            classes.or(query.background.classes),
        ];
        let [t, i, k] = imputed.map(Option::unwrap_or_default);
        Self {
            text,
            image,
            classes,
            lexical,
            imputed: [t, i, k, a, b, c, d, e, f],
        }
    }
}

impl EntityVectors {
    /// Averages the prototypes of an entity, leaving out one post.
    fn of(kb: &KnowledgeBase, entity: usize, without: Option<usize>) -> Self {
        let average = |vectors: Vec<Vec<f32>>| mean(vectors.iter().map(Vec::as_slice));
        let pooled =
            |chosen: &'_ Chosen| (Some(chosen.post) != without).then(|| &kb.pooled[chosen.post]);
        let chosen = &kb.text.prototypes[entity];
        let posts = chosen.text.iter();
        let posts = posts.filter_map(|chosen| pooled(chosen)?.text.as_ref());
        let texts = posts.chain(&kb.profiles[entity].text);
        let images = || chosen.image.iter().filter_map(pooled);
        Self {
            text: average(
                texts
                    .map(|text| normalised(&kb.statistics.centre_text(text)))
                    .collect(),
            ),
            image: average(
                images()
                    .filter_map(|pooled| pooled.image.as_ref())
                    .map(|image| normalised(&kb.statistics.centre_image(image)))
                    .collect(),
            ),
            classes: average(
                images()
                    .filter_map(|pooled| pooled.classes.as_deref())
                    .map(root)
                    .collect(),
            ),
        }
    }
}

impl Background {
    fn of(kb: &KnowledgeBase, entities: &[EntityVectors]) -> Self {
        let entities = entities.iter().enumerate();
        let pictured: Vec<(usize, &EntityVectors)> = entities
            .filter(|(_, entity)| entity.image.is_some())
            .collect();
        let posts: Vec<usize> = (0..kb.pooled.len())
            .filter(|&post| kb.pooled[post].image.is_some())
            .collect();
        let step = (posts.len() * pictured.len()).div_ceil(MAX_PAIRS).max(1);
        let (mut image, mut classes, mut n) = (0.0, 0.0, 0.0);
        for &post in posts.iter().step_by(step) {
            let pooled = &kb.pooled[post];
            let centred = |image: &Vec<f32>| kb.statistics.centre_image(image);
            let query = pooled.image.as_ref().map(centred);
            let roots = pooled.classes.as_deref().map(root);
            for (position, entity) in &pictured {
                if *position != kb.text.posts[post].entity {
                    image += compare(&query, &entity.image).unwrap_or_default();
                    classes += compare(&roots, &entity.classes).unwrap_or_default();
                    n += 1.0;
                }
            }
        }
        let average = |sum: f32| (n > 0.0).then(|| sum / n);
        Self {
            image: average(image),
            classes: average(classes),
        }
    }
}

fn compare(a: &Option<Vec<f32>>, b: &Option<Vec<f32>>) -> Option<f32> {
    Some(cosine(a.as_ref()?, b.as_ref()?))
}

/// Square roots: the cosine of two of these is the Bhattacharyya coefficient of the distributions.
fn root(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.max(0.0).sqrt()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Entity;
    use crate::kb::{KbPost, KbText};
    use crate::prototype::Selection;

    /// Three entities of one name: texts and images along one axis each; the last has a profile only.
    pub(crate) fn kb() -> KnowledgeBase {
        let entity = |id: &str| Entity {
            id: id.to_owned(),
            name: "Swift".to_owned(),
            aliases: Vec::new(),
            description: String::new(),
        };
        let axis = |i: usize, n: usize| {
            (0..n)
                .map(|j| f32::from(u8::from(i == j)))
                .collect::<Vec<f32>>()
        };
        let post = |entity| KbPost {
            entity,
            text: format!("post of {entity}"),
            images: vec![format!("{entity}.jpg")],
        };
        let pooled = |i| PooledVectors {
            text: Some(axis(i, 4)),
            image: Some(axis(i, 3)),
            classes: Some(axis(i, 2)),
            joint: None,
        };
        let text = KbText {
            entities: vec![entity("bird"), entity("language"), entity("singer")],
            posts: vec![post(0), post(1)],
            prototypes: Vec::new(),
            k: 10,
            selection: Selection::Pagerank,
        };
        let profile = |i| PooledVectors {
            text: Some(axis(i, 4)),
            ..PooledVectors::default()
        };
        let profiles = (0..3).map(profile).collect();
        KnowledgeBase::new(text, vec![pooled(0), pooled(1)], profiles)
    }

    /// A post about the second entity.
    pub(crate) fn about_the_language() -> PooledVectors {
        PooledVectors {
            text: Some(vec![0.1, 1.0, 0.0, 0.0]),
            image: Some(vec![0.0, 1.0, 0.0]),
            classes: Some(vec![0.2, 0.8]),
            joint: None,
        }
    }

    fn query<'a>(post: &'a PooledVectors, text: &'a str) -> CueQuery<'a> {
        CueQuery {
            post,
            text,
            mention: "swift",
        }
    }

    #[test]
    fn a_missing_picture_is_imputed_with_the_background_mean() {
        let kb = kb();
        let index = CueIndex::new(&kb);
        let background = index.background;
        assert!(
            background.image.is_some_and(|image| image < 0.0),
            "{background:?}"
        );
        let cues = index.observe(&kb, &query(&about_the_language(), "swift"), &[2])[0];
        assert_eq!((cues.image, cues.classes), (None, None));
        assert_eq!(cues.imputed[1], background.image.unwrap());
        assert_eq!(cues.imputed[2], background.classes.unwrap());
    }

    #[test]
    fn an_owner_without_its_only_post_is_left_with_its_profile() {
        let kb = kb();
        let index = CueIndex::new(&kb);
        let post = about_the_language();
        let query = query(&post, "post of 1");
        let cues = |without| index.cues(&kb, &query, &[0, 1], without);
        let (with, without) = (cues(None), cues(Some(1)));
        assert_eq!(with[0], without[0], "the others keep all their posts");
        assert_eq!(without[1][1], index.background.image.unwrap());
        assert!(without[1][7] < with[1][7], "{without:?} {with:?}");
    }

    #[test]
    fn a_post_with_a_picture_alone_has_no_text_cues() {
        let kb = kb();
        let post = PooledVectors {
            text: None,
            ..about_the_language()
        };
        let index = CueIndex::new(&kb);
        let cues = index.observe(&kb, &query(&post, ""), &[0, 1, 2]);
        assert!(cues.iter().all(|cues| cues.text.is_none()));
        assert!(cues.iter().all(|cues| cues.lexical.is_none()));
        assert!(cues[1].imputed[1] > cues[0].imputed[1]);
    }
}
