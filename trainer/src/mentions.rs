//! A dataset's mentions as the scorer takes them: encoded, with their candidates.

use std::collections::HashMap;
use std::num::NonZero;

use anyhow::Context as _;
use shared_model::aliases::AliasIndex;
use shared_model::data::{Mention, Post};
use shared_model::kb::{KnowledgeBase, Pooled};
use shared_model::linker::Encoders;

use crate::dataset::{CandidatePolicy, Dataset};
use crate::features::{Features, Source};
use crate::files::progress;

/// A row with a mention.
pub(crate) struct EncodedMention<'a> {
    /// The row.
    pub(crate) post: &'a Post,
    /// Its mention.
    pub(crate) mention: Mention,
    /// The mention's characters.
    pub(crate) surface: &'a str,
    /// The post's vectors.
    pub(crate) pooled: Pooled,
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
    kb: &KnowledgeBase,
    encoders: &Encoders,
    features: &Features,
) -> anyhow::Result<Vec<EncodedMention<'a>>> {
    let aliases = AliasIndex::new(&kb.text.entities);
    let positions = dataset.positions();
    let mut mentions = Vec::with_capacity(posts.len());
    for post in posts {
        let mention = || {
            let mention = post.mention.context("the row has no mention")?;
            Ok(EncodedMention {
                post,
                mention,
                surface: mention.surface(&post.text)?,
                pooled: Pooled::default(),
                candidates: Vec::new(),
            })
        };
        let mention: anyhow::Result<EncodedMention<'a>> = mention();
        mentions.push(mention.with_context(|| format!("{:?}", post.id))?);
    }

    find_candidates(&mut mentions, |mention| {
        candidates(mention, policy, &aliases, &positions)
    })?;

    let sources = mentions
        .iter()
        .map(|EncodedMention { post, mention, .. }| {
            Ok(Source {
                text: Some(encoders.tokenizer.encode(&post.text, Some(*mention))?),
                images: &post.images,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    for (mention, pooled) in mentions.iter_mut().zip(features.pooled(&sources)?) {
        mention.pooled = pooled;
    }
    Ok(mentions)
}

/// Fills in the candidates, on all cores: names are compared with names.
fn find_candidates(
    mentions: &mut [EncodedMention],
    candidates: impl Fn(&EncodedMention) -> anyhow::Result<Vec<usize>> + Sync,
) -> anyhow::Result<()> {
    let bar = progress(mentions.len(), "candidates");
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = mentions.len().div_ceil(threads).max(1);
    let fill = |mentions: &mut [EncodedMention]| -> anyhow::Result<()> {
        for mention in mentions {
            mention.candidates =
                candidates(mention).with_context(|| format!("{:?}", mention.post.id))?;
            bar.inc(1);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = mentions
            .chunks_mut(share)
            .map(|mentions| scope.spawn(|| fill(mentions)))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().expect("a worker does not panic"))
    })?;
    bar.finish_and_clear();
    Ok(())
}

fn candidates(
    mention: &EncodedMention,
    policy: CandidatePolicy,
    aliases: &AliasIndex,
    positions: &HashMap<&str, usize>,
) -> anyhow::Result<Vec<usize>> {
    Ok(match (policy, &mention.post.candidates) {
        (CandidatePolicy::Given, Some(ids)) => ids
            .iter()
            .map(|id| {
                let position = positions.get(id.as_str()).copied();
                position.with_context(|| format!("no entity {id:?}"))
            })
            .collect::<anyhow::Result<_>>()?,
        (CandidatePolicy::Given, None) => aliases.candidates(mention.surface),
        (CandidatePolicy::Fuzzy100, _) => aliases.nearest(mention.surface, 100),
        (CandidatePolicy::FullKb, _) => (0..positions.len()).collect(),
    })
}
