//! Reading the cache: pooled vectors in memory, tokens from disk.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use anyhow::{Context as _, ensure};
use half::f16;
use shared_model::pack::Pack;
use shared_model::tokenizer::Encoded;

use super::{Key, folder, picture_key, text_key};
use crate::dataset::Dataset;
use crate::files;

/// The cache of one dataset, opened: pooled vectors in memory, tokens on disk.
pub(crate) struct Features {
    texts: Cache,
    pictures: Cache,
}

/// Tokens of one text or picture.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tokens {
    /// Row-major.
    pub(crate) values: Vec<f16>,
    /// Of a row.
    pub(crate) width: usize,
}

/// A picture's pooled vector and class probabilities.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct PictureRow {
    /// Mean over the tokens.
    pub(crate) pooled: Vec<f32>,
    /// Class probabilities.
    pub(crate) classes: Vec<f32>,
}

impl Features {
    /// Opens the shards of a dataset.
    pub(crate) fn open(dataset: &Dataset, fingerprint: &str) -> anyhow::Result<Self> {
        let folder = folder(dataset, fingerprint);
        let mut features = Self {
            texts: Cache::default(),
            pictures: Cache::default(),
        };
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .with_context(|| format!("{}: make it with `imn features`", folder.display()))?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "bpk"));
        paths.sort();
        for path in paths {
            let is_text = path
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("text-"));
            let cache = if is_text {
                &mut features.texts
            } else {
                &mut features.pictures
            };
            cache.add(&path)?;
        }
        Ok(features)
    }

    /// The pooled vector of a text.
    pub(crate) fn text(&self, encoded: &Encoded, with_tokens: bool) -> anyhow::Result<Vec<f32>> {
        let place = self.texts.place(&text_key(encoded, with_tokens))?;
        Ok(self.texts.shards[place.shard].pooled(place.row))
    }

    /// The tokens of a mention's text.
    pub(crate) fn text_tokens(&self, encoded: &Encoded) -> anyhow::Result<Tokens> {
        self.texts.tokens(&text_key(encoded, true))
    }

    /// Pooled vector and classes of a picture.
    pub(crate) fn picture(&self, bytes: &[u8], with_tokens: bool) -> anyhow::Result<PictureRow> {
        let place = self.pictures.place(&picture_key(bytes, with_tokens))?;
        let shard = &self.pictures.shards[place.shard];
        Ok(PictureRow {
            pooled: shard.pooled(place.row),
            classes: shard.classes(place.row),
        })
    }

    /// The tokens of a mention's picture.
    pub(crate) fn picture_tokens(&self, bytes: &[u8]) -> anyhow::Result<Tokens> {
        self.pictures.tokens(&picture_key(bytes, true))
    }
}

#[derive(Default)]
struct Cache {
    places: HashMap<Key, Place>,
    shards: Vec<Shard>,
}

#[derive(Clone, Copy)]
struct Place {
    shard: usize,
    row: usize,
}

struct Shard {
    pooled: Vec<f16>,
    width: usize,
    classes: Vec<f16>,
    n_classes: usize,
    /// Tokens before each row, and in all.
    offsets: Vec<usize>,
    tokens: Mutex<File>,
}

impl Cache {
    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let pack = Pack::read(&path.display().to_string(), files::read(path)?)?;
        let keys = pack.bytes("keys")?;
        let (shape, pooled) = pack.floats("pooled")?;
        let (class_shape, classes) = pack.floats("classes")?;
        let mut offsets = vec![0];
        for length in pack.bytes("lengths")?.chunks_exact(4) {
            let length = u32::from_le_bytes(length.try_into().expect("four bytes"));
            offsets.push(offsets[offsets.len() - 1] + length as usize);
        }
        let narrow = |values: Vec<f32>| values.into_iter().map(f16::from_f32).collect();
        let beside = path.with_extension("tokens");
        let shard = Shard {
            pooled: narrow(pooled),
            width: shape[1],
            classes: narrow(classes),
            n_classes: class_shape[1],
            offsets,
            tokens: Mutex::new(
                File::open(&beside).with_context(|| format!("cannot read {}", beside.display()))?,
            ),
        };
        ensure!(
            keys.len() == 32 * shape[0] && shard.offsets.len() == shape[0] + 1,
            "{}: its parts do not fit each other; delete it and run `imn features` again",
            path.display()
        );
        for (row, key) in keys.chunks_exact(32).enumerate() {
            let place = Place {
                shard: self.shards.len(),
                row,
            };
            self.places.insert(key.try_into().expect("32 bytes"), place);
        }
        self.shards.push(shard);
        Ok(())
    }

    fn place(&self, key: &Key) -> anyhow::Result<Place> {
        self.places
            .get(key)
            .copied()
            .context("a text or picture is not in the cache; run `imn features` again")
    }

    fn tokens(&self, key: &Key) -> anyhow::Result<Tokens> {
        let place = self.place(key)?;
        let shard = &self.shards[place.shard];
        let (start, end) = (shard.offsets[place.row], shard.offsets[place.row + 1]);
        let mut bytes = vec![0; (end - start) * shard.width * 2];
        let mut file = shard.tokens.lock().expect("no reader panics");
        file.seek(SeekFrom::Start((start * shard.width * 2) as u64))?;
        file.read_exact(&mut bytes)
            .context("a shard's tokens are cut off; delete it and run `imn features` again")?;
        Ok(Tokens {
            values: bytes
                .chunks_exact(2)
                .map(|pair| f16::from_le_bytes([pair[0], pair[1]]))
                .collect(),
            width: shard.width,
        })
    }
}

impl Shard {
    fn pooled(&self, row: usize) -> Vec<f32> {
        widened(&self.pooled[row * self.width..(row + 1) * self.width])
    }

    fn classes(&self, row: usize) -> Vec<f32> {
        widened(&self.classes[row * self.n_classes..(row + 1) * self.n_classes])
    }
}

fn widened(values: &[f16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}
