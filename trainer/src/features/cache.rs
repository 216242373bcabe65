//! Pooled vectors of texts and pictures: from the cache where `imn features` has left them, else from the encoders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use half::f16;
use shared_model::data::MAX_IMAGES;
use shared_model::kb::Pooled;
use shared_model::linker::{Encoders, ImageVectors};
use shared_model::pack::Pack;
use shared_model::tokenizer::Encoded;

use super::{BATCH, Key, folder, picture_key, text_key};
use crate::dataset::{Dataset, picture_of};
use crate::files::{self, progress};

/// Answers are rounded to f16 whether they come from the cache or not: a run's figures do not depend on it.
pub(crate) struct Features<'a> {
    dataset: &'a Dataset,
    encoders: &'a Encoders,
    texts: Cache,
    pictures: Cache,
}

/// A post whose vectors are wanted.
pub(crate) struct Source<'a> {
    /// `None` for an empty text.
    pub(crate) text: Option<Encoded>,
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
        fingerprint: &str,
    ) -> anyhow::Result<Self> {
        let mut features = Self {
            dataset,
            encoders,
            texts: Cache::default(),
            pictures: Cache::default(),
        };
        let folder = folder(dataset, fingerprint);
        if !folder.exists() {
            return Ok(features);
        }
        let refuse = || format!("cannot read {}", folder.display());
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
            .with_context(refuse)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()
            .with_context(refuse)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "bpk"));
        paths.sort();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let cache = if name.starts_with("text-") {
                &mut features.texts
            } else {
                &mut features.pictures
            };
            cache.add(&path)?;
        }
        Ok(features)
    }

    /// The vectors of posts, in their order.
    ///
    /// # Errors
    ///
    /// An unreadable picture, by its path.
    pub(crate) fn pooled(&self, posts: &[Source]) -> anyhow::Result<Vec<Pooled>> {
        let texts = self.texts(posts)?;
        let n_pictured = posts.iter().filter(|post| !post.images.is_empty()).count();
        let bar = progress(n_pictured, "pictures");
        let mut pooled = Vec::with_capacity(posts.len());
        for (post, text) in posts.iter().zip(texts) {
            let images = post
                .images
                .iter()
                .take(MAX_IMAGES)
                .map(|path| self.picture(path))
                .collect::<anyhow::Result<Vec<_>>>()?;
            bar.inc(u64::from(!images.is_empty()));
            pooled.push(Pooled::of(text, &images));
        }
        bar.finish_and_clear();
        Ok(pooled)
    }

    fn texts(&self, posts: &[Source]) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let mut vectors: Vec<Option<Vec<f32>>> = vec![None; posts.len()];
        let mut missing = Vec::new();
        for (i, post) in posts.iter().enumerate() {
            let Some(encoded) = &post.text else { continue };
            match self.texts.row(|with_tokens| text_key(encoded, with_tokens)) {
                Some(row) => vectors[i] = Some(row.pooled),
                None => missing.push((i, encoded)),
            }
        }
        // Texts of like length share a batch, so that little is computed on padding.
        missing.sort_by_key(|(_, encoded)| encoded.ids.len());
        let bar = progress(missing.len(), "texts");
        for batch in missing.chunks(BATCH) {
            let encoded: Vec<Encoded> = batch.iter().map(|(_, text)| (*text).clone()).collect();
            let pooled = pollster::block_on(self.encoders.texts(&encoded))?;
            for ((i, _), vector) in batch.iter().zip(pooled) {
                vectors[*i] = Some(rounded(vector));
            }
            bar.inc(batch.len() as u64);
        }
        bar.finish_and_clear();
        Ok(vectors)
    }

    fn picture(&self, path: &str) -> anyhow::Result<ImageVectors> {
        let file = self.dataset.folder.join(path);
        let bytes = files::read(&file)?;
        if let Some(row) = self
            .pictures
            .row(|with_tokens| picture_key(&bytes, with_tokens))
        {
            return Ok(ImageVectors {
                pooled: row.pooled,
                classes: row.classes,
            });
        }
        let picture = picture_of(&bytes, &file.display().to_string())?;
        let ImageVectors { pooled, classes } = pollster::block_on(self.encoders.image(&picture))?;
        Ok(ImageVectors {
            pooled: rounded(pooled),
            classes: rounded(classes),
        })
    }
}

/// The rows of all shards of texts, or of pictures.
#[derive(Default)]
struct Cache {
    places: HashMap<Key, (usize, usize)>,
    shards: Vec<Shard>,
}

struct Shard {
    pooled: Matrix,
    classes: Matrix,
}

struct Matrix {
    values: Vec<f16>,
    width: usize,
}

struct CachedRow {
    pooled: Vec<f32>,
    /// Empty for texts.
    classes: Vec<f32>,
}

impl Cache {
    fn add(&mut self, path: &Path) -> anyhow::Result<()> {
        let pack = Pack::read(&path.display().to_string(), files::read(path)?)?;
        let matrix = |name: &str| -> anyhow::Result<(usize, Matrix)> {
            let (shape, values) = pack.floats(name)?;
            let values = values.into_iter().map(f16::from_f32).collect();
            let width = shape.last().copied().unwrap_or_default();
            Ok((shape[0], Matrix { values, width }))
        };
        let keys = pack.bytes("keys")?;
        let ((n, pooled), (n_classes, classes)) = (matrix("pooled")?, matrix("classes")?);
        ensure!(
            keys.len() == size_of::<Key>() * n && n_classes == n,
            "{}: its parts do not fit each other; delete it and run `imn features` again",
            path.display()
        );
        for (row, key) in keys.chunks_exact(size_of::<Key>()).enumerate() {
            let key = key.try_into().expect("chunks of a key's size");
            self.places.insert(key, (self.shards.len(), row));
        }
        self.shards.push(Shard { pooled, classes });
        Ok(())
    }

    /// A row that was kept with or without its tokens.
    fn row(&self, key: impl Fn(bool) -> Key) -> Option<CachedRow> {
        let place = |with_tokens| self.places.get(&key(with_tokens));
        let &(shard, row) = place(true).or_else(|| place(false))?;
        let shard = &self.shards[shard];
        Some(CachedRow {
            pooled: shard.pooled.row(row),
            classes: shard.classes.row(row),
        })
    }
}

impl Matrix {
    fn row(&self, row: usize) -> Vec<f32> {
        let values = &self.values[row * self.width..(row + 1) * self.width];
        values.iter().map(|value| value.to_f32()).collect()
    }
}

fn rounded(values: Vec<f32>) -> Vec<f32> {
    values
        .into_iter()
        .map(|value| f16::from_f32(value).to_f32())
        .collect()
}
