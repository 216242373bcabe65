//! The shards of the joint encoder, in a folder of their own that is named by the hash of that encoder.

use shared_model::data::Post;
use shared_model::encoders::Encoders;
use shared_model::vectors::{ImageVectors, TokenVectors};

use super::keys::{joint_content, key};
use super::{BATCH, Features, Source, joint_folder, write_shards};
use crate::cli::Share;
use crate::dataset::Dataset;
use crate::weights::Fingerprint;

/// Writes the shards that are missing, if there is a joint encoder: mentions with their tokens, timelines and profiles pooled.
pub(super) fn encode(
    dataset: &Dataset,
    mentions: &[Post],
    encoders: &Encoders,
    fingerprint: &Fingerprint,
    share: Share,
) -> anyhow::Result<()> {
    let Some(folder) = joint_folder(dataset, fingerprint) else {
        return Ok(());
    };
    let features = Features::open(dataset, encoders, fingerprint)?;
    let sources = sources(dataset, mentions, encoders)?;
    let keys = |chunk: &[(Source, bool)]| {
        let keys = chunk.iter().map(|(source, with_tokens)| {
            let content = joint_content(dataset, encoders, source)?;
            Ok(key(&content, *with_tokens))
        });
        Ok((keys.collect::<anyhow::Result<_>>()?, ()))
    };
    let rows = |chunk: &[(Source, bool)], ()| {
        let mut rows = Vec::with_capacity(chunk.len());
        for batch in chunk.chunks(BATCH) {
            let sources: Vec<&Source> = batch.iter().map(|(source, _)| source).collect();
            let vectors = features.joint_vectors(&sources)?;
            for (TokenVectors { pooled, tokens }, (_, with_tokens)) in
                vectors.into_iter().zip(batch)
            {
                rows.push(ImageVectors {
                    pooled,
                    classes: Vec::new(),
                    tokens: if *with_tokens { tokens } else { Vec::new() },
                });
            }
        }
        features.forget_pictures();
        Ok(rows)
    };
    write_shards(&folder, ["joint", "posts"], &sources, share, keys, rows)
}

/// All posts of a dataset, and whether their tokens are stored.
fn sources<'a>(
    dataset: &'a Dataset,
    mentions: &'a [Post],
    encoders: &Encoders,
) -> anyhow::Result<Vec<(Source<'a>, bool)>> {
    let mut sources = Vec::new();
    for post in mentions {
        let surface = post.mention.map(|mention| mention.surface(&post.text));
        let source = Source {
            text: Some(encoders.tokenizer.encode(&post.text, post.mention)?),
            context: None,
            tuned: None,
            mention: surface.transpose()?,
            images: &post.images,
        };
        sources.push((source, true));
    }
    let profiles = dataset.entities.iter().map(|entity| entity.profile());
    let profiles = profiles.map(|profile| (profile, &[][..]));
    let timeline = dataset.timeline.iter();
    let timeline = timeline.map(|post| (post.text.clone(), &post.images[..]));
    for (text, images) in profiles.chain(timeline) {
        sources.push((Source::plain(encoders, &text, images)?, false));
    }
    Ok(sources)
}
