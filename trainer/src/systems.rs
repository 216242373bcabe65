//! What ranks a mention's candidates: the run's scorer, and the baselines that stand beside it in every table.

use std::collections::HashMap;

use anyhow::Context as _;
use shared_model::data::{Post, Ranking};
use shared_model::linker::{Linker, Reading};
use shared_model::names::{NameQuery, Names};

use crate::dataset::Dataset;
use crate::mentions::EncodedMention;
use crate::place::Place;

/// Rows that every table has; whatever else is in a file of outcomes is the model's.
pub(crate) const BASELINES: [&str; 3] = ["prototype", "popularity", "name-only"];

/// What can rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum System {
    /// The run's scorer.
    Model,
    /// The run's training-free scorer alone, where a network stands beside it.
    Prototype,
    /// How often train has a candidate as its gold.
    Popularity,
    /// The names alone.
    NameOnly,
}

/// The systems with what they need.
pub(crate) struct Systems<'a> {
    linker: &'a Linker,
    names: Names,
    popularity: Vec<f32>,
}

/// A system's answer before it is judged.
pub(crate) struct Answered {
    /// Where the gold stands.
    pub(crate) place: Place,
    /// The best candidate's probability, of a system that has probabilities.
    pub(crate) confidence: Option<f64>,
    /// Whether NIL is likelier than every candidate; `None` where NIL is not calibrated.
    pub(crate) is_nil: Option<bool>,
}

impl<'a> Systems<'a> {
    /// Counts how often train has each entity.
    pub(crate) fn new(linker: &'a Linker, dataset: &Dataset, train: &[Post]) -> Self {
        let mut counts: HashMap<&str, f32> = HashMap::new();
        for id in train.iter().filter_map(|post| post.entity.as_deref()) {
            *counts.entry(id).or_default() += 1.0;
        }
        let count = |id: &str| counts.get(id).copied().unwrap_or_default();
        Self {
            linker,
            names: Names::of(&dataset.entities),
            popularity: dataset
                .entities
                .iter()
                .map(|entity| count(&entity.id))
                .collect(),
        }
    }

    /// Each with the name of its row, the run's own first.
    pub(crate) fn list(&self) -> Vec<(&'static str, System)> {
        let mut list = match &self.linker.imn {
            Some(_) if !self.linker.scorer.is_zero() => {
                vec![("imn", System::Model), ("prototype", System::Prototype)]
            }
            Some(_) => vec![("imn", System::Model)],
            None => vec![("prototype", System::Model)],
        };
        list.extend([
            ("popularity", System::Popularity),
            ("name-only", System::NameOnly),
        ]);
        list
    }

    /// Ranks a mention's candidates.
    ///
    /// # Errors
    ///
    /// Of a post that cannot be ranked, and of a score that is not finite.
    pub(crate) fn answer(
        &self,
        system: System,
        mention: &EncodedMention,
        reading: &Reading,
    ) -> anyhow::Result<Answered> {
        let baseline = |scores: Vec<f32>| {
            let gold = mention.post.entity.as_deref();
            let entities = &self.linker.kb.text.entities;
            let is_gold = |candidate: usize| Some(entities[candidate].id.as_str()) == gold;
            Answered {
                place: Place::of(
                    &scores,
                    mention.candidates.iter().copied().position(is_gold),
                ),
                confidence: None,
                is_nil: None,
            }
        };
        let scores = |score: &dyn Fn(usize) -> f32| -> Vec<f32> {
            let candidates = mention.candidates.iter();
            candidates.map(|&candidate| score(candidate)).collect()
        };
        Ok(match system {
            System::Model => {
                let ranking = self.rank(mention, reading)?;
                Answered::of(&ranking, mention.post.entity.as_deref())
            }
            System::Prototype => {
                let reading = Reading {
                    pooled: reading.pooled.clone(),
                    imn: None,
                };
                let ranking = self.rank(mention, &reading)?;
                Answered {
                    // The temperature was fitted for the score with the network.
                    confidence: None,
                    is_nil: None,
                    ..Answered::of(&ranking, mention.post.entity.as_deref())
                }
            }
            System::Popularity => baseline(scores(&|entity| self.popularity[entity])),
            System::NameOnly => {
                let query = NameQuery::of(mention.surface);
                baseline(scores(&|entity| self.names.score(&query, entity)))
            }
        })
    }

    fn rank(&self, mention: &EncodedMention, reading: &Reading) -> anyhow::Result<Ranking> {
        let post = mention.post;
        self.linker
            .rank(reading, &post.text, mention.mention, &mention.candidates)
            .with_context(|| format!("{:?}", post.id))
    }
}

impl Answered {
    fn of(ranking: &Ranking, gold: Option<&str>) -> Self {
        let candidates = &ranking.candidates;
        let scores: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        let gold = candidates
            .iter()
            .position(|candidate| Some(candidate.entity.as_str()) == gold);
        let best = candidates.first().map_or(0.0, |best| best.probability);
        Self {
            place: Place::of(&scores, gold),
            confidence: Some(f64::from(best)),
            is_nil: ranking.nil_probability.map(|nil| nil > best),
        }
    }
}
