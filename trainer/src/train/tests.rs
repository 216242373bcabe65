//! The network learns what can be learned, and nothing else.

use std::ops::Range;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use burn::prelude::*;
use rand::RngExt as _;
use shared_model::data::{Entity, Mention};
use shared_model::imn::{ImnConfig, Input, Modality};
use shared_model::kb::{KbPost, KbText, KnowledgeBase};
use shared_model::loss::FusionLoss;
use shared_model::prototype::Selection;
use shared_model::scorer::ScorerConfig;
use shared_model::vectors::PooledVectors;

use super::batch::dropped;
use super::data::{Example, Placed, Query, TrainingSet, held_out, mark_known};
use super::plan::Settings;
use super::sampler::Sampler;
use super::select::Held;
use super::stages::Setup;
use super::stages::contrastive::ContrastiveStage;
use super::stages::imn::ImnStage;
use crate::cli::HoldOutArg;
use crate::features::PostFeatures;
use crate::holdout::Part;
use crate::learn::{Stage as _, learn, rng};
use crate::outcomes::ListKind;
use shared_model::gold_rank::GoldRank;

const WIDTH: usize = 12;
const ENTITIES: usize = 16;
const POSTS: usize = 3;
const CANDIDATES: usize = 8;

fn vector(rng: &mut rand::rngs::StdRng) -> Vec<f32> {
    (0..WIDTH).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// Entities whose posts are noise, and mentions that are noise too: only an overfitted network ranks them.
fn noise(n_examples: usize) -> TrainingSet {
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
                query: Query::Mention {
                    features: Arc::new(PostFeatures::of_text(vector(&mut rng))),
                    text: format!("text {i}"),
                    mention: Mention { start: 0, end: 4 },
                },
                pooled: Vec::new(),
                cues: vec![Default::default(); candidates.len()],
                candidates,
                gold: Some(0),
                without: None,
                part: Part::Fit,
            }
        })
        .collect();
    let kb = KnowledgeBase::new(text, pooled, profiles);
    let mut set = TrainingSet::new(kb, None, false, Path::new(""), &Rc::default());
    set.examples = examples;
    set.freeze(&settings().imn.inputs);
    set
}

#[test]
fn beside_a_context_encoder_the_scorer_is_fitted_on_enough_held_out_mentions() {
    let mut set = noise(150);
    let (held, fit) = (Part::HeldMention, Part::Fit);
    for (n_held, has_context_encoder, expected) in [
        (100, false, fit),
        (100, true, held),
        (99, true, fit),
        (0, true, fit),
    ] {
        set.has_context_encoder = has_context_encoder;
        for (i, example) in set.examples.iter_mut().enumerate() {
            example.part = if i < n_held { held } else { fit };
        }
        let n_expected = if expected == held {
            n_held
        } else {
            150 - n_held
        };
        assert_eq!(set.fit_of_scorer().count(), n_expected);
        assert!(set.fit_of_scorer().all(|example| example.part == expected));
        set.nil = set.examples.clone();
        assert_eq!(set.nil_of_scorer().count(), n_expected);
    }
}

fn placed(set: &TrainingSet, range: Range<usize>) -> Vec<Placed<'_>> {
    range.map(|i| (0, &set.examples[i])).collect()
}

fn sampler(examples: Vec<Placed<'_>>) -> Sampler<'_> {
    Sampler::new(vec![examples], &[1.0]).unwrap()
}

fn setup<'a>(
    sets: &'a [TrainingSet],
    settings: &'a Settings,
    device: &'a Device,
    helpers: &'a [Device],
) -> Setup<'a> {
    Setup {
        sets,
        settings,
        scorer: ScorerConfig::of_weights(Default::default()),
        temperature: 1.0,
        device,
        helpers,
    }
}

fn settings() -> Settings {
    let inputs = vec![Input::new(Modality::Text, WIDTH)];
    Settings {
        datasets: Vec::new(),
        shares: vec![1.0],
        modalities: vec![Modality::Text],
        paper: true,
        keep_scorer: false,
        train_share: 1.0,
        hold_out: HoldOutArg::Train,
        nil_share: None,
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
            d_model: 32,
            d_aux: 32,
            dropout: 0.0,
            ..ImnConfig::paper(inputs)
        },
        baseline: None,
        extra_trees: false,
    }
}

/// Trains on `fit`; the cosines of `held` afterwards.
fn trained(set: TrainingSet, fit: Range<usize>, held: Range<usize>) -> Vec<Held> {
    let sets = [set];
    let settings = settings();
    let device = Device::flex().autodiff();
    let setup = setup(&sets, &settings, &device, &[]);
    device.seed(1);
    let network = settings.imn.init(&device);
    let sampler = sampler(placed(&sets[0], fit));
    let mut stage = ImnStage::new("task", &setup, sampler, placed(&sets[0], held));
    let mut model = ImnStage::optimised(network, &device);
    let plan = settings.plan("task", settings.task_steps);
    let folder = tempfile::tempdir().unwrap();
    learn(&mut stage, &mut model, &plan, folder.path(), false).unwrap();
    stage.measure(&mut model).unwrap().0
}

fn p_at_1(held: &[Held]) -> f64 {
    let firsts = held
        .iter()
        .map(|held| GoldRank::of(&held.cosines, held.gold.unwrap()).recall_at(1));
    firsts.sum::<f64>() / held.len() as f64
}

#[test]
fn sixty_four_mentions_are_overfitted() {
    let held = trained(noise(64), 0..64, 0..64);
    assert_eq!(p_at_1(&held), 1.0);
}

#[test]
fn random_labels_teach_nothing_about_other_mentions() {
    // Mentions are noise, so that those held out have random labels; chance is 1 in 8, and 200 draws stay within 0.1 of it.
    let held = trained(noise(264), 0..64, 64..264);
    let p = p_at_1(&held);
    assert!((p - 1.0 / CANDIDATES as f64).abs() < 0.1, "{p}");
}

#[test]
fn the_length_of_a_timeline_tells_nothing_in_training() {
    let mut set = noise(64);
    // The gold's own post is taken out of its timeline.
    for (i, example) in set.examples.iter_mut().enumerate() {
        example.without = Some((i % ENTITIES) * POSTS);
    }
    let sets = [set];
    let settings = settings();
    let placed = placed(&sets[0], 0..64);
    let scorer = ScorerConfig::default();
    let (inputs, device) = (&settings.imn.inputs, Device::flex());
    let batch = dropped(
        &placed,
        &sets,
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
    let sets = [noise(64)];
    let settings = Settings {
        micro_batches: 3,
        batch: 24,
        ..settings()
    };
    let device = Device::flex().autodiff();
    let network = settings.imn.init(&device);
    let losses = |helpers: &[Device]| -> Vec<f64> {
        let setup = setup(&sets, &settings, &device, helpers);
        let sampler = sampler(placed(&sets[0], 0..64));
        let mut stage = ImnStage::new("task", &setup, sampler, placed(&sets[0], 0..64));
        let mut model = ImnStage::optimised(network.clone(), &device);
        let step = |step| stage.step(&mut model, step).unwrap()[0].1;
        (1..=4).map(step).collect()
    };
    let alone = losses(&[]);
    let helpers = [device.clone(), device.clone()];
    assert_eq!(losses(&helpers[..1]), alone);
    assert_eq!(losses(&helpers), alone);
}

#[test]
fn the_contrastive_stage_matches_posts_with_their_entities() {
    let sets = [noise(64)];
    let mut settings = settings();
    settings.paper = false;
    settings.imn.pooled_projection = true;
    settings.imn.d_aux = 64;
    let device = Device::flex().autodiff();
    let setup = setup(&sets, &settings, &device, &[]);
    device.seed(1);
    let network = settings.imn.init(&device);
    let sampler = sampler(placed(&sets[0], 0..64));
    let mut stage = ContrastiveStage {
        setup: &setup,
        sampler,
        held: placed(&sets[0], 0..64),
    };
    let mut model = ContrastiveStage::optimised(network, &device);
    let figures = |figures: crate::learn::Metrics, name: &str| {
        let found = figures.into_iter().find(|(found, _)| *found == name);
        found.unwrap().1
    };
    let before = figures(stage.evaluate(&mut model, 0).unwrap(), "gain");
    let mut losses = Vec::new();
    for step in 1..=900 {
        losses.push(stage.step(&mut model, step).unwrap()[0].1);
    }
    let after = figures(stage.evaluate(&mut model, 900).unwrap(), "gain");
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
    let (first, last) = (mean(&losses[..20]), mean(&losses[880..]));
    assert!(last < first - 0.1, "{first} -> {last}");
    assert!(after > before, "{before} -> {after}");
}

/// A set with mentions of all parts: entities 12 to 15 are in no list of a mention that is trained on.
fn with_parts() -> TrainingSet {
    let mut set = noise(96);
    for (i, example) in set.examples.iter_mut().enumerate() {
        let (first, n, part) = match i % 4 {
            0 | 1 => (0, 12, Part::Fit),
            2 => (0, 12, Part::HeldMention),
            _ => (12, 4, Part::HeldEntity),
        };
        example.candidates = (0..4).map(|c| first + (i + c) % n).collect();
        example.cues.truncate(4);
        example.part = part;
    }
    set.trained = (0..12).collect();
    set.nil = set.examples[2..4].to_vec();
    set.nil.iter_mut().for_each(|example| example.gold = None);
    set
}

#[test]
fn lists_of_known_and_new_candidates_are_made_where_there_are_none() {
    let mut sets = [with_parts()];
    mark_known(&mut sets, &[1.0]);
    let set = &mut sets[0];
    set.mix_lists(3, &[Modality::Text]);
    // 24 held-out mentions of each kind and two of NIL.
    assert_eq!(set.mixed.len(), 50);
    for example in &set.mixed {
        assert_eq!(set.kind(example), ListKind::Mixed);
        assert_ne!(example.part, Part::Fit);
        let mut distinct = example.candidates.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 4, "{distinct:?}");
        assert_eq!(example.cues.len(), 4);
    }
    let held = set.examples.iter().chain(&set.nil);
    let held = held.filter(|example| example.part != Part::Fit);
    for (made, example) in set.mixed.iter().zip(held) {
        assert_eq!((made.gold, made.entity()), (example.gold, example.entity()));
        let pairs = made.candidates.iter().zip(&example.candidates);
        let replaced = pairs.filter(|(a, b)| a != b).count();
        assert_eq!(replaced, 2, "half of 3 and of 4");
    }
    // A list of the data's own is enough.
    let mut own = with_parts();
    own.examples[2].candidates[1] = 13;
    let mut sets = [own];
    mark_known(&mut sets, &[1.0]);
    sets[0].mix_lists(3, &[Modality::Text]);
    assert!(sets[0].mixed.is_empty());
}

#[test]
fn held_out_mentions_are_thinned_by_kind_and_all_are_taken_where_none_is() {
    let mut sets = [with_parts()];
    mark_known(&mut sets, &[1.0]);
    let kinds = |limit| {
        let held = held_out(&sets, limit);
        let known = held
            .iter()
            .filter(|(_, example)| sets[0].kind(example) == ListKind::Known);
        (held.len(), known.count())
    };
    assert_eq!(kinds(None), (48, 24));
    assert_eq!(kinds(Some(12)), (24, 12));
    assert_eq!(kinds(Some(5)), (10, 5));
    let fit = [noise(20)];
    assert_eq!(held_out(&fit, Some(10)).len(), 10);
}

#[test]
fn an_entity_that_one_dataset_does_not_train_is_not_known() {
    let ids = |shares: [f64; 2], trained: Range<usize>| {
        let mut sets = [noise(8), noise(8)];
        sets[1].trained = trained.collect();
        mark_known(&mut sets, &shares).len()
    };
    assert_eq!(ids([1.0, 1.0], 0..ENTITIES), ENTITIES);
    assert_eq!(ids([1.0, 1.0], 0..10), 10);
    assert_eq!(ids([1.0, 0.0], 0..ENTITIES), 0);
}
