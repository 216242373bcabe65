//! Cues: what each candidate has in common with a post, before anything is weighted.
//!
//! Cues that compare vectors count by how far they are above their background, the average of the post's comparisons with all entities
//! of the knowledge base. A cue that post or candidate lacks is 0, so that having no picture is neither an advantage nor a fault.

mod timelines;

use crate::classes::ClassTable;
use crate::evidence::{Conditions, Observed, VectorCues};
use crate::kb::KnowledgeBase;
use crate::lexical::{LexicalCues, LexicalIndex, LexicalQuery};
use crate::math::{cosine, dot, mean, normalised};
use crate::prototype::Chosen;
use crate::scales::Scales;
use crate::vectors::PooledVectors;

/// A post and its mention, as the cues compare them.
#[derive(Debug, Clone, Copy)]
pub struct CueQuery<'a> {
    /// Pooled vectors of the post.
    pub post: &'a PooledVectors,
    /// Text of the post.
    pub text: &'a str,
    /// Characters of the mention, for the name cues; empty for a timeline post.
    pub mention: &'a str,
}

/// Cues of one candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CandidateCues {
    /// Comparisons of vectors.
    pub vectors: VectorCues,
    /// Names and words in common; `None` for a post without a text.
    pub lexical: Option<LexicalCues>,
    /// All cues, and of which kind they are.
    pub observed: Observed,
}

/// What the cues need of a knowledge base, computed once.
#[derive(Debug, Clone)]
pub struct CueIndex {
    lexical: LexicalIndex,
    classes: Option<ClassTable>,
    entities: Vec<Side>,
    /// Posts of each entity, by position in the knowledge base.
    timelines: Vec<Vec<usize>>,
    mean: Mean,
    scales: Scales,
}

/// One side of a comparison: the centred vectors of a post, or the means of an entity's prototypes.
#[derive(Debug, Clone, Default)]
struct Side {
    text: Option<Vec<f32>>,
    context: Option<Vec<f32>>,
    tuned: Option<Vec<f32>>,
    image: Option<Vec<f32>>,
    /// Square roots of the class probabilities.
    classes: Option<Vec<f32>>,
    /// Pictures in the space of centred texts.
    carried: Option<Vec<f32>>,
}

/// Mean over the normalised vectors of the entities: as the cosine is linear in them, what a post has in common with it is the mean over what it has in common with each.
#[derive(Debug, Clone)]
struct Mean {
    side: Side,
    /// As the text of `side`, over the entities of which more than the name is known.
    texts: Option<Vec<f32>>,
}

/// The post's side of all comparisons.
struct Prepared {
    side: Side,
    lexical: Option<LexicalQuery>,
    /// Mean over the comparisons with all entities; `None` where post or entities lack what is compared.
    background: VectorCues,
}

impl CueIndex {
    /// Indexes all entities.
    ///
    /// # Arguments
    ///
    /// - classes: the classes of the image encoder; without them pictures are not compared with texts.
    /// - scaled: whether cues count by what they tell in the timelines, see [`ScorerConfig::scaled`].
    pub fn new(kb: &KnowledgeBase, classes: Option<ClassTable>, scaled: bool) -> Self {
        let n_entities = kb.text.entities.len();
        let entities: Vec<Side> = (0..n_entities)
            .map(|entity| Side::of_entity(kb, classes.as_ref(), entity, None))
            .collect();
        let mut timelines = vec![Vec::new(); n_entities];
        for (position, post) in kb.text.posts.iter().enumerate() {
            timelines[post.entity].push(position);
        }
        let mut index = Self {
            lexical: LexicalIndex::new(&kb.text),
            mean: Mean::of(&entities),
            scales: Scales::default(),
            classes,
            entities,
            timelines,
        };
        if scaled {
            index.scales = Scales::fit(&index.timeline_cues(kb));
        }
        index
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

    /// All cues of `candidates`, for fitting the weights.
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
    ) -> Vec<Observed> {
        let prepared = self.prepare(kb, query);
        let cues = |&entity: &usize| match without {
            Some(post) if kb.text.posts[post].entity == entity => {
                self.compare_without(kb, &prepared, entity, post)
            }
            _ => self.compare(&prepared, entity),
        };
        let candidates = candidates.iter();
        candidates.map(|entity| cues(entity).observed).collect()
    }

    fn prepare(&self, kb: &KnowledgeBase, query: &CueQuery) -> Prepared {
        let CueQuery {
            post,
            text,
            mention,
        } = *query;
        let mut side = Side::of_post(kb, self.classes.as_ref(), post);
        if mention.is_empty() {
            // A timeline post: all of it is about its owner.
            side.context.clone_from(&side.text);
        }
        Prepared {
            lexical: (!text.is_empty()).then(|| self.lexical.query(text, mention)),
            background: side.background(&self.mean),
            side,
        }
    }

    fn compare(&self, query: &Prepared, entity: usize) -> CandidateCues {
        let lexical = query.lexical.as_ref();
        let lexical = lexical.map(|query| self.lexical.cues(query, entity));
        CandidateCues::new(query, &self.entities[entity], lexical, &self.scales)
    }

    /// As [`Self::compare`], as if the entity had never written one of its posts. The background keeps the post, one of many.
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
        let entity_side = Side::of_entity(kb, self.classes.as_ref(), entity, Some(without));
        let lexical = lexical.map(|query| self.lexical.cues_with(query, entity, &document));
        CandidateCues::new(query, &entity_side, lexical, &self.scales)
    }
}

impl CandidateCues {
    /// The cues under these conditions.
    #[must_use]
    pub(crate) fn restricted(self, conditions: &Conditions) -> Self {
        let Conditions {
            post, candidate, ..
        } = *conditions;
        Self {
            vectors: self.vectors.restricted(post, candidate),
            observed: self.observed.restricted(post, candidate),
            ..self
        }
    }

    fn new(query: &Prepared, entity: &Side, lexical: Option<LexicalCues>, scales: &Scales) -> Self {
        let vectors = query.side.compare(entity);
        let background = query.background.array();
        let above = vectors.zip(background, |cue, mean| Some(cue - mean.unwrap_or_default()));
        Self {
            vectors,
            lexical,
            observed: scales.apply(Observed {
                vectors: above,
                lexical: lexical.unwrap_or_default(),
                has_words: query.side.context.is_some(),
            }),
        }
    }
}

impl Side {
    fn of_post(kb: &KnowledgeBase, classes: Option<&ClassTable>, post: &PooledVectors) -> Self {
        let statistics = &kb.statistics;
        let centred = |text: &Vec<f32>| statistics.centre_text(text);
        let image = post.image.as_ref();
        Self {
            text: post.text.as_ref().map(centred),
            context: post.context.as_ref().map(centred),
            tuned: post.tuned.clone(),
            image: image.map(|image| statistics.centre_image(image)),
            classes: post.classes.as_deref().map(root),
            carried: carried(classes, post),
        }
    }

    /// Averages the prototypes of an entity, leaving out one post.
    fn of_entity(
        kb: &KnowledgeBase,
        classes: Option<&ClassTable>,
        entity: usize,
        without: Option<usize>,
    ) -> Self {
        let average = |vectors: Vec<Vec<f32>>| mean(vectors.iter().map(Vec::as_slice));
        let pooled =
            |chosen: &'_ Chosen| (Some(chosen.post) != without).then(|| &kb.pooled[chosen.post]);
        let chosen = &kb.text.prototypes[entity];
        let profile = &kb.profiles[entity];
        let centred = |text: &Vec<f32>| normalised(&kb.statistics.centre_text(text));
        let texts = || chosen.text.iter().filter_map(pooled);
        let posts = texts().filter_map(|pooled| pooled.text.as_ref());
        let posts: Vec<Vec<f32>> = posts.map(centred).collect();
        let tuned = texts().chain([profile]);
        let tuned = tuned.filter_map(|pooled| pooled.tuned.as_deref());
        let with = |own: &Option<Vec<f32>>| {
            let own = own.as_ref().map(centred);
            average(posts.iter().cloned().chain(own).collect())
        };
        let images = || chosen.image.iter().filter_map(pooled);
        Self {
            text: with(&profile.text),
            context: with(&profile.context),
            tuned: average(tuned.map(normalised).collect()),
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
            carried: average(
                images()
                    .filter_map(|pooled| carried(classes, pooled))
                    .collect(),
            ),
        }
    }

    /// The cues between a post, this side, and an entity.
    fn compare(&self, entity: &Self) -> VectorCues {
        VectorCues {
            text: compare(cosine, &self.text, &entity.text),
            context: compare(cosine, &self.context, &entity.context),
            tuned: compare(cosine, &self.tuned, &entity.tuned),
            image: compare(cosine, &self.image, &entity.image),
            classes: compare(cosine, &self.classes, &entity.classes),
            image_text: compare(cosine, &self.carried, entity.texts()),
            text_image: compare(cosine, &entity.carried, &self.context),
        }
    }

    /// The means over the comparisons of a post, this side, with all entities.
    fn background(&self, Mean { side, texts }: &Mean) -> VectorCues {
        let cosines = |a: &[f32], b: &[f32]| along(b, a);
        VectorCues {
            text: compare(cosines, &self.text, &side.text),
            context: compare(cosines, &self.context, &side.context),
            tuned: compare(cosines, &self.tuned, &side.tuned),
            image: compare(cosines, &self.image, &side.image),
            classes: compare(cosines, &self.classes, &side.classes),
            image_text: compare(cosines, &self.carried, texts),
            text_image: compare(cosines, &self.context, &side.carried),
        }
    }

    /// What texts say of an entity, its name included; `None` if the name is all.
    fn texts(&self) -> &Option<Vec<f32>> {
        match &self.context {
            Some(_) => &self.text,
            None => &None,
        }
    }
}

impl Mean {
    fn of(entities: &[Side]) -> Self {
        let of = |vector: fn(&Side) -> &Option<Vec<f32>>| {
            let (mut sum, mut n) = (Vec::new(), 0.0);
            for vector in entities.iter().filter_map(|side| vector(side).as_deref()) {
                sum.resize(vector.len(), 0.0);
                let unit = normalised(vector);
                sum.iter_mut()
                    .zip(unit)
                    .for_each(|(sum, value)| *sum += value);
                n += 1.0;
            }
            (n > 0.0).then(|| sum.iter().map(|sum| sum / n).collect())
        };
        Self {
            side: Side {
                text: of(|side| &side.text),
                context: of(|side| &side.context),
                tuned: of(|side| &side.tuned),
                image: of(|side| &side.image),
                classes: of(|side| &side.classes),
                carried: of(|side| &side.carried),
            },
            texts: of(Side::texts),
        }
    }
}

/// The pictures of a post in the space of texts.
fn carried(classes: Option<&ClassTable>, post: &PooledVectors) -> Option<Vec<f32>> {
    Some(classes?.carry(post.classes.as_deref()?))
}

/// Length of the first vector along the direction of the second.
fn along(a: &[f32], b: &[f32]) -> f32 {
    let norm = dot(b, b).sqrt();
    if norm > 0.0 { dot(a, b) / norm } else { 0.0 }
}

fn compare(
    measure: fn(&[f32], &[f32]) -> f32,
    a: &Option<Vec<f32>>,
    b: &Option<Vec<f32>>,
) -> Option<f32> {
    Some(measure(a.as_ref()?, b.as_ref()?))
}

/// Square roots: the cosine of two of these is the Bhattacharyya coefficient of the distributions.
fn root(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.max(0.0).sqrt()).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Entity;
    use crate::evidence::{Evidence, Sides};
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
            ..PooledVectors::default()
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
            context: (i < 2).then(|| axis(3 - i, 4)),
            ..PooledVectors::default()
        };
        let profiles = (0..3).map(profile).collect();
        KnowledgeBase::new(text, vec![pooled(0), pooled(1)], profiles)
    }

    /// Two classes, as texts of the first two entities.
    pub(crate) fn classes() -> ClassTable {
        let texts = [vec![1.0, 0.0, 0.0, 0.5], vec![0.0, 1.0, 0.3, 0.0]];
        ClassTable::new(vec!["bird".to_owned(), "code".to_owned()], &texts)
    }

    /// A post about the second entity.
    pub(crate) fn about_the_language() -> PooledVectors {
        PooledVectors {
            text: Some(vec![0.1, 1.0, 0.0, 0.0]),
            context: Some(vec![0.0, 0.9, 0.2, 0.0]),
            image: Some(vec![0.0, 1.0, 0.0]),
            classes: Some(vec![0.2, 0.8]),
            ..PooledVectors::default()
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
    fn the_background_is_the_mean_over_all_entities_and_a_missing_picture_counts_as_much() {
        let kb = kb();
        let index = CueIndex::new(&kb, None, false);
        let post = about_the_language();
        let cues = index.observe(&kb, &query(&post, "swift"), &[0, 1, 2]);
        let images: Vec<f32> = cues.iter().filter_map(|cues| cues.vectors.image).collect();
        let background = images.iter().sum::<f32>() / images.len() as f32;
        for (cues, image) in cues.iter().zip(&images) {
            assert!((cues.observed.values()[3] - (image - background)).abs() < 1e-6);
        }
        let without = cues[2];
        assert_eq!(
            (without.vectors.image, without.vectors.classes),
            (None, None)
        );
        assert_eq!(without.observed.values()[3..5], [0.0, 0.0]);
    }

    #[test]
    fn cues_without_a_modality_are_those_of_a_post_without_it() {
        let kb = kb();
        let index = CueIndex::new(&kb, Some(classes()), false);
        let observe = |post: &PooledVectors| -> Vec<Observed> {
            let cues = index.observe(&kb, &query(post, "swift code"), &[0, 1, 2]);
            cues.iter().map(|cues| cues.observed).collect()
        };
        let whole = about_the_language();
        let without_picture = PooledVectors {
            image: None,
            classes: None,
            ..whole.clone()
        };
        let without_context = PooledVectors {
            context: None,
            ..whole.clone()
        };
        let both = Sides {
            text: true,
            image: true,
        };
        let text = Sides {
            image: false,
            ..both
        };
        let image = Sides {
            text: false,
            ..both
        };
        let kinds = |cues: &[Observed]| cues.iter().map(Observed::evidence).collect::<Vec<_>>();
        let all = observe(&whole);
        assert_eq!(
            kinds(&all),
            [Evidence::Both, Evidence::Both, Evidence::Nothing]
        );
        for (sides, post) in [(text, without_picture), (image, without_context)] {
            for (all, without) in all.iter().zip(observe(&post)) {
                let restricted = all.restricted(sides, both);
                assert_eq!(restricted.evidence(), without.evidence(), "{sides:?}");
                assert_eq!(restricted.values(), without.values(), "{sides:?}");
            }
        }
        let restricted: Vec<Observed> = all
            .iter()
            .map(|cues| cues.restricted(image, text))
            .collect();
        assert_eq!(
            kinds(&restricted)[..2],
            [Evidence::ImageText, Evidence::ImageText]
        );
        let restricted: Vec<Observed> = all
            .iter()
            .map(|cues| cues.restricted(text, image))
            .collect();
        assert_eq!(
            kinds(&restricted),
            [Evidence::TextImage, Evidence::TextImage, Evidence::Nothing]
        );
    }

    #[test]
    fn an_owner_without_its_only_post_is_left_with_its_profile() {
        let kb = kb();
        let index = CueIndex::new(&kb, None, false);
        let post = about_the_language();
        let query = query(&post, "post of 1");
        let cues = |without| index.cues(&kb, &query, &[0, 1], without);
        let (with, without) = (cues(None), cues(Some(1)));
        assert_eq!(with[0], without[0], "the others keep all their posts");
        assert_eq!(without[1].values()[3], 0.0);
        assert!(
            without[1].lexical[4] < with[1].lexical[4],
            "{without:?} {with:?}"
        );
    }

    #[test]
    fn what_the_timelines_tell_scales_the_cues() {
        let few = kb();
        let [plain, scaled] = [false, true].map(|on| CueIndex::new(&few, None, on));
        let observe = |index: &CueIndex, kb: &KnowledgeBase| {
            let post = about_the_language();
            index.observe(kb, &query(&post, "swift code"), &[0, 1])[1].observed
        };
        let same = observe(&scaled, &few) == observe(&plain, &few);
        assert!(same, "an owner of one post says nothing");

        // Texts tell the first two entities apart, and pictures do not.
        let posts = (0..8).map(|i| KbPost {
            entity: i / 4,
            ..few.text.posts[0].clone()
        });
        let text = KbText {
            posts: posts.collect(),
            ..few.text.clone()
        };
        let pooled = (0..8).map(|i| PooledVectors {
            text: few.pooled[i / 4].text.clone(),
            ..few.pooled[i % 2].clone()
        });
        let kb = KnowledgeBase::new(text, pooled.collect(), few.profiles.clone());
        let [plain, scaled] = [false, true].map(|on| {
            let observed = observe(&CueIndex::new(&kb, None, on), &kb);
            observed.vectors.text.unwrap()
        });
        assert!(scaled > 1.1 * plain, "{scaled} {plain}");
    }

    #[test]
    fn a_post_with_a_picture_alone_has_no_text_cues() {
        let kb = kb();
        let post = PooledVectors {
            text: None,
            ..about_the_language()
        };
        let index = CueIndex::new(&kb, None, false);
        let cues = index.observe(&kb, &query(&post, ""), &[0, 1, 2]);
        assert!(cues.iter().all(|cues| cues.vectors.text.is_none()));
        assert!(cues.iter().all(|cues| cues.lexical.is_none()));
        assert!(cues[1].observed.values()[3] > cues[0].observed.values()[3]);
    }
}
