//! The joint encoder (paper §3.2, after [FashionBERT](https://arxiv.org/abs/2005.09801)): text, mention and picture in one Transformer, with its pre-training heads.

use burn::module::Param;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Gelu, Initializer, LayerNorm,
    LayerNormConfig, Linear, LinearConfig,
};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{log_softmax, softmax};
use serde::{Deserialize, Serialize};

use crate::data::MAX_IMAGES;
use crate::error::Result;
use crate::pack::Pack;
use crate::tensors::heads_fit;

/// Tokens of a text, at most, [CLS] and [SEP] included.
pub const MAX_TEXT: usize = 64;

/// Hyper-parameters of [`JointEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointConfig {
    /// Width inside: that of the text encoder, whose word embeddings are shared.
    #[serde(rename = "width")]
    pub d_model: usize,
    /// Number of Transformer layers.
    #[serde(rename = "layers")]
    pub n_layers: usize,
    /// Number of attention heads.
    #[serde(rename = "heads")]
    pub n_heads: usize,
    /// Width of the feed-forward layer.
    #[serde(rename = "feed_forward")]
    pub d_ff: usize,
    /// Tokens of a text, at most.
    pub max_text: usize,
    /// Width of a word vector.
    pub word_width: usize,
    /// Width of an image token.
    pub image_width: usize,
    /// Number of tokens per picture.
    pub patches: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// Dropout in training.
    pub dropout: f64,
}

/// `[CLS] text [SEP]`, the mention's word vector and the pictures' tokens through one Transformer.
///
/// Should be created with [`JointConfig`].
#[derive(Module, Debug)]
pub struct JointEncoder {
    position_embeddings: Embedding,
    text_norm: LayerNorm,
    mention_project: Linear,
    mention_norm: LayerNorm,
    image_project: Linear,
    patch_positions: Embedding,
    picture_index: Embedding,
    image_norm: LayerNorm,
    /// Type embeddings of text, image and mention, `[3, d_model]`.
    types: Param<Tensor<2>>,
    encoder: TransformerEncoder,
    dropout: Dropout,
}

/// A post as the encoder reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JointPost {
    /// Word pieces, [CLS] and [SEP] included.
    pub ids: Vec<u32>,
    /// Word vector of the mention; `None` without a mention or a known word.
    pub word: Option<Vec<f32>>,
    /// Tokens of each picture, `[patches, image_width]`, row-major.
    pub pictures: Vec<Vec<f32>>,
}

/// A batch of posts.
#[derive(Debug, Clone)]
pub struct JointInput {
    /// `[batch, tokens]`
    pub ids: Tensor<2, Int>,
    /// `[batch, tokens]`, true = padding.
    pub ids_mask: Tensor<2, Bool>,
    /// `[batch, word_width]`
    pub word: Tensor<2>,
    /// `[batch, 1]`, true where no word of the mention is known.
    pub word_mask: Tensor<2, Bool>,
    /// `[batch, patches, image_width]`, at least one position.
    pub image: Tensor<3>,
    /// `[batch, patches]`, true = padding.
    pub image_mask: Tensor<2, Bool>,
    /// Position of a token in its picture, `[batch, patches]`.
    pub patch: Tensor<2, Int>,
    /// Index of a token's picture, from 0, `[batch, patches]`.
    pub picture: Tensor<2, Int>,
}

/// Hidden states of a batch.
#[derive(Debug, Clone)]
pub struct JointOutput {
    /// States of text, mention and image, `[batch, tokens + 1 + patches, d_model]`.
    pub hidden: Tensor<3>,
    /// `[batch, tokens + 1 + patches]`, true = padding.
    pub mask: Tensor<2, Bool>,
    n_tokens: usize,
}

impl JointInput {
    /// Pads posts to the longest of them.
    pub fn of(posts: &[JointPost], config: &JointConfig, device: &Device) -> Self {
        let (n, word_width, image_width) = (posts.len(), config.word_width, config.image_width);
        let n_tokens = posts.iter().map(|post| post.ids.len()).max().unwrap_or(1);
        let n_pictures = posts.iter().map(|post| post.pictures.len()).max();
        let n_patches = (n_pictures.unwrap_or(0) * config.patches).max(1);
        let mut ids = vec![0i32; n * n_tokens];
        let mut ids_mask = vec![true; ids.len()];
        let mut word = vec![0.0; n * word_width];
        let mut word_mask = vec![true; n];
        let mut image = vec![0.0; n * n_patches * image_width];
        let mut image_mask = vec![true; n * n_patches];
        let mut patch = vec![0i32; image_mask.len()];
        let mut picture = vec![0i32; image_mask.len()];
        for (row, post) in posts.iter().enumerate() {
            for (position, &id) in post.ids.iter().enumerate() {
                ids[row * n_tokens + position] = id as i32;
                ids_mask[row * n_tokens + position] = false;
            }
            if let Some(vector) = &post.word {
                word[row * word_width..][..word_width].copy_from_slice(vector);
                word_mask[row] = false;
            }
            for (number, tokens) in post.pictures.iter().enumerate() {
                let start = row * n_patches + number * config.patches;
                image[start * image_width..][..tokens.len()].copy_from_slice(tokens);
                for i in 0..config.patches {
                    image_mask[start + i] = false;
                    patch[start + i] = i as i32;
                    picture[start + i] = number as i32;
                }
            }
        }
        Self {
            ids: Tensor::from_data(TensorData::new(ids, [n, n_tokens]), device),
            ids_mask: Tensor::from_data(TensorData::new(ids_mask, [n, n_tokens]), device),
            word: Tensor::from_data(TensorData::new(word, [n, word_width]), device),
            word_mask: Tensor::from_data(TensorData::new(word_mask, [n, 1]), device),
            image: Tensor::from_data(TensorData::new(image, [n, n_patches, image_width]), device),
            image_mask: Tensor::from_data(TensorData::new(image_mask, [n, n_patches]), device),
            patch: Tensor::from_data(TensorData::new(patch, [n, n_patches]), device),
            picture: Tensor::from_data(TensorData::new(picture, [n, n_patches]), device),
        }
    }
}

impl JointConfig {
    /// The encoder with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if the weights are of other sizes.
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<JointEncoder> {
        pack.expect("position_embeddings.weight", &[self.max_text, self.d_model])?;
        pack.expect("patch_positions.weight", &[self.patches, self.d_model])?;
        pack.expect("image_project.weight", &[self.image_width, self.d_model])?;
        pack.expect("mention_project.weight", &[self.word_width, self.d_model])?;
        pack.expect(
            "encoder.layers.0.pwff.linear_inner.weight",
            &[self.d_model, self.d_ff],
        )?;
        let layers = pack.count("encoder.layers", "norm_1.gamma");
        let whole = layers == self.n_layers
            && heads_fit(self.d_model, self.n_heads)
            && (0.0..1.0).contains(&self.dropout);
        if !whole {
            return Err(pack.refuse(format!("{layers} layers cannot be {self:?}")));
        }
        pack.load(self.init(device))
    }

    /// The encoder with random weights.
    pub fn init(&self, device: &Device) -> JointEncoder {
        // BERT's spread: Burn's own, 1, would drown the picture in its positions.
        let spread = Initializer::Normal {
            mean: 0.0,
            std: 0.02,
        };
        let embedding = |n| {
            EmbeddingConfig::new(n, self.d_model)
                .with_initializer(spread.clone())
                .init(device)
        };
        let norm = || {
            LayerNormConfig::new(self.d_model)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        JointEncoder {
            position_embeddings: embedding(self.max_text),
            text_norm: norm(),
            mention_project: LinearConfig::new(self.word_width, self.d_model).init(device),
            mention_norm: norm(),
            image_project: LinearConfig::new(self.image_width, self.d_model).init(device),
            patch_positions: embedding(self.patches),
            picture_index: embedding(MAX_IMAGES),
            image_norm: norm(),
            types: Param::from_tensor(Tensor::random(
                [3, self.d_model],
                Distribution::Normal(0.0, 0.02),
                device,
            )),
            encoder: TransformerEncoderConfig::new(
                self.d_model,
                self.d_ff,
                self.n_heads,
                self.n_layers,
            )
            .with_layer_norm_eps(self.layer_norm_eps)
            .with_dropout(self.dropout)
            .init(device),
            dropout: DropoutConfig::new(self.dropout).init(),
        }
    }
}

impl JointEncoder {
    /// Encodes a batch.
    ///
    /// # Arguments
    ///
    /// - words: the text encoder's word embeddings.
    ///
    /// # Shapes
    ///
    /// - input: ids `[batch, tokens]`, word `[batch, word_width]`, image `[batch, patches, image_width]`
    /// - words: `[vocabulary, d_model]`
    /// - output: `[batch, tokens + 1 + patches, d_model]`
    pub fn forward(&self, input: &JointInput, words: &Tensor<2>) -> JointOutput {
        let [_, n_tokens] = input.ids.dims();
        let device = input.ids.device();
        let kind = |i: usize| self.types.val().narrow(0, i, 1).unsqueeze::<3>();
        let positions = Tensor::arange(0..n_tokens as i64, &device).unsqueeze();
        let text = self.text_norm.forward(
            burn::tensor::module::embedding(words.clone(), input.ids.clone())
                + self.position_embeddings.forward(positions)
                + kind(0),
        ); // [batch, tokens, d_model]
        let mention = self.mention_norm.forward(
            self.mention_project
                .forward(input.word.clone())
                .unsqueeze_dim(1)
                + kind(2),
        ); // [batch, 1, d_model]
        let image = self.image_norm.forward(
            self.image_project.forward(input.image.clone())
                + self.patch_positions.forward(input.patch.clone())
                + self.picture_index.forward(input.picture.clone())
                + kind(1),
        ); // [batch, patches, d_model]
        let masks = vec![
            input.ids_mask.clone(),
            input.word_mask.clone(),
            input.image_mask.clone(),
        ];
        let mask = Tensor::cat(masks, 1); // [batch, tokens + 1 + patches]
        let embedded = self
            .dropout
            .forward(Tensor::cat(vec![text, mention, image], 1));
        let input = TransformerEncoderInput::new(embedded).mask_pad(mask.clone());
        JointOutput {
            hidden: self.encoder.forward(input),
            mask,
            n_tokens,
        }
    }
}

impl JointOutput {
    /// The mean over the tokens that are not padding.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, d_model]`
    pub fn pooled(&self) -> Tensor<2> {
        mean(self.hidden.clone(), self.mask.clone())
    }

    /// The means over the tokens of the text and of the pictures; 0 where there are none.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, d_model]` each
    fn sides(&self) -> [Tensor<2>; 2] {
        let n_positions = self.hidden.dims()[1];
        [0..self.n_tokens, self.n_tokens + 1..n_positions].map(|range| {
            let (start, n) = (range.start, range.len());
            mean(
                self.hidden.clone().narrow(1, start, n),
                self.mask.clone().narrow(1, start, n),
            )
        })
    }

    /// States of `n` positions from `start`, flattened over the batch.
    ///
    /// # Shapes
    ///
    /// - output: `[batch * n, d_model]`
    fn flat(&self, start: usize, n: usize) -> Tensor<2> {
        self.hidden.clone().narrow(1, start, n).flatten(0, 1)
    }
}

/// The mean over the positions that are not padding; 0 where all are.
///
/// # Shapes
///
/// - hidden: `[batch, positions, d_model]`
/// - mask: `[batch, positions]`
/// - output: `[batch, d_model]`
fn mean(hidden: Tensor<3>, mask: Tensor<2, Bool>) -> Tensor<2> {
    let keep = mask.bool_not().float().unsqueeze_dim::<3>(2); // [batch, positions, 1]
    let n = keep.clone().sum_dim(1).clamp_min(1.0); // [batch, 1, 1]
    ((hidden * keep).sum_dim(1) / n).squeeze_dim(1) // [batch, d_model]
}

/// The heads of the three pre-training tasks.
#[derive(Module, Debug)]
pub struct JointHeads {
    mlm_dense: Linear,
    mlm_norm: LayerNorm,
    mlm_bias: Param<Tensor<1>>,
    patch_head: Linear,
    align_text: Linear,
    align_image: Linear,
    alignment: Linear,
}

impl JointHeads {
    /// Heads with random weights for a vocabulary of `n_words` word pieces.
    pub fn new(config: &JointConfig, n_words: usize, device: &Device) -> Self {
        let d_model = config.d_model;
        Self {
            mlm_dense: LinearConfig::new(d_model, d_model).init(device),
            mlm_norm: LayerNormConfig::new(d_model)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            mlm_bias: Param::from_tensor(Tensor::zeros([n_words], device)),
            patch_head: LinearConfig::new(d_model, config.image_width).init(device),
            align_text: LinearConfig::new(d_model, d_model).init(device),
            align_image: LinearConfig::new(d_model, d_model).init(device),
            alignment: LinearConfig::new(d_model, 2).init(device),
        }
    }

    /// Logits over the vocabulary at `positions`, indices into the flattened `[batch * tokens]`; tied to the word embeddings.
    ///
    /// # Shapes
    ///
    /// - output: `[n_positions, vocabulary]`
    pub fn words(
        &self,
        output: &JointOutput,
        positions: Tensor<1, Int>,
        words: &Tensor<2>,
    ) -> Tensor<2> {
        let hidden = output.flat(0, output.n_tokens).select(0, positions);
        let hidden = Gelu::new().forward(self.mlm_dense.forward(hidden));
        self.mlm_norm
            .forward(hidden)
            .matmul(words.clone().transpose())
            + self.mlm_bias.val().unsqueeze()
    }

    /// KL divergence of the predicted from the true distribution over the features of each patch at `positions`, indices into the flattened `[batch * patches]`, mean over them.
    ///
    /// # Shapes
    ///
    /// - features: `[n_positions, image_width]`; their softmax is the target
    pub fn patch_loss(
        &self,
        output: &JointOutput,
        positions: Tensor<1, Int>,
        features: Tensor<2>,
    ) -> Tensor<1> {
        let start = output.n_tokens + 1;
        let hidden = output.flat(start, output.hidden.dims()[1] - start);
        let predicted = self.patch_head.forward(hidden.select(0, positions));
        let predicted = log_softmax(predicted, 1);
        let target = softmax(features.clone(), 1);
        let log_target = log_softmax(features, 1);
        (target * (log_target - predicted)).sum_dim(1).mean()
    }

    /// Whether text and pictures are of one post: logits of no and yes, from the product of the two sides' means (after [ViLBERT](https://arxiv.org/abs/1908.02265)).
    ///
    /// # Shapes
    ///
    /// - output: `[batch, 2]`
    pub fn alignment(&self, output: &JointOutput) -> Tensor<2> {
        let [text, image] = output.sides();
        self.alignment
            .forward(self.align_text.forward(text) * self.align_image.forward(image))
    }
}
