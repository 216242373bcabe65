//! From scores to probabilities.

use serde::{Deserialize, Serialize};

use crate::data::{Candidate, Entity};
use crate::hash::sha256;

/// Temperature and NIL logit, fitted on validation data under one candidate policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// The candidate policy that it was fitted under.
    pub policy: String,
    /// Divides the scores before the softmax.
    pub temperature: f32,
    /// One more logit; `None` where no NIL data was seen.
    pub nil_logit: Option<f32>,
    /// SHA-256 of the ids of the entities that posts without an entity were compared with, see [`Self::fingerprint`]; `None` in earlier runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entities: Option<String>,
    /// What it costs to call everything NIL whose probability of NIL is at least some threshold; empty in earlier runs and without NIL.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<Refusal>,
}

/// What a threshold of the probability of NIL costs, on the mentions that the calibration was fitted on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Refusal {
    /// The probability from which on a mention is called NIL.
    pub threshold: f32,
    /// Share of the NIL mentions that are called so.
    pub found: f32,
    /// Share of the other mentions that are called so.
    pub refused: f32,
}

impl Calibration {
    /// Temperature before anything is fitted; probabilities are then no more than a reading aid.
    pub const UNCALIBRATED_TEMPERATURE: f32 = 0.03;

    /// The calibration beside a knowledge base: without NIL if it was fitted beside another one.
    ///
    /// How high the best score of a post is that means none of the candidates depends on which entities there are.
    #[must_use]
    pub fn beside(mut self, entities: &[Entity]) -> Self {
        let is_other = |known: &String| *known != Self::fingerprint(entities);
        if self.entities.as_ref().is_some_and(is_other) {
            self.nil_logit = None;
            self.refusals.clear();
        }
        self
    }

    /// SHA-256 of the ids of all entities, sorted.
    pub fn fingerprint(entities: &[Entity]) -> String {
        let mut ids: Vec<&str> = entities.iter().map(|entity| entity.id.as_str()).collect();
        ids.sort_unstable();
        sha256(ids.join("\n").as_bytes())
    }
}

/// Sorts `candidates` by descending score (stable), fills their probabilities with the softmax over the scores divided by the temperature and the NIL logit, and returns the probability of NIL.
pub(crate) fn rank_with_probabilities(
    candidates: &mut [Candidate],
    calibration: Option<&Calibration>,
) -> Option<f32> {
    candidates.sort_by(|a, b| b.score.total_cmp(&a.score));
    let temperature = calibration.map_or(Calibration::UNCALIBRATED_TEMPERATURE, |calibration| {
        calibration.temperature
    });
    let nil = calibration.and_then(|calibration| calibration.nil_logit);
    let logits = candidates
        .iter()
        .map(|candidate| candidate.score / temperature);
    let highest = logits.chain(nil).fold(f32::NEG_INFINITY, f32::max);
    let nil = nil.map(|logit| (logit - highest).exp());
    for candidate in candidates.iter_mut() {
        candidate.probability = (candidate.score / temperature - highest).exp();
    }
    let total: f32 = candidates
        .iter()
        .map(|candidate| candidate.probability)
        .sum::<f32>()
        + nil.unwrap_or_default();
    candidates
        .iter_mut()
        .for_each(|candidate| candidate.probability /= total);
    nil.map(|nil| nil / total)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Cues, Parts};

    fn candidates(scores: &[f32]) -> Vec<Candidate> {
        let scores = scores.iter().enumerate();
        scores
            .map(|(i, &score)| Candidate {
                entity: i.to_string(),
                score,
                probability: 0.0,
                cues: Cues::default(),
                parts: Parts::default(),
            })
            .collect()
    }

    fn calibration() -> Calibration {
        Calibration {
            policy: "given".to_owned(),
            temperature: 0.1,
            nil_logit: Some(5.0),
            entities: None,
            refusals: Vec::new(),
        }
    }

    #[test]
    fn equal_scores_keep_their_order_and_probabilities_sum_to_one() {
        let mut ranked = candidates(&[0.1, 0.4, 0.1, 0.4]);
        assert_eq!(rank_with_probabilities(&mut ranked, None), None);
        let order: Vec<&str> = ranked.iter().map(|c| c.entity.as_str()).collect();
        assert_eq!(order, ["1", "3", "0", "2"]);
        let total: f32 = ranked.iter().map(|c| c.probability).sum();
        assert!((total - 1.0).abs() < 1e-6);
    }

    #[test]
    fn nil_is_left_out_beside_another_knowledge_base() {
        let entities = |ids: &[&str]| -> Vec<Entity> {
            let entity = |id: &&str| Entity {
                id: (*id).to_owned(),
                name: String::new(),
                aliases: Vec::new(),
                description: String::new(),
            };
            ids.iter().map(entity).collect()
        };
        let fitted = Calibration {
            entities: Some(Calibration::fingerprint(&entities(&["a", "b"]))),
            ..calibration()
        };
        assert_eq!(fitted.clone().beside(&entities(&["b", "a"])), fitted);
        assert_eq!(fitted.beside(&entities(&["a", "c"])).nil_logit, None);
        assert_eq!(calibration().beside(&entities(&["c"])), calibration());
    }

    #[test]
    fn the_nil_logit_is_one_more_candidate() {
        let mut ranked = candidates(&[0.3, 0.5]);
        let nil = rank_with_probabilities(&mut ranked, Some(&calibration())).unwrap();
        let total: f32 = ranked.iter().map(|c| c.probability).sum();
        assert!((total + nil - 1.0).abs() < 1e-6);
        // 0.5 / 0.1 equals the NIL logit.
        assert!((nil - ranked[0].probability).abs() < 1e-6);
        assert_eq!(
            rank_with_probabilities(&mut [], Some(&calibration())),
            Some(1.0)
        );
    }

    #[test]
    fn adding_a_candidate_leaves_the_odds_of_nil_and_the_others() {
        let odds = |scores: &[f32]| {
            let mut ranked = candidates(scores);
            let nil = rank_with_probabilities(&mut ranked, Some(&calibration())).unwrap();
            let first = ranked.iter().find(|c| c.entity == "0").unwrap();
            first.probability / nil
        };
        let alone = odds(&[0.45]);
        for others in [&[0.45, 0.1][..], &[0.45, 0.9], &[0.45, 0.45, -1.0]] {
            assert!((odds(others) - alone).abs() < 1e-5, "{others:?}");
        }
    }
}
