use burn::nn::activation::ActivationConfig;
use burn::nn::transformer::{
    TransformerEncoder, TransformerEncoderConfig, TransformerEncoderInput,
};
use burn::nn::{Embedding, EmbeddingConfig, LayerNorm, LayerNormConfig};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::pack::Pack;
use crate::tensors::check_heads;
use crate::tokenizer::{MIN_TOKENS, Tokenizer};

/// Configuration of a [`Bert`], serialised under the names of a Hugging Face `config.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BertConfig {
    /// Width of a token.
    #[serde(rename = "hidden_size")]
    pub d_model: usize,
    /// Number of Transformer layers.
    #[serde(rename = "num_hidden_layers")]
    pub n_layers: usize,
    /// Number of attention heads.
    #[serde(rename = "num_attention_heads")]
    pub n_heads: usize,
    /// Width of the feed-forward layers.
    #[serde(rename = "intermediate_size")]
    pub d_ff: usize,
    /// Number of word pieces.
    pub vocab_size: usize,
    /// Length of the longest sequence, [CLS] and [SEP] included.
    #[serde(rename = "max_position_embeddings")]
    pub max_tokens: usize,
    /// Number of segment types; every token here has the first.
    pub type_vocab_size: usize,
    /// Epsilon of every layer norm.
    #[serde(default = "default_layer_norm_eps")]
    pub layer_norm_eps: f64,
    /// Activation of the feed-forward layers.
    #[serde(default, skip_serializing_if = "HiddenAct::is_default")]
    pub hidden_act: HiddenAct,
}

/// Activation of BERT's feed-forward layers. Configurations that do not name it mean GELU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HiddenAct {
    /// Exact GELU.
    #[default]
    #[serde(rename = "gelu", alias = "gelu_python")]
    Gelu,
    /// GELU with the tanh approximation.
    #[serde(rename = "gelu_pytorch_tanh", alias = "gelu_new", alias = "gelu_fast")]
    GeluTanh,
    /// ReLU.
    #[serde(rename = "relu")]
    Relu,
}

impl HiddenAct {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn config(self) -> ActivationConfig {
        match self {
            Self::Gelu => ActivationConfig::Gelu,
            Self::GeluTanh => ActivationConfig::GeluApproximate,
            Self::Relu => ActivationConfig::Relu,
        }
    }
}

/// Hugging Face's default.
fn default_layer_norm_eps() -> f64 {
    1e-12
}

/// BERT ([Devlin et al. 2018](https://arxiv.org/abs/1810.04805)) without its pooler: post-norm and learned positions.
///
/// Should be created with [`BertConfig`].
#[derive(Module, Debug)]
pub struct Bert {
    word_embeddings: Embedding,
    position_embeddings: Embedding,
    token_type_embeddings: Embedding,
    norm: LayerNorm,
    pub(super) encoder: TransformerEncoder,
}

impl BertConfig {
    /// Creates a [`Bert`] with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the weights are of other sizes, or have fewer than [`MIN_TOKENS`] positions.
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Bert> {
        let refuse = |reason: String| Err(Error::file(pack.file(), reason));
        pack.expect("word_embeddings.weight", &[self.vocab_size, self.d_model])?;
        pack.expect(
            "position_embeddings.weight",
            &[self.max_tokens, self.d_model],
        )?;
        pack.expect(
            "token_type_embeddings.weight",
            &[self.type_vocab_size, self.d_model],
        )?;
        let layers = pack.count("encoder.layers", "norm_1.gamma");
        if layers != self.n_layers || layers == 0 {
            return refuse(format!("{layers} layers instead of {}", self.n_layers));
        }
        pack.expect(
            "encoder.layers.0.pwff.linear_inner.weight",
            &[self.d_model, self.d_ff],
        )?;
        check_heads(pack, self.d_model, self.n_heads)?;
        if self.max_tokens < MIN_TOKENS {
            return refuse(format!(
                "{} positions are too few: a text takes {MIN_TOKENS} or more",
                self.max_tokens
            ));
        }
        pack.load(self.init(device))
    }

    /// Reads the encoder's `tokenizer.json`. Its window is no longer than the encoder's positions.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if it is malformed or has more pieces than the encoder has embeddings.
    pub fn tokenizer(&self, bytes: &[u8]) -> Result<Tokenizer> {
        let tokenizer = Tokenizer::from_bytes(bytes)?.with_max_tokens(self.max_tokens);
        if tokenizer.vocabulary() > self.vocab_size {
            return Err(Error::Tokenizer(format!(
                "its {} pieces are more than the text encoder's {}",
                tokenizer.vocabulary(),
                self.vocab_size
            )));
        }
        Ok(tokenizer)
    }

    /// Initializes a [`Bert`] with random weights.
    pub fn init(&self, device: &Device) -> Bert {
        let embedding = |n| EmbeddingConfig::new(n, self.d_model).init(device);
        Bert {
            word_embeddings: embedding(self.vocab_size),
            position_embeddings: embedding(self.max_tokens),
            token_type_embeddings: embedding(self.type_vocab_size),
            norm: LayerNormConfig::new(self.d_model)
                .with_epsilon(self.layer_norm_eps)
                .init(device),
            encoder: TransformerEncoderConfig::new(
                self.d_model,
                self.d_ff,
                self.n_heads,
                self.n_layers,
            )
            .with_activation(self.hidden_act.config())
            .with_layer_norm_eps(self.layer_norm_eps)
            .init(device),
        }
    }
}

impl Bert {
    /// The word embeddings, `[vocab_size, d_model]`.
    pub fn word_embeddings(&self) -> Tensor<2> {
        self.word_embeddings.weight.val()
    }

    /// Computes the last layer's hidden states.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - mask_pad: `[batch, tokens]`, `true` = padding
    /// - output: `[batch, tokens, d_model]`
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

    /// Computes the mean over the tokens that are not padding, [CLS] and [SEP] included.
    ///
    /// # Shapes
    ///
    /// - ids: `[batch, tokens]`
    /// - mask_pad: `[batch, tokens]`, `true` = padding
    /// - output: `[batch, d_model]`
    pub fn pooled(&self, ids: Tensor<2, Int>, mask_pad: Tensor<2, Bool>) -> Tensor<2> {
        let keep = mask_pad.clone().bool_not().float().unsqueeze_dim::<3>(2); // [batch, tokens, 1]
        let tokens = self.forward(ids, Some(mask_pad));
        ((tokens * keep.clone()).sum_dim(1) / keep.sum_dim(1)).squeeze_dim(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], expected: [f32; 3]) {
        let device = Device::flex();
        for name in names {
            let act: HiddenAct = serde_json::from_value((*name).into()).unwrap();
            let input = Tensor::<1>::from_floats([-1.0, 0.5, 2.0], &device);
            let output = act.config().init(&device).forward(input).into_data();
            let output = output.as_slice::<f32>().unwrap();
            for (output, expected) in output.iter().zip(expected) {
                assert!(
                    (output - expected).abs() < 2e-6,
                    "{name}: {output} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn activations_are_those_of_their_names() {
        // torch.nn.functional.gelu and relu at -1, 0.5 and 2.
        check(
            &["gelu", "gelu_python"],
            [-0.158_655_25, 0.345_731_23, 1.954_499_7],
        );
        check(
            &["gelu_new", "gelu_pytorch_tanh", "gelu_fast"],
            [-0.158_808_01, 0.345_714, 1.954_597_7],
        );
        check(&["relu"], [0.0, 0.5, 2.0]);
        serde_json::from_str::<HiddenAct>("\"silu\"").unwrap_err();
    }

    #[test]
    fn a_configuration_of_before_reads_as_gelu_and_writes_as_it_was() {
        let json = r#"{"hidden_size":8,"num_hidden_layers":1,"num_attention_heads":2,"intermediate_size":16,"vocab_size":10,"max_position_embeddings":16,"type_vocab_size":2,"layer_norm_eps":1e-12}"#;
        let config: BertConfig = serde_json::from_str(json).unwrap();
        assert_eq!(config.hidden_act, HiddenAct::Gelu);
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
    }
}
