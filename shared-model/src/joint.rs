//! The joint encoder (paper §3.2, after [FashionBERT](https://arxiv.org/abs/2005.09801)): text, mention and picture in one Transformer, with its pre-training heads.

use burn::module::Param;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{
    Dropout, DropoutConfig, Embedding, EmbeddingConfig, Gelu, LayerNorm, LayerNormConfig, Linear,
    LinearConfig,
};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::{log_softmax, softmax};
use serde::{Deserialize, Serialize};

use crate::data::MAX_IMAGES;

/// Longest text, [CLS] and [SEP] included.
pub const MAX_TEXT: usize = 64;

/// Hyper-parameters of [`JointEncoder`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JointConfig {
    /// Width inside: the text encoder's, whose word embeddings are shared.
    pub width: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Longest text.
    pub max_text: usize,
    /// Width of a word vector.
    pub word_width: usize,
    /// Width of an image token.
    pub image_width: usize,
    /// Tokens of one picture.
    pub patches: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
    /// In training.
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
    /// Text, image, mention: `[3, width]`.
    types: Param<Tensor<2>>,
    encoder: TransformerEncoder,
    dropout: Dropout,
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
    /// `[batch, patches]`: the place in its picture.
    pub patch: Tensor<2, Int>,
    /// `[batch, patches]`: the picture, from 0.
    pub picture: Tensor<2, Int>,
}

/// Hidden states of a batch.
#[derive(Debug, Clone)]
pub struct JointOutput {
    /// Text, mention, image: `[batch, tokens + 1 + patches, width]`.
    pub hidden: Tensor<3>,
    /// `[batch, tokens + 1 + patches]`, true = padding.
    pub mask: Tensor<2, Bool>,
    n_tokens: usize,
}

impl JointConfig {
    /// The encoder with random weights.
    pub fn init(&self, device: &Device) -> JointEncoder {
        let embedding = |n| EmbeddingConfig::new(n, self.width).init(device);
        let norm = || {
            LayerNormConfig::new(self.width)
                .with_epsilon(self.layer_norm_eps)
                .init(device)
        };
        JointEncoder {
            position_embeddings: embedding(self.max_text),
            text_norm: norm(),
            mention_project: LinearConfig::new(self.word_width, self.width).init(device),
            mention_norm: norm(),
            image_project: LinearConfig::new(self.image_width, self.width).init(device),
            patch_positions: embedding(self.patches),
            picture_index: embedding(MAX_IMAGES),
            image_norm: norm(),
            types: Param::from_tensor(Tensor::random(
                [3, self.width],
                Distribution::Normal(0.0, 0.02),
                device,
            )),
            encoder: TransformerEncoderConfig::new(
                self.width,
                self.feed_forward,
                self.heads,
                self.layers,
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
    /// - words: the text encoder's word embeddings, `[vocabulary, width]`.
    pub fn forward(&self, input: &JointInput, words: &Tensor<2>) -> JointOutput {
        let [_, n_tokens] = input.ids.dims();
        let device = input.ids.device();
        let kind = |i: usize| self.types.val().narrow(0, i, 1).unsqueeze::<3>();
        let positions = Tensor::arange(0..n_tokens as i64, &device).unsqueeze();
        let text = self.text_norm.forward(
            burn::tensor::module::embedding(words.clone(), input.ids.clone())
                + self.position_embeddings.forward(positions)
                + kind(0),
        );
        let mention = self.mention_norm.forward(
            self.mention_project
                .forward(input.word.clone())
                .unsqueeze_dim(1)
                + kind(2),
        );
        let image = self.image_norm.forward(
            self.image_project.forward(input.image.clone())
                + self.patch_positions.forward(input.patch.clone())
                + self.picture_index.forward(input.picture.clone())
                + kind(1),
        );
        let masks = vec![
            input.ids_mask.clone(),
            input.word_mask.clone(),
            input.image_mask.clone(),
        ];
        let mask = Tensor::cat(masks, 1);
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
    /// - output: `[batch, width]`
    pub fn pooled(&self) -> Tensor<2> {
        let keep = self.mask.clone().bool_not().float().unsqueeze_dim::<3>(2);
        ((self.hidden.clone() * keep.clone()).sum_dim(1) / keep.sum_dim(1)).squeeze_dim(1)
    }

    /// Text positions, flattened over the batch: `[batch * tokens, width]`.
    fn text(&self) -> Tensor<2> {
        self.hidden
            .clone()
            .narrow(1, 0, self.n_tokens)
            .flatten(0, 1)
    }

    /// Image positions, flattened over the batch: `[batch * patches, width]`.
    fn image(&self) -> Tensor<2> {
        let start = self.n_tokens + 1;
        let patches = self.hidden.dims()[1] - start;
        self.hidden.clone().narrow(1, start, patches).flatten(0, 1)
    }
}

/// The heads of the three pre-training tasks.
#[derive(Module, Debug)]
pub struct JointHeads {
    mlm_dense: Linear,
    mlm_norm: LayerNorm,
    mlm_bias: Param<Tensor<1>>,
    patch_head: Linear,
    pooler: Linear,
    alignment: Linear,
}

impl JointHeads {
    /// Heads with random weights for a vocabulary of `n_words`.
    pub fn new(config: &JointConfig, n_words: usize, device: &Device) -> Self {
        let width = config.width;
        Self {
            mlm_dense: LinearConfig::new(width, width).init(device),
            mlm_norm: LayerNormConfig::new(width)
                .with_epsilon(config.layer_norm_eps)
                .init(device),
            mlm_bias: Param::from_tensor(Tensor::zeros([n_words], device)),
            patch_head: LinearConfig::new(width, config.image_width).init(device),
            pooler: LinearConfig::new(width, width).init(device),
            alignment: LinearConfig::new(width, 2).init(device),
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
        let hidden = output.text().select(0, positions);
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
        let predicted = log_softmax(
            self.patch_head.forward(output.image().select(0, positions)),
            1,
        );
        let target = softmax(features.clone(), 1);
        let log_target = log_softmax(features, 1);
        (target * (log_target - predicted)).sum_dim(1).mean()
    }

    /// Whether text and pictures belong together: logits of no and yes.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, 2]`
    pub fn alignment(&self, output: &JointOutput) -> Tensor<2> {
        let first = output.hidden.clone().narrow(1, 0, 1).squeeze_dim(1);
        self.alignment.forward(self.pooler.forward(first).tanh())
    }
}

/// Mean cross-entropy.
///
/// # Shapes
///
/// - logits: `[n, classes]`
/// - labels: `[n]`
pub fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    log_softmax(logits, 1)
        .gather(1, labels.unsqueeze_dim(1))
        .mean()
        .neg()
}
