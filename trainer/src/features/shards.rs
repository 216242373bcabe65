//! The shard format of the cache: rows of texts, pictures or posts, found by the hashes of their content.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use burn::tensor::{Bytes, DType};
use burn_std::Reader;
use half::f16;
use shared_model::hash::sha256;
use shared_model::pack::{Entry, Precision, write};
use shared_model::vectors::ImageVectors;

use super::keys::Key;
use crate::{files, halves};

/// The rows of all shards of one kind.
#[derive(Default)]
pub(super) struct Shards {
    /// Shard and row by key.
    positions: HashMap<Key, (usize, usize)>,
    shards: Vec<Shard>,
}

struct Shard {
    path: PathBuf,
    pooled: Matrix,
    classes: Matrix,
    /// File of the token values, f16, row after row.
    tokens: PathBuf,
    /// Offset of each row's token values; one more at the end.
    starts: Vec<u64>,
}

/// A matrix of f16 in a shard's file, of which single rows are read.
struct Matrix {
    file: Bytes,
    width: usize,
}

/// The vectors of a text, a picture or a post.
#[derive(Clone, Default)]
pub(super) struct CachedRow {
    /// Pooled vector.
    pub(super) pooled: Vec<f32>,
    /// Class probabilities; empty but for pictures.
    pub(super) classes: Vec<f32>,
    /// `[n, width]`, row-major; empty unless they were asked for.
    pub(super) tokens: Vec<f16>,
}

impl CachedRow {
    /// A row of vectors that were just encoded, rounded as the cache rounds them.
    pub(super) fn encoded(pooled: Vec<f32>, classes: Vec<f32>, tokens: &[f32]) -> Self {
        let rounded = |values: Vec<f32>| {
            let values = values.into_iter();
            values.map(|value| f16::from_f32(value).to_f32()).collect()
        };
        Self {
            pooled: rounded(pooled),
            classes: rounded(classes),
            tokens: tokens.iter().map(|&value| f16::from_f32(value)).collect(),
        }
    }
}

impl Shards {
    /// Opens the shards of a folder, which need not exist, whose names start with `kind`.
    pub(super) fn open(folder: &Path, kind: &str) -> anyhow::Result<Self> {
        let mut shards = Self::default();
        if !folder.exists() {
            return Ok(shards);
        }
        for path in files::list(folder)? {
            let is_shard = path.extension().is_some_and(|extension| extension == "bpk");
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if is_shard && name.starts_with(kind) {
                shards.add(&path)?;
            }
        }
        Ok(shards)
    }

    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let misfit = || {
            let path = path.display();
            anyhow!(
                "{path}: its parts do not fit each other; delete it and run `imn features` again"
            )
        };
        let refuse = || {
            format!(
                "{} is damaged; delete it and run `imn features` again",
                path.display()
            )
        };
        let reader = burn_pack::Reader::from_file(path).with_context(refuse)?;
        let mut tensors = HashMap::new();
        for tensor in reader.into_tensors().with_context(refuse)? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts().with_context(refuse)?;
            tensors.insert(name, (dtype, shape.to_vec(), bytes));
        }
        let mut take = |name: &str| tensors.remove(name).ok_or_else(misfit);
        let (_, _, keys) = take("keys")?;
        let (_, _, lengths) = take("lengths")?;
        let keys = read(&keys).with_context(refuse)?;
        let lengths = read(&lengths).with_context(refuse)?;
        let n = keys.len() / size_of::<Key>();
        let mut matrix = |name: &str| match take(name)? {
            (DType::F16, shape, file) if shape.len() == 2 && shape[0] == n => Ok(Matrix {
                file,
                width: shape[1],
            }),
            _ => Err(misfit()),
        };
        let (pooled, classes) = (matrix("pooled")?, matrix("classes")?);
        ensure!(
            keys.len() == size_of::<Key>() * n && lengths.len() == size_of::<u32>() * n,
            misfit()
        );
        for (row, key) in keys.chunks_exact(size_of::<Key>()).enumerate() {
            let key = key.try_into().expect("chunks of a key's size");
            self.positions.insert(key, (self.shards.len(), row));
        }
        let mut starts = vec![0];
        for length in lengths.chunks_exact(size_of::<u32>()) {
            let length = u32::from_le_bytes(length.try_into().expect("chunks of four"));
            starts.push(starts[starts.len() - 1] + u64::from(length) * pooled.width as u64);
        }
        self.shards.push(Shard {
            path: path.to_owned(),
            pooled,
            classes,
            tokens: path.with_extension("tokens"),
            starts,
        });
        Ok(())
    }

    /// Reads a row: with its tokens, if they were stored, or one that was stored with or without them.
    pub(super) fn row(
        &self,
        key: impl Fn(bool) -> Key,
        with_tokens: bool,
    ) -> anyhow::Result<Option<CachedRow>> {
        let position = |stored| self.positions.get(&key(stored));
        let pooled = || {
            if with_tokens { None } else { position(false) }
        };
        let Some(&(shard, row)) = position(true).or_else(pooled) else {
            return Ok(None);
        };
        let shard = &self.shards[shard];
        if !with_tokens {
            return shard.row(row).map(Some);
        }
        let (start, end) = (shard.starts[row], shard.starts[row + 1]);
        let mut bytes = vec![0; (end - start) as usize * halves::SIZE];
        let read = |bytes: &mut [u8]| {
            let mut file = File::open(&shard.tokens)?;
            file.seek(SeekFrom::Start(start * halves::SIZE as u64))?;
            file.read_exact(bytes)
        };
        read(&mut bytes).with_context(|| format!("cannot read {}", shard.tokens.display()))?;
        Ok(Some(CachedRow {
            tokens: halves::numbers(&bytes).collect(),
            ..shard.row(row)?
        }))
    }
}

impl Shard {
    /// Reads a row without its tokens.
    fn row(&self, row: usize) -> anyhow::Result<CachedRow> {
        let refuse = || format!("cannot read {}", self.path.display());
        Ok(CachedRow {
            pooled: self.pooled.row(row).with_context(refuse)?,
            classes: self.classes.row(row).with_context(refuse)?,
            tokens: Vec::new(),
        })
    }
}

impl Matrix {
    fn row(&self, row: usize) -> anyhow::Result<Vec<f32>> {
        if self.width == 0 {
            return Ok(Vec::new());
        }
        let n_bytes = self.width * halves::SIZE;
        let bytes = self.file.view(row * n_bytes, (row + 1) * n_bytes);
        let bytes = bytes.map_err(|error| anyhow!("{error:?}"))?;
        let numbers = halves::numbers(read(&bytes)?);
        Ok(numbers.map(f16::to_f32).collect())
    }
}

/// Reads a part of a file.
fn read(bytes: &Bytes) -> anyhow::Result<&[u8]> {
    bytes
        .read(Reader::new())
        .map_err(|error| anyhow!("{error}"))
}

/// The name of a shard: its kind and a hash over its keys.
pub(super) fn shard_name(kind: &str, keys: &[Key]) -> String {
    format!("{kind}-{}.bpk", &sha256(&keys.concat())[..24])
}

/// Writes the tokens, then the shard: a shard that exists is whole. Texts and posts are rows without classes.
pub(super) fn write_shard(path: &Path, keys: &[Key], rows: &[ImageVectors]) -> anyhow::Result<()> {
    let tokens: Vec<u8> = rows
        .iter()
        .flat_map(|row| halves::bytes(&row.tokens))
        .collect();
    files::write(&path.with_extension("tokens"), &tokens)?;
    let matrix = |name: &str, of: fn(&ImageVectors) -> &Vec<f32>| {
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
