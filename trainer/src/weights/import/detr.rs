//! DETR under any of its three naming schemes.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use shared_model::vision::{DetrConfig, VisionConfig};

use super::layout::{fold_norms, split_packed_attention};
use super::rename::renamed;
use super::source::Checkpoint;
use super::{Origin, save};
use crate::files;

/// Width of a head in all published checkpoints.
const HEAD_WIDTH: usize = 32;

/// What a `config.json` says that the shapes of the weights do not.
#[derive(Default, Deserialize)]
struct HubConfig {
    model_type: Option<String>,
    position_embedding_type: Option<String>,
    activation_function: Option<String>,
    #[serde(default)]
    dilation: Option<bool>,
    encoder_attention_heads: Option<usize>,
    decoder_attention_heads: Option<usize>,
}

/// Converts a DETR with a ResNet-50. Sizes are read off the shapes; the number of heads is that of `config.json`, or without one that of heads [`HEAD_WIDTH`] wide.
pub(super) fn detr(checkpoint: &Checkpoint, to: &Path, origin: &Origin) -> anyhow::Result<()> {
    let path = checkpoint.folder.join("config.json");
    let hub: HubConfig = files::read_json_if_any(&path)?.unwrap_or_default();
    hub.check().with_context(|| path.display().to_string())?;

    let mut state = renamed(checkpoint.read()?, NAMES)?;
    split_packed_attention(&mut state)?;
    fold_norms(&mut state, 1e-5)?;
    let shape = |name: &str, axis: usize| {
        let tensor = state.get(name).with_context(|| {
            format!(
                "{}: no tensor becomes {name}; is it DETR?",
                checkpoint.name()
            )
        })?;
        tensor
            .shape
            .get(axis)
            .copied()
            .with_context(|| format!("{name} has the shape {:?}", tensor.shape))
    };
    let layers = |part: &str| {
        (0..)
            .take_while(|n| state.contains_key(&format!("{part}.{n}.norm_1.weight")))
            .count()
    };
    let d_model = shape("query_embeddings.weight", 1)?;
    let config = VisionConfig::Detr(DetrConfig {
        d_model,
        n_heads: hub
            .encoder_attention_heads
            .unwrap_or((d_model / HEAD_WIDTH).max(1)),
        d_ff: shape("encoder.0.feed_forward.inner.weight", 0)?,
        n_encoder_layers: layers("encoder"),
        n_decoder_layers: layers("decoder"),
        n_queries: shape("query_embeddings.weight", 0)?,
        n_logits: shape("class_head.weight", 0)?,
        backbone_width: shape("backbone.stem.weight", 0)?,
    });
    let load = |pack: &_, device: &_| config.load(pack, device);
    save(
        &to.join("detr.bpk"),
        state,
        checkpoint,
        &config,
        origin,
        load,
    )
}

impl HubConfig {
    /// Refuses what the encoder would compute otherwise than the checkpoint means it.
    fn check(&self) -> anyhow::Result<()> {
        for (key, value, supported) in [
            ("model_type", &self.model_type, "detr"),
            (
                "position_embedding_type",
                &self.position_embedding_type,
                "sine",
            ),
            ("activation_function", &self.activation_function, "relu"),
        ] {
            let value = value.as_deref().unwrap_or(supported);
            ensure!(
                value == supported,
                "{key} is {value:?}; only {supported:?} is supported"
            );
        }
        ensure!(
            self.dilation != Some(true),
            "dilation is true; only the backbone without dilation is supported"
        );
        let (encoder, decoder) = (self.encoder_attention_heads, self.decoder_attention_heads);
        if let (Some(encoder), Some(decoder)) = (encoder, decoder) {
            ensure!(
                encoder == decoder,
                "{encoder} heads in the encoder and {decoder} in the decoder; only equal numbers are supported"
            );
        }
        Ok(())
    }
}

/// All three schemes: the hub's `main` and `no_timm` revisions, and the original checkpoint.
const NAMES: &[(&str, &str)] = &[
    // Backbone.
    ("^model.backbone.conv_encoder.model.", "backbone."),
    ("^backbone.0.body.", "backbone."),
    ("^backbone.embedder.embedder.", "backbone.stem."),
    ("^backbone.encoder.stages.", "backbone.stages."),
    (".layers.#.layer.", ".#.layer."),
    (".layers.#.shortcut.", ".#.downsample."),
    (".layer.#.", ".conv#+."),
    (".convolution.", "."),
    (".normalization.", ".norm."),
    ("^backbone.conv1.", "backbone.stem."),
    ("^backbone.bn1.", "backbone.stem.norm."),
    ("backbone.layer#.", "backbone.stages.#-."),
    (".bn#.", ".conv#.norm."),
    (".downsample.0.", ".downsample."),
    (".downsample.1.", ".downsample.norm."),
    // Transformer and heads, the hub's names.
    ("^model.input_projection.", "input_projection."),
    ("^model.query_position_embeddings.", "query_embeddings."),
    ("^model.decoder.layernorm.", "decoder_norm."),
    ("^model.", ""),
    ("^class_labels_classifier.", "class_head."),
    ("^bbox_predictor.layers.", "box_head."),
    ("^encoder.layers.", "encoder."),
    ("^decoder.layers.", "decoder."),
    ("encoder_attn_layer_norm.", "norm_2."),
    ("self_attn_layer_norm.", "norm_1."),
    ("encoder_attn.", "cross_attention."),
    ("q_proj.", "query."),
    ("k_proj.", "key."),
    ("v_proj.", "value."),
    ("out_proj.", "output."),
    ("fc1.", "feed_forward.inner."),
    ("fc2.", "feed_forward.outer."),
    // The original names.
    ("^input_proj.", "input_projection."),
    ("^query_embed.", "query_embeddings."),
    ("^class_embed.", "class_head."),
    ("^bbox_embed.layers.", "box_head."),
    ("^transformer.decoder.norm.", "decoder_norm."),
    ("^transformer.encoder.layers.", "encoder."),
    ("^transformer.decoder.layers.", "decoder."),
    ("multihead_attn.", "cross_attention."),
    ("linear1.", "feed_forward.inner."),
    ("linear2.", "feed_forward.outer."),
    ("norm1.", "norm_1."),
    ("norm2.", "norm_2."),
    ("norm3.", "norm_3."),
    // Which norm is last, and what the self-attention is called, depends on the side.
    ("^encoder.#.final_layer_norm.", "encoder.#.norm_2."),
    ("^decoder.#.final_layer_norm.", "decoder.#.norm_3."),
    ("^encoder.#.self_attn.", "encoder.#.attention."),
    ("^decoder.#.self_attn.", "decoder.#.self_attention."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::import::rename::rename;

    #[test]
    fn names_of_every_scheme_become_ours() {
        for (name, expected) in [
            (
                "model.backbone.conv_encoder.model.layer1.0.bn1.weight",
                "backbone.stages.0.0.conv1.norm.weight",
            ),
            (
                "model.backbone.conv_encoder.model.encoder.stages.2.layers.5.layer.1.normalization.bias",
                "backbone.stages.2.5.conv2.norm.bias",
            ),
            (
                "model.backbone.conv_encoder.model.encoder.stages.3.layers.0.shortcut.convolution.weight",
                "backbone.stages.3.0.downsample.weight",
            ),
            (
                "backbone.0.body.layer4.0.downsample.1.running_mean",
                "backbone.stages.3.0.downsample.norm.running_mean",
            ),
            (
                "model.decoder.layers.5.encoder_attn.k_proj.weight",
                "decoder.5.cross_attention.key.weight",
            ),
            (
                "model.decoder.layers.5.final_layer_norm.weight",
                "decoder.5.norm_3.weight",
            ),
            (
                "transformer.encoder.layers.0.self_attn.in_proj_weight",
                "encoder.0.attention.in_proj_weight",
            ),
            (
                "transformer.decoder.layers.1.multihead_attn.out_proj.bias",
                "decoder.1.cross_attention.output.bias",
            ),
        ] {
            assert_eq!(rename(name, NAMES), expected, "{name}");
        }
    }
}
