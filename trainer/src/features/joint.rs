//! The joint encoder over a dataset: its rows of the cache, which lie in a folder of their own, named by the hash of that encoder.

use std::path::PathBuf;

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};
use shared_model::data::{MAX_IMAGES, Post};
use shared_model::encoders::Encoders;
use shared_model::joint::{JointPost, MAX_TEXT};
use shared_model::tokenizer::Encoded;
use shared_model::vectors::TokenVectors;

use super::cache::{Features, Source};
use super::{BATCH, CHUNK, Key, Row, Share, folder, picture_key, shard_name, write_shard};
use crate::dataset::Dataset;
use crate::files;
use crate::run::Fingerprint;

/// Makes the shards that are missing, if there is a joint encoder: mentions with their tokens, timelines and profiles pooled.
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
                    Ok(key(&content(dataset, encoders, source)?, *with_tokens))
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

/// Where the shards lie; `None` without a joint encoder.
pub(super) fn joint_folder(dataset: &Dataset, fingerprint: &Fingerprint) -> Option<PathBuf> {
    let joint = fingerprint.joint.as_ref()?;
    Some(folder(dataset, &fingerprint.encoders).join(joint))
}

/// All posts of a dataset, and whether their tokens are kept.
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

/// Of a post with its tokens, or pooled.
pub(super) fn key(content: &Key, with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    hash.update(content);
    hash.finalize().into()
}

/// A hash of what the joint encoder reads of a post; it reads the pictures' files.
pub(super) fn content(
    dataset: &Dataset,
    encoders: &Encoders,
    source: &Source,
) -> anyhow::Result<Key> {
    let mut hash = Sha256::new();
    for id in text_of(source, encoders)?.within(MAX_TEXT).ids {
        hash.update(id.to_le_bytes());
    }
    hash.update(source.mention.unwrap_or_default());
    for path in source.images.iter().take(MAX_IMAGES) {
        let bytes = files::read(&dataset.folder.join(path))?;
        hash.update(picture_key(&bytes, true));
    }
    Ok(hash.finalize().into())
}

/// A post without a text has `[CLS] [SEP]`.
fn text_of(source: &Source, encoders: &Encoders) -> anyhow::Result<Encoded> {
    match &source.text {
        Some(text) => Ok(text.clone()),
        None => Ok(encoders.tokenizer.encode("", None)?),
    }
}

impl Features<'_> {
    /// Posts under the joint encoder, which there must be.
    pub(super) fn joint_vectors(&self, sources: &[&Source]) -> anyhow::Result<Vec<TokenVectors>> {
        let posts = sources
            .iter()
            .map(|source| self.joint_post(source))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let vectors = pollster::block_on(self.encoders.joint(&posts))?;
        vectors.context("there is no joint encoder")
    }

    fn joint_post(&self, source: &Source) -> anyhow::Result<JointPost> {
        let pictures = source.images.iter().take(MAX_IMAGES);
        let pictures = pictures.map(|path| self.picture_tokens(path));
        Ok(self.encoders.joint_post(
            &text_of(source, self.encoders)?,
            source.mention,
            pictures.collect::<anyhow::Result<_>>()?,
        ))
    }
}
