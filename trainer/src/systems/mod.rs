//! Systems that rank a mention's candidates, behind one trait: evaluation, audit and experiments know them by their names only.
//!
//! Another learned system is a module here, an arm of [`LearnedSystem`], and a training stage.

mod baseline;
mod extra_trees;
mod imn;
mod name_only;
mod popularity;
mod prototype;
mod published;

use std::collections::HashMap;

use anyhow::Context as _;
use shared_model::data::Post;
use shared_model::evidence::Conditions;
use shared_model::linker::{Linker, Query, Reading};
use shared_model::names::Names;

use baseline::Baseline;
use extra_trees::ExtraTrees;
pub(crate) use popularity::ByEntity;

use crate::dataset::Dataset;
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::run::LearnedSystem;

/// A system that ranks the candidates of mentions.
pub(crate) trait System {
    /// The name of the system's row in tables.
    fn name(&self) -> &'static str;

    /// Which features of the mentions the system reads.
    fn needs(&self) -> FeatureLevel;

    /// Scores the candidates of each mention.
    ///
    /// # Errors
    ///
    /// If a mention cannot be ranked, or if a score is not finite.
    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>>;
}

/// How a system scores the candidates of one mention.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scores {
    /// One score per candidate, in the order of the mention's list; higher is better.
    pub(crate) values: Vec<f32>,
    /// `None` for a system that does not estimate probabilities.
    pub(crate) probabilities: Option<Probabilities>,
}

/// The probabilities that an evaluation compares with the outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Probabilities {
    /// Probability of the best candidate; 0 without candidates.
    pub(crate) best: f32,
    /// Probability that the mention means none of the candidates; `None` if NIL is not calibrated.
    pub(crate) nil: Option<f32>,
}

impl From<Vec<f32>> for Scores {
    fn from(values: Vec<f32>) -> Self {
        Self {
            values,
            probabilities: None,
        }
    }
}

impl Probabilities {
    /// Whether NIL is likelier than every candidate; `None` if NIL is not calibrated.
    pub(crate) fn is_nil(self) -> Option<bool> {
        self.nil.map(|nil| nil > self.best)
    }
}

impl Scores {
    /// Ranks a mention, and brings the ranking back into the order of its candidates.
    fn of_linker(
        linker: &Linker,
        mention: &EncodedMention,
        reading: &Reading,
    ) -> anyhow::Result<Self> {
        let post = mention.post;
        let query = Query {
            text: &post.text,
            mention: mention.mention,
            pictures: &[],
            candidates: &mention.candidates,
            conditions: Conditions::default(),
        };
        let ranking = linker.rank(reading, &query);
        let ranking = ranking.with_context(|| format!("{:?}", post.id))?;
        let by_id: HashMap<&str, f32> = ranking
            .candidates
            .iter()
            .map(|candidate| (candidate.entity.as_str(), candidate.score))
            .collect();
        let entities = &linker.kb.text.entities;
        let candidates = mention.candidates.iter();
        Ok(Self {
            values: candidates
                .map(|&candidate| by_id[entities[candidate].id.as_str()])
                .collect(),
            probabilities: Some(Probabilities {
                best: ranking
                    .candidates
                    .first()
                    .map_or(0.0, |best| best.probability),
                nil: ranking.nil_probability,
            }),
        })
    }
}

/// Names of the systems that need no training, which every evaluation adds.
pub(crate) const UNTRAINED: [&str; 3] = ["prototype", "popularity", "name-only"];

/// The systems that rank by a dataset alone, without encoders.
pub(crate) fn without_encoders(dataset: &Dataset, train: &[Post]) -> Vec<Box<dyn System>> {
    vec![
        Box::new(popularity(dataset, train)),
        Box::new(name_only::NameOnly(Names::of(&dataset.entities))),
    ]
}

fn popularity(dataset: &Dataset, train: &[Post]) -> ByEntity {
    let golds = train.iter().filter_map(|post| post.entity.as_deref());
    ByEntity::counting("popularity", &dataset.entities, golds)
}

/// All systems of a run: the trained ones, the training-free scorer, and those without encoders. The first is the run's own.
pub(crate) fn of_run<'a>(
    learned: &[LearnedSystem],
    linker: &'a Linker,
    dataset: &Dataset,
    train: &[Post],
) -> anyhow::Result<Vec<Box<dyn System + 'a>>> {
    let mut systems: Vec<Box<dyn System + 'a>> = Vec::new();
    for system in learned {
        match system {
            LearnedSystem::Imn(_) => systems.push(Box::new(imn::Imn(linker))),
            LearnedSystem::Baseline(trained) => {
                systems.extend(published::rows(Baseline::load(trained, linker)?));
            }
            LearnedSystem::ExtraTrees(trained) => {
                let popularity = popularity(dataset, train);
                systems.extend(published::rows(ExtraTrees::load(
                    trained, linker, popularity,
                )?));
            }
        }
    }
    if learned.is_empty() || !linker.scorer.is_zero() {
        systems.push(Box::new(prototype::Prototype(linker)));
    }
    systems.extend(without_encoders(dataset, train));
    Ok(systems)
}
