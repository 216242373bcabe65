use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pack::Pack;
use crate::tensors::heads_fit;
use crate::tokenizer::MAX_TOKENS;

/// Hyper-parameters of [`Bert`], under the names of a Hugging Face `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Width of a token.
    pub hidden_size: usize,
    /// Transformer layers.
    pub num_hidden_layers: usize,
    /// Attention heads.
    pub num_attention_heads: usize,
    /// Width of the feed-forward layer.
    pub intermediate_size: usize,
    /// Word pieces.
    pub vocab_size: usize,
    /// Longest sequence.
    pub max_position_embeddings: usize,
    /// Segments; all tokens here belong to the first.
    pub type_vocab_size: usize,
    /// Epsilon of every layer norm.
    pub layer_norm_eps: f64,
}

/// BERT ([Devlin et al. 2018](https://arxiv.org/abs/1810.04805)) without its pooler: post-norm, learned positions, exact GELU.
///
/// Should be created with [`BertConfig`].
#[derive(Module, Debug)]
pub struct Bert {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    norm: LayerNorm,
    encoder: TransformerEncoder,
}

impl BertConfig {
    /// The encoder with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the weights are of other sizes, or read fewer than [`MAX_TOKENS`] tokens.
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Bert> {
        let refuse = |reason: String| Err(Error::file(pack.file(), reason));
        pack.expect(
            "word_embeddings.weight",
            &[self.vocab_size, self.hidden_size],
        )?;
        pack.expect(
            "position_embeddings.weight",
            &[self.max_position_embeddings, self.hidden_size],
        )?;
        pack.expect(
            "token_type_embeddings.weight",
            &[self.type_vocab_size, self.hidden_size],
        )?;
        let layers = pack.count("encoder.layers", "norm_1.gamma");
        if layers != self.num_hidden_layers || layers == 0 {
            return refuse(format!(
                "{layers} layers instead of {}",
                self.num_hidden_layers
            ));
        }
        pack.expect(
            "encoder.layers.0.pwff.linear_inner.weight",
            &[self.hidden_size, self.intermediate_size],
        )?;
        if !heads_fit(self.hidden_size, self.num_attention_heads) {
            return refuse(format!(
                "{} attention heads do not divide a width of {}",
                self.num_attention_heads, self.hidden_size
            ));
        }
        if self.max_position_embeddings < MAX_TOKENS {
            return refuse(format!(
                "it reads {} tokens; {MAX_TOKENS} are needed",
                self.max_position_embeddings
            ));
        }
        pack.load(self.init(device))
    }

    /// Initializes a [`Bert`] with random weights.
    pub fn init(&self, device: &Device) -> Bert {
        let embedding = |n| EmbeddingConfig::new(n, self.hidden_size).init(device);
        Bert {
            word_embeddings: embedding(self.vocab_size),
            position_embeddings: embedding(self.max_position_embeddings),
            token_type_embeddings: embedding(self.type_vocab_size),
            norm: LayerNormConfig::new(self.hidden_size)
                .with_epsilon(self.layer_norm_eps)
                .init(device),
            encoder: TransformerEncoderConfig::new(
                self.hidden_size,
                self.intermediate_size,
                self.num_attention_heads,
                self.num_hidden_layers,
            )
            .with_layer_norm_eps(self.layer_norm_eps)
            .init(device),
        }
    }
}

impl Bert {
    /// The table of the word pieces: `[vocab_size, hidden_size]`.
    pub fn word_embeddings(&self) -> Tensor<2> {
        self.word_embeddings.weight.val()
    }

    /// The last layer's hidden states.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - mask_pad: `[batch, tokens]`, `true` = padding
    /// - output: `[batch, tokens, hidden_size]`
    pub fn forward(&self, ids: Tensor<2, Int>, mask_pad: Option<Tensor<2, Bool>>) -> Tensor<3> {
        let [_, tokens] = ids.dims();
        let device = ids.device();
        let positions = Tensor::arange(0..tokens as i64, &device).unsqueeze();
        let segments = Tensor::zeros([1, tokens], &device);

        let embedded = self.word_embeddings.forward(ids)
            + self.position_embeddings.forward(positions)
            + self.token_type_embeddings.forward(segments);
        let mut input = TransformerEncoderInput::new(self.norm.forward(embedded));
        if let Some(mask_pad) = mask_pad {
            input = input.mask_pad(mask_pad);
        }
        self.encoder.forward(input)
    }

    /// The mean over the tokens that are not padding, [CLS] and [SEP] included.
    ///
    /// # Shapes
    ///
    /// - as [`Self::forward`]
    /// - output: `[batch, hidden_size]`
    pub fn pooled(&self, ids: Tensor<2, Int>, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let keep = mask_pad.clone().bool_not().float().unsqueeze_dim::<3>(2); // [batch, tokens, 1]
        let tokens = self.forward(ids, Some(mask_pad));
        ((tokens * keep.clone()).sum_dim(1) / keep.sum_dim(1)).squeeze_dim(1)
    }
}
