//! The frozen encoders: texts and pictures to vectors.

use std::borrow::Cow;
use std::sync::Arc;

use burn::prelude::*;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::classes::ClassTable;
use crate::error::Result;
use crate::joint::{JointConfig, JointEncoder, JointInput, JointPost, MAX_TEXT};
use crate::math::mean;
use crate::pack::Pack;
use crate::tensors::{pad, read};
use crate::text::{Bert, BertConfig, TunedConfig};
use crate::tokenizer::{Encoded, Tokenizer};
use crate::vectors::{ImageVectors, PostVectors, TokenVectors, Widths};
use crate::vision::{Vision, VisionConfig, VisionTokens};
use crate::words::WordTable;

/// The frozen encoders and the device that they are on.
#[derive(Debug, Clone)]
pub struct Encoders {
    /// Texts to token ids.
    pub tokenizer: Tokenizer,
    /// Token ids to text tokens.
    pub text: Bert,
    /// The text encoder, fine-tuned on texts without names; `None` where the weights have none.
    pub context: Option<Bert>,
    /// Pictures to image tokens.
    pub vision: Vision,
    /// Classes of the image encoder as texts; `None` where the weights have none.
    pub classes: Option<ClassTable>,
    /// Mentions to word vectors; `None` where the weights have none.
    pub words: Option<WordTable>,
    /// Text, mention and pictures together to joint tokens.
    pub joint: Option<Joint>,
    /// Device of the weights.
    pub device: Device,
}

/// A joint encoder with its sizes.
#[derive(Debug, Clone)]
pub struct Joint {
    /// Its weights, on the encoders' device.
    pub encoder: JointEncoder,
    /// Its sizes.
    pub config: JointConfig,
}

/// Which encoders there are, and their sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// Text encoder, `text.bpk`.
    pub text: BertConfig,
    /// Context encoder, `context.bpk`; the layers that it lacks are the text encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<TunedConfig>,
    /// Image encoder, `vision.bpk`.
    pub vision: VisionConfig,
    /// Whether there are word vectors, `words.bpk`.
    pub words: bool,
    /// Whether there are class embeddings, `classes.bpk`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub classes: bool,
    /// Joint encoder, `joint.bpk`; its word embeddings are the text encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointConfig>,
}

impl Models {
    /// Widths of the pooled vectors.
    pub fn widths(&self) -> Widths {
        let (image, classes) = self.vision.widths();
        Widths {
            text: self.text.d_model,
            context: self.context.is_some(),
            image,
            classes,
            joint: self.joint.as_ref().map(|joint| joint.d_model),
        }
    }

    fn load_joint(
        &self,
        config: &JointConfig,
        pack: &Pack,
        words: Option<&WordTable>,
        device: &Device,
    ) -> Result<Joint> {
        let fits = config.d_model == self.text.d_model
            && config.image_width == self.vision.widths().0
            && config.patches == self.vision.tokens()
            && config.word_width == words.map_or(1, WordTable::width);
        if !fits {
            return Err(pack.refuse("it was pre-trained on other encoders"));
        }
        Ok(Joint {
            encoder: config.load(pack, device)?,
            config: config.clone(),
        })
    }
}

impl Encoders {
    /// Loads `text.bpk`, `vision.bpk` and, where `models` has them, `context.bpk`, `classes.bpk`, `words.bpk` and `joint.bpk` through `pack`.
    ///
    /// The files are read one after the other, so that the weights of no more than one exist twice.
    ///
    /// # Arguments
    ///
    /// - tokenizer: the bytes of `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) for weights of other sizes than `models` says or a joint encoder that was pre-trained on other encoders, [`Error::Tokenizer`](crate::error::Error::Tokenizer) for a tokenizer that does not fit them.
    pub fn load<'a>(
        models: &Models,
        tokenizer: &[u8],
        mut pack: impl FnMut(&str) -> Result<Cow<'a, Pack>>,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = models.text.tokenizer(tokenizer)?;
        let words = match models.words {
            true => Some(WordTable::from_pack(pack("words.bpk")?.as_ref())?),
            false => None,
        };
        let joint = match &models.joint {
            Some(config) => {
                let pack = pack("joint.bpk")?;
                Some(models.load_joint(config, &pack, words.as_ref(), device)?)
            }
            None => None,
        };
        let text = models.text.load(pack("text.bpk")?.as_ref(), device)?;
        let context = match &models.context {
            Some(config) => Some(config.load(&text, pack("context.bpk")?.as_ref())?),
            None => None,
        };
        let classes = match models.classes {
            true => {
                let Widths { text, classes, .. } = models.widths();
                let pack = pack("classes.bpk")?;
                Some(ClassTable::from_pack(&pack, classes, text)?)
            }
            false => None,
        };
        let vision = models.vision.load(pack("vision.bpk")?.as_ref(), device)?;
        Ok(Self {
            tokenizer,
            text,
            context,
            vision,
            classes,
            words,
            joint,
            device: device.clone(),
        })
    }

    /// Tokens of texts, padded to the longest.
    ///
    /// # Shapes
    ///
    /// - tokens: `[batch, tokens, width]`
    /// - mask: `[batch, tokens]`, true = padding
    pub fn text_tokens(&self, batch: &[Encoded]) -> (Tensor<3>, Tensor<2, Bool>) {
        let (ids, mask) = pad(batch, &self.device);
        (self.text.forward(ids, Some(mask.clone())), mask)
    }

    /// The pooled vector of each text: the mean over its tokens, [CLS] and [SEP] included.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn texts(&self, batch: &[Encoded]) -> Result<Vec<Vec<f32>>> {
        self.pooled(&self.text, batch).await
    }

    /// The pooled vector of each text under the context encoder; `None` where there is no such encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn contexts(&self, batch: &[Encoded]) -> Result<Option<Vec<Vec<f32>>>> {
        match &self.context {
            Some(context) => Ok(Some(self.pooled(context, batch).await?)),
            None => Ok(None),
        }
    }

    async fn pooled(&self, encoder: &Bert, batch: &[Encoded]) -> Result<Vec<Vec<f32>>> {
        let (ids, mask) = pad(batch, &self.device);
        let pooled = encoder.pooled(ids, mask);
        let [_, width] = pooled.dims();
        let rows = read(pooled).await?;
        Ok(rows.chunks(width).map(<[f32]>::to_vec).collect())
    }

    /// One text's tokens and pooled vector.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn text(&self, encoded: &Encoded) -> Result<TokenVectors> {
        let mut vectors = self.token_vectors(std::slice::from_ref(encoded)).await?;
        Ok(vectors.pop().expect("one text"))
    }

    /// Tokens and pooled vector of each text, encoded at once.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn token_vectors(&self, batch: &[Encoded]) -> Result<Vec<TokenVectors>> {
        let (tokens, _) = self.text_tokens(batch);
        let [_, length, width] = tokens.dims();
        let tokens = read(tokens).await?;
        let rows = tokens.chunks(length * width).zip(batch);
        let vectors = rows.map(|(row, encoded)| {
            let tokens = row[..encoded.ids.len() * width].to_vec();
            TokenVectors {
                pooled: mean(tokens.chunks(width)).unwrap_or_default(),
                tokens,
            }
        });
        Ok(vectors.collect())
    }

    /// Tokens of pictures.
    pub fn image_tokens(&self, pictures: &[RgbImage]) -> VisionTokens {
        let pixels: Vec<_> = pictures
            .iter()
            .map(|picture| self.vision.preprocess(picture))
            .collect();
        self.vision.forward(&pixels, &self.device)
    }

    /// One picture's vectors.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn image(&self, picture: &RgbImage) -> Result<ImageVectors> {
        let mut vectors = self.images(std::slice::from_ref(picture)).await?;
        Ok(vectors.pop().expect("one picture"))
    }

    /// The vectors of pictures, encoded at once.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn images(&self, pictures: &[RgbImage]) -> Result<Vec<ImageVectors>> {
        let tokens = self.image_tokens(pictures);
        let (pooled, classes) = (read(tokens.pooled).await?, read(tokens.classes).await?);
        let tokens = read(tokens.tokens).await?;
        let n = pictures.len().max(1);
        let rows = pooled.chunks((pooled.len() / n).max(1));
        let rows = rows.zip(classes.chunks((classes.len() / n).max(1)));
        let rows = rows.zip(tokens.chunks((tokens.len() / n).max(1)));
        let vectors = rows.map(|((pooled, classes), tokens)| ImageVectors {
            pooled: pooled.to_vec(),
            classes: classes.to_vec(),
            tokens: tokens.to_vec(),
        });
        Ok(vectors.collect())
    }

    /// A post as the joint encoder reads it.
    ///
    /// # Arguments
    ///
    /// - mention: the mention's characters.
    /// - pictures: tokens of each picture, `[patches, width]`, row-major.
    pub fn joint_post(
        &self,
        text: &Encoded,
        mention: Option<&str>,
        pictures: Vec<Vec<f32>>,
    ) -> JointPost {
        JointPost {
            ids: text.within(MAX_TEXT).ids,
            word: mention.and_then(|mention| self.words.as_ref()?.embed(mention)),
            pictures,
        }
    }

    /// Posts under the joint encoder: text, mention, pictures; `None` where there is no such encoder.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn joint(&self, posts: &[JointPost]) -> Result<Option<Vec<TokenVectors>>> {
        let Some(Joint { encoder, config }) = &self.joint else {
            return Ok(None);
        };
        let input = JointInput::of(posts, config, &self.device);
        let n_tokens = input.ids.dims()[1];
        let output = encoder.forward(&input, &self.text.word_embeddings());
        let pooled = read(output.pooled()).await?;
        let hidden = read(output.hidden).await?;
        let width = config.d_model;
        let rows = hidden.chunks(hidden.len() / posts.len().max(1));
        let vectors = posts.iter().zip(rows).zip(pooled.chunks(width));
        let tokens = |post: &JointPost, row: &[f32]| {
            let (text, rest) = row.split_at(n_tokens * width);
            let (word, image) = rest.split_at(width);
            let n_patches = post.pictures.len() * config.patches;
            let mut tokens = text[..post.ids.len() * width].to_vec();
            if post.word.is_some() {
                tokens.extend_from_slice(word);
            }
            tokens.extend_from_slice(&image[..n_patches * width]);
            tokens
        };
        let vectors = vectors.map(|((post, row), pooled)| TokenVectors {
            pooled: pooled.to_vec(),
            tokens: tokens(post, row),
        });
        Ok(Some(vectors.collect()))
    }

    /// Adds a post's joint vectors; does nothing without a joint encoder.
    ///
    /// # Arguments
    ///
    /// - mention: the mention's characters.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn join(
        &self,
        post: &mut PostVectors,
        text: &Encoded,
        mention: Option<&str>,
    ) -> Result<()> {
        if self.joint.is_none() {
            return Ok(());
        }
        let pictures = post.images.iter().map(|image| image.tokens.clone());
        let posts = [self.joint_post(text, mention, pictures.collect())];
        let joint = self.joint(&posts).await?.and_then(|mut joint| joint.pop());
        post.joint = joint.map(Arc::new);
        Ok(())
    }
}
