//! Vectors of texts and pictures: from the cache where `imn features` has left them, else from the encoders.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, ensure};
use burn::tensor::{Bytes, DType};
use burn_std::Reader;
use half::f16;
use shared_model::data::MAX_IMAGES;
use shared_model::encoders::Encoders;
use shared_model::tokenizer::Encoded;
use shared_model::vectors::PooledVectors;
use shared_model::vectors::{ImageVectors, PostVectors, TokenVectors};

use super::joint::{self, joint_folder};
use super::{BATCH, CHUNK, Key, folder, picture_key, text_key};
use crate::dataset::{Dataset, picture_of};
use crate::files::{self, progress};
use crate::halves;
use crate::run::Fingerprint;

/// Answers are rounded to f16 whether they come from the cache or not: a run's figures do not depend on it.
pub(crate) struct Features<'a> {
    dataset: &'a Dataset,
    pub(super) encoders: &'a Encoders,
    texts: Cache,
    pictures: Cache,
    joint: Cache,
    /// Pictures with their tokens, shared among the posts that show them.
    shown: RefCell<HashMap<PathBuf, Arc<CachedRow>>>,
}

/// A post whose vectors are wanted.
pub(crate) struct Source<'a> {
    /// `None` for an empty text.
    pub(crate) text: Option<Encoded>,
    /// The mention's characters.
    pub(crate) mention: Option<&'a str>,
    /// Relative to the dataset; those beyond [`MAX_IMAGES`] are left out.
    pub(crate) images: &'a [String],
}

impl<'a> Features<'a> {
    /// Opens what there is of a dataset's cache.
    ///
    /// # Errors
    ///
    /// A damaged shard, by its name.
    pub(crate) fn open(
        dataset: &'a Dataset,
        encoders: &'a Encoders,
        fingerprint: &Fingerprint,
    ) -> anyhow::Result<Self> {
        let mut features = Self {
            dataset,
            encoders,
            texts: Cache::default(),
            pictures: Cache::default(),
            joint: Cache::default(),
            shown: RefCell::default(),
        };
        for path in shards(&folder(dataset, &fingerprint.encoders))? {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let cache = if name.starts_with("text-") {
                &mut features.texts
            } else {
                &mut features.pictures
            };
            cache.add(&path)?;
        }
        if let Some(folder) = joint_folder(dataset, fingerprint) {
            for path in shards(&folder)? {
                features.joint.add(&path)?;
            }
        }
        Ok(features)
    }

    /// Hands on one vector a modality of each of `n` posts, in their order; no more than some are held at once.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path, and those of the posts and of `keep`.
    pub(crate) fn pooled<'s, T>(
        &self,
        n: usize,
        posts: impl Iterator<Item = anyhow::Result<(T, Source<'s>)>>,
        mut keep: impl FnMut(T, PooledVectors) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bar = progress(n, "posts");
        let mut posts = posts.peekable();
        while posts.peek().is_some() {
            let chunk = posts.by_ref().take(CHUNK);
            let (tags, chunk): (Vec<T>, Vec<Source>) = chunk
                .collect::<anyhow::Result<Vec<_>>>()?
                .into_iter()
                .unzip();
            for (tag, post) in tags.into_iter().zip(self.some(&chunk, Wanted::Pooled)?) {
                keep(tag, post.without_tokens().pooled())?;
                bar.inc(1);
            }
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// The vectors of posts, in their order.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn posts(
        &self,
        posts: &[Source],
        wanted: Wanted,
    ) -> anyhow::Result<Vec<PostFeatures>> {
        let bar = progress(posts.len(), "posts");
        let mut features = Vec::with_capacity(posts.len());
        for chunk in posts.chunks(CHUNK) {
            features.extend(self.some(chunk, wanted)?);
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(features)
    }

    fn some(&self, posts: &[Source], wanted: Wanted) -> anyhow::Result<Vec<PostFeatures>> {
        let texts = match wanted {
            Wanted::Pooled => self.texts(posts)?,
            Wanted::Tokens => posts
                .iter()
                .map(|post| {
                    post.text
                        .as_ref()
                        .map(|text| self.text_with_tokens(text))
                        .transpose()
                })
                .collect::<anyhow::Result<_>>()?,
        };
        let joints = self.joints(posts, wanted)?;
        let mut features = Vec::with_capacity(posts.len());
        for ((post, text), joint) in posts.iter().zip(texts).zip(joints) {
            let images = post.images.iter().take(MAX_IMAGES);
            let images = images.map(|path| match wanted {
                Wanted::Pooled => Ok(Arc::new(self.picture(path)?)),
                Wanted::Tokens => self.picture_with_tokens(path),
            });
            features.push(PostFeatures {
                text,
                images: images.collect::<anyhow::Result<_>>()?,
                joint,
            });
        }
        Ok(features)
    }

    fn text_with_tokens(&self, encoded: &Encoded) -> anyhow::Result<CachedRow> {
        if let Some(row) = self.texts.row_with_tokens(&text_key(encoded, true))? {
            return Ok(row);
        }
        let text = pollster::block_on(self.encoders.text(encoded))?;
        Ok(CachedRow {
            pooled: rounded(text.pooled),
            classes: Vec::new(),
            tokens: halved(&text.tokens),
        })
    }

    fn picture_with_tokens(&self, path: &str) -> anyhow::Result<Arc<CachedRow>> {
        let file = self.dataset.folder.join(path);
        if let Some(row) = self.shown.borrow().get(&file) {
            return Ok(Arc::clone(row));
        }
        let bytes = files::read(&file)?;
        let row = match self.pictures.row_with_tokens(&picture_key(&bytes, true))? {
            Some(row) => row,
            None => self.encode(&bytes, &file)?,
        };
        let row = Arc::new(row);
        self.shown.borrow_mut().insert(file, Arc::clone(&row));
        Ok(row)
    }

    fn texts(&self, posts: &[Source]) -> anyhow::Result<Vec<Option<CachedRow>>> {
        let mut vectors: Vec<Option<CachedRow>> = vec![None; posts.len()];
        let mut missing = Vec::new();
        for (i, post) in posts.iter().enumerate() {
            let Some(encoded) = &post.text else { continue };
            match self
                .texts
                .row(|with_tokens| text_key(encoded, with_tokens))?
            {
                Some(row) => vectors[i] = Some(row),
                None => missing.push((i, encoded)),
            }
        }
        // Texts of like length share a batch, so that little is computed on padding.
        missing.sort_by_key(|(_, encoded)| encoded.ids.len());
        for batch in missing.chunks(BATCH) {
            let encoded: Vec<Encoded> = batch.iter().map(|(_, text)| (*text).clone()).collect();
            let pooled = pollster::block_on(self.encoders.texts(&encoded))?;
            for ((i, _), vector) in batch.iter().zip(pooled) {
                vectors[*i] = Some(CachedRow {
                    pooled: rounded(vector),
                    ..CachedRow::default()
                });
            }
        }
        Ok(vectors)
    }

    /// Rows of the joint encoder, none without one.
    fn joints(&self, posts: &[Source], wanted: Wanted) -> anyhow::Result<Vec<Option<CachedRow>>> {
        let mut rows: Vec<Option<CachedRow>> = vec![None; posts.len()];
        if self.encoders.joint.is_none() {
            return Ok(rows);
        }
        let mut missing = Vec::new();
        for (i, post) in posts.iter().enumerate() {
            let content = joint::content(self.dataset, self.encoders, post)?;
            rows[i] = match wanted {
                Wanted::Tokens => self.joint.row_with_tokens(&joint::key(&content, true))?,
                Wanted::Pooled => self
                    .joint
                    .row(|with_tokens| joint::key(&content, with_tokens))?,
            };
            if rows[i].is_none() {
                missing.push(i);
            }
        }
        for batch in missing.chunks(BATCH) {
            let sources: Vec<&Source> = batch.iter().map(|&i| &posts[i]).collect();
            let vectors = self.joint_vectors(&sources)?;
            for (&i, TokenVectors { pooled, tokens }) in batch.iter().zip(vectors) {
                rows[i] = Some(CachedRow {
                    pooled: rounded(pooled),
                    classes: Vec::new(),
                    tokens: match wanted {
                        Wanted::Tokens => halved(&tokens),
                        Wanted::Pooled => Vec::new(),
                    },
                });
            }
        }
        Ok(rows)
    }

    /// A picture's tokens in f32.
    pub(super) fn picture_tokens(&self, path: &str) -> anyhow::Result<Vec<f32>> {
        Ok(widened(&self.picture_with_tokens(path)?.tokens))
    }

    /// Makes room: pictures that are shown again are read again.
    pub(super) fn forget_pictures(&self) {
        self.shown.borrow_mut().clear();
    }

    fn picture(&self, path: &str) -> anyhow::Result<CachedRow> {
        let file = self.dataset.folder.join(path);
        let bytes = files::read(&file)?;
        match self
            .pictures
            .row(|with_tokens| picture_key(&bytes, with_tokens))?
        {
            Some(row) => Ok(row),
            None => Ok(CachedRow {
                tokens: Vec::new(),
                ..self.encode(&bytes, &file)?
            }),
        }
    }

    fn encode(&self, bytes: &[u8], file: &Path) -> anyhow::Result<CachedRow> {
        let picture = picture_of(bytes, &file.display().to_string())?;
        let image = pollster::block_on(self.encoders.image(&picture))?;
        Ok(CachedRow {
            pooled: rounded(image.pooled),
            classes: rounded(image.classes),
            tokens: halved(&image.tokens),
        })
    }
}

/// How much of a post is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// One vector a modality.
    Pooled,
    /// The tokens too.
    Tokens,
}

/// A post's vectors, its tokens in f16.
#[derive(Clone, Default)]
pub(crate) struct PostFeatures {
    text: Option<CachedRow>,
    images: Vec<Arc<CachedRow>>,
    joint: Option<CachedRow>,
}

impl PostFeatures {
    /// In f32, the tokens left out.
    pub(crate) fn without_tokens(&self) -> PostVectors {
        self.vectors_with(|_| Vec::new())
    }

    /// In f32.
    pub(crate) fn vectors(&self) -> PostVectors {
        self.vectors_with(widened)
    }

    fn vectors_with(&self, tokens: impl Fn(&[f16]) -> Vec<f32>) -> PostVectors {
        let with_tokens = |row: &CachedRow| TokenVectors {
            pooled: row.pooled.clone(),
            tokens: tokens(&row.tokens),
        };
        PostVectors {
            text: self.text.as_ref().map(with_tokens).map(Arc::new),
            joint: self.joint.as_ref().map(with_tokens).map(Arc::new),
            images: self
                .images
                .iter()
                .map(|row| ImageVectors {
                    pooled: row.pooled.clone(),
                    classes: row.classes.clone(),
                    tokens: tokens(&row.tokens),
                })
                .map(Arc::new)
                .collect(),
        }
    }

    /// A text of one token.
    #[cfg(test)]
    pub(crate) fn of_text(pooled: Vec<f32>) -> Self {
        Self {
            text: Some(CachedRow {
                tokens: halved(&pooled),
                pooled,
                classes: Vec::new(),
            }),
            images: Vec::new(),
            joint: None,
        }
    }
}

/// The shards in a folder, which may not be there yet.
fn shards(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let refuse = || format!("cannot read {}", folder.display());
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(refuse)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(refuse)?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "bpk"));
    paths.sort();
    Ok(paths)
}

/// The rows of all shards of texts, or of pictures.
#[derive(Default)]
struct Cache {
    places: HashMap<Key, (usize, usize)>,
    shards: Vec<Shard>,
}

struct Shard {
    path: PathBuf,
    pooled: Matrix,
    classes: Matrix,
    /// Token numbers, f16, row after row.
    tokens: PathBuf,
    /// Where each row's tokens begin, in numbers; one more at the end.
    starts: Vec<u64>,
}

/// Rows of f16 in a shard's file, read when they are asked for.
struct Matrix {
    file: Bytes,
    width: usize,
}

#[derive(Clone, Default)]
struct CachedRow {
    pooled: Vec<f32>,
    /// Empty for texts.
    classes: Vec<f32>,
    /// `[n, width]`; empty unless they are asked for.
    tokens: Vec<f16>,
}

impl Cache {
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
            self.places.insert(key, (self.shards.len(), row));
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

    /// A row with its tokens, if they were kept.
    fn row_with_tokens(&self, key: &Key) -> anyhow::Result<Option<CachedRow>> {
        let Some(&(shard, row)) = self.places.get(key) else {
            return Ok(None);
        };
        let shard = &self.shards[shard];
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

    /// A row that was kept with or without its tokens.
    fn row(&self, key: impl Fn(bool) -> Key) -> anyhow::Result<Option<CachedRow>> {
        let place = |with_tokens| self.places.get(&key(with_tokens));
        let place = place(true).or_else(|| place(false));
        place
            .map(|&(shard, row)| self.shards[shard].row(row))
            .transpose()
    }
}

impl Shard {
    /// A row without its tokens.
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

/// The bytes of a part of a file.
fn read(bytes: &Bytes) -> anyhow::Result<&[u8]> {
    bytes
        .read(Reader::new())
        .map_err(|error| anyhow!("{error}"))
}

fn rounded(values: Vec<f32>) -> Vec<f32> {
    values
        .into_iter()
        .map(|value| f16::from_f32(value).to_f32())
        .collect()
}

fn halved(values: &[f32]) -> Vec<f16> {
    values.iter().map(|&value| f16::from_f32(value)).collect()
}

fn widened(values: &[f16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}
