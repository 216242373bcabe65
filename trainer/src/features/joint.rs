//! The shards of the joint encoder, in a folder of their own that is named by the hash of that encoder.

use shared_model::data::Post;
use shared_model::encoders::Encoders;
use shared_model::vectors::TokenVectors;

use super::keys::{joint_content, joint_key};
use super::shards::{Row, shard_name, write_shard};
use super::{BATCH, CHUNK, Features, Share, Source, joint_folder};
use crate::dataset::Dataset;
use crate::files;
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
    let bar = files::progress(sources.len(), "posts");
    for (number, chunk) in sources.chunks(CHUNK).enumerate() {
        if number % share.count == share.index {
            let keys = chunk
                .iter()
                .map(|(source, with_tokens)| {
                    let content = joint_content(dataset, encoders, source)?;
                    Ok(joint_key(&content, *with_tokens))
                })
                .collect::<anyhow::Result<Vec<_>>>()?;
            let shard = folder.join(shard_name("joint", &keys));
            if !shard.exists() {
                let mut rows = Vec::with_capacity(chunk.len());
                for batch in chunk.chunks(BATCH) {
                    let sources: Vec<&Source> = batch.iter().map(|(source, _)| source).collect();
                    let vectors = features.joint_vectors(&sources)?;
                    for (TokenVectors { pooled, tokens }, (_, with_tokens)) in
                        vectors.into_iter().zip(batch)
                    {
                        rows.push(Row {
                            pooled,
                            classes: Vec::new(),
                            tokens: if *with_tokens { tokens } else { Vec::new() },
                        });
                    }
                }
                write_shard(&shard, &keys, &rows)?;
                features.forget_pictures();
            }
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

/// All posts of a dataset, and whether their tokens are stored.
fn sources<'a>(
    dataset: &'a Dataset,
    mentions: &'a [Post],
    encoders: &Encoders,
) -> anyhow::Result<Vec<(Source<'a>, bool)>> {
    let encode = |text: &str, mention| encoders.tokenizer.encode(text, mention);
    let mut sources = Vec::new();
    for post in mentions {
        let surface = post.mention.map(|mention| mention.surface(&post.text));
        let source = Source {
            text: Some(encode(&post.text, post.mention)?),
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
        let source = Source {
            text: (!text.is_empty())
                .then(|| encode(&text, None))
                .transpose()?,
            mention: None,
            images,
        };
        sources.push((source, false));
    }
    Ok(sources)
}
