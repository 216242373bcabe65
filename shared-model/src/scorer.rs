//! The training-free scorer `prototype`: cosines with an entity's prototypes, and words in common.

use serde::{Deserialize, Serialize};

use crate::data::{Candidate, Cues};
use crate::kb::{KnowledgeBase, Pooled};
use crate::lexical::{LexicalIndex, LexicalQuery};
use crate::prototype::{cosine, mean, normalised};

/// Weights of the cues. A cue that the post lacks is left out for all candidates; one that a candidate lacks counts as a stranger's would on average, so that having no picture is neither an advantage nor a fault. Adding a candidate changes no other score.
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
}

impl Default for ScorerConfig {
    fn default() -> Self {
        Self {
            text: 1.0,
            image: 1.0,
            classes: 0.5,
            lexical: 0.5,
        }
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
        let average = |vectors: Vec<Vec<f32>>| mean(vectors.iter().map(Vec::as_slice));
        let entities: Vec<EntityVectors> = (0..kb.text.entities.len())
            .map(|entity| {
                let chosen = &kb.text.prototypes[entity];
                let posts = chosen
                    .text
                    .iter()
                    .filter_map(|chosen| kb.pooled[chosen.post].text.as_ref());
                let texts = posts.chain([&kb.profiles[entity]]);
                let images = || chosen.image.iter().map(|chosen| &kb.pooled[chosen.post]);
                EntityVectors {
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
            })
            .collect();
        Self {
            config,
            lexical: LexicalIndex::new(&kb.text),
            stranger: stranger(kb, &entities),
            entities,
        }
    }

    /// Scores `candidates`, best first; equal scores keep the order given.
    ///
    /// # Arguments
    ///
    /// - mention: the surface, for the name cues.
    /// - candidates: positions in the knowledge base.
    pub fn rank(
        &self,
        kb: &KnowledgeBase,
        post: &Pooled,
        text: &str,
        mention: &str,
        candidates: &[usize],
        calibration: Option<&Calibration>,
    ) -> (Vec<Candidate>, Option<f32>) {
        let stranger = Cues {
            image: post.image.as_ref().and(self.stranger.image),
            classes: post.classes.as_ref().and(self.stranger.classes),
            ..Cues::default()
        };
        let query = Query {
            text: post
                .text
                .as_ref()
                .map(|text| kb.statistics.centre_text(text)),
            image: post
                .image
                .as_ref()
                .map(|image| kb.statistics.centre_image(image)),
            classes: post.classes.as_deref().map(root),
            lexical: (!text.is_empty()).then(|| self.lexical.query(text, mention)),
        };
        let mut ranked: Vec<Candidate> = candidates
            .iter()
            .map(|&entity| {
                let cues = self.cues(&query, entity);
                Candidate {
                    entity: kb.text.entities[entity].id.clone(),
                    score: self.config.combine(&cues, &stranger),
                    probability: 0.0,
                    cues,
                }
            })
            .collect();
        ranked.sort_by(|a, b| b.score.total_cmp(&a.score));
        let nil = fill_probabilities(&mut ranked, calibration);
        (ranked, nil)
    }

    fn cues(&self, query: &Query, entity: usize) -> Cues {
        let vectors = &self.entities[entity];
        Cues {
            text: compare(&query.text, &vectors.text),
            image: compare(&query.image, &vectors.image),
            classes: compare(&query.classes, &vectors.classes),
            lexical: query
                .lexical
                .as_ref()
                .map(|query| self.lexical.score(query, entity)),
        }
    }
}

impl ScorerConfig {
    /// `stranger` stands in for what the candidate lacks, and lacks what the post lacks.
    fn combine(&self, cues: &Cues, stranger: &Cues) -> f32 {
        let weighted = [
            (self.text, cues.text),
            (self.image, cues.image.or(stranger.image)),
            (self.classes, cues.classes.or(stranger.classes)),
            (self.lexical, cues.lexical),
        ];
        let present = weighted
            .iter()
            .filter_map(|&(weight, cue)| Some((weight, cue?)));
        let (sum, weights) = present.fold((0.0, 0.0), |(sum, weights), (weight, cue)| {
            (sum + weight * cue, weights + weight)
        });
        if weights > 0.0 { sum / weights } else { 0.0 }
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
        };
        let text = KbText {
            entities: vec![entity("bird"), entity("language"), entity("singer")],
            posts: vec![post(0), post(1)],
            prototypes: Vec::new(),
            k: 10,
            selection: Selection::Pagerank,
        };
        let profiles = (0..3).map(|i| axis(i, 4)).collect();
        KnowledgeBase::new(text, vec![pooled(0), pooled(1)], profiles)
    }

    fn rank(
        post: &Pooled,
        text: &str,
        candidates: &[usize],
        calibration: Option<&Calibration>,
    ) -> (Vec<Candidate>, Option<f32>) {
        let kb = kb();
        PrototypeScorer::new(ScorerConfig::default(), &kb).rank(
            &kb,
            post,
            text,
            "swift",
            candidates,
            calibration,
        )
    }

    fn about_the_language() -> Pooled {
        Pooled {
            text: Some(vec![0.1, 1.0, 0.0, 0.0]),
            image: Some(vec![0.0, 1.0, 0.0]),
            classes: Some(vec![0.2, 0.8]),
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
        let (ranked, _) = scorer.rank(&kb, &about_the_language(), "swift", "swift", &[2], None);
        let mut cues = ranked[0].cues;
        (cues.image, cues.classes) = (stranger.image, stranger.classes);
        assert_eq!(
            ranked[0].score,
            scorer.config.combine(&cues, &Cues::default())
        );
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
