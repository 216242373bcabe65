//! `cargo bench --bench training`: training steps of the IMN and of the joint encoder and a batch through the frozen encoders, beside PyTorch's; one mention ranked against many entities.
//!
//! The variable PYTHON names an interpreter with torch; without it only our own figures are printed.
//! IMN_DEVICE chooses the device; on a GPU, PyTorch uses CUDA.

use std::process::Command;
use std::time::Instant;

use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::Distribution;
use burn::tensor::activation::log_softmax;
use shared_model::imn::{
    EntityIndex, Imn, ImnConfig, Input, LEVELS, MentionVectors, Modality, Sequence, Side,
};
use shared_model::joint::{JointConfig, JointEncoder, JointHeads, JointInput, JointPost, MAX_TEXT};
use shared_model::loss::{FusionLoss, Targets, info_nce};
use shared_model::tensors::pad;
use shared_model::text::{BertConfig, HiddenAct};
use shared_model::tokenizer::Encoded;
use shared_model::vision::{EfficientNetLite0, Vision};
use tests::{device, picture};

const STEPS: usize = 8;
const WORDS: usize = 30_522;
const BATCH: usize = 32;
const CANDIDATES: usize = 9;
const ENTITIES: usize = BATCH * CANDIDATES;
const INPUTS: [(Modality, usize, usize, usize); 2] =
    [(Modality::Text, 384, 40, 4), (Modality::Image, 1280, 50, 3)];

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("medians, {threads} threads, {:?}", device());
    compare("imn", "training step of the IMN", threads, imn_steps());
    compare(
        "joint",
        "training step of the joint encoder",
        threads,
        joint_steps(),
    );
    compare("text", "16 texts of 32 tokens", threads, text_batches());
    compare("image", "16 pictures", threads, image_batches());

    println!("one mention against n entities, one thread");
    for n in [8_500, 17_000, 34_000, 68_000] {
        let (index, mention) = index(n);
        let candidates: Vec<usize> = (0..n).collect();
        let times = (0..STEPS).map(|_| {
            let start = Instant::now();
            let scores = index.scores(&mention, &candidates);
            assert!(scores.iter().all(|score| score.is_finite()));
            start.elapsed().as_secs_f64()
        });
        println!(
            "  {n}: {:.1} ms, {} bytes an entity",
            median(times.collect()) * 1e3,
            index.bytes_per_entity()
        );
    }
}

fn config() -> ImnConfig {
    let input =
        |&(modality, width, ..): &(Modality, usize, usize, usize)| Input::new(modality, width);
    ImnConfig::ours(INPUTS.iter().map(input).collect())
}

fn random<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Normal(0.0, 1.0), device)
}

fn side(n: usize, lengths: [usize; 2], device: &Device) -> Side {
    let sequence = |((_, width, ..), length): (&(Modality, usize, usize, usize), usize)| Sequence {
        vectors: random([n, length, *width], device),
        mask: Tensor::<2>::zeros([n, length], device).bool(),
        pooled: random([n, *width], device),
        picture: None,
    };
    Side {
        sequences: INPUTS.iter().zip(lengths).map(sequence).collect(),
    }
}

fn imn_steps() -> Vec<f64> {
    let device = device().autodiff();
    let mut model: Imn = config().init(&device);
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.01).init();
    let mentions = side(BATCH, INPUTS.map(|input| input.2), &device);
    let entities = side(ENTITIES, INPUTS.map(|input| input.3), &device);
    let candidates = Tensor::<1, Int>::arange(0..ENTITIES as i64, &device);
    let candidates = candidates.reshape([BATCH, CANDIDATES]);
    let targets = Targets {
        mask: Tensor::<2>::zeros([BATCH, CANDIDATES], &device).bool(),
        gold: Tensor::zeros([BATCH], &device),
    };
    timed(|| {
        let m = model.prepare_mentions(model.encode_mentions(&mentions));
        let e = model.prepare_entities(model.encode_entities(&entities));
        let similarities = model.compare(&m, &e, candidates.clone());
        let loss = FusionLoss::default().forward(&similarities, &targets)
            + info_nce(similarities.fusion * 10.0, &targets);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(3e-4, model.clone(), gradients);
        device.sync().expect("the device answers");
    })
}

fn joint_steps() -> Vec<f64> {
    const PATCHES: usize = 49;
    let device = device().autodiff();
    let config = JointConfig {
        d_model: 384,
        n_layers: 3,
        n_heads: 12,
        d_ff: 1536,
        max_text: MAX_TEXT,
        word_width: 50,
        image_width: 1280,
        patches: PATCHES,
        layer_norm_eps: 1e-12,
        dropout: 0.1,
    };
    let words: Tensor<2> = random([WORDS, config.d_model], &device) * 0.05;
    let mut model = Joint {
        encoder: config.init(&device),
        heads: JointHeads::new(&config, WORDS, &device),
    };
    let mut optimizer = AdamWConfig::new().with_weight_decay(0.01).init();
    let posts: Vec<JointPost> = (0..BATCH)
        .map(|i| JointPost {
            ids: (0..MAX_TEXT as u32)
                .map(|k| (k * 397 + i as u32 * 31) % WORDS as u32)
                .collect(),
            word: Some(vec![0.1; config.word_width]),
            pictures: vec![vec![0.5; PATCHES * config.image_width]],
        })
        .collect();
    let input = JointInput::of(&posts, &config, &device);
    let asked = Tensor::<1, Int>::arange(0..96, &device);
    let asked_patches = Tensor::<1, Int>::arange(0..128, &device);
    let features: Tensor<2> = random([128, config.image_width], &device);
    timed(|| {
        let output = model.encoder.forward(&input, &words);
        let logits = model.heads.words(&output, asked.clone(), &words);
        let loss = cross_entropy(logits, Tensor::zeros([96], &device))
            + model
                .heads
                .patch_loss(&output, asked_patches.clone(), features.clone())
            + cross_entropy(
                model.heads.alignment(&output),
                Tensor::zeros([BATCH], &device),
            );
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(3e-4, model.clone(), gradients);
        device.sync().expect("the device answers");
    })
}

#[derive(Module, Debug)]
struct Joint {
    encoder: JointEncoder,
    heads: JointHeads,
}

fn text_batches() -> Vec<f64> {
    let device = device();
    let config = BertConfig {
        d_model: 384,
        n_layers: 6,
        n_heads: 12,
        d_ff: 1536,
        vocab_size: WORDS,
        max_tokens: 512,
        type_vocab_size: 2,
        layer_norm_eps: 1e-12,
        hidden_act: HiddenAct::Gelu,
    };
    let bert = config.init(&device);
    let text = |i: u32| Encoded {
        ids: (0..32).map(|k| (k * 397 + i * 31) % WORDS as u32).collect(),
        mention: None,
    };
    let texts: Vec<Encoded> = (0..16).map(text).collect();
    timed(|| {
        let (ids, mask) = pad(&texts, &device);
        read(bert.pooled(ids, mask));
    })
}

fn image_batches() -> Vec<f64> {
    let device = device();
    let vision = Vision::Efficientnet(Box::new(EfficientNetLite0::init(&device)));
    let pictures: Vec<_> = (0..16)
        .map(|i| vision.preprocess(&picture([224, 224, i])))
        .collect();
    timed(|| read(vision.forward(&pictures, &device).pooled))
}

fn read<const D: usize>(tensor: Tensor<D>) {
    pollster::block_on(shared_model::tensors::read(tensor)).expect("the CPU does not fail");
}

fn timed(mut step: impl FnMut()) -> Vec<f64> {
    (0..STEPS)
        .map(|_| {
            let start = Instant::now();
            step();
            start.elapsed().as_secs_f64()
        })
        .collect()
}

/// Prints our median beside the peer's.
fn compare(peer_name: &str, what: &str, threads: usize, ours: Vec<f64>) {
    let ours = median(ours);
    println!("{what}");
    println!("  Burn: {:.1} ms", ours * 1e3);
    match peer(peer_name, threads) {
        Some(seconds) => {
            let peer = median(seconds);
            println!("  PyTorch: {:.1} ms; ratio {:.2}", peer * 1e3, ours / peer);
        }
        None => println!("  PyTorch: not measured (PYTHON names no interpreter with torch)"),
    }
}

fn peer(name: &str, threads: usize) -> Option<Vec<f64>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bench_training.py");
    let output = Command::new(std::env::var_os("PYTHON")?)
        .args([script, name, &threads.to_string(), &STEPS.to_string()])
        .arg(match std::env::var("IMN_DEVICE").as_deref() {
            Err(_) | Ok("flex" | "libtorch") => "cpu",
            Ok(_) => "cuda",
        })
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let seconds: Vec<f64> = text.lines().filter_map(|line| line.parse().ok()).collect();
    (seconds.len() == STEPS).then_some(seconds)
}

fn index(n: usize) -> (EntityIndex, MentionVectors) {
    let device = Device::flex();
    let model: Imn = config().init(&device);
    let mut index = EntityIndex::new(112);
    for start in (0..n).step_by(4096) {
        let rows = 4096.min(n - start);
        let prepared = model.prepare_entities(random([rows, LEVELS, 112], &device));
        pollster::block_on(index.extend(prepared)).expect("the CPU does not fail");
    }
    let prepared = model.prepare_mentions(random([1, LEVELS, 112], &device));
    let mentions = pollster::block_on(MentionVectors::of(prepared)).expect("the CPU does not fail");
    let mention = mentions.into_iter().next().expect("one mention");
    (index, mention)
}

/// The first runs warm up.
fn median(mut seconds: Vec<f64>) -> f64 {
    seconds.drain(..2);
    seconds.sort_by(f64::total_cmp);
    seconds[seconds.len() / 2]
}

/// Mean cross-entropy of `[n, classes]` logits with `[n]` labels.
fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let chosen = log_softmax(logits, 1).gather(1, labels.unsqueeze_dim(1)); // [n, 1]
    chosen.mean().neg()
}
