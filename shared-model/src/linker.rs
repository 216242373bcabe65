//! Joins everything: a post to a ranking of the entities that its mention may mean.
//!
//! The work is cut into stages that a caller can time and cache: [`Encoders::texts`], [`Encoders::image`], [`Linker::rank`].

use burn::prelude::*;
use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::aliases::AliasIndex;
use crate::data::{Mention, Ranking};
use crate::error::{Error, Result};
use crate::imn::{ImnScorer, MentionVectors};
use crate::joint::{JointConfig, JointEncoder, JointInput, JointPost, MAX_TEXT};
use crate::kb::{KnowledgeBase, Pooled};
use crate::pack::Pack;
use crate::prototype::mean;
use crate::scorer::{Calibration, PrototypeScorer, ScorerConfig, settle};
use crate::text::{Bert, BertConfig};
use crate::tokenizer::{Encoded, Tokenizer};
use crate::vision::{Vision, VisionConfig, VisionTokens};
use crate::words::WordTable;

/// The frozen encoders and the device that they are on.
#[derive(Debug, Clone)]
pub struct Encoders {
    /// Text to ids.
    pub tokenizer: Tokenizer,
    /// Ids to tokens.
    pub text: Bert,
    /// Pictures to tokens.
    pub vision: Vision,
    /// Mentions to word vectors.
    pub words: Option<WordTable>,
    /// Text, mention and pictures together to tokens.
    pub joint: Option<Joint>,
    /// Where the weights lie.
    pub device: Device,
}

/// A joint encoder with its sizes.
#[derive(Debug, Clone)]
pub struct Joint {
    /// On the encoders' device.
    pub encoder: JointEncoder,
    /// What it takes.
    pub config: JointConfig,
}

/// A text's vectors, or those of a whole post under the joint encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenVectors {
    /// Mean over the tokens.
    pub pooled: Vec<f32>,
    /// `[tokens, width]`; empty where only the pooled vector was kept.
    pub tokens: Vec<f32>,
}

/// A picture's vectors and class probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageVectors {
    /// Mean over the tokens.
    pub pooled: Vec<f32>,
    /// Class probabilities.
    pub classes: Vec<f32>,
    /// `[tokens, width]`; empty where only the pooled vector was kept.
    pub tokens: Vec<f32>,
}

/// A post's vectors.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PostVectors {
    /// `None` for an empty text.
    pub text: Option<TokenVectors>,
    /// One a picture.
    pub images: Vec<ImageVectors>,
    /// `None` without a joint encoder.
    pub joint: Option<TokenVectors>,
}

impl PostVectors {
    /// One vector a modality: the text's, and the means over the pictures.
    pub fn pooled(&self) -> Pooled {
        let images = || self.images.iter();
        Pooled {
            text: self.text.as_ref().map(|text| text.pooled.clone()),
            image: mean(images().map(|image| image.pooled.as_slice())),
            classes: mean(images().map(|image| image.classes.as_slice())),
            joint: self.joint.as_ref().map(|joint| joint.pooled.clone()),
        }
    }
}

/// Sizes of the encoders.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Models {
    /// `text.bpk`
    pub text: BertConfig,
    /// `vision.bpk`
    pub vision: VisionConfig,
    /// Whether there is a `words.bpk`.
    pub words: bool,
    /// `joint.bpk`, where there is one; its word embeddings are the text encoder's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub joint: Option<JointConfig>,
}

/// The encoders' weights, read.
#[derive(Debug, Clone, Copy)]
pub struct Packs<'a> {
    /// `text.bpk`
    pub text: &'a Pack,
    /// `vision.bpk`
    pub vision: &'a Pack,
    /// `words.bpk`
    pub words: Option<&'a Pack>,
    /// `joint.bpk`
    pub joint: Option<&'a Pack>,
}

impl Encoders {
    /// Loads `text.bpk`, `vision.bpk`, `words.bpk`, `joint.bpk` and `tokenizer.json` through `file`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for weights of other sizes than `models` says or a joint encoder that was pre-trained on other encoders, [`Error::Tokenizer`] for a tokenizer that does not fit them.
    pub fn load(
        models: &Models,
        mut file: impl FnMut(&str) -> Result<Vec<u8>>,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = file("tokenizer.json")?;
        let mut pack = |path: &str| Pack::read(path, file(path)?);
        let (text, vision) = (pack("text.bpk")?, pack("vision.bpk")?);
        let words = models.words.then(|| pack("words.bpk")).transpose()?;
        let joint = models.joint.as_ref().map(|_| pack("joint.bpk"));
        let joint = joint.transpose()?;
        let packs = Packs {
            text: &text,
            vision: &vision,
            words: words.as_ref(),
            joint: joint.as_ref(),
        };
        Self::from_parts(models, &tokenizer, packs, device)
    }

    /// As [`Self::load`], from parts that are read.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn from_parts(
        models: &Models,
        tokenizer: &[u8],
        packs: Packs,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = Tokenizer::from_bytes(tokenizer)?;
        if tokenizer.vocabulary() > models.text.vocab_size {
            return Err(Error::Tokenizer(format!(
                "its {} pieces are more than the text encoder's {}",
                tokenizer.vocabulary(),
                models.text.vocab_size
            )));
        }
        let words = packs.words.map(WordTable::from_pack).transpose()?;
        let joint = match (&models.joint, packs.joint) {
            (Some(config), Some(pack)) => {
                let fits = config.width == models.text.hidden_size
                    && config.image_width == models.vision.widths().0
                    && config.patches == models.vision.tokens()
                    && config.word_width == words.as_ref().map_or(1, WordTable::width);
                if !fits {
                    return Err(Error::file(
                        pack.file(),
                        "it was pre-trained on other encoders",
                    ));
                }
                Some(Joint {
                    encoder: config.load(pack, device)?,
                    config: config.clone(),
                })
            }
            _ => None,
        };
        Ok(Self {
            tokenizer,
            text: models.text.load(packs.text, device)?,
            vision: models.vision.load(packs.vision, device)?,
            words,
            joint,
            device: device.clone(),
        })
    }

    /// Tokens of texts, padded to the longest.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, tokens, width]`, and the padding mask `[batch, tokens]`
    pub fn text_tokens(&self, batch: &[Encoded]) -> (Tensor<3>, Tensor<2, Bool>) {
        let (ids, mask) = pad(batch, &self.device);
        (self.text.forward(ids, Some(mask.clone())), mask)
    }

    /// The pooled vector of each text: the mean over its tokens, [CLS] and [SEP] included.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn texts(&self, batch: &[Encoded]) -> Result<Vec<Vec<f32>>> {
        let (ids, mask) = pad(batch, &self.device);
        let pooled = self.text.pooled(ids, mask);
        let [_, width] = pooled.dims();
        Ok(read(pooled)
            .await?
            .chunks(width)
            .map(<[f32]>::to_vec)
            .collect())
    }

    /// One text's tokens and pooled vector.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn text(&self, encoded: &Encoded) -> Result<TokenVectors> {
        let (tokens, _) = self.text_tokens(std::slice::from_ref(encoded));
        let [_, n_tokens, width] = tokens.dims();
        let tokens = read(tokens).await?;
        let sum = |d| tokens.iter().skip(d).step_by(width).sum::<f32>();
        Ok(TokenVectors {
            pooled: (0..width).map(|d| sum(d) / n_tokens as f32).collect(),
            tokens,
        })
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
    /// [`Error::Device`] if the device fails.
    pub async fn image(&self, picture: &RgbImage) -> Result<ImageVectors> {
        let tokens = self.image_tokens(std::slice::from_ref(picture));
        Ok(ImageVectors {
            pooled: read(tokens.pooled).await?,
            classes: read(tokens.classes).await?,
            tokens: read(tokens.tokens).await?,
        })
    }

    /// A post as the joint encoder reads it.
    ///
    /// # Arguments
    ///
    /// - mention: its characters.
    /// - pictures: tokens of each, `[patches, width]`, row-major.
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
    /// [`Error::Device`] if the device fails.
    pub async fn joint(&self, posts: &[JointPost]) -> Result<Option<Vec<TokenVectors>>> {
        let Some(Joint { encoder, config }) = &self.joint else {
            return Ok(None);
        };
        let input = JointInput::of(posts, config, &self.device);
        let n_tokens = input.ids.dims()[1];
        let output = encoder.forward(&input, &self.text.word_embeddings());
        let pooled = read(output.pooled()).await?;
        let hidden = read(output.hidden).await?;
        let width = config.width;
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

    /// Adds what the joint encoder says of a post, if there is one.
    ///
    /// # Arguments
    ///
    /// - mention: its characters.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn join(
        &self,
        post: &mut PostVectors,
        text: &Encoded,
        mention: Option<&str>,
    ) -> Result<()> {
        let pictures = post.images.iter().map(|image| image.tokens.clone());
        let posts = [self.joint_post(text, mention, pictures.collect())];
        post.joint = self.joint(&posts).await?.and_then(|mut joint| joint.pop());
        Ok(())
    }
}

/// Encoders, a knowledge base and the scorers between them.
#[derive(Debug, Clone)]
pub struct Linker {
    /// Post to vectors.
    pub encoders: Encoders,
    /// What posts are linked to.
    pub kb: KnowledgeBase,
    /// Names to entities.
    pub aliases: AliasIndex,
    /// The trained network; without one the training-free scorer stands alone.
    pub imn: Option<ImnScorer>,
    scorer: PrototypeScorer,
    calibration: Option<Calibration>,
}

/// A post as the scorers compare it, whatever the candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// For the training-free scorer.
    pub pooled: Pooled,
    /// For the trained network, where there is one.
    pub imn: Option<MentionVectors>,
}

impl Linker {
    /// Indexes the knowledge base.
    pub fn new(
        encoders: Encoders,
        kb: KnowledgeBase,
        scorer: ScorerConfig,
        imn: Option<ImnScorer>,
        calibration: Option<Calibration>,
    ) -> Self {
        Self {
            aliases: AliasIndex::new(&kb.text.entities),
            scorer: PrototypeScorer::new(scorer, &kb),
            encoders,
            kb,
            imn,
            calibration,
        }
    }

    /// Whether the training-free scorer weighs anything: in the paper's literal form it does not.
    pub fn has_cues(&self) -> bool {
        self.scorer.has_cues()
    }

    /// Reads posts, once for all their candidates.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn read(&self, posts: &[PostVectors]) -> Result<Vec<Reading>> {
        let mut vectors = match &self.imn {
            Some(imn) => imn
                .mentions(&self.kb, posts)
                .await?
                .into_iter()
                .map(Some)
                .collect(),
            None => vec![None; posts.len()],
        };
        let reading = |(post, imn): (&PostVectors, &mut Option<MentionVectors>)| Reading {
            pooled: post.pooled(),
            imn: imn.take(),
        };
        Ok(posts.iter().zip(&mut vectors).map(reading).collect())
    }

    /// Ranks `candidates` (positions in the knowledge base) for a mention of a post; equal scores keep the order given.
    ///
    /// # Errors
    ///
    /// [`Error::Span`] for a mention outside the text, [`Error::EmptyPost`] if there is nothing to go by, [`Error::Device`] if a score is not finite.
    pub fn rank(
        &self,
        post: &Reading,
        text: &str,
        mention: Mention,
        candidates: &[usize],
    ) -> Result<Ranking> {
        let surface = mention.surface(text)?;
        if post.pooled.text.is_none() && post.pooled.image.is_none() {
            return Err(Error::EmptyPost);
        }
        let mut ranked = self
            .scorer
            .score(&self.kb, &post.pooled, text, surface, candidates);
        let mut scorer = "prototype";
        let mut calibration = self.calibration.as_ref();
        if let (Some(imn), Some(vectors)) = (&self.imn, &post.imn) {
            let (weight, all_seen) = (imn.weight(candidates), imn.all_seen(candidates));
            if all_seen {
                calibration = imn.calibration().or(calibration);
            }
            if weight > 0.0 {
                scorer = if all_seen { "imn" } else { "imn-new" };
                for (candidate, cosine) in ranked.iter_mut().zip(imn.scores(vectors, candidates)) {
                    candidate.score += weight * cosine;
                    candidate.cues.imn = Some(cosine);
                }
            }
        }
        if let Some(candidate) = ranked.iter().find(|candidate| !candidate.score.is_finite()) {
            return Err(Error::Device(format!(
                "the score of {} is {}",
                candidate.entity, candidate.score
            )));
        }
        let (candidates, nil_probability) = settle(ranked, calibration);
        Ok(Ranking {
            mention,
            candidates,
            nil_probability,
            scorer: scorer.to_owned(),
        })
    }
}

/// Ids of texts, padded to the longest, and the padding mask: both `[batch, tokens]`.
pub fn pad(batch: &[Encoded], device: &Device) -> (Tensor<2, Int>, Tensor<2, Bool>) {
    let tokens = batch
        .iter()
        .map(|encoded| encoded.ids.len())
        .max()
        .unwrap_or(0);
    let mut ids = Vec::with_capacity(batch.len() * tokens);
    let mut mask = Vec::with_capacity(batch.len() * tokens);
    for encoded in batch {
        for t in 0..tokens {
            ids.push(encoded.ids.get(t).map_or(0, |&id| id as i32));
            mask.push(t >= encoded.ids.len());
        }
    }
    let shape = [batch.len(), tokens];
    let ids = Tensor::from_data(TensorData::new(ids, shape), device);
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, shape), device);
    (ids, mask)
}

/// Reads a tensor back without blocking.
///
/// # Errors
///
/// [`Error::Device`] if the device fails.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let device = |error: String| Error::Device(error);
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| device(format!("{error:?}")))?;
    data.convert::<f32>()
        .try_into_vec()
        .map_err(|error| device(format!("{error:?}")))
}
