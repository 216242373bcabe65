//! The training-free scorer `prototype`: cosines with an entity's prototypes, and words in common.

use serde::{Deserialize, Serialize};

use crate::data::{Candidate, Cues};
use crate::kb::{KnowledgeBase, Pooled};
use crate::lexical::{LexicalCues, LexicalIndex, LexicalQuery};
use crate::prototype::{Chosen, cosine, mean, normalised};

/// Weights of the cues. A cue that the post lacks counts nothing for any candidate; one that a candidate lacks counts as a stranger's would on average, so that having no picture is neither an advantage nor a fault. Adding a candidate changes no other score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScorerConfig {
    /// Of the texts' cosine.
    pub text: f32,
    /// Of the images' cosine.
    pub image: f32,
    /// Of the class probabilities' cosine.
    pub classes: f32,
    /// Of the shared names and words.
    pub lexical: f32,
    /// What each of them weighs in `lexical`; they sum to 1.
    #[serde(default = "equal_parts")]
    pub lexical_parts: LexicalCues,
}

fn equal_parts() -> LexicalCues {
    [1.0 / 6.0; 6]
}

impl Default for ScorerConfig {
    fn default() -> Self {
        Self {
            text: 1.0,
            image: 1.0,
            classes: 0.5,
            lexical: 0.5,
            lexical_parts: equal_parts(),
        }
    }
}

/// Every cue that the scorer weighs: text, image, classes, then [`LexicalCues`].
pub type AllCues = [f32; 9];

impl ScorerConfig {
    /// The config whose score ranks as the sum of `weights` times cues does.
    pub fn of_weights([text, image, classes, parts @ ..]: AllCues) -> Self {
        let lexical: f32 = parts.iter().sum();
        Self {
            text,
            image,
            classes,
            lexical,
            lexical_parts: if lexical > 0.0 {
                parts.map(|part| part / lexical)
            } else {
                equal_parts()
            },
        }
    }

    /// The weighted mean of all cues; the weight of a cue that the post lacks stays in the divisor, so that less evidence gives smaller differences.
    pub fn score(&self, [text, image, classes, lexical @ ..]: &AllCues) -> f32 {
        let total = self.text + self.image + self.classes + self.lexical;
        if total > 0.0 {
            let sum = self.text * text
                + self.image * image
                + self.classes * classes
                + self.lexical * self.lexical(lexical);
            sum / total
        } else {
            0.0
        }
    }

    fn lexical(&self, cues: &LexicalCues) -> f32 {
        cues.iter()
            .zip(self.lexical_parts)
            .map(|(cue, part)| cue * part)
            .sum()
    }
}

/// Temperature and NIL logit, fitted on validation data under one candidate policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The candidate policy it was fitted under.
    pub policy: String,
    /// Divides the scores before the softmax.
    pub temperature: f32,
    /// One more logit; `None` where no NIL data was seen.
    pub nil_logit: Option<f32>,
}

impl Calibration {
    /// Before anything is fitted, probabilities are a plain reading aid at this temperature.
    pub const UNCALIBRATED_TEMPERATURE: f32 = 0.05;
}

/// The scorer with what it needs of a knowledge base, computed once.
#[derive(Debug, Clone)]
pub struct PrototypeScorer {
    config: ScorerConfig,
    lexical: LexicalIndex,
    entities: Vec<EntityVectors>,
    stranger: Cues,
}

/// Mean of the normalised prototype vectors, a modality each.
#[derive(Debug, Clone)]
struct EntityVectors {
    text: Option<Vec<f32>>,
    image: Option<Vec<f32>>,
    classes: Option<Vec<f32>>,
}

impl PrototypeScorer {
    /// Averages the prototypes of all entities.
    pub fn new(config: ScorerConfig, kb: &KnowledgeBase) -> Self {
        let entities: Vec<EntityVectors> = (0..kb.text.entities.len())
            .map(|entity| EntityVectors::of(kb, entity, None))
            .collect();
        Self {
            config,
            lexical: LexicalIndex::new(&kb.text),
            stranger: stranger(kb, &entities),
            entities,
        }
    }

    /// Whether any cue has a weight.
    pub fn has_cues(&self) -> bool {
        let ScorerConfig {
            text,
            image,
            classes,
            lexical,
            ..
        } = self.config;
        text + image + classes + lexical > 0.0
    }

    /// Scores `candidates`, in the order given; probabilities are still 0.
    ///
    /// # Arguments
    ///
    /// - mention: the surface, for the name cues.
    /// - candidates: positions in the knowledge base.
    pub fn score(
        &self,
        kb: &KnowledgeBase,
        post: &Pooled,
        text: &str,
        mention: &str,
        candidates: &[usize],
    ) -> Vec<Candidate> {
        let query = self.query(kb, post, text, mention);
        let stranger = self.stranger_of(&query);
        candidates
            .iter()
            .map(|&entity| {
                let evidence = self.evidence(&query, entity);
                Candidate {
                    entity: kb.text.entities[entity].id.clone(),
                    score: self.config.score(&evidence.complete(&stranger)),
                    probability: 0.0,
                    cues: Cues {
                        text: evidence.text,
                        image: evidence.image,
                        classes: evidence.classes,
                        lexical: evidence.lexical.map(|cues| self.config.lexical(&cues)),
                        imn: None,
                    },
                }
            })
            .collect()
    }

    /// Every cue of every candidate, for fitting the weights: what the post lacks is 0 for all, what a candidate lacks is a stranger's.
    ///
    /// # Arguments
    ///
    /// - without: the post of the knowledge base that the mention's own row stands in; its owner is compared without it.
    pub fn all_cues(
        &self,
        kb: &KnowledgeBase,
        post: &Pooled,
        text: &str,
        mention: &str,
        candidates: &[usize],
        without: Option<usize>,
    ) -> Vec<AllCues> {
        let query = self.query(kb, post, text, mention);
        let stranger = self.stranger_of(&query);
        let owner = without.map(|post| kb.text.posts[post].entity);
        candidates
            .iter()
            .map(|&entity| {
                let evidence = if Some(entity) == owner {
                    self.evidence_without(kb, &query, entity, without)
                } else {
                    self.evidence(&query, entity)
                };
                evidence.complete(&stranger)
            })
            .collect()
    }

    fn query(&self, kb: &KnowledgeBase, post: &Pooled, text: &str, mention: &str) -> Query {
        let statistics = &kb.statistics;
        Query {
            text: post.text.as_ref().map(|text| statistics.centre_text(text)),
            image: post
                .image
                .as_ref()
                .map(|image| statistics.centre_image(image)),
            classes: post.classes.as_deref().map(root),
            lexical: (!text.is_empty()).then(|| self.lexical.query(text, mention)),
        }
    }

    /// What stands for a cue that a candidate lacks; nothing, where the post lacks it.
    fn stranger_of(&self, query: &Query) -> Cues {
        Cues {
            image: query.image.as_ref().and(self.stranger.image),
            classes: query.classes.as_ref().and(self.stranger.classes),
            ..Cues::default()
        }
    }

    fn evidence(&self, query: &Query, entity: usize) -> Evidence {
        let lexical = query.lexical.as_ref();
        Evidence::of(
            query,
            &self.entities[entity],
            lexical.map(|query| self.lexical.cues(query, entity)),
        )
    }

    /// As [`Self::evidence`], as if the entity had never written the post `without`.
    fn evidence_without(
        &self,
        kb: &KnowledgeBase,
        query: &Query,
        entity: usize,
        without: Option<usize>,
    ) -> Evidence {
        let timeline = kb.text.posts.iter().enumerate();
        let others = timeline
            .filter(|(position, post)| post.entity == entity && Some(*position) != without)
            .map(|(_, post)| post.text.as_str());
        let document = self
            .lexical
            .document(&kb.text.entities[entity].profile(), others);
        let lexical = query.lexical.as_ref();
        Evidence::of(
            query,
            &EntityVectors::of(kb, entity, without),
            lexical.map(|query| self.lexical.cues_with(query, entity, &document)),
        )
    }
}

impl EntityVectors {
    /// Averages the prototypes of an entity, leaving out one post.
    fn of(kb: &KnowledgeBase, entity: usize, without: Option<usize>) -> Self {
        let average = |vectors: Vec<Vec<f32>>| mean(vectors.iter().map(Vec::as_slice));
        let pooled =
            |chosen: &'_ Chosen| (Some(chosen.post) != without).then(|| &kb.pooled[chosen.post]);
        let chosen = &kb.text.prototypes[entity];
        let posts = chosen
            .text
            .iter()
            .filter_map(|chosen| pooled(chosen)?.text.as_ref());
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

/// What speaks for a candidate before it is weighed; `None` where post or candidate lacks the modality.
struct Evidence {
    text: Option<f32>,
    image: Option<f32>,
    classes: Option<f32>,
    lexical: Option<LexicalCues>,
}

impl Evidence {
    fn of(query: &Query, entity: &EntityVectors, lexical: Option<LexicalCues>) -> Self {
        Self {
            text: compare(&query.text, &entity.text),
            image: compare(&query.image, &entity.image),
            classes: compare(&query.classes, &entity.classes),
            lexical,
        }
    }

    /// What the candidate lacks is a stranger's; what the post lacks is 0 for all candidates.
    fn complete(&self, stranger: &Cues) -> AllCues {
        let [text, image, classes] = [
            self.text,
            self.image.or(stranger.image),
            self.classes.or(stranger.classes),
        ]
        .map(Option::unwrap_or_default);
        let [a, b, c, d, e, f] = self.lexical.unwrap_or_default();
        [text, image, classes, a, b, c, d, e, f]
    }
}

/// Pairs that [`stranger`] looks at, at most.
const MAX_PAIRS: usize = 100_000;

/// The mean image and class cosines between a post and the entities that do not own it.
fn stranger(kb: &KnowledgeBase, entities: &[EntityVectors]) -> Cues {
    let pictured: Vec<(usize, &EntityVectors)> = entities
        .iter()
        .enumerate()
        .filter(|(_, entity)| entity.image.is_some())
        .collect();
    let posts: Vec<usize> = (0..kb.pooled.len())
        .filter(|&post| kb.pooled[post].image.is_some())
        .collect();
    let step = (posts.len() * pictured.len()).div_ceil(MAX_PAIRS).max(1);
    let (mut image, mut classes, mut n) = (0.0, 0.0, 0.0);
    for &post in posts.iter().step_by(step) {
        let query = kb.pooled[post]
            .image
            .as_ref()
            .map(|image| kb.statistics.centre_image(image));
        let roots = kb.pooled[post].classes.as_deref().map(root);
        for (position, entity) in &pictured {
            if *position != kb.text.posts[post].entity {
                image += compare(&query, &entity.image).unwrap_or_default();
                classes += compare(&roots, &entity.classes).unwrap_or_default();
                n += 1.0;
            }
        }
    }
    let average = |sum: f32| (n > 0.0).then(|| sum / n);
    Cues {
        image: average(image),
        classes: average(classes),
        ..Cues::default()
    }
}

fn compare(a: &Option<Vec<f32>>, b: &Option<Vec<f32>>) -> Option<f32> {
    Some(cosine(a.as_ref()?, b.as_ref()?))
}

/// The post's side of the cosines.
struct Query {
    text: Option<Vec<f32>>,
    image: Option<Vec<f32>>,
    classes: Option<Vec<f32>>,
    lexical: Option<LexicalQuery>,
}

/// Square roots: the cosine of two of these is the Bhattacharyya coefficient of the distributions.
fn root(probabilities: &[f32]) -> Vec<f32> {
    probabilities.iter().map(|p| p.max(0.0).sqrt()).collect()
}

/// Candidates best first, equal scores in the order given, with their probabilities; and NIL's.
pub(crate) fn settle(
    mut candidates: Vec<Candidate>,
    calibration: Option<&Calibration>,
) -> (Vec<Candidate>, Option<f32>) {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let nil = fill_probabilities(&mut candidates, calibration);
    (candidates, nil)
}

/// Softmax over the scores and the NIL logit; returns NIL's share.
fn fill_probabilities(ranked: &mut [Candidate], calibration: Option<&Calibration>) -> Option<f32> {
    let temperature = calibration.map_or(Calibration::UNCALIBRATED_TEMPERATURE, |calibration| {
        calibration.temperature
    });
    let nil = calibration.and_then(|calibration| calibration.nil_logit);
    let logits = ranked.iter().map(|candidate| candidate.score / temperature);
    let highest = logits.chain(nil).fold(f32::NEG_INFINITY, f32::max);
    let nil = nil.map(|logit| (logit - highest).exp());
    for candidate in ranked.iter_mut() {
        candidate.probability = (candidate.score / temperature - highest).exp();
    }
    let total: f32 = ranked
        .iter()
        .map(|candidate| candidate.probability)
        .sum::<f32>()
        + nil.unwrap_or_default();
    ranked
        .iter_mut()
        .for_each(|candidate| candidate.probability /= total);
    nil.map(|nil| nil / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Entity;
    use crate::kb::{KbPost, KbText};
    use crate::prototype::Selection;

    /// Three entities: texts and images along one axis each; the last has a profile only.
    fn kb() -> KnowledgeBase {
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
        let pooled = |i| Pooled {
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
        let profile = |i| Pooled {
            text: Some(axis(i, 4)),
            ..Pooled::default()
        };
        let profiles = (0..3).map(profile).collect();
        KnowledgeBase::new(text, vec![pooled(0), pooled(1)], profiles)
    }

    fn rank(
        post: &Pooled,
        text: &str,
        candidates: &[usize],
        calibration: Option<&Calibration>,
    ) -> (Vec<Candidate>, Option<f32>) {
        let kb = kb();
        let scorer = PrototypeScorer::new(ScorerConfig::default(), &kb);
        settle(
            scorer.score(&kb, post, text, "swift", candidates),
            calibration,
        )
    }

    fn about_the_language() -> Pooled {
        Pooled {
            text: Some(vec![0.1, 1.0, 0.0, 0.0]),
            image: Some(vec![0.0, 1.0, 0.0]),
            classes: Some(vec![0.2, 0.8]),
            joint: None,
        }
    }

    #[test]
    fn the_nearest_prototypes_win_and_probabilities_sum_to_one() {
        let (ranked, nil) = rank(&about_the_language(), "swift", &[0, 1, 2], None);
        assert_eq!(ranked[0].entity, "language");
        assert_eq!(nil, None);
        assert!((ranked.iter().map(|c| c.probability).sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(
            ranked
                .iter()
                .find(|c| c.entity == "singer")
                .unwrap()
                .cues
                .image,
            None
        );
    }

    #[test]
    fn a_candidate_without_a_picture_scores_as_with_a_strangers() {
        let kb = kb();
        let scorer = PrototypeScorer::new(ScorerConfig::default(), &kb);
        let stranger = scorer.stranger;
        assert!(
            stranger.image.is_some_and(|image| image < 0.0),
            "{stranger:?}"
        );
        let ranked = scorer.score(&kb, &about_the_language(), "swift", "swift", &[2]);
        let Cues { text, lexical, .. } = ranked[0].cues;
        let expected = text.unwrap()
            + stranger.image.unwrap()
            + 0.5 * stranger.classes.unwrap()
            + 0.5 * lexical.unwrap();
        assert!((ranked[0].score - expected / 3.0).abs() < 1e-6);
        assert_eq!(ranked[0].cues.image, None);
    }

    #[test]
    fn permuting_or_adding_candidates_changes_no_score() {
        let post = about_the_language();
        let (all, _) = rank(&post, "swift", &[0, 1, 2], None);
        let (permuted, _) = rank(&post, "swift", &[2, 0, 1], None);
        let (fewer, _) = rank(&post, "swift", &[1, 0], None);
        let score =
            |ranked: &[Candidate], id: &str| ranked.iter().find(|c| c.entity == id).unwrap().score;
        for id in ["bird", "language", "singer"] {
            assert_eq!(score(&all, id), score(&permuted, id));
        }
        for id in ["bird", "language"] {
            assert_eq!(score(&all, id), score(&fewer, id));
        }
    }

    #[test]
    fn weights_of_all_cues_rank_as_their_sum() {
        let kb = kb();
        let weights = [0.5, 1.0, 0.25, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0];
        let scorer = PrototypeScorer::new(ScorerConfig::of_weights(weights), &kb);
        let post = about_the_language();
        let text = "a post of swift 1";
        let total: f32 = weights.iter().sum();
        let all = scorer.all_cues(&kb, &post, text, "swift", &[0, 1, 2], None);
        let ranked = scorer.score(&kb, &post, text, "swift", &[0, 1, 2]);
        for (cues, id) in all.iter().zip(["bird", "language", "singer"]) {
            let sum: f32 = cues.iter().zip(weights).map(|(cue, w)| cue * w).sum();
            let score = ranked.iter().find(|c| c.entity == id).unwrap().score;
            assert!((sum / total - score).abs() < 1e-6, "{id}: {sum} {score}");
        }
    }

    #[test]
    fn an_owner_without_its_only_post_is_left_with_its_profile() {
        let kb = kb();
        let scorer = PrototypeScorer::new(ScorerConfig::default(), &kb);
        let cues = |without| {
            let post = about_the_language();
            scorer.all_cues(&kb, &post, "post of 1", "swift", &[0, 1], without)
        };
        let (with, without) = (cues(None), cues(Some(1)));
        assert_eq!(with[0], without[0], "the others keep all their posts");
        assert_eq!(without[1][1], scorer.stranger.image.unwrap());
        assert!(without[1][7] < with[1][7], "{without:?} {with:?}");
    }

    #[test]
    fn a_nil_logit_is_one_more_candidate() {
        let calibration = Calibration {
            policy: "given".to_owned(),
            temperature: 0.1,
            nil_logit: Some(5.0),
        };
        let (ranked, nil) = rank(&about_the_language(), "swift", &[0, 1], Some(&calibration));
        let total: f32 = ranked.iter().map(|c| c.probability).sum();
        assert!((total + nil.unwrap() - 1.0).abs() < 1e-6);
        let (none, nil) = rank(&about_the_language(), "swift", &[], Some(&calibration));
        assert!(none.is_empty());
        assert_eq!(nil, Some(1.0));
    }

    #[test]
    fn a_post_with_a_picture_alone_is_scored_by_the_picture_alone() {
        let post = Pooled {
            text: None,
            ..about_the_language()
        };
        let (ranked, _) = rank(&post, "", &[0, 1, 2], None);
        assert_eq!(ranked[0].entity, "language");
        assert_eq!(ranked[0].cues.text, None);
        assert_eq!(ranked[0].cues.lexical, None);
        assert!(ranked.iter().all(|candidate| candidate.score.is_finite()));
    }
}
