//! ET: alone, as published, and beside the training-free score.

use std::collections::HashMap;
use std::rc::Rc;

use shared_model::cues::{CueIndex, CueQuery};
use shared_model::data::Post;
use shared_model::linker::Linker;

use super::baseline::{Baseline, beside_cues};
use super::{Scores, System};
use crate::dataset::Dataset;
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;
use crate::run::TrainedTrees;
use crate::trees::{Features, Forest, features};

/// Trained trees beside a knowledge base.
pub(super) struct ExtraTrees<'a> {
    jmel: Baseline<'a>,
    forest: Forest,
    linker: &'a Linker,
    cues: CueIndex,
    /// How often each entity is a gold of train, by position in the knowledge base.
    popularity: Vec<f32>,
}

impl<'a> ExtraTrees<'a> {
    pub(super) fn load(
        trained: &TrainedTrees,
        linker: &'a Linker,
        dataset: &Dataset,
        train: &[Post],
    ) -> anyhow::Result<Self> {
        let mut counts: HashMap<&str, f32> = HashMap::new();
        for gold in train.iter().filter_map(|post| post.entity.as_deref()) {
            *counts.entry(gold).or_default() += 1.0;
        }
        let count = |id: &str| counts.get(id).copied().unwrap_or_default();
        let classes = linker.encoders.classes.clone();
        Ok(Self {
            jmel: Baseline::load(&trained.jmel, linker)?,
            forest: Forest::fit(&trained.rows, trained.seed)?,
            cues: CueIndex::new(&linker.kb, classes, linker.scorer.scaled),
            popularity: dataset
                .entities
                .iter()
                .map(|entity| count(&entity.id))
                .collect(),
            linker,
        })
    }

    fn scores(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>> {
        let jmel = self.jmel.scores(mentions)?;
        let rows: Vec<_> = mentions.iter().zip(jmel).collect();
        let (cues, kb, popularity) = (&self.cues, &self.linker.kb, &self.popularity);
        let features_of = on_all_cores(&rows, "et", |(mention, jmel)| {
            let query = CueQuery {
                post: &mention.features.without_tokens().pooled(),
                text: &mention.post.text,
                mention: mention.surface,
            };
            let cues = cues.observe(kb, &query, &mention.candidates);
            let candidates = mention.candidates.iter().zip(cues).zip(jmel);
            let features = candidates
                .map(|((&entity, cues), &jmel)| features(&cues.observed, popularity[entity], jmel));
            Ok(features.collect::<Vec<Features>>())
        })?;
        let scores = features_of.iter().map(|rows| self.forest.scores(rows));
        scores.collect()
    }
}

/// ET as it was published.
pub(super) struct Alone<'a>(pub(super) Rc<ExtraTrees<'a>>);

impl System for Alone<'_> {
    fn name(&self) -> &'static str {
        "et"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::Pooled
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let scores = self.0.scores(mentions)?;
        Ok(scores.into_iter().map(Scores::from).collect())
    }
}

/// ET beside the cues that the IMN has.
pub(super) struct BesideCues<'a>(pub(super) Rc<ExtraTrees<'a>>);

impl System for BesideCues<'_> {
    fn name(&self) -> &'static str {
        "et+cues"
    }

    fn needs(&self) -> FeatureLevel {
        FeatureLevel::Pooled
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let scores = self.0.scores(mentions)?;
        beside_cues(&self.0.jmel, self.name(), mentions, scores)
    }
}
