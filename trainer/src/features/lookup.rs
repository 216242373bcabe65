//! Vectors of posts: from the cache, if `imn features` has stored them there, else from the encoders.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use half::f16;
use shared_model::data::MAX_IMAGES;
use shared_model::encoders::Encoders;
use shared_model::joint::JointPost;
use shared_model::tokenizer::Encoded;
use shared_model::vectors::{ImageVectors, PooledVectors, PostVectors, TokenVectors};

use super::keys::{joint_content, joint_text, key, text_key};
use super::shards::{CachedRow, Shards};
use super::source::Source;
use super::{BATCH, CHUNK, encode_contexts, encode_pooled, folder};
use crate::dataset::{Dataset, picture_of};
use crate::files::{self, progress};
use crate::weights::Fingerprint;

/// The vectors of a dataset's posts. They are rounded to f16 whether they come from the cache or not, so that figures do not depend on it.
pub(crate) struct Features<'a> {
    dataset: &'a Dataset,
    pub(super) encoders: &'a Encoders,
    texts: Shards,
    pictures: Shards,
    tuned: Shards,
    joint: Shards,
    /// Pictures with their tokens, shared by the posts that show them.
    shown: RefCell<HashMap<PathBuf, Arc<CachedRow>>>,
}

impl<'a> Features<'a> {
    /// Opens a dataset's cache, which may be empty.
    ///
    /// # Errors
    ///
    /// If a shard is damaged; the error names it.
    pub(crate) fn open(
        dataset: &'a Dataset,
        encoders: &'a Encoders,
        fingerprint: &Fingerprint,
    ) -> anyhow::Result<Self> {
        let folder = folder(dataset, &fingerprint.encoders);
        let beside = |own: &Option<String>, kind: &str| match own {
            Some(own) => Shards::open(&folder.join(own), kind),
            None => Ok(Shards::default()),
        };
        Ok(Self {
            dataset,
            encoders,
            texts: Shards::open(&folder, "text-")?,
            pictures: Shards::open(&folder, "image-")?,
            tuned: beside(&fingerprint.context, "context-")?,
            joint: beside(&fingerprint.joint, "joint-")?,
            shown: RefCell::default(),
        })
    }

    /// Calls `keep` with the position and the pooled vectors of each of `n` posts, in their order; only a bounded number of them is held at once.
    ///
    /// # Errors
    ///
    /// If a picture cannot be read; the error names it. Errors of the posts and of `keep` are passed on.
    pub(crate) fn pooled<'s>(
        &self,
        n: usize,
        posts: impl Iterator<Item = anyhow::Result<Source<'s>>>,
        mut keep: impl FnMut(usize, PooledVectors) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let bar = progress(n, "posts");
        let mut posts = posts.peekable();
        let mut positions = 0..n;
        while posts.peek().is_some() {
            let chunk = posts.by_ref().take(CHUNK);
            let chunk = chunk.collect::<anyhow::Result<Vec<_>>>()?;
            let features = self.some(&chunk, FeatureLevel::Pooled)?;
            for (post, position) in features.iter().zip(positions.by_ref()) {
                keep(position, post.without_tokens().pooled())?;
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
    /// If a picture cannot be read; the error names it.
    pub(crate) fn posts(
        &self,
        posts: &[Source],
        level: FeatureLevel,
    ) -> anyhow::Result<Vec<PostFeatures>> {
        let bar = progress(posts.len(), "posts");
        let mut features = Vec::with_capacity(posts.len());
        for chunk in posts.chunks(CHUNK) {
            features.extend(self.some(chunk, level)?);
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(features)
    }

    fn some(&self, posts: &[Source], level: FeatureLevel) -> anyhow::Result<Vec<PostFeatures>> {
        if level == FeatureLevel::None {
            return Ok(vec![PostFeatures::default(); posts.len()]);
        }
        let with_tokens = level == FeatureLevel::Tokens;
        let texts = posts.iter().map(|post| post.text.as_ref());
        let texts = self.texts(texts, with_tokens)?;
        let contexts = posts.iter().map(|post| post.context.as_ref());
        let contexts = self.texts(contexts, false)?;
        let tuned = self.tuned(posts)?;
        let joints = self.joints(posts, with_tokens)?;
        let mut features = Vec::with_capacity(posts.len());
        let texts = texts.into_iter().zip(contexts);
        let rows = texts.zip(tuned).zip(joints);
        for (post, (((text, context), tuned), joint)) in posts.iter().zip(rows) {
            let images = post.images.iter().take(MAX_IMAGES);
            let images = images.map(|path| self.picture(path, with_tokens));
            features.push(PostFeatures {
                text,
                context,
                tuned,
                images: images.collect::<anyhow::Result<_>>()?,
                joint,
            });
        }
        Ok(features)
    }

    fn picture(&self, path: &str, with_tokens: bool) -> anyhow::Result<Arc<CachedRow>> {
        let file = self.dataset.folder.join(path);
        let shown = self.shown.borrow().get(&file).cloned();
        if let Some(row) = shown.filter(|_| with_tokens) {
            return Ok(row);
        }
        let bytes = files::read(&file)?;
        let row = self
            .pictures
            .row(|stored| key(&bytes, stored), with_tokens)?;
        let row = match row {
            Some(row) => row,
            None => {
                let picture = picture_of(&bytes, &file.display().to_string())?;
                let image = pollster::block_on(self.encoders.image(&picture))?;
                let tokens = if with_tokens { &image.tokens[..] } else { &[] };
                CachedRow::encoded(image.pooled, image.classes, tokens)
            }
        };
        let row = Arc::new(row);
        if with_tokens {
            self.shown.borrow_mut().insert(file, Arc::clone(&row));
        }
        Ok(row)
    }

    fn texts<'t>(
        &self,
        texts: impl ExactSizeIterator<Item = Option<&'t Encoded>>,
        with_tokens: bool,
    ) -> anyhow::Result<Vec<Option<CachedRow>>> {
        let mut vectors: Vec<Option<CachedRow>> = vec![None; texts.len()];
        let mut missing = Vec::new();
        for (i, text) in texts.enumerate() {
            let Some(encoded) = text else { continue };
            vectors[i] = self
                .texts
                .row(|stored| text_key(encoded, stored), with_tokens)?;
            if vectors[i].is_some() {
                continue;
            }
            if with_tokens {
                let text = pollster::block_on(self.encoders.text(encoded))?;
                vectors[i] = Some(CachedRow::encoded(text.pooled, Vec::new(), &text.tokens));
            } else {
                missing.push((i, encoded));
            }
        }
        let (places, texts): (Vec<usize>, Vec<&Encoded>) = missing.into_iter().unzip();
        let encode = |batch: &[Encoded]| Ok(pollster::block_on(self.encoders.texts(batch))?);
        for (i, pooled) in places.into_iter().zip(encode_pooled(&texts, encode)?) {
            vectors[i] = Some(CachedRow::encoded(pooled, Vec::new(), &[]));
        }
        Ok(vectors)
    }

    /// Rows of the context encoder; all `None` without one.
    fn tuned(&self, posts: &[Source]) -> anyhow::Result<Vec<Option<CachedRow>>> {
        let mut rows: Vec<Option<CachedRow>> = vec![None; posts.len()];
        let mut missing = Vec::new();
        for (i, post) in posts.iter().enumerate() {
            let Some(encoded) = &post.tuned else { continue };
            rows[i] = self.tuned.row(|stored| text_key(encoded, stored), false)?;
            if rows[i].is_none() {
                missing.push((i, encoded));
            }
        }
        let (places, texts): (Vec<usize>, Vec<&Encoded>) = missing.into_iter().unzip();
        for (i, pooled) in places
            .into_iter()
            .zip(encode_contexts(&texts, self.encoders)?)
        {
            rows[i] = Some(CachedRow::encoded(pooled, Vec::new(), &[]));
        }
        Ok(rows)
    }

    /// Rows of the joint encoder; all `None` without one.
    fn joints(
        &self,
        posts: &[Source],
        with_tokens: bool,
    ) -> anyhow::Result<Vec<Option<CachedRow>>> {
        let mut rows: Vec<Option<CachedRow>> = vec![None; posts.len()];
        if self.encoders.joint.is_none() {
            return Ok(rows);
        }
        let mut missing = Vec::new();
        for (i, post) in posts.iter().enumerate() {
            let content = joint_content(self.dataset, self.encoders, post)?;
            rows[i] = self
                .joint
                .row(|stored| key(&content, stored), with_tokens)?;
            if rows[i].is_none() {
                missing.push(i);
            }
        }
        for batch in missing.chunks(BATCH) {
            let sources: Vec<&Source> = batch.iter().map(|&i| &posts[i]).collect();
            let vectors = self.joint_vectors(&sources)?;
            for (&i, TokenVectors { pooled, tokens }) in batch.iter().zip(vectors) {
                let tokens = if with_tokens { &tokens[..] } else { &[] };
                rows[i] = Some(CachedRow::encoded(pooled, Vec::new(), tokens));
            }
        }
        Ok(rows)
    }

    /// Encodes posts with the joint encoder.
    ///
    /// # Errors
    ///
    /// If there is no joint encoder, or if a picture cannot be read.
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
        let tokens = |path: &String| Ok(widened(&self.picture(path, true)?.tokens));
        let pictures = pictures.map(tokens);
        Ok(self.encoders.joint_post(
            &joint_text(source, self.encoders)?,
            source.mention,
            pictures.collect::<anyhow::Result<_>>()?,
        ))
    }

    /// Frees the memory of the pictures' tokens; pictures that are shown again are read again.
    pub(super) fn forget_pictures(&self) {
        self.shown.borrow_mut().clear();
    }
}

/// Which vectors of a post are needed. Each level contains the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FeatureLevel {
    /// No vectors.
    None,
    /// One vector per modality.
    Pooled,
    /// The tokens too.
    Tokens,
}

/// A post's vectors, with the tokens in f16.
#[derive(Clone, Default)]
pub(crate) struct PostFeatures {
    text: Option<CachedRow>,
    context: Option<CachedRow>,
    tuned: Option<CachedRow>,
    images: Vec<Arc<CachedRow>>,
    joint: Option<CachedRow>,
}

impl PostFeatures {
    /// The vectors in f32, without the tokens.
    pub(crate) fn without_tokens(&self) -> PostVectors {
        self.vectors_with(|_| Vec::new())
    }

    /// The vectors in f32.
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
            context: self.context.as_ref().map(with_tokens).map(Arc::new),
            tuned: self.tuned.as_ref().map(|row| row.pooled.clone()),
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

    /// The features of a text of one token.
    #[cfg(test)]
    pub(crate) fn of_text(pooled: Vec<f32>) -> Self {
        let tokens = pooled.iter().map(|&value| f16::from_f32(value)).collect();
        Self {
            text: Some(CachedRow {
                tokens,
                pooled,
                classes: Vec::new(),
            }),
            ..Self::default()
        }
    }
}

fn widened(values: &[f16]) -> Vec<f32> {
    values.iter().map(|value| value.to_f32()).collect()
}
