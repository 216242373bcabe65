//! `cargo bench --bench training`: a training step of the IMN beside PyTorch's, and one mention ranked against many entities.
//!
//! The variable PYTHON names an interpreter with torch; without it only our own figures are printed.

use std::process::Command;
use std::time::Instant;

use burn::optim::{AdamWConfig, GradientsParams};
use burn::prelude::*;
use burn::tensor::Distribution;
use shared_model::imn::{
    EntityIndex, Imn, ImnConfig, Input, LEVELS, MentionVectors, Modality, Sequence, Side,
};
use shared_model::loss::{FusionLoss, Targets, info_nce};

const STEPS: usize = 8;
const BATCH: usize = 32;
const CANDIDATES: usize = 9;
const ENTITIES: usize = BATCH * CANDIDATES;
const INPUTS: [(Modality, usize, usize, usize); 2] =
    [(Modality::Text, 384, 40, 4), (Modality::Image, 1280, 50, 3)];

fn main() {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("training step, batch {BATCH}, {CANDIDATES} candidates, {threads} threads");
    let ours = median(steps());
    println!("  Burn, Flex: {:.0} ms", ours * 1e3);
    match peer(threads) {
        Some(seconds) => {
            let peer = median(seconds);
            println!("  PyTorch: {:.0} ms; ratio {:.2}", peer * 1e3, ours / peer);
        }
        None => println!("  PyTorch: not measured (PYTHON names no interpreter with torch)"),
    }

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
        |&(modality, width, ..): &(Modality, usize, usize, usize)| Input { modality, width };
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

fn steps() -> Vec<f64> {
    let device = Device::flex().autodiff();
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
    (0..STEPS)
        .map(|_| {
            let start = Instant::now();
            let m = model.prepare_mentions(model.encode_mentions(&mentions));
            let e = model.prepare_entities(model.encode_entities(&entities));
            let similarities = model.compare(&m, &e, candidates.clone());
            let loss = FusionLoss::default().forward(&similarities, &targets)
                + info_nce(similarities.fusion * 10.0, &targets);
            let gradients = GradientsParams::from_grads(loss.backward(), &model);
            model = optimizer.step(3e-4, model.clone(), gradients);
            start.elapsed().as_secs_f64()
        })
        .collect()
}

fn peer(threads: usize) -> Option<Vec<f64>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bench_imn.py");
    let output = Command::new(std::env::var_os("PYTHON")?)
        .args([script, &threads.to_string(), &STEPS.to_string()])
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
