//! `imn features`: the frozen encoders over a dataset, into a cache in its folder.
//!
//! The cache lies in the dataset folder, below a name that is the hash of the encoders.
//! A shard holds [`CHUNK`] texts or pictures and is named by the hash of their content: work that was interrupted goes on with the shards that are missing, and a changed picture changes one shard.

mod cache;
mod joint;
mod patches;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use shared_model::data::{MAX_IMAGES, Post};
use shared_model::encoders::Encoders;
use shared_model::hash::sha256;
use shared_model::pack::{Entry, Precision, write};
use shared_model::tensors::read as read_tensor;
use shared_model::tokenizer::Encoded;

pub(crate) use cache::{Features, PostFeatures, Source, Wanted};
pub(crate) use patches::{Channels, Patches};

use crate::dataset::{Dataset, Split, picture_of};
use crate::device::DeviceArg;
use crate::run::EncoderOrigin;
use crate::{files, halves};

/// Texts or pictures a shard.
const CHUNK: usize = 256;
/// Texts or pictures encoded at once.
const BATCH: usize = 16;

type Key = [u8; 32];

/// Which part of the shards to make: `index` of `count`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Share {
    /// From 0.
    pub(crate) index: usize,
    /// At least 1.
    pub(crate) count: usize,
}

impl Share {
    /// The whole.
    pub(crate) const ALL: Self = Self { index: 0, count: 1 };
}

/// Encodes what is not in the cache yet. Texts and pictures of mentions keep their tokens, those of timelines their pooled vectors alone.
pub(crate) fn features(
    dataset: &Path,
    origin: &EncoderOrigin,
    share: Share,
    device: DeviceArg,
) -> anyhow::Result<()> {
    let dataset = Dataset::open(dataset)?;
    let encoders = origin.load(&device.open()?)?.encoders;
    let fingerprint = origin.fingerprint()?;
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

/// Everything of a dataset that is encoded, each once, in the order of its files.
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

fn text_key(encoded: &Encoded, with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    for id in &encoded.ids {
        hash.update(id.to_le_bytes());
    }
    hash.finalize().into()
}

fn picture_key(bytes: &[u8], with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    hash.update(bytes);
    hash.finalize().into()
}

fn shard_name(kind: &str, keys: &[Key]) -> String {
    format!("{kind}-{}.bpk", &sha256(&keys.concat())[..24])
}

fn contents(dataset: &Dataset, chunk: &[PictureItem]) -> anyhow::Result<Vec<Vec<u8>>> {
    chunk
        .iter()
        .map(|item| files::read(&dataset.folder.join(&item.path)))
        .collect()
}

/// A text's or picture's vectors.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    pooled: Vec<f32>,
    /// Empty for texts.
    classes: Vec<f32>,
    /// Row-major, `[n, width]`; empty unless they are kept.
    tokens: Vec<f32>,
}

fn encode_texts(chunk: &[TextItem], encoders: &Encoders) -> anyhow::Result<Vec<Row>> {
    // Texts of like length share a batch, so that little is computed on padding.
    let mut order: Vec<usize> = (0..chunk.len()).collect();
    order.sort_by_key(|&i| chunk[i].ids.ids.len());
    let mut rows = vec![Row::default(); chunk.len()];
    for batch in order.chunks(BATCH) {
        let ids: Vec<Encoded> = batch.iter().map(|&i| chunk[i].ids.clone()).collect();
        let (tokens, _) = encoders.text_tokens(&ids);
        let [_, length, width] = tokens.dims();
        let values = pollster::block_on(read_tensor(tokens))?;
        for (&i, tokens) in batch.iter().zip(values.chunks(length * width)) {
            let n = chunk[i].ids.ids.len();
            let tokens = &tokens[..n * width];
            rows[i].pooled = (0..width)
                .map(|d| tokens.iter().skip(d).step_by(width).sum::<f32>() / n as f32)
                .collect();
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

/// Writes the tokens beside the shard first: a shard that is there is whole.
fn write_shard(path: &Path, keys: &[Key], rows: &[Row]) -> anyhow::Result<()> {
    let tokens: Vec<u8> = rows
        .iter()
        .flat_map(|row| halves::bytes(&row.tokens))
        .collect();
    files::write(&path.with_extension("tokens"), &tokens)?;
    let matrix = |name: &str, of: fn(&Row) -> &Vec<f32>| {
        let values: Vec<f32> = rows.iter().flat_map(of).copied().collect();
        Entry::floats(name, [rows.len(), values.len() / rows.len()], values)
    };
    let lengths: Vec<u8> = rows
        .iter()
        .flat_map(|row| ((row.tokens.len() / row.pooled.len()) as u32).to_le_bytes())
        .collect();
    let entries = vec![
        Entry::bytes("keys", keys.concat()),
        Entry::bytes("lengths", lengths),
        matrix("pooled", |row| &row.pooled),
        matrix("classes", |row| &row.classes),
    ];
    files::write(path, &write(entries, &[], Precision::F16)?)
}
