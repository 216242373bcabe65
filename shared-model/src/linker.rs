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
    /// Where the weights lie.
    pub device: Device,
}

/// A text's vectors.
#[derive(Debug, Clone, PartialEq)]
pub struct TextVectors {
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
    pub text: Option<TextVectors>,
    /// One a picture.
    pub images: Vec<ImageVectors>,
}

impl PostVectors {
    /// One vector a modality: the text's, and the means over the pictures.
    pub fn pooled(&self) -> Pooled {
        let images = || self.images.iter();
        Pooled {
            text: self.text.as_ref().map(|text| text.pooled.clone()),
            image: mean(images().map(|image| image.pooled.as_slice())),
            classes: mean(images().map(|image| image.classes.as_slice())),
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
}

impl Encoders {
    /// Loads `text.bpk`, `vision.bpk`, `words.bpk` and `tokenizer.json` through `file`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for weights of other sizes than `models` says, [`Error::Tokenizer`] for a tokenizer that does not fit them.
    pub fn load(
        models: &Models,
        mut file: impl FnMut(&str) -> Result<Vec<u8>>,
        device: &Device,
    ) -> Result<Self> {
        let tokenizer = file("tokenizer.json")?;
        let mut pack = |path: &str| Pack::read(path, file(path)?);
        let (text, vision) = (pack("text.bpk")?, pack("vision.bpk")?);
        let words = models.words.then(|| pack("words.bpk")).transpose()?;
        Self::from_parts(models, &tokenizer, &text, &vision, words.as_ref(), device)
    }

    /// As [`Self::load`], from parts that are read.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn from_parts(
        models: &Models,
        tokenizer: &[u8],
        text: &Pack,
        vision: &Pack,
        words: Option<&Pack>,
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
        Ok(Self {
            tokenizer,
            text: models.text.load(text, device)?,
            vision: models.vision.load(vision, device)?,
            words: words.map(WordTable::from_pack).transpose()?,
            device: device.clone(),
        })
    }

    /// Tokens of texts, padded to the longest.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, tokens, width]`, and the padding mask `[batch, tokens]`
    pub fn text_tokens(&self, batch: &[Encoded]) -> (Tensor<3>, Tensor<2, Bool>) {
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
        let ids = Tensor::from_data(TensorData::new(ids, shape), &self.device);
        let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, shape), &self.device);
        (self.text.forward(ids, Some(mask.clone())), mask)
    }

    /// The pooled vector of each text: the mean over its tokens, [CLS] and [SEP] included.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn texts(&self, batch: &[Encoded]) -> Result<Vec<Vec<f32>>> {
        let (tokens, mask) = self.text_tokens(batch);
        let [_, _, width] = tokens.dims();
        let keep = mask.bool_not().float().unsqueeze_dim::<3>(2); // [batch, tokens, 1]
        let pooled = (tokens * keep.clone()).sum_dim(1) / keep.sum_dim(1);
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
    pub async fn text(&self, encoded: &Encoded) -> Result<TextVectors> {
        let (tokens, _) = self.text_tokens(std::slice::from_ref(encoded));
        let [_, n_tokens, width] = tokens.dims();
        let tokens = read(tokens).await?;
        let sum = |d| tokens.iter().skip(d).step_by(width).sum::<f32>();
        Ok(TextVectors {
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
