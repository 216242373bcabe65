//! Initial weights of the joint encoder: the first layers of the text encoder, and random weights for the rest.

use anyhow::ensure;
use burn::prelude::*;
use shared_model::joint::{JointConfig, JointHeads};
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::text::Bert;

use super::tasks::Pretrained;
use crate::features::Channels;

/// A channel whose deviation is below this share of the mean deviation is not amplified.
const LEAST: f32 = 0.1;

/// Vectors of pictures and mentions are normalised as words are: that is what the layers expect.
const NORMS: [&str; 3] = ["text_norm", "mention_norm", "image_norm"];

/// The model on `device`, whose generator draws the random weights.
///
/// The pictures' projection is drawn for z-scores, and takes them itself: raw tokens of all pictures point the same way, and after the norm they would be one.
pub(crate) fn start(
    config: &JointConfig,
    text: &Bert,
    channels: &Channels,
    device: &Device,
) -> anyhow::Result<Pretrained> {
    let n_words = text.word_embeddings().dims()[0];
    let fresh = Pretrained {
        encoder: config.init(device),
        heads: JointHeads::new(config, n_words, device),
    };
    let text = packed("text", text)?;
    let n_layers = text.count("encoder.layers", "norm_1.gamma");
    ensure!(
        (1..=n_layers).contains(&config.n_layers),
        "{} layers cannot be taken from a text encoder of {n_layers}",
        config.n_layers
    );
    let drawn = packed("drawn", &fresh)?;
    let (_, weight) = drawn.floats("encoder.image_project.weight")?;
    let (_, bias) = drawn.floats("encoder.image_project.bias")?;
    let (weight, bias) = z_scoring(weight, bias, channels);
    let mut entries = Vec::new();
    for name in drawn.names() {
        let (shape, values) = drawn.floats(name)?;
        let values = match name {
            "encoder.image_project.weight" => weight.clone(),
            "encoder.image_project.bias" => bias.clone(),
            _ => taken(name, &shape, &values, &text)?,
        };
        entries.push(Entry::floats(name, shape, values));
    }
    let started = Pack::read("started", write(entries, &[], Precision::F32)?)?;
    Ok(started.load(fresh)?)
}

/// The projection of raw tokens that equals `weight`, `[in, out]`, and `bias` on their z-scores.
fn z_scoring(
    mut weight: Vec<f32>,
    mut bias: Vec<f32>,
    Channels { means, deviations }: &Channels,
) -> (Vec<f32>, Vec<f32>) {
    let least = LEAST * deviations.iter().sum::<f32>() / deviations.len() as f32;
    let n = bias.len();
    for ((row, mean), deviation) in weight.chunks_mut(n).zip(means).zip(deviations) {
        for (weight, bias) in row.iter_mut().zip(&mut bias) {
            *weight /= deviation.max(least).max(f32::MIN_POSITIVE);
            *bias -= mean * *weight;
        }
    }
    (weight, bias)
}

/// The value of a parameter: the text encoder's where it has it.
fn taken(name: &str, shape: &[usize], drawn: &[f32], text: &Pack) -> anyhow::Result<Vec<f32>> {
    let Some(name) = name.strip_prefix("encoder.") else {
        return Ok(drawn.to_vec());
    };
    let (part, rest) = name.split_once('.').unwrap_or((name, ""));
    let counterpart = match part {
        "encoder" | "position_embeddings" => name.to_owned(),
        "types" => "token_type_embeddings.weight".to_owned(),
        part if NORMS.contains(&part) => format!("norm.{rest}"),
        _ => return Ok(drawn.to_vec()),
    };
    let (_, theirs) = text.floats(&counterpart)?;
    let n: usize = if part == "types" {
        // Texts have BERT's first type; pictures and mentions are new.
        shape[1]
    } else {
        // Fewer positions than the text encoder's.
        shape.iter().product()
    };
    ensure!(theirs.len() >= n, "{name}: the text encoder's is smaller");
    Ok(theirs[..n].iter().chain(&drawn[n..]).copied().collect())
}

fn packed(name: &str, module: &impl Module) -> anyhow::Result<Pack> {
    let bytes = write(Entry::of_module(module), &[], Precision::F32)?;
    Ok(Pack::read(name, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_model::text::{BertConfig, HiddenAct};

    #[test]
    fn the_projection_takes_z_scores() {
        let channels = Channels {
            means: vec![3.0, 1.0],
            deviations: vec![2.0, 0.0],
        };
        // The second channel is constant: a tenth of the mean deviation is taken in its place.
        let (weight, bias) = z_scoring(vec![1.0, -4.0, 0.1, 0.2], vec![0.0, 1.0], &channels);
        assert_eq!(weight, [0.5, -2.0, 1.0, 2.0]);
        assert_eq!(bias, [-1.5 - 1.0, 1.0 + 6.0 - 2.0]);
    }

    #[test]
    fn what_the_text_encoder_has_is_taken() {
        let device = Device::flex();
        let bert = BertConfig {
            d_model: 8,
            n_layers: 3,
            n_heads: 2,
            d_ff: 16,
            vocab_size: 20,
            max_tokens: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_act: HiddenAct::Gelu,
        };
        let config = JointConfig {
            d_model: 8,
            n_layers: 2,
            n_heads: 2,
            d_ff: 16,
            max_text: 64,
            word_width: 5,
            image_width: 6,
            patches: 4,
            layer_norm_eps: 1e-12,
            dropout: 0.1,
        };
        let text = bert.init(&device);
        let channels = Channels {
            means: vec![0.5; 6],
            deviations: vec![2.0; 6],
        };
        let started = start(&config, &text, &channels, &device).unwrap();
        let started = packed("started", &started).unwrap();
        let text = packed("text", &text).unwrap();
        let ours = |name: &str| started.floats(&format!("encoder.{name}")).unwrap().1;
        let theirs = |name: &str| text.floats(name).unwrap().1;
        for name in [
            "encoder.layers.0.mha.query.weight",
            "encoder.layers.1.pwff.linear_outer.bias",
        ] {
            assert_eq!(ours(name), theirs(name), "{name}");
        }
        assert_eq!(
            ours("position_embeddings.weight"),
            theirs("position_embeddings.weight")[..64 * 8]
        );
        assert_eq!(
            ours("types")[..8],
            theirs("token_type_embeddings.weight")[..8]
        );
        assert_eq!(ours("image_norm.gamma"), theirs("norm.gamma"));
        let four = JointConfig {
            n_layers: 4,
            ..config
        };
        assert!(start(&four, &bert.init(&device), &channels, &device).is_err());
    }
}
