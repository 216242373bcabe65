//! The mentions of a dataset, with their candidates and features.

use anyhow::Context as _;
use shared_model::data::{Entity, Mention, Post};
use shared_model::encoders::Encoders;

use crate::dataset::{CandidatePolicy, Dataset, candidates};
use crate::features::{FeatureLevel, Features, PostFeatures, Source};

/// A mention with its candidates and features.
pub(crate) struct EncodedMention<'a> {
    /// The row of the dataset.
    pub(crate) post: &'a Post,
    /// Span of the mention.
    pub(crate) mention: Mention,
    /// Characters of the mention.
    pub(crate) surface: &'a str,
    /// Vectors of the post, as far as they were asked for.
    pub(crate) features: PostFeatures,
    /// The candidates, as positions in the knowledge base.
    pub(crate) candidates: Vec<usize>,
}

impl EncodedMention<'_> {
    /// The position of the gold among the candidates; `None` for NIL, or if the gold is not a candidate.
    ///
    /// # Arguments
    ///
    /// - entities: those of the knowledge base.
    pub(crate) fn gold(&self, entities: &[Entity]) -> Option<usize> {
        let gold = self.post.entity.as_deref()?;
        self.candidates
            .iter()
            .position(|&candidate| entities[candidate].id == gold)
    }
}

/// Finds the candidates of mentions, which have no features yet.
///
/// # Errors
///
/// If a row has no mention or an unknown candidate; the error names the row.
pub(crate) fn with_candidates<'a>(
    dataset: &Dataset,
    posts: &[&'a Post],
    policy: CandidatePolicy,
) -> anyhow::Result<Vec<EncodedMention<'a>>> {
    let candidates = candidates(dataset, posts, policy)?;
    let rows = posts.iter().zip(candidates);
    rows.map(|(&post, candidates)| {
        let mention = post.mention.context("the row has no mention")?;
        Ok(EncodedMention {
            post,
            mention,
            surface: mention.surface(&post.text)?,
            features: PostFeatures::default(),
            candidates,
        })
    })
    .collect()
}

/// Finds the candidates of mentions and looks up or encodes their features.
///
/// # Errors
///
/// If a row has no mention, an unknown candidate or an unreadable picture; the error names the row.
pub(crate) fn encode<'a>(
    dataset: &Dataset,
    posts: &[&'a Post],
    policy: CandidatePolicy,
    encoders: &Encoders,
    features: &Features,
    level: FeatureLevel,
) -> anyhow::Result<Vec<EncodedMention<'a>>> {
    let mut mentions = with_candidates(dataset, posts, policy)?;
    let sources = mentions
        .iter()
        .map(|encoded| Source::mention(encoders, encoded.post, encoded.mention))
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (mention, features) in mentions.iter_mut().zip(features.posts(&sources, level)?) {
        mention.features = features;
    }
    Ok(mentions)
}
