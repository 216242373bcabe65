//! `imn weights import`: foreign names to ours, BatchNorm folded, linear weights transposed.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use burn::module::Module;
use burn::prelude::Device;
use serde::Deserialize;
use shared_model::hash::sha256;
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::text::BertConfig;
use shared_model::vision::{DetrConfig, EfficientNetLite0, VisionConfig};
use shared_model::words::WordTable;

use super::Kind;
use super::state_dict::{self, Floats, StateDict};
use crate::files;

/// Words kept of a GloVe table, most frequent first.
const MAX_WORDS: usize = 20_000;

/// Where weights come from, for the metadata of the file that is written.
pub(super) struct Origin<'a> {
    pub(super) licence: &'a str,
    pub(super) source: &'a str,
}

/// Converts one encoder into the weight folder.
pub(crate) fn import(kind: Kind, source: &str, to: &Path) -> anyhow::Result<()> {
    let origin = Origin {
        licence: "see source",
        source,
    };
    let files = Source::open(source, kind)?;
    match kind {
        Kind::Bert => bert(&files.weights, &files.folder, to, &origin),
        Kind::Detr => detr(&files.weights, &files.folder, to, &origin),
        Kind::Glove => glove_text(&files.weights, to, &origin),
    }?;
    eprintln!("{source} -> {}", to.display());
    Ok(())
}

/// The weight file and the folder with its configuration.
struct Source {
    weights: PathBuf,
    folder: PathBuf,
}

impl Source {
    fn open(source: &str, kind: Kind) -> anyhow::Result<Self> {
        if let Some(repository) = source.strip_prefix("hf:") {
            return hugging_face(repository, kind);
        }
        let path = Path::new(source);
        let weights = if path.is_dir() {
            weight_file(path, kind)?
        } else {
            path.to_owned()
        };
        ensure!(weights.exists(), "{source} does not exist");
        let folder = weights.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Self { weights, folder })
    }
}

fn weight_file(folder: &Path, kind: Kind) -> anyhow::Result<PathBuf> {
    let wanted: &[&str] = if kind == Kind::Glove {
        &["txt"]
    } else {
        &["safetensors", "pth", "pt", "bin"]
    };
    let mut found: Vec<PathBuf> = fs::read_dir(folder)
        .with_context(|| format!("cannot read {}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| wanted.iter().any(|wanted| extension == *wanted))
        })
        .collect();
    found.sort();
    match &found[..] {
        [file] => Ok(file.clone()),
        [] => bail!("{} holds no .{} file", folder.display(), wanted.join(", .")),
        _ => bail!(
            "{} holds {} weight files; name one",
            folder.display(),
            found.len()
        ),
    }
}

fn hugging_face(repository: &str, kind: Kind) -> anyhow::Result<Source> {
    ensure!(
        kind != Kind::Glove,
        "GloVe is imported from a local .txt file"
    );
    let api = hf_hub::api::sync::ApiBuilder::new()
        .build()
        .context("Hugging Face")?;
    let model = api.model(repository.to_owned());
    let get = |file: &str| {
        model
            .get(file)
            .with_context(|| format!("hf:{repository}: cannot get {file}"))
    };
    get("config.json")?;
    if kind == Kind::Bert {
        get("tokenizer.json")?;
    }
    let weights = get("model.safetensors").or_else(|_| get("pytorch_model.bin"))?;
    let folder = weights.parent().map(Path::to_owned).unwrap_or_default();
    Ok(Source { weights, folder })
}

/// BERT under Hugging Face's names: weights, `config.json` and `tokenizer.json`.
pub(super) fn bert(
    weights: &Path,
    folder: &Path,
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    let config: BertConfig = files::read_json(&folder.join("config.json"))?;
    let tokenizer = files::read(&folder.join("tokenizer.json"))?;
    shared_model::tokenizer::Tokenizer::from_bytes(&tokenizer)?;
    let state = renamed(state_dict::read(weights)?, BERT);
    let json = serde_json::to_string(&config)?;
    save(
        &to.join("text.bpk"),
        state,
        weights,
        &json,
        origin,
        |device| config.init(device),
    )?;
    files::write(&to.join("tokenizer.json"), &tokenizer)
}

/// EfficientNet-Lite0 under the names of `efficientnet_lite_pytorch`.
pub(super) fn efficientnet(weights: &Path, to: &Path, origin: &Origin) -> anyhow::Result<()> {
    let mut state = renamed(state_dict::read(weights)?, EFFICIENTNET);
    fold_norms(&mut state, 1e-3)?;
    let json = serde_json::to_string(&VisionConfig::Efficientnet)?;
    save(
        &to.join("efficientnet.bpk"),
        state,
        weights,
        &json,
        origin,
        EfficientNetLite0::init,
    )
}

/// DETR under any of its three naming schemes; sizes from the shapes, heads from `config.json` or, without one, 32 wide.
fn detr(weights: &Path, folder: &Path, to: &Path, origin: &Origin) -> anyhow::Result<()> {
    #[derive(Default, Deserialize)]
    struct HubConfig {
        encoder_attention_heads: Option<usize>,
    }
    let config = folder.join("config.json");
    let hub: HubConfig = if config.exists() {
        files::read_json(&config)?
    } else {
        HubConfig::default()
    };

    let mut state = renamed(state_dict::read(weights)?, DETR);
    split_packed_attention(&mut state)?;
    fold_norms(&mut state, 1e-5)?;
    let shape = |name: &str, axis: usize| {
        let tensor = state.get(name).with_context(|| {
            format!(
                "{}: no tensor becomes {name}; is it DETR?",
                weights.display()
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
    let config = DetrConfig {
        d_model,
        n_heads: hub.encoder_attention_heads.unwrap_or((d_model / 32).max(1)),
        d_ff: shape("encoder.0.feed_forward.inner.weight", 0)?,
        n_encoder_layers: layers("encoder"),
        n_decoder_layers: layers("decoder"),
        n_queries: shape("query_embeddings.weight", 0)?,
        n_logits: shape("class_head.weight", 0)?,
        backbone_width: shape("backbone.stem.weight", 0)?,
    };
    let json = serde_json::to_string(&VisionConfig::Detr(config.clone()))?;
    save(
        &to.join("detr.bpk"),
        state,
        weights,
        &json,
        origin,
        |device| config.init(device),
    )
}

fn glove_text(path: &Path, to: &Path, origin: &Origin) -> anyhow::Result<()> {
    let bytes = files::read(path)?;
    let text =
        std::str::from_utf8(&bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
    let mut words = Vec::new();
    let mut vectors = Vec::new();
    for (number, line) in text.lines().take(MAX_WORDS).enumerate() {
        let (word, numbers) = line
            .split_once(' ')
            .with_context(|| format!("{}, line {}", path.display(), number + 1))?;
        let row: Vec<f32> = numbers
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(|| format!("{}, line {}", path.display(), number + 1))?;
        ensure!(
            number == 0 || row.len() * number == vectors.len(),
            "{}, line {}: {} numbers",
            path.display(),
            number + 1,
            row.len()
        );
        words.push(word.to_owned());
        vectors.extend(row);
    }
    glove(words, vectors, &sha256(&bytes), to, origin)
}

/// Word vectors, most frequent first.
pub(super) fn glove(
    mut words: Vec<String>,
    mut vectors: Vec<f32>,
    digest: &str,
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    ensure!(
        !words.is_empty() && vectors.len().is_multiple_of(words.len()),
        "the word table is empty or ragged"
    );
    let width = vectors.len() / words.len();
    words.truncate(MAX_WORDS);
    vectors.truncate(words.len() * width);
    let metadata = [
        ("licence", origin.licence),
        ("source", origin.source),
        ("sha256", digest),
    ];
    let bytes = write(
        WordTable::entries(&words, vectors, width),
        &metadata,
        Precision::F32,
    )?;
    files::write(&to.join("words.bpk"), &bytes)
}

/// Writes a module's weights after loading them into it, which finds what is missing, unused or of another shape.
fn save<M: Module>(
    path: &Path,
    state: StateDict,
    source: &Path,
    config: &str,
    origin: &Origin,
    init: impl FnOnce(&Device) -> M,
) -> anyhow::Result<()> {
    let digest = sha256(&files::read(source)?);
    let metadata = [
        ("config", config),
        ("licence", origin.licence),
        ("source", origin.source),
        ("sha256", &digest),
    ];
    let entries = state
        .into_iter()
        .map(|(name, tensor)| burn_entry(name, tensor))
        .collect();
    let bytes = write(entries, &metadata, Precision::F32)?;
    Pack::read(&source.display().to_string(), bytes.clone())?.load(init(&Device::flex()))?;
    files::write(path, &bytes)
}

/// PyTorch's layout to Burn's: linear weights `[out, in]` to `[in, out]`, norms' `weight` and `bias` to `gamma` and `beta`.
fn burn_entry(name: String, tensor: Floats) -> Entry {
    let Floats { shape, values } = tensor;
    if let [rows, columns] = shape[..]
        && !name.contains("embeddings")
    {
        let transposed = (0..columns)
            .flat_map(|column| values.iter().skip(column).step_by(columns))
            .copied();
        return Entry::floats(name, [columns, rows], transposed.collect());
    }
    let norm = name
        .rsplit('.')
        .nth(1)
        .is_some_and(|layer| layer.contains("norm"));
    let name = match name.rsplit_once('.') {
        Some((layer, "weight" | "gamma")) if norm => format!("{layer}.gamma"),
        Some((layer, "bias" | "beta")) if norm => format!("{layer}.beta"),
        _ => name,
    };
    Entry::floats(name, shape, values)
}

/// Folds every `X.norm` (BatchNorm) into the convolution `X`.
fn fold_norms(state: &mut StateDict, epsilon: f32) -> anyhow::Result<()> {
    let folded: Vec<String> = state
        .keys()
        .filter_map(|name| name.strip_suffix(".norm.running_var").map(str::to_owned))
        .collect();
    for conv in folded {
        let mut take = |name: &str| {
            let name = format!("{conv}.norm.{name}");
            state
                .remove(&name)
                .with_context(|| format!("{name} is missing"))
        };
        let (gamma, beta) = (take("weight")?, take("bias")?);
        let (mean, variance) = (take("running_mean")?, take("running_var")?);
        let name = format!("{conv}.weight");
        let weight = state
            .get_mut(&name)
            .with_context(|| format!("{name} is missing"))?;
        let channels = gamma.values.len();
        ensure!(
            weight.shape.first() == Some(&channels),
            "{name}: {:?} does not fit its norm of {channels}",
            weight.shape
        );
        let inner = weight.values.len() / channels;
        let mut bias = Vec::with_capacity(channels);
        for (channel, row) in weight.values.chunks_mut(inner).enumerate() {
            let scale = gamma.values[channel] / (variance.values[channel] + epsilon).sqrt();
            row.iter_mut().for_each(|value| *value *= scale);
            bias.push(beta.values[channel] - mean.values[channel] * scale);
        }
        let shape = vec![channels];
        state.insert(
            format!("{conv}.bias"),
            Floats {
                shape,
                values: bias,
            },
        );
    }
    Ok(())
}

/// PyTorch packs query, key and value of an attention into `in_proj`.
fn split_packed_attention(state: &mut StateDict) -> anyhow::Result<()> {
    let packed: Vec<String> = state
        .keys()
        .filter(|name| name.contains(".in_proj_"))
        .cloned()
        .collect();
    for name in packed {
        let tensor = state.remove(&name).context("just listed")?;
        let (attention, kind) = name.split_once(".in_proj_").context("just filtered")?;
        ensure!(
            tensor.shape[0] % 3 == 0,
            "{name}: {:?} is not three matrices",
            tensor.shape
        );
        let mut shape = tensor.shape.clone();
        shape[0] /= 3;
        let third = tensor.values.len() / 3;
        for (part, values) in ["query", "key", "value"]
            .iter()
            .zip(tensor.values.chunks(third))
        {
            let floats = Floats {
                shape: shape.clone(),
                values: values.to_vec(),
            };
            state.insert(format!("{attention}.{part}.{kind}"), floats);
        }
    }
    Ok(())
}

/// Applies a table of substitutions to every name, in order.
fn renamed(state: StateDict, table: &[(&str, &str)]) -> StateDict {
    state
        .into_iter()
        .filter(|(name, _)| !IGNORED.iter().any(|ignored| name.contains(ignored)))
        .map(|(name, tensor)| {
            (
                table
                    .iter()
                    .fold(name, |name, (from, to)| substitute(&name, from, to)),
                tensor,
            )
        })
        .collect()
}

/// Replaces the first `from` by `to`. `^` before it holds it to the beginning; `#` in both stands for a number, `+` and `-` behind it in `to` for one more or less.
fn substitute(name: &str, from: &str, to: &str) -> String {
    let (anchored, from) = from
        .strip_prefix('^')
        .map_or((false, from), |from| (true, from));
    let (before, after) = from.split_once('#').unwrap_or((from, ""));
    let (head, rest) = match name.split_once(before) {
        Some((head, rest)) if head.is_empty() || !anchored => (head, rest),
        _ => return name.to_owned(),
    };
    if before == from {
        return format!("{head}{to}{rest}");
    }
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (Ok(number), Some(tail)) = (
        rest[..digits].parse::<i64>(),
        rest[digits..].strip_prefix(after),
    ) else {
        return name.to_owned();
    };
    let to = to
        .replace("#+", &(number + 1).to_string())
        .replace("#-", &(number - 1).to_string());
    format!("{head}{}{tail}", to.replace('#', &number.to_string()))
}

/// Counters, buffers and heads that no encoder here has.
const IGNORED: &[&str] = &["num_batches_tracked", "position_ids", "pooler.", "cls."];

const BERT: &[(&str, &str)] = &[
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

const EFFICIENTNET: &[(&str, &str)] = &[
    ("^_conv_stem.", "stem."),
    ("^_bn0.", "stem.norm."),
    ("^_conv_head.", "head."),
    ("^_bn1.", "head.norm."),
    ("^_fc.", "classifier."),
    ("^_blocks.", "blocks."),
    ("_expand_conv.", "expand."),
    ("_bn0.", "expand.norm."),
    ("_depthwise_conv.", "depthwise."),
    ("_bn1.", "depthwise.norm."),
    ("_project_conv.", "project."),
    ("_bn2.", "project.norm."),
];

/// All three schemes: the hub's `main` and `no_timm` revisions, and the original checkpoint.
const DETR: &[(&str, &str)] = &[
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

    #[track_caller]
    fn check(table: &[(&str, &str)], name: &str, expected: &str) {
        let renamed = table.iter().fold(name.to_owned(), |name, (from, to)| {
            substitute(&name, from, to)
        });
        assert_eq!(renamed, expected, "{name}");
    }

    #[test]
    fn names_of_every_scheme_become_ours() {
        check(
            BERT,
            "bert.encoder.layer.3.attention.output.LayerNorm.bias",
            "encoder.layers.3.norm_1.bias",
        );
        check(
            BERT,
            "embeddings.word_embeddings.weight",
            "word_embeddings.weight",
        );
        check(
            EFFICIENTNET,
            "_blocks.11._bn0.running_var",
            "blocks.11.expand.norm.running_var",
        );
        check(EFFICIENTNET, "_bn1.weight", "head.norm.weight");
        check(
            DETR,
            "model.backbone.conv_encoder.model.layer1.0.bn1.weight",
            "backbone.stages.0.0.conv1.norm.weight",
        );
        check(
            DETR,
            "model.backbone.conv_encoder.model.encoder.stages.2.layers.5.layer.1.normalization.bias",
            "backbone.stages.2.5.conv2.norm.bias",
        );
        check(
            DETR,
            "model.backbone.conv_encoder.model.encoder.stages.3.layers.0.shortcut.convolution.weight",
            "backbone.stages.3.0.downsample.weight",
        );
        check(
            DETR,
            "backbone.0.body.layer4.0.downsample.1.running_mean",
            "backbone.stages.3.0.downsample.norm.running_mean",
        );
        check(
            DETR,
            "model.decoder.layers.5.encoder_attn.k_proj.weight",
            "decoder.5.cross_attention.key.weight",
        );
        check(
            DETR,
            "model.decoder.layers.5.final_layer_norm.weight",
            "decoder.5.norm_3.weight",
        );
        check(
            DETR,
            "transformer.encoder.layers.0.self_attn.in_proj_weight",
            "encoder.0.attention.in_proj_weight",
        );
        check(
            DETR,
            "transformer.decoder.layers.1.multihead_attn.out_proj.bias",
            "decoder.1.cross_attention.output.bias",
        );
    }

    #[test]
    fn a_folded_norm_gives_what_the_norm_gave() {
        let floats = |shape: &[usize], values: &[f32]| Floats {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let mut state = StateDict::from([
            ("stem.weight".to_owned(), floats(&[2, 1, 1, 1], &[2.0, 3.0])),
            ("stem.norm.weight".to_owned(), floats(&[2], &[1.0, 4.0])),
            ("stem.norm.bias".to_owned(), floats(&[2], &[0.5, 0.0])),
            (
                "stem.norm.running_mean".to_owned(),
                floats(&[2], &[1.0, 2.0]),
            ),
            (
                "stem.norm.running_var".to_owned(),
                floats(&[2], &[4.0, 16.0]),
            ),
        ]);
        fold_norms(&mut state, 0.0).unwrap();
        assert_eq!(state["stem.weight"].values, [1.0, 3.0]);
        assert_eq!(state["stem.bias"].values, [0.0, -2.0]);
        assert_eq!(state.len(), 2);
    }
}
