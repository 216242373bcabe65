//! The encoders, cues and PageRank against PyTorch, transformers, timm, Pillow and networkx.
//!
//! `fixtures/make_reference.py` wrote the expected values, `fixtures/make_cues_reference.py` those of the cues; a new encoder's parity belongs here.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod baselines;
mod cues;
mod detr;
mod network;
mod reference;

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use burn::prelude::*;
use serde::Deserialize;
use shared_model::data::Mention;
use shared_model::encoders::{Encoders, Joint};
use shared_model::joint::{JointConfig, JointPost};
use shared_model::prototype::pagerank;
use shared_model::resize::{Filter, resize};
use shared_model::text::{Bert, BertConfig};
use shared_model::tokenizer::{Encoded, Tokenizer};
use shared_model::vision::{EfficientNetLite0, Vision, VisionConfig};
use tests::{
    Dir, close, config, device, fill, finish, fixture, fnv1a32, hash32, imn, pack, picture, weights,
};

/// Column, row, channel and value.
type Sample = (u32, u32, usize, u8);

/// The values of a tensor, row-major.
fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().unwrap()
}

/// Some of the columns of some of the rows.
fn pick(rows: &[f32], width: usize, at: &[usize], columns: &[usize]) -> Vec<f32> {
    at.iter()
        .flat_map(|row| columns.iter().map(move |column| rows[row * width + column]))
        .collect()
}

/// Asserts that a picture has the sampled values.
#[track_caller]
fn check_samples(name: &str, got: &image::RgbImage, want: &[Sample]) {
    let off: Vec<_> = want
        .iter()
        .map(|&(x, y, channel, value)| (x, y, channel, got.get_pixel(x, y).0[channel], value))
        .filter(|(.., got, want)| got != want)
        .collect();
    assert!(off.is_empty(), "{name}: (x, y, channel, got, want) {off:?}");
}

#[test]
fn formulas_of_the_fixtures() {
    #[derive(Deserialize)]
    struct Common {
        fnv1a32: Vec<(String, u32)>,
        hash32: Vec<(String, [u32; 4])>,
        fill: Vec<(String, Vec<usize>, Vec<f32>)>,
        pictures: Vec<Picture>,
    }
    #[derive(Deserialize)]
    struct Picture {
        picture: [u32; 3],
        samples: Vec<Sample>,
    }

    let common: Common = fixture("common.json");
    for (name, hash) in common.fnv1a32 {
        assert_eq!(fnv1a32(&name), hash, "{name}");
    }
    for (name, hashes) in common.hash32 {
        assert_eq!(
            [0, 1, 2, 3].map(|i| hash32(fnv1a32(&name), i)),
            hashes,
            "{name}"
        );
    }
    for (name, shape, want) in common.fill {
        close(&name, &fill(&name, &shape), &want, 1e-7);
    }
    for case in common.pictures {
        check_samples("picture", &picture(case.picture), &case.samples);
    }
}

#[test]
fn resizing_is_pillows() {
    #[derive(Deserialize)]
    struct Resized {
        picture: [u32; 3],
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        filter: String,
        width: u32,
        height: u32,
        samples: Vec<Sample>,
    }

    let resized: Resized = fixture("resize.json");
    let source = picture(resized.picture);
    for case in resized.cases {
        let filter = if case.filter == "bicubic" {
            Filter::Bicubic
        } else {
            Filter::Bilinear
        };
        let got = resize(&source, case.width, case.height, filter);
        check_samples(&case.filter, &got, &case.samples);
    }
}

#[derive(Deserialize)]
struct BertFixture {
    dims: Vec<usize>,
    cases: Vec<BertCase>,
}

#[derive(Deserialize)]
struct BertCase {
    label: String,
    text: String,
    mention: Option<(usize, usize)>,
    ids: Vec<u32>,
    token_span: Option<(usize, usize)>,
    positions: Vec<usize>,
    hidden: Vec<Vec<f32>>,
    mean: Vec<f32>,
}

impl BertCase {
    fn encode(&self, tokenizer: &Tokenizer) -> Encoded {
        let mention = self.mention.map(|(start, end)| Mention { start, end });
        tokenizer.encode(&self.text, mention).unwrap()
    }
}

fn tokenizer() -> Tokenizer {
    Tokenizer::from_bytes(&std::fs::read(weights().join("tokenizer.json")).unwrap()).unwrap()
}

fn bert() -> Bert {
    let pack = pack(&weights().join("text.bpk"));
    let config: BertConfig = config(&pack);
    pack.load(config.init(&device())).unwrap()
}

#[test]
fn token_ids_and_mention_spans_are_those_of_the_tokenizers_library() {
    let tokenizer = tokenizer();
    for case in fixture::<BertFixture>("bert.json").cases {
        let encoded = case.encode(&tokenizer);
        let span: Option<Range<usize>> = case.token_span.map(|(start, end)| start..end);
        assert_eq!(encoded.ids, case.ids, "{}", case.label);
        assert_eq!(encoded.mention, span, "{}", case.label);
    }
}

#[test]
fn bert_is_transformers() {
    let (tokenizer, bert) = (tokenizer(), bert());
    let BertFixture { dims, cases } = fixture("bert.json");
    for case in cases {
        let ids: Vec<i32> = case
            .encode(&tokenizer)
            .ids
            .iter()
            .map(|&id| id as i32)
            .collect();
        let n = ids.len();
        let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [1, n]), &device());
        let tokens = bert.forward(ids, None);
        let [_, _, width] = tokens.dims();
        let mean = values(tokens.clone().mean_dim(1));
        close(
            &case.label,
            &pick(&values(tokens), width, &case.positions, &dims),
            &case.hidden.concat(),
            1e-4,
        );
        close(
            &format!("{}, mean", case.label),
            &pick(&mean, width, &[0], &dims),
            &case.mean,
            1e-4,
        );
    }
}

#[test]
fn a_padded_batch_equals_its_rows() {
    let device = device();
    let encoders = Encoders {
        tokenizer: tokenizer(),
        text: bert(),
        context: None,
        vision: Vision::Efficientnet(Box::new(EfficientNetLite0::init(&device))),
        classes: None,
        words: None,
        joint: None,
        device,
    };
    let cases = fixture::<BertFixture>("bert.json").cases;
    let batch: Vec<Encoded> = cases
        .iter()
        .map(|case| case.encode(&encoders.tokenizer))
        .filter(|encoded| encoded.ids.len() < 100)
        .collect();
    assert!(batch.len() >= 6);

    let (together, _) = encoders.text_tokens(&batch);
    let [_, longest, width] = together.dims();
    let together = values(together);
    let pooled = pollster::block_on(encoders.texts(&batch)).unwrap();
    for (row, encoded) in batch.iter().enumerate() {
        let (alone, _) = encoders.text_tokens(std::slice::from_ref(encoded));
        let start = row * longest * width;
        let valid = &together[start..start + encoded.ids.len() * width];
        close(&format!("row {row}"), valid, &values(alone), 1e-5);
        let alone = pollster::block_on(encoders.texts(std::slice::from_ref(encoded))).unwrap();
        close(&format!("row {row}, pooled"), &pooled[row], &alone[0], 1e-5);
    }
}

#[test]
fn a_post_under_the_joint_encoder_is_alone_what_it_is_in_a_batch() {
    let device = device();
    let config = JointConfig {
        d_model: 384,
        n_layers: 2,
        n_heads: 12,
        d_ff: 64,
        max_text: 64,
        word_width: 5,
        image_width: 7,
        patches: 4,
        layer_norm_eps: 1e-12,
        dropout: 0.1,
    };
    device.seed(3);
    let encoders = Encoders {
        tokenizer: tokenizer(),
        text: bert(),
        context: None,
        vision: Vision::Efficientnet(Box::new(EfficientNetLite0::init(&device))),
        classes: None,
        words: None,
        joint: Some(Joint {
            encoder: config.init(&device),
            config,
        }),
        device,
    };
    let post = |text: &str, word: bool, n_pictures: usize| JointPost {
        word: word.then(|| fill("word", &[5])),
        ..encoders.joint_post(
            &encoders.tokenizer.encode(text, None).unwrap(),
            None,
            (0..n_pictures)
                .map(|i| fill(&format!("picture {i}"), &[4, 7]))
                .collect(),
        )
    };
    let posts = [
        post("Saw a jaguar today, right behind the old sawmill", true, 2),
        post("jaguar", false, 1),
        post("", true, 0),
    ];
    let joint = |posts: &[JointPost]| pollster::block_on(encoders.joint(posts)).unwrap().unwrap();
    for (i, (together, alone)) in joint(&posts).iter().zip(&posts).enumerate() {
        let n = alone.ids.len() + usize::from(alone.word.is_some()) + 4 * alone.pictures.len();
        assert_eq!(together.tokens.len(), n * 384);
        let alone = joint(std::slice::from_ref(alone)).remove(0);
        close(&format!("post {i}"), &together.tokens, &alone.tokens, 1e-5);
        close(
            &format!("post {i}, pooled"),
            &together.pooled,
            &alone.pooled,
            1e-5,
        );
        let mean = |d: usize| together.tokens.iter().skip(d).step_by(384).sum::<f32>() / n as f32;
        let means: Vec<f32> = (0..384).map(mean).collect();
        close(&format!("post {i}, mean"), &together.pooled, &means, 1e-5);
    }
}

#[test]
fn efficientnet_is_timms() {
    #[derive(Deserialize)]
    struct Fixture {
        classes: Vec<usize>,
        tokens: Vec<usize>,
        dims: Vec<usize>,
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        width: u32,
        height: u32,
        seed: u32,
        resized: Vec<Sample>,
        logits: Vec<f32>,
        argmax: usize,
        head: Vec<Vec<f32>>,
    }

    let device = device();
    let pack = pack(&weights().join("efficientnet.bpk"));
    let vision = config::<VisionConfig>(&pack).load(&pack, &device).unwrap();
    let Vision::Efficientnet(model) = &vision else {
        panic!("efficientnet.bpk holds another encoder")
    };
    let fixture: Fixture = fixture("efficientnet.json");
    for case in fixture.cases {
        let name = format!("{}x{}", case.width, case.height);
        let pixels = vision.preprocess(&picture([case.width, case.height, case.seed]));
        let plane = pixels.height * pixels.width;
        let resized =
            image::RgbImage::from_fn(pixels.width as u32, pixels.height as u32, |x, y| {
                let at = y as usize * pixels.width + x as usize;
                image::Rgb([0, 1, 2].map(|channel| {
                    (pixels.values[channel * plane + at] * 128.0 + 127.0).round() as u8
                }))
            });
        check_samples(&name, &resized, &case.resized);

        let shape = [1, 3, pixels.height, pixels.width];
        let output = model.forward(Tensor::from_data(
            TensorData::new(pixels.values, shape),
            &device,
        ));
        let [_, _, width] = output.tokens.dims();
        let logits = values(output.logits);
        let argmax = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]));
        let head = pick(
            &values(output.tokens),
            width,
            &fixture.tokens,
            &fixture.dims,
        );
        close(
            &format!("{name}, logits"),
            &pick(&logits, 0, &[0], &fixture.classes),
            &case.logits,
            1e-3,
        );
        close(&format!("{name}, head"), &head, &case.head.concat(), 1e-3);
        assert_eq!(argmax, Some(case.argmax), "{name}");
    }
}

#[test]
fn pagerank_is_networkxs() {
    #[derive(Deserialize)]
    struct Fixture {
        cases: Vec<Case>,
    }
    #[derive(Deserialize)]
    struct Case {
        label: String,
        nodes: usize,
        ties: Vec<Vec<usize>>,
        edges: Vec<(usize, usize, f32)>,
        scores: Vec<f32>,
    }

    for case in fixture::<Fixture>("pagerank.json").cases {
        let mut edges = vec![0.0; case.nodes * case.nodes];
        for (from, to, weight) in case.edges {
            edges[from * case.nodes + to] = weight;
        }
        let ranks = pagerank(&edges, case.nodes);
        close(&case.label, &ranks, &case.scores, 1e-6);
        for tie in case.ties {
            assert!(
                tie.iter().all(|&node| ranks[node] == ranks[tie[0]]),
                "{}: {tie:?}",
                case.label
            );
        }
    }
}

/// The tensors that `imn embed` writes on a device.
fn embed(dir: &Dir, device: &str, text: &str, picture: &str) -> Vec<(String, Vec<f32>)> {
    const SOFTWARE_VULKAN: &str = "/usr/lib/chromium/vk_swiftshader_icd.json";
    let file = dir.path(&format!("{device}.safetensors"));
    let mut command = Command::new(imn());
    command.args([
        "--device", device, "embed", "--text", text, "--image", picture,
    ]);
    command
        .arg("--weights")
        .arg(weights())
        .arg("--out")
        .arg(&file)
        .current_dir(dir.root());
    if Path::new(SOFTWARE_VULKAN).exists() && std::env::var_os("VK_DRIVER_FILES").is_none() {
        command
            .env("VK_DRIVER_FILES", SOFTWARE_VULKAN)
            .env("XDG_RUNTIME_DIR", dir.root());
    }
    finish(&mut command).ok();

    let bytes = std::fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let floats = |data: &[u8]| {
        data.as_chunks()
            .0
            .iter()
            .copied()
            .map(f32::from_le_bytes)
            .collect()
    };
    let mut tensors: Vec<(String, Vec<f32>)> = tensors
        .iter()
        .map(|(name, tensor)| (name.to_owned(), floats(tensor.data())))
        .collect();
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    tensors
}

#[test]
fn wgpu_agrees_with_flex() {
    let dir = Dir::new();
    picture([300, 200, 5])
        .save(dir.path("picture.png"))
        .unwrap();
    let text = "A jaguar sleeps on a branch above the river.";
    let flex = embed(&dir, "flex", text, "picture.png");
    let wgpu = embed(&dir, "wgpu", text, "picture.png");
    let names = |tensors: &[(String, Vec<f32>)]| {
        tensors
            .iter()
            .map(|(name, _)| name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&flex), names(&wgpu));
    assert!(
        ["image", "text"]
            .iter()
            .all(|&name| flex.iter().any(|(tensor, _)| tensor == name)),
        "{:?}",
        names(&flex)
    );
    for ((name, flex), (_, wgpu)) in flex.iter().zip(&wgpu) {
        close(name, wgpu, flex, 1e-3);
    }
}
