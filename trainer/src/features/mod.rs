//! `imn features`: encodes a dataset with the frozen encoders, into a cache in its folder.
//!
//! The cache is the folder `features/HASH` of the dataset, by the hash of the encoders.
//! A shard holds [`CHUNK`] texts or pictures and is named by the hash of their content: interrupted work is resumed with the missing shards, and a changed picture changes one shard.

mod joint;
mod keys;
mod lookup;
mod patches;
mod shards;
mod source;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use shared_model::context::{self, Context};
use shared_model::data::{MAX_IMAGES, Post};
use shared_model::encoders::Encoders;
use shared_model::math::mean;
use shared_model::tensors::read as read_tensor;
use shared_model::tokenizer::Encoded;
use shared_model::vectors::ImageVectors;

pub(crate) use lookup::{FeatureLevel, Features, PostFeatures};
pub(crate) use patches::{Channels, Patches};
pub(crate) use source::Source;

use crate::cli::{FeaturesArgs, Share};
use crate::dataset::{Dataset, Split, picture_of};
use crate::device::DeviceArg;
use crate::files;
use crate::run::{EncoderOrigin, Model};
use crate::weights::Fingerprint;
use keys::{Key, key, text_key};
use shards::{shard_name, write_shard};

/// Number of texts or pictures per shard.
const CHUNK: usize = 256;
/// Number of texts or pictures encoded at once.
const BATCH: usize = 16;

/// Encodes what is not in the cache yet. The texts and pictures of mentions are stored with their tokens, those of timelines as pooled vectors only.
pub(crate) fn features(args: FeaturesArgs, device: DeviceArg) -> anyhow::Result<()> {
    let origin = EncoderOrigin::of(args.model)?;
    let share = args.shard.unwrap_or(Share { index: 0, count: 1 });
    let dataset = Dataset::open(&args.dataset)?;
    let Model {
        encoders,
        fingerprint,
        ..
    } = origin.load(&device.open()?)?;
    let folder = folder(&dataset, &fingerprint.encoders);
    let mut mentions: Vec<Post> = Vec::new();
    for split in Split::ALL {
        mentions.extend(dataset.posts_if_any(split)?);
    }
    let texts = texts(&dataset, &mentions, &encoders)?;
    let keys = |chunk: &[Text]| {
        let keys = chunk.iter().map(|(text, stored)| text_key(text, *stored));
        Ok((keys.collect(), ()))
    };
    let rows = |chunk: &[Text], ()| encode_texts(chunk, &encoders);
    write_shards(&folder, ["text", "texts"], &texts, share, keys, rows)?;

    let pictures = pictures(&dataset, &mentions);
    let keys = |chunk: &[Picture]| {
        let contents = contents(&dataset, chunk)?;
        let keys = contents.iter().zip(chunk);
        let keys = keys.map(|(bytes, (_, with_tokens))| key(bytes, *with_tokens));
        Ok((keys.collect(), contents))
    };
    let rows = |chunk: &[Picture], contents: Vec<_>| encode_pictures(&contents, chunk, &encoders);
    write_shards(&folder, ["image", "pictures"], &pictures, share, keys, rows)?;
    if let Some(context) = &fingerprint.context {
        let contexts = contexts(&dataset, &mentions, &encoders)?;
        let keys = |chunk: &[Encoded]| {
            let keys = chunk.iter().map(|text| text_key(text, false));
            Ok((keys.collect(), ()))
        };
        let rows = |chunk: &[Encoded], ()| {
            let texts: Vec<&Encoded> = chunk.iter().collect();
            let rows = encode_contexts(&texts, &encoders)?.into_iter();
            let rows = rows.map(|pooled| ImageVectors {
                pooled,
                classes: Vec::new(),
                tokens: Vec::new(),
            });
            Ok(rows.collect())
        };
        let folder = folder.join(context);
        write_shards(
            &folder,
            ["context", "contexts"],
            &contexts,
            share,
            keys,
            rows,
        )?;
    }
    joint::encode(&dataset, &mentions, &encoders, &fingerprint, share)?;
    eprintln!(
        "{} texts and {} pictures -> {}",
        texts.len(),
        pictures.len(),
        folder.display()
    );
    Ok(())
}

/// Writes the shards of one kind that are missing in a share of them.
///
/// # Arguments
///
/// - names: the kind in file names, and the items as the progress bar calls them.
/// - keys: the keys of some items, and what was read for them.
/// - rows: the vectors of some items.
fn write_shards<T, C>(
    folder: &Path,
    [kind, what]: [&'static str; 2],
    items: &[T],
    share: Share,
    keys: impl Fn(&[T]) -> anyhow::Result<(Vec<Key>, C)>,
    rows: impl Fn(&[T], C) -> anyhow::Result<Vec<ImageVectors>>,
) -> anyhow::Result<()> {
    let bar = files::progress(items.len(), what);
    for (number, chunk) in items.chunks(CHUNK).enumerate() {
        if number % share.count == share.index {
            let (keys, content) = keys(chunk)?;
            let shard = folder.join(shard_name(kind, &keys));
            if !shard.exists() {
                write_shard(&shard, &keys, &rows(chunk, content)?)?;
            }
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(())
}

fn folder(dataset: &Dataset, fingerprint: &str) -> PathBuf {
    dataset.folder.join("features").join(fingerprint)
}

/// The folder of the joint encoder's shards; `None` without a joint encoder.
fn joint_folder(dataset: &Dataset, fingerprint: &Fingerprint) -> Option<PathBuf> {
    let joint = fingerprint.joint.as_ref()?;
    Some(folder(dataset, &fingerprint.encoders).join(joint))
}

/// A text, and whether its tokens are stored.
type Text = (Encoded, bool);

/// The path of a picture, and whether its tokens are stored.
type Picture = (String, bool);

/// The texts that are encoded, in the order of the dataset's files, without repetitions.
fn texts(dataset: &Dataset, mentions: &[Post], encoders: &Encoders) -> anyhow::Result<Vec<Text>> {
    let mut texts = Vec::new();
    let mut seen = HashSet::new();
    let mut add = |text: &str, mention, with_tokens| {
        let encoded = encoders.tokenizer.encode(text, mention)?;
        if seen.insert(text_key(&encoded, with_tokens)) {
            texts.push((encoded, with_tokens));
        }
        anyhow::Ok(())
    };
    for post in mentions.iter().filter(|post| !post.text.is_empty()) {
        add(&post.text, post.mention, true)?;
    }
    let profiles = dataset.entities.iter().map(|entity| entity.profile());
    let timelines = dataset.timeline.iter().map(|post| post.text.clone());
    for text in profiles.chain(timelines).filter(|text| !text.is_empty()) {
        add(&text, None, false)?;
    }
    for post in mentions {
        let context = post
            .mention
            .map(|mention| context::of_post(&post.text, mention));
        if let Some(Context { text, mention }) = context.transpose()?.flatten() {
            add(&text, Some(mention), false)?;
        }
    }
    for text in dataset.entities.iter().filter_map(context::of_entity) {
        add(&text, None, false)?;
    }
    Ok(texts)
}

/// The texts that the context encoder reads, without repetitions.
fn contexts(
    dataset: &Dataset,
    mentions: &[Post],
    encoders: &Encoders,
) -> anyhow::Result<Vec<Encoded>> {
    let positions = dataset.positions();
    let profiles = dataset.entities.iter();
    let profiles = profiles.map(|entity| Source::profile(encoders, entity));
    let timelines = dataset.timeline.iter().map(|post| {
        let entity = &dataset.entities[positions[post.entity.as_str()]];
        Source::timeline(encoders, entity, &post.text, &post.images)
    });
    let mentions = mentions.iter().filter_map(|post| {
        let mention = post.mention?;
        Some(Source::mention(encoders, post, mention))
    });
    let mut seen = HashSet::new();
    let mut contexts = Vec::new();
    for source in profiles.chain(timelines).chain(mentions) {
        let text = source?.tuned;
        contexts.extend(text.filter(|text| seen.insert(text_key(text, false))));
    }
    Ok(contexts)
}

/// The pooled vectors of texts under the context encoder.
fn encode_contexts(texts: &[&Encoded], encoders: &Encoders) -> anyhow::Result<Vec<Vec<f32>>> {
    encode_pooled(texts, |batch| {
        let vectors = pollster::block_on(encoders.contexts(batch))?;
        vectors.context("there is no context encoder")
    })
}

/// The pooled vectors of texts, in their order, encoded in batches of similar length.
fn encode_pooled(
    texts: &[&Encoded],
    encode: impl Fn(&[Encoded]) -> anyhow::Result<Vec<Vec<f32>>>,
) -> anyhow::Result<Vec<Vec<f32>>> {
    let mut rows = vec![Vec::new(); texts.len()];
    for batch in batches_by_length(texts.iter().map(|text| text.ids.len()), BATCH) {
        let encoded: Vec<Encoded> = batch.iter().map(|&i| texts[i].clone()).collect();
        for (&i, pooled) in batch.iter().zip(encode(&encoded)?) {
            rows[i] = pooled;
        }
    }
    Ok(rows)
}

/// The pictures that are encoded, in the order of the dataset's files, without repetitions.
fn pictures(dataset: &Dataset, mentions: &[Post]) -> Vec<Picture> {
    let of_mentions = mentions.iter().map(|post| (&post.images, true));
    let of_timelines = dataset.timeline.iter().map(|post| (&post.images, false));
    let pictures = of_mentions.chain(of_timelines);
    let pictures = pictures.flat_map(|(images, with_tokens)| {
        let images = images.iter().take(MAX_IMAGES);
        images.map(move |path| (path.clone(), with_tokens))
    });
    let mut seen = HashSet::new();
    pictures
        .filter(|picture| seen.insert(picture.clone()))
        .collect()
}

fn contents(dataset: &Dataset, chunk: &[Picture]) -> anyhow::Result<Vec<Vec<u8>>> {
    let paths = chunk.iter().map(|(path, _)| dataset.folder.join(path));
    paths.map(|path| files::read(&path)).collect()
}

/// Divides texts into batches of similar length, so that little is computed on padding.
///
/// # Arguments
///
/// - lengths: number of tokens of each text.
pub(crate) fn batches_by_length(
    lengths: impl Iterator<Item = usize>,
    batch: usize,
) -> Vec<Vec<usize>> {
    let lengths: Vec<usize> = lengths.collect();
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&text| lengths[text]);
    order.chunks(batch).map(<[usize]>::to_vec).collect()
}

fn encode_texts(chunk: &[Text], encoders: &Encoders) -> anyhow::Result<Vec<ImageVectors>> {
    let mut rows = vec![None; chunk.len()];
    for batch in batches_by_length(chunk.iter().map(|(text, _)| text.ids.len()), BATCH) {
        let ids: Vec<Encoded> = batch.iter().map(|&i| chunk[i].0.clone()).collect();
        let (tokens, _) = encoders.text_tokens(&ids);
        let [_, length, width] = tokens.dims();
        let values = pollster::block_on(read_tensor(tokens))?;
        for (&i, tokens) in batch.iter().zip(values.chunks(length * width)) {
            let (text, with_tokens) = &chunk[i];
            let tokens = &tokens[..text.ids.len() * width];
            rows[i] = Some(ImageVectors {
                pooled: mean(tokens.chunks(width)).unwrap_or_default(),
                classes: Vec::new(),
                tokens: if *with_tokens {
                    tokens.to_vec()
                } else {
                    Vec::new()
                },
            });
        }
    }
    Ok(rows.into_iter().flatten().collect())
}

fn encode_pictures(
    contents: &[Vec<u8>],
    chunk: &[Picture],
    encoders: &Encoders,
) -> anyhow::Result<Vec<ImageVectors>> {
    let mut rows = Vec::with_capacity(chunk.len());
    for (bytes, items) in contents.chunks(BATCH).zip(chunk.chunks(BATCH)) {
        let pictures = bytes
            .iter()
            .zip(items)
            .map(|(bytes, (path, _))| picture_of(bytes, path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let encoded = encoders.image_tokens(&pictures);
        let [_, length, width] = encoded.tokens.dims();
        let [_, n_classes] = encoded.classes.dims();
        let tokens = pollster::block_on(read_tensor(encoded.tokens))?;
        let pooled = pollster::block_on(read_tensor(encoded.pooled))?;
        let classes = pollster::block_on(read_tensor(encoded.classes))?;
        for (i, (_, with_tokens)) in items.iter().enumerate() {
            let tokens = &tokens[i * length * width..(i + 1) * length * width];
            rows.push(ImageVectors {
                pooled: pooled[i * width..(i + 1) * width].to_vec(),
                classes: classes[i * n_classes..(i + 1) * n_classes].to_vec(),
                tokens: if *with_tokens {
                    tokens.to_vec()
                } else {
                    Vec::new()
                },
            });
        }
    }
    Ok(rows)
}
