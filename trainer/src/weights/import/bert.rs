//! BERT under Hugging Face's names.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use shared_model::text::{BertConfig, HiddenAct};

use super::rename::renamed;
use super::source::Checkpoint;
use super::{Origin, save};
use crate::files;

/// Converts weights, `config.json` and `tokenizer.json`.
pub(in crate::weights) fn bert(
    checkpoint: &Checkpoint,
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    let path = checkpoint.folder.join("config.json");
    let config = config(files::read_json(&path)?).with_context(|| path.display().to_string())?;
    let path = checkpoint.folder.join("tokenizer.json");
    let tokenizer = files::read(&path)?;
    config
        .tokenizer(&tokenizer)
        .with_context(|| path.display().to_string())?;
    let state = renamed(checkpoint.read()?, NAMES)?;
    let load = |pack: &_, device: &_| config.load(pack, device);
    save(
        &to.join("text.bpk"),
        state,
        checkpoint,
        &config,
        origin,
        load,
    )?;
    files::write(&to.join("tokenizer.json"), &tokenizer)
}

/// Reads a `config.json`, and refuses a model that computes something other than [`Bert`](shared_model::text::Bert).
fn config(json: Value) -> anyhow::Result<BertConfig> {
    /// Keys by which a configuration departs from plain BERT.
    #[derive(Deserialize)]
    struct Variant {
        model_type: Option<String>,
        position_embedding_type: Option<String>,
        hidden_act: Option<Value>,
        is_decoder: Option<bool>,
    }
    let variant = Variant::deserialize(&json)?;
    let model_type = variant.model_type.as_deref().unwrap_or("bert");
    ensure!(
        model_type == "bert",
        "model_type is {model_type:?}; only \"bert\" is supported, as other models number positions, share layers or attend in other ways"
    );
    let positions = variant.position_embedding_type;
    let positions = positions.as_deref().unwrap_or("absolute");
    ensure!(
        positions == "absolute",
        "position_embedding_type is {positions:?}; only \"absolute\" is supported"
    );
    ensure!(
        variant.is_decoder != Some(true),
        "is_decoder is true; only encoders, which attend in both directions, are supported"
    );
    if let Some(act) = variant.hidden_act {
        ensure!(
            HiddenAct::deserialize(&act).is_ok(),
            "hidden_act is {act}; \"gelu\", \"gelu_new\", \"gelu_pytorch_tanh\" and \"relu\" are supported"
        );
    }
    Ok(BertConfig::deserialize(json)?)
}

const NAMES: &[(&str, &str)] = &[
    ("^bert.", ""),
    ("^embeddings.LayerNorm.", "norm."),
    ("^embeddings.", ""),
    ("encoder.layer.", "encoder.layers."),
    ("attention.self.", "mha."),
    ("attention.output.LayerNorm.", "norm_1."),
    ("attention.output.dense.", "mha.output."),
    ("intermediate.dense.", "pwff.linear_inner."),
    ("output.dense.", "pwff.linear_outer."),
    ("output.LayerNorm.", "norm_2."),
];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::weights::import::rename::rename;

    #[test]
    fn names_become_ours() {
        for (name, expected) in [
            (
                "bert.encoder.layer.3.attention.output.LayerNorm.bias",
                "encoder.layers.3.norm_1.bias",
            ),
            (
                "embeddings.word_embeddings.weight",
                "word_embeddings.weight",
            ),
            ("embeddings.LayerNorm.weight", "norm.weight"),
        ] {
            assert_eq!(rename(name, NAMES), expected, "{name}");
        }
    }

    /// Reads a small configuration with one key more.
    fn with(key: &str, value: Value) -> anyhow::Result<BertConfig> {
        let mut json = json!({
            "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
            "vocab_size": 10, "max_position_embeddings": 16, "type_vocab_size": 2,
        });
        json[key] = value;
        config(json)
    }

    #[test]
    fn what_bert_does_not_compute_is_refused_by_name() {
        for (key, value) in [
            ("model_type", "roberta"),
            ("model_type", "distilbert"),
            ("model_type", "mpnet"),
            ("position_embedding_type", "relative_key"),
            ("position_embedding_type", "relative_key_query"),
            ("position_embedding_type", "rotary"),
            ("hidden_act", "silu"),
            ("hidden_act", "quick_gelu"),
            ("hidden_act", "mish"),
        ] {
            let error = with(key, value.into()).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{key} is {value:?}")), "{error}");
        }
        with("is_decoder", true.into()).unwrap_err();
    }

    #[test]
    fn what_bert_computes_is_read() {
        for (value, expected) in [
            (json!("gelu"), HiddenAct::Gelu),
            (json!("gelu_new"), HiddenAct::GeluTanh),
            (json!("gelu_pytorch_tanh"), HiddenAct::GeluTanh),
            (json!("relu"), HiddenAct::Relu),
        ] {
            assert_eq!(with("hidden_act", value).unwrap().hidden_act, expected);
        }
        for (key, value) in [
            ("model_type", json!("bert")),
            ("position_embedding_type", json!("absolute")),
            ("is_decoder", json!(false)),
        ] {
            with(key, value).unwrap();
        }
        assert_eq!(with("x", json!(0)).unwrap().layer_norm_eps, 1e-12);
    }
}
