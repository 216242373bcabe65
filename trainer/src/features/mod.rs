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

use shared_model::data::{MAX_IMAGES, Post};
use shared_model::encoders::Encoders;
use shared_model::math::mean;
use shared_model::tensors::read as read_tensor;
use shared_model::tokenizer::Encoded;

pub(crate) use lookup::{FeatureLevel, Features, PostFeatures};
pub(crate) use patches::{Channels, Patches};
pub(crate) use source::Source;

use crate::dataset::{Dataset, Split, picture_of};
use crate::device::DeviceArg;
use crate::files;
use crate::run::{EncoderOrigin, Model};
use crate::weights::Fingerprint;
use keys::{Key, picture_key, text_key};
use shards::{Row, shard_name, write_shard};

/// Number of texts or pictures per shard.
const CHUNK: usize = 256;
/// Number of texts or pictures encoded at once.
const BATCH: usize = 16;

/// Which part of the shards to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// Number of the part, from 0.
    pub(crate) index: usize,
    /// How many parts there are.
    pub(crate) count: usize,
}

/// Encodes what is not in the cache yet. The texts and pictures of mentions are stored with their tokens, those of timelines as pooled vectors only.
pub(crate) fn features(
    dataset: &Path,
    origin: &EncoderOrigin,
    share: Share,
    device: DeviceArg,
) -> anyhow::Result<()> {
    let dataset = Dataset::open(dataset)?;
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
    let work = Work::of(&dataset, &mentions, &encoders)?;

    let bar = files::progress(work.texts.len(), "texts");
    for (number, chunk) in work.texts.chunks(CHUNK).enumerate() {
        let keys: Vec<Key> = chunk.iter().map(TextItem::key).collect();
        let shard = folder.join(shard_name("text", &keys));
        if number % share.count == share.index && !shard.exists() {
            let rows = encode_texts(chunk, &encoders)?;
            write_shard(&shard, &keys, &rows)?;
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();

    let bar = files::progress(work.pictures.len(), "pictures");
    for (number, chunk) in work.pictures.chunks(CHUNK).enumerate() {
        if number % share.count == share.index {
            let contents = contents(&dataset, chunk)?;
            let keys: Vec<Key> = contents
                .iter()
                .zip(chunk)
                .map(|(bytes, item)| picture_key(bytes, item.with_tokens))
                .collect();
            let shard = folder.join(shard_name("image", &keys));
            if !shard.exists() {
                let rows = encode_pictures(&contents, chunk, &encoders)?;
                write_shard(&shard, &keys, &rows)?;
            }
        }
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    joint::encode(&dataset, &mentions, &encoders, &fingerprint, share)?;
    eprintln!(
        "{} texts and {} pictures -> {}",
        work.texts.len(),
        work.pictures.len(),
        folder.display()
    );
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

/// Everything in a dataset that is encoded, in the order of its files, without repetitions.
struct Work {
    texts: Vec<TextItem>,
    pictures: Vec<PictureItem>,
}

struct TextItem {
    ids: Encoded,
    with_tokens: bool,
}

struct PictureItem {
    path: String,
    with_tokens: bool,
}

impl TextItem {
    fn key(&self) -> Key {
        text_key(&self.ids, self.with_tokens)
    }
}

impl Work {
    fn of(dataset: &Dataset, mentions: &[Post], encoders: &Encoders) -> anyhow::Result<Self> {
        let mut work = Self {
            texts: Vec::new(),
            pictures: Vec::new(),
        };
        let mut seen = HashSet::new();
        let mut add_text = |ids: Encoded, with_tokens: bool, texts: &mut Vec<TextItem>| {
            let item = TextItem { ids, with_tokens };
            if seen.insert(item.key()) {
                texts.push(item);
            }
        };
        for post in mentions {
            if !post.text.is_empty() {
                let ids = encoders.tokenizer.encode(&post.text, post.mention)?;
                add_text(ids, true, &mut work.texts);
            }
        }
        let profiles = dataset.entities.iter().map(|entity| entity.profile());
        let timelines = dataset.timeline.iter().map(|post| post.text.clone());
        for text in profiles.chain(timelines).filter(|text| !text.is_empty()) {
            let ids = encoders.tokenizer.encode(&text, None)?;
            add_text(ids, false, &mut work.texts);
        }
        let mut seen = HashSet::new();
        let of_mentions = mentions.iter().map(|post| (&post.images, true));
        let of_timelines = dataset.timeline.iter().map(|post| (&post.images, false));
        for (images, with_tokens) in of_mentions.chain(of_timelines) {
            for path in images.iter().take(MAX_IMAGES) {
                if seen.insert((path.clone(), with_tokens)) {
                    work.pictures.push(PictureItem {
                        path: path.clone(),
                        with_tokens,
                    });
                }
            }
        }
        Ok(work)
    }
}

fn contents(dataset: &Dataset, chunk: &[PictureItem]) -> anyhow::Result<Vec<Vec<u8>>> {
    chunk
        .iter()
        .map(|item| files::read(&dataset.folder.join(&item.path)))
        .collect()
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

fn encode_texts(chunk: &[TextItem], encoders: &Encoders) -> anyhow::Result<Vec<Row>> {
    let mut rows = vec![Row::default(); chunk.len()];
    for batch in batches_by_length(chunk.iter().map(|text| text.ids.ids.len()), BATCH) {
        let ids: Vec<Encoded> = batch.iter().map(|&i| chunk[i].ids.clone()).collect();
        let (tokens, _) = encoders.text_tokens(&ids);
        let [_, length, width] = tokens.dims();
        let values = pollster::block_on(read_tensor(tokens))?;
        for (&i, tokens) in batch.iter().zip(values.chunks(length * width)) {
            let n = chunk[i].ids.ids.len();
            let tokens = &tokens[..n * width];
            rows[i].pooled = mean(tokens.chunks(width)).unwrap_or_default();
            if chunk[i].with_tokens {
                rows[i].tokens = tokens.to_vec();
            }
        }
    }
    Ok(rows)
}

fn encode_pictures(
    contents: &[Vec<u8>],
    chunk: &[PictureItem],
    encoders: &Encoders,
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::with_capacity(chunk.len());
    for (bytes, items) in contents.chunks(BATCH).zip(chunk.chunks(BATCH)) {
        let pictures = bytes
            .iter()
            .zip(items)
            .map(|(bytes, item)| picture_of(bytes, &item.path))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let encoded = encoders.image_tokens(&pictures);
        let [_, length, width] = encoded.tokens.dims();
        let [_, n_classes] = encoded.classes.dims();
        let tokens = pollster::block_on(read_tensor(encoded.tokens))?;
        let pooled = pollster::block_on(read_tensor(encoded.pooled))?;
        let classes = pollster::block_on(read_tensor(encoded.classes))?;
        for (i, item) in items.iter().enumerate() {
            let tokens = &tokens[i * length * width..(i + 1) * length * width];
            rows.push(Row {
                pooled: pooled[i * width..(i + 1) * width].to_vec(),
                classes: classes[i * n_classes..(i + 1) * n_classes].to_vec(),
                tokens: if item.with_tokens {
                    tokens.to_vec()
                } else {
                    Vec::new()
                },
            });
        }
    }
    Ok(rows)
}
