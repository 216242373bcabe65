//! ET: trees over what a post and a candidate have in common, and the score of JMEL.

use shared_model::cues::CueQuery;
use shared_model::imn::NetworkTerm;
use shared_model::linker::Linker;

use super::ByEntity;
use super::baseline::Baseline;
use super::published::Published;
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;
use crate::run::TrainedTrees;
use crate::trees::{Features, Forest, features};

/// Trained trees beside a knowledge base.
pub(super) struct ExtraTrees<'a> {
    jmel: Baseline<'a>,
    forest: Forest,
    popularity: ByEntity,
}

impl<'a> ExtraTrees<'a> {
    /// # Arguments
    ///
    /// - popularity: how often each entity is a gold of train.
    pub(super) fn load(
        trained: &TrainedTrees,
        linker: &'a Linker,
        popularity: ByEntity,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            jmel: Baseline::load(&trained.jmel, linker)?,
            forest: Forest::fit(&trained.rows, trained.seed)?,
            popularity,
        })
    }
}

impl Published for ExtraTrees<'_> {
    fn names(&self) -> [&'static str; 2] {
        ["et", "et+cues"]
    }

    fn needs(&self) -> FeatureLevel {
        self.jmel.needs()
    }

    fn linker(&self) -> &Linker {
        self.jmel.linker()
    }

    fn terms(&self) -> &[NetworkTerm] {
        self.jmel.terms()
    }

    fn scores(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>> {
        let rows: Vec<_> = mentions.iter().zip(self.jmel.scores(mentions)?).collect();
        let (linker, popularity) = (self.linker(), &self.popularity);
        let features_of = on_all_cores(&rows, "et", |(mention, jmel)| {
            let query = CueQuery {
                post: &mention.features.without_tokens().pooled(),
                text: &mention.post.text,
                mention: mention.surface,
            };
            let cues = linker.observe(&query, &mention.candidates);
            let candidates = mention.candidates.iter().zip(cues).zip(jmel);
            let features = candidates.map(|((&entity, cues), &jmel)| {
                features(&cues.observed, popularity.score_of(entity), jmel)
            });
            Ok(features.collect::<Vec<Features>>())
        })?;
        let scores = features_of.iter().map(|rows| self.forest.scores(rows));
        scores.collect()
    }
}
