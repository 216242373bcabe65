//! The network learns what can be learned, and nothing else.

use burn::prelude::*;
use rand::RngExt as _;
use shared_model::data::Entity;
use shared_model::imn::{ImnConfig, Input, Modality};
use shared_model::kb::{KbPost, KbText, KnowledgeBase};
use shared_model::loss::FusionLoss;
use shared_model::prototype::Selection;
use shared_model::scorer::ScorerConfig;
use shared_model::vectors::PooledVectors;

use super::batch::dropped;
use super::blend::Held;
use super::network::{ImnStage, Placed, Setup};
use super::settings::Settings;
use super::world::{Example, Part, Query, World};
use crate::features::PostFeatures;
use crate::learn::{Plan, Stage as _, learn, rng};

const WIDTH: usize = 12;
const ENTITIES: usize = 16;
const POSTS: usize = 3;
const CANDIDATES: usize = 8;

fn vector(rng: &mut rand::rngs::StdRng) -> Vec<f32> {
    (0..WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Entities whose posts are noise, and mentions that are noise too: only what is learned by heart ranks them.
fn world(n_examples: usize) -> World {
    let mut rng = rng(7, "world", 0);
    let entity = |i: usize| Entity {
        id: format!("e{i}"),
        name: format!("Name {i}"),
        aliases: Vec::new(),
        description: String::new(),
    };
    let posts = (0..ENTITIES * POSTS).map(|i| KbPost {
        entity: i / POSTS,
        text: format!("post {i}"),
        images: Vec::new(),
    });
    let text = KbText {
        entities: (0..ENTITIES).map(entity).collect(),
        posts: posts.collect(),
        prototypes: Vec::new(),
        k: 10,
        selection: Selection::Pagerank,
    };
    let pooled = (0..ENTITIES * POSTS).map(|_| PooledVectors {
        text: Some(vector(&mut rng)),
        ..PooledVectors::default()
    });
    let pooled = pooled.collect();
    let profiles = (0..ENTITIES).map(|_| PooledVectors {
        text: Some(vector(&mut rng)),
        ..PooledVectors::default()
    });
    let profiles = profiles.collect();
    let examples = (0..n_examples)
        .map(|i| {
            let gold = i % ENTITIES;
            let mut candidates = vec![gold];
            while candidates.len() < CANDIDATES {
                let other = rng.random_range(0..ENTITIES);
                if !candidates.contains(&other) {
                    candidates.push(other);
                }
            }
            Example {
                query: Query::Mention(PostFeatures::of_text(vector(&mut rng))),
                cues: vec![Default::default(); candidates.len()],
                candidates,
                gold: 0,
                without: None,
                part: Part::Fit,
            }
        })
        .collect();
    World {
        kb: KnowledgeBase::new(text, pooled, profiles),
        examples,
        nil: Vec::new(),
        left_out: 0,
        trained: (0..ENTITIES).collect(),
    }
}

fn settings() -> Settings {
    let inputs = vec![Input {
        modality: Modality::Text,
        width: WIDTH,
    }];
    Settings {
        datasets: Vec::new(),
        shares: vec![1.0],
        modalities: vec![Modality::Text],
        paper: true,
        keep_scorer: false,
        seed: 1,
        batch: 32,
        micro_batches: 1,
        learning_rate: 5e-3,
        metric_steps: 0,
        knowledge_steps: 0,
        task_steps: 150,
        evaluate_every: 50,
        patience: 10,
        validation: 64,
        loss: FusionLoss::default(),
        imn: ImnConfig {
            hidden: 32,
            aux: 32,
            dropout: 0.0,
            ..ImnConfig::paper(inputs)
        },
    }
}

/// Trains on `fit`; the scores of `held` afterwards.
fn trained(world: World, fit: std::ops::Range<usize>, held: std::ops::Range<usize>) -> Vec<Held> {
    let worlds = [world];
    let settings = settings();
    let device = Device::flex().autodiff();
    let setup = Setup {
        worlds: &worlds,
        settings: &settings,
        scorer: ScorerConfig::of_weights(Default::default()),
        temperature: 1.0,
        device: &device,
        helpers: &[],
    };
    let placed = |range: std::ops::Range<usize>| -> Vec<Placed> {
        range.map(|i| (0, &worlds[0].examples[i])).collect()
    };
    device.seed(1);
    let network = settings.imn.init(&device);
    let mut stage = ImnStage::new(
        "task",
        &setup,
        vec![(1.0, placed(fit))],
        placed(held),
        network,
    );
    let plan = Plan {
        name: "task".to_owned(),
        seed: 1,
        steps: settings.task_steps,
        evaluate_every: settings.evaluate_every,
        patience: settings.patience,
    };
    let folder = tempfile::tempdir().unwrap();
    learn(&mut stage, &plan, folder.path(), false).unwrap();
    stage.settle().unwrap().0
}

fn p_at_1(held: &[Held]) -> f64 {
    let right = held.iter().filter(|held| {
        let gold = held.cosines[held.gold];
        held.cosines
            .iter()
            .filter(|cosine| **cosine >= gold)
            .count()
            == 1
    });
    right.count() as f64 / held.len() as f64
}

#[test]
fn sixty_four_mentions_are_learned_by_heart() {
    let held = trained(world(64), 0..64, 0..64);
    assert_eq!(p_at_1(&held), 1.0);
}

#[test]
fn labels_by_lot_teach_nothing_about_other_mentions() {
    // Mentions are noise, so that those held out have labels by lot; chance is 1 in 8, and 200 draws stay within 0.1 of it.
    let held = trained(world(264), 0..64, 64..264);
    let p = p_at_1(&held);
    assert!((p - 1.0 / CANDIDATES as f64).abs() < 0.1, "{p}");
}

#[test]
fn the_length_of_a_timeline_tells_nothing_in_training() {
    let mut world = world(64);
    // The gold's own post is taken out of its timeline.
    for (i, example) in world.examples.iter_mut().enumerate() {
        example.without = Some((i % ENTITIES) * POSTS);
    }
    let worlds = [world];
    let settings = settings();
    let placed: Vec<Placed> = worlds[0]
        .examples
        .iter()
        .map(|example| (0, example))
        .collect();
    let scorer = ScorerConfig::default();
    let (inputs, device) = (&settings.imn.inputs, Device::flex());
    let batch = dropped(
        &placed,
        &worlds,
        inputs,
        &scorer,
        &mut rng(3, "length", 0),
        &device,
    );
    let lengths = batch.entities.sequences[0]
        .mask
        .clone()
        .bool_not()
        .int()
        .sum_dim(1);
    let lengths: Vec<i64> = lengths.into_data().convert::<i64>().try_into_vec().unwrap();
    let rows: Vec<i64> = batch
        .candidates
        .into_data()
        .convert::<i64>()
        .try_into_vec()
        .unwrap();
    for (example, row) in rows.chunks(CANDIDATES).enumerate() {
        let of = |i: usize| lengths[row[i] as usize];
        assert!((1..CANDIDATES).all(|i| of(i) == of(0)), "example {example}");
    }
}

#[test]
fn who_computes_a_micro_batch_does_not_matter() {
    let worlds = [world(64)];
    let settings = Settings {
        micro_batches: 3,
        batch: 24,
        ..settings()
    };
    let device = Device::flex().autodiff();
    let network = settings.imn.init(&device);
    let placed: Vec<Placed> = worlds[0]
        .examples
        .iter()
        .map(|example| (0, example))
        .collect();
    let losses = |helpers: &[Device]| -> Vec<f64> {
        let setup = Setup {
            worlds: &worlds,
            settings: &settings,
            scorer: ScorerConfig::of_weights(Default::default()),
            temperature: 1.0,
            device: &device,
            helpers,
        };
        let examples = vec![(1.0, placed.clone())];
        let mut stage = ImnStage::new("task", &setup, examples, placed.clone(), network.clone());
        let step = |step| stage.step(step).unwrap()[0].1;
        (1..=4).map(step).collect()
    };
    let alone = losses(&[]);
    let helpers = [device.clone(), device.clone()];
    assert_eq!(losses(&helpers[..1]), alone);
    assert_eq!(losses(&helpers), alone);
}
