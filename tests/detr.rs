//! DETR: the three naming schemes, the `.pth` reader, the forward pass.

use std::path::{Path, PathBuf};

use burn::prelude::*;
use safetensors::{Dtype, tensor::TensorView};
use serde::Deserialize;
use shared_model::image::normalise;
use shared_model::pack::{Pack, Precision, write};
use shared_model::vision::{Detr, Vision, VisionConfig};
use tests::{Dir, Run, close, config, device, fill, fixture, fixture_path, pack, picture};

use crate::{pick, values};

/// The tensors of DETR by their canonical names, and what each scheme stacks from them.
#[derive(Deserialize)]
struct Names {
    tensors: Vec<(String, Vec<usize>)>,
    timm: Vec<(String, Vec<usize>)>,
    no_timm: Vec<(String, Vec<usize>)>,
    original: Vec<(String, Vec<usize>)>,
}

/// A tensor of a state dict.
struct Weight {
    name: String,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Names {
    fn state_dict(&self, scheme: &[(String, Vec<usize>)]) -> Vec<Weight> {
        scheme
            .iter()
            .map(|(name, parts)| {
                let mut shape = self.tensors[parts[0]].1.clone();
                shape[0] = parts.iter().map(|&part| self.tensors[part].1[0]).sum();
                let values = parts
                    .iter()
                    .flat_map(|&part| fill(&self.tensors[part].0, &self.tensors[part].1));
                Weight {
                    name: name.clone(),
                    shape,
                    bytes: values.flat_map(f32::to_le_bytes).collect(),
                }
            })
            .collect()
    }
}

fn save(weights: &[Weight], path: &Path) {
    let views = weights.iter().map(|weight| {
        let view = TensorView::new(Dtype::F32, weight.shape.clone(), &weight.bytes).unwrap();
        (&weight.name, view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn import(dir: &Dir, source: &str) -> Run {
    dir.imn(&format!("weights import detr {source} --to out"))
}

fn detr(pack: &Pack) -> Detr {
    let config: VisionConfig = config(pack);
    match config.load(pack, &device()).unwrap() {
        Vision::Detr(detr) => *detr,
        Vision::Efficientnet(_) => panic!("{} holds another encoder", pack.file()),
    }
}

/// What the reference says of one picture of a batch.
#[derive(Deserialize)]
struct Row {
    std_between_queries: f32,
    tokens: Vec<Vec<f32>>,
    logits: Vec<Vec<f32>>,
    no_object: Vec<f32>,
}

/// Runs a batch of formula pictures, padded to the largest, and compares the chosen queries, dimensions and classes of each row.
#[track_caller]
fn check(
    detr: &Detr,
    pictures: &[[u32; 3]],
    rows: &[Row],
    [queries, dims, classes]: [&[usize]; 3],
) {
    const MEAN: [f32; 3] = [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0];
    const STD: [f32; 3] = [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0];
    let sizes: Vec<[usize; 2]> = pictures
        .iter()
        .map(|&[width, height, _]| [height as usize, width as usize])
        .collect();
    let height = sizes.iter().map(|size| size[0]).max().unwrap();
    let width = sizes.iter().map(|size| size[1]).max().unwrap();
    let mut input = vec![0.0; sizes.len() * 3 * height * width];
    for (planes, (&spec, &[h, w])) in input
        .chunks_mut(3 * height * width)
        .zip(pictures.iter().zip(&sizes))
    {
        let pixels = normalise(&picture(spec), MEAN, STD);
        for (y, line) in pixels.chunks(w).enumerate() {
            let start = (y / h * height + y % h) * width;
            planes[start..start + w].copy_from_slice(line);
        }
    }
    let input = TensorData::new(input, [sizes.len(), 3, height, width]);
    let output = detr.forward(Tensor::from_data(input, &device()), &sizes);

    let [_, n_queries, d_model] = output.tokens.dims();
    let [_, _, n_logits] = output.logits.dims();
    let no_object = values(output.no_object());
    let (tokens, logits) = (values(output.tokens), values(output.logits));
    for (i, row) in rows.iter().enumerate() {
        let name = |what: &str| format!("{:?} of {pictures:?}, {what}", pictures[i]);
        let queries: Vec<usize> = queries.iter().map(|query| i * n_queries + query).collect();
        close(
            &name("tokens"),
            &pick(&tokens, d_model, &queries, dims),
            &row.tokens.concat(),
            1e-3,
        );
        close(
            &name("logits"),
            &pick(&logits, n_logits, &queries, classes),
            &row.logits.concat(),
            1e-3,
        );
        close(
            &name("no object"),
            &pick(&no_object, 1, &queries, &[0]),
            &row.no_object,
            1e-3,
        );

        let std = std_between_queries(
            &tokens[i * n_queries * d_model..(i + 1) * n_queries * d_model],
            d_model,
        );
        close(
            &name("std between queries"),
            &[std],
            &[row.std_between_queries],
            1e-3,
        );
        assert!(
            std >= 0.05,
            "the queries are nearly one vector ({std}), and the comparison is blind"
        );
    }
}

fn std_between_queries(tokens: &[f32], d_model: usize) -> f32 {
    let n = (tokens.len() / d_model) as f32;
    let of_dim = |dim: usize| {
        let column = || tokens.iter().skip(dim).step_by(d_model);
        let mean = column().sum::<f32>() / n;
        (column().map(|value| (value - mean).powi(2)).sum::<f32>() / n).sqrt()
    };
    (0..d_model).map(of_dim).sum::<f32>() / d_model as f32
}

#[test]
fn every_naming_scheme_gives_the_same_model_and_it_is_transformers() {
    #[derive(Deserialize)]
    struct Fixture {
        queries: Vec<usize>,
        dims: Vec<usize>,
        classes: Vec<usize>,
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        pictures: Vec<[u32; 3]>,
        rows: Vec<Row>,
    }

    let names: Names = fixture("detr_names.json");
    let imported = |scheme: &[(String, Vec<usize>)]| {
        let dir = Dir::new();
        save(&names.state_dict(scheme), &dir.path("detr.safetensors"));
        import(&dir, "detr.safetensors").ok();
        pack(&dir.path("out/detr.bpk"))
    };
    let bytes = |pack: &Pack| write(pack.entries(), &[], Precision::F32).unwrap();
    let timm = imported(&names.timm);
    assert!(
        bytes(&timm) == bytes(&imported(&names.no_timm)),
        "the revision no_timm gives other tensors"
    );
    assert!(
        bytes(&timm) == bytes(&imported(&names.original)),
        "the original checkpoint gives other tensors"
    );

    let detr = detr(&timm);
    let fixture: Fixture = fixture("detr.json");
    for case in fixture.cases {
        check(
            &detr,
            &case.pictures,
            &case.rows,
            [&fixture.queries, &fixture.dims, &fixture.classes],
        );
    }
}

/// The importer names tensors as our modules do, after its substitutions.
#[test]
fn a_missing_and_an_unused_tensor_are_named() {
    let names: Names = fixture("detr_names.json");
    let mut weights = names.state_dict(&names.timm);
    let dir = Dir::new();
    let file = dir.path("detr.safetensors");

    weights.push(Weight {
        name: "model.encoder.layers.6.fc1.bias".to_owned(),
        shape: vec![1],
        bytes: vec![0; 4],
    });
    save(&weights, &file);
    import(&dir, "detr.safetensors")
        .refused(&["detr.safetensors", "encoder.6.feed_forward.inner.bias"]);

    weights.pop();
    weights.retain(|weight| weight.name != "bbox_predictor.layers.1.bias");
    save(&weights, &file);
    import(&dir, "detr.safetensors").refused(&["detr.safetensors", "box_head.1.bias"]);
    assert!(
        !dir.path("out/detr.bpk").exists(),
        "a refused import left a file"
    );
}

#[derive(Deserialize)]
struct Narrow {
    config: NarrowConfig,
    picture: [u32; 3],
    #[serde(flatten)]
    row: Row,
}

#[derive(Deserialize)]
struct NarrowConfig {
    d: usize,
    heads: usize,
    queries: usize,
    logits: usize,
}

fn narrow_folder(heads: usize) -> (Dir, PathBuf) {
    let dir = Dir::new();
    let bytes = std::fs::read(fixture_path("detr_narrow.pth")).unwrap();
    let path = dir.create("narrow/detr.pth", bytes);
    dir.create(
        "narrow/config.json",
        format!("{{\"encoder_attention_heads\":{heads}}}"),
    );
    (dir, path)
}

#[test]
fn a_pth_checkpoint_is_read_with_its_strides() {
    let narrow: Narrow = fixture("detr_narrow.json");
    let NarrowConfig {
        d,
        heads,
        queries,
        logits,
    } = narrow.config;
    let (dir, _) = narrow_folder(heads);
    import(&dir, "narrow").ok();
    let all = |n: usize| (0..n).collect::<Vec<_>>();
    let detr = detr(&pack(&dir.path("out/detr.bpk")));
    check(
        &detr,
        &[narrow.picture],
        &[narrow.row],
        [&all(queries), &all(d), &all(logits)],
    );
}

#[test]
fn a_truncated_pth_checkpoint_is_refused() {
    let (dir, path) = narrow_folder(2);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    import(&dir, "narrow").refused(&["detr.pth"]);
    assert!(
        !dir.path("out/detr.bpk").exists(),
        "a refused import left a file"
    );
}

#[test]
fn a_detr_that_computes_otherwise_is_refused_by_name() {
    for (config, said) in [
        (r#"{"model_type":"table-transformer"}"#, "table-transformer"),
        (r#"{"model_type":"conditional_detr"}"#, "conditional_detr"),
        (r#"{"position_embedding_type":"learned"}"#, "learned"),
        (r#"{"activation_function":"gelu"}"#, "gelu"),
        (r#"{"dilation":true}"#, "dilation"),
        (
            r#"{"encoder_attention_heads":2,"decoder_attention_heads":4}"#,
            "4 in the decoder",
        ),
        (r#"{"encoder_attention_heads":3}"#, "3 attention heads"),
    ] {
        let (dir, _) = narrow_folder(2);
        dir.create("narrow/config.json", config);
        import(&dir, "narrow").refused(&[said]);
        assert!(!dir.path("out").exists(), "a refused import left a file");
    }
}

#[test]
fn pytorch_shards_are_read_through_their_index() {
    let (dir, path) = narrow_folder(2);
    std::fs::rename(&path, dir.path("narrow/pytorch_model-00001-of-00001.bin")).unwrap();
    dir.create(
        "narrow/pytorch_model.bin.index.json",
        r#"{"weight_map":{"a":"pytorch_model-00001-of-00001.bin"}}"#,
    );
    import(&dir, "narrow").ok();
    detr(&pack(&dir.path("out/detr.bpk")));
}

#[test]
fn a_detr_weight_that_is_not_finite_is_refused() {
    let names: Names = fixture("detr_names.json");
    for (tensor, value) in [
        ("model.encoder.layers.0.fc1.bias", f32::NAN),
        ("class_labels_classifier.weight", f32::INFINITY),
        (
            "model.backbone.conv_encoder.model.bn1.running_var",
            f32::NEG_INFINITY,
        ),
        ("model.backbone.conv_encoder.model.bn1.running_var", -2.0),
    ] {
        // The tensor alone, or the stem, whose norm is folded first.
        let scheme = names.timm.iter().filter(|(name, _)| {
            name == tensor
                || name.starts_with("model.backbone.conv_encoder.model.conv1.")
                || name.starts_with("model.backbone.conv_encoder.model.bn1.")
        });
        let scheme: Vec<_> = scheme.cloned().collect();
        let mut weights = names.state_dict(&scheme);
        let weight = weights.iter_mut().find(|weight| weight.name == tensor);
        weight.unwrap().bytes[..4].copy_from_slice(&value.to_le_bytes());
        let dir = Dir::new();
        save(&weights, &dir.path("detr.safetensors"));
        let name = tensor.rsplit('.').next().unwrap();
        import(&dir, "detr.safetensors").refused(&[name]);
        assert!(!dir.path("out").exists(), "a refused import left a file");
    }
}
