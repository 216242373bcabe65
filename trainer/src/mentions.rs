//! A dataset's mentions as the scorer takes them: encoded, with their candidates.

use anyhow::Context as _;
use shared_model::data::{Mention, Post};
use shared_model::encoders::Encoders;

use crate::dataset::{CandidatePolicy, Dataset, candidates};
use crate::features::{Features, PostFeatures, Source, Wanted};

/// A row with a mention.
pub(crate) struct EncodedMention<'a> {
    /// The row.
    pub(crate) post: &'a Post,
    /// Its mention.
    pub(crate) mention: Mention,
    /// The mention's characters.
    pub(crate) surface: &'a str,
    /// The post's vectors.
    pub(crate) features: PostFeatures,
    /// Positions in the knowledge base.
    pub(crate) candidates: Vec<usize>,
}

/// Finds the candidates of rows, then encodes the rows.
///
/// # Errors
///
/// Of a row without a mention, with an unknown candidate or an unreadable picture: its id.
pub(crate) fn encode<'a>(
    dataset: &Dataset,
    posts: &[&'a Post],
    policy: CandidatePolicy,
    encoders: &Encoders,
    features: &Features,
    wanted: Wanted,
) -> anyhow::Result<Vec<EncodedMention<'a>>> {
    let candidates = candidates(dataset, posts, policy)?;
    let mut mentions = Vec::with_capacity(posts.len());
    for (post, candidates) in posts.iter().zip(candidates) {
        let mention = || {
            let mention = post.mention.context("the row has no mention")?;
            Ok(EncodedMention {
                post,
                mention,
                surface: mention.surface(&post.text)?,
                features: PostFeatures::default(),
                candidates,
            })
        };
        let mention: anyhow::Result<EncodedMention<'a>> = mention();
        mentions.push(mention.with_context(|| format!("{:?}", post.id))?);
    }

    let sources = mentions
        .iter()
        .map(|encoded| {
            let EncodedMention {
                post,
                mention,
                surface,
                ..
            } = encoded;
            Ok(Source {
                text: Some(encoders.tokenizer.encode(&post.text, Some(*mention))?),
                mention: Some(*surface),
                images: &post.images,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (mention, features) in mentions.iter_mut().zip(features.posts(&sources, wanted)?) {
        mention.features = features;
    }
    Ok(mentions)
}
