//! Examples as the tensors of a batch: every distinct entity once; posts and modalities are dropped alike for all candidates of a mention.

use std::collections::HashMap;

use burn::prelude::*;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::imn::{Input, PlainSequence, Side, side};
use shared_model::loss::Targets;
use shared_model::scorer::ScorerConfig;

use super::data::{Example, Placed, TrainingSet};

/// Probability of dropping a modality of a side.
const DROPPED: f64 = 0.15;
/// Length of a timeline in training, at most.
const MAX_POSTS: usize = 5;
/// Number of patterns per batch: how many posts of a timeline are read, and which modality candidates are without. Mentions of one
/// pattern share the rows of their candidates, which are most of the cost of a step.
const PATTERNS: usize = 2;
/// Candidates in training, at most: the gold, the hardest of the others for one half, random ones for the other.
const MAX_CANDIDATES: usize = 17;

/// A batch on the device.
pub(super) struct Batch {
    pub(super) mentions: Side,
    pub(super) entities: Side,
    /// Training set and position in the knowledge base of each row of `entities`.
    pub(super) rows: Vec<(usize, usize)>,
    /// `[batch, n_candidates]`, rows of `entities`.
    pub(super) candidates: Tensor<2, Int>,
    pub(super) targets: Targets,
    /// Training-free scores, `[batch, n_candidates]`.
    pub(super) prior: Tensor<2>,
}

/// Deduplication key of an entity side: equal keys share one row of the batch.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct EntityKey {
    set: usize,
    entity: usize,
    without: Option<usize>,
    n_posts: usize,
    dropped: Option<usize>,
}

/// What a step takes of one example.
struct Draw {
    /// Places in the list of candidates.
    candidates: Vec<usize>,
    /// Length of every timeline, at most.
    n_posts: usize,
    /// Modality that the mention is without.
    mention: Option<usize>,
    /// Modality that the candidates are without.
    entity: Option<usize>,
}

/// A batch as at inference: nothing is dropped.
pub(super) fn whole(
    examples: &[Placed],
    sets: &[TrainingSet],
    inputs: &[Input],
    scorer: &ScorerConfig,
    device: &Device,
) -> Batch {
    let draws = examples.iter().map(|(_, example)| Draw {
        candidates: (0..example.candidates.len()).collect(),
        n_posts: usize::MAX,
        mention: None,
        entity: None,
    });
    assemble(
        examples,
        draws.collect(),
        sets,
        inputs,
        scorer,
        None,
        device,
    )
}

/// A batch of a training step.
pub(super) fn dropped(
    examples: &[Placed],
    sets: &[TrainingSet],
    inputs: &[Input],
    scorer: &ScorerConfig,
    rng: &mut StdRng,
    device: &Device,
) -> Batch {
    let drop = |rng: &mut StdRng| {
        let drop = inputs.len() > 1 && rng.random_bool(DROPPED * inputs.len() as f64);
        drop.then(|| rng.random_range(0..inputs.len()))
    };
    let patterns: [(usize, Option<usize>); PATTERNS] =
        std::array::from_fn(|_| (rng.random_range(1..=MAX_POSTS), drop(rng)));
    let draws = examples
        .iter()
        .zip(patterns.into_iter().cycle())
        .map(|((set, example), (n_posts, entity))| {
            let set = &sets[*set];
            let candidates = candidates(example, scorer, rng);
            // Without its own post the gold may have none left: then the other candidates are without posts, too.
            let is_bare = example.without.is_some()
                && (example.entity())
                    .is_some_and(|gold| set.timeline(gold, example.without).is_empty());
            let shortest = candidates
                .iter()
                .map(|&i| {
                    set.timeline(example.candidates[i], example.without(i))
                        .len()
                })
                .filter(|&n| n > 0)
                .min();
            Draw {
                n_posts: match shortest {
                    Some(shortest) if !is_bare => n_posts.min(shortest),
                    _ => 0,
                },
                mention: drop(rng),
                entity,
                candidates,
            }
        })
        .collect();
    assemble(examples, draws, sets, inputs, scorer, Some(rng), device)
}

/// The gold, the hardest of the others and random ones of the rest, as places in the list of candidates.
fn candidates(example: &Example, scorer: &ScorerConfig, rng: &mut StdRng) -> Vec<usize> {
    let n = example.candidates.len();
    let mut others: Vec<usize> = (0..n).filter(|&i| Some(i) != example.gold).collect();
    if n > MAX_CANDIDATES {
        let score = |&i: &usize| scorer.score(&example.cues[i]);
        others.sort_by(|a, b| score(b).total_cmp(&score(a)));
        let mut rest = others.split_off(MAX_CANDIDATES / 2);
        rest.shuffle(rng);
        rest.truncate(MAX_CANDIDATES - 1 - others.len());
        others.extend(rest);
    }
    let mut all = others;
    all.extend(example.gold);
    // The place of the gold must tell nothing.
    all.shuffle(rng);
    all
}

fn assemble(
    examples: &[Placed],
    draws: Vec<Draw>,
    sets: &[TrainingSet],
    inputs: &[Input],
    scorer: &ScorerConfig,
    mut rng: Option<&mut StdRng>,
    device: &Device,
) -> Batch {
    let n_candidates = draws
        .iter()
        .map(|draw| draw.candidates.len())
        .max()
        .unwrap_or(1);
    let mut entities: Vec<EntityKey> = Vec::new();
    let mut rows: HashMap<EntityKey, i32> = HashMap::new();
    let (mut candidates, mut mask, mut prior, mut gold) = (vec![], vec![], vec![], vec![]);
    let mut mentions = Vec::new();
    for ((set, example), draw) in examples.iter().zip(draws) {
        let mut sequences = sets[*set].mention_sequences(inputs, example);
        drop_modality(&mut sequences, draw.mention);
        mentions.push(sequences);
        let mut column = 0;
        for place in 0..n_candidates {
            let Some(&i) = draw.candidates.get(place) else {
                candidates.push(0);
                mask.push(true);
                prior.push(0.0);
                continue;
            };
            if Some(i) == example.gold {
                column = place as i32;
            }
            let key = EntityKey {
                set: *set,
                entity: example.candidates[i],
                without: example.without(i),
                n_posts: draw.n_posts,
                dropped: draw.entity,
            };
            let row = *rows.entry(key).or_insert_with(|| {
                entities.push(key);
                entities.len() as i32 - 1
            });
            candidates.push(row);
            mask.push(false);
            prior.push(scorer.score(&example.cues[i]));
        }
        // NIL is never a target: it is in no batch of a training step.
        gold.push(column);
    }
    let positions = entities.iter().map(|key| (key.set, key.entity)).collect();
    let entities: Vec<Vec<PlainSequence>> = entities
        .into_iter()
        .map(|key| {
            let set = &sets[key.set];
            let mut posts = set.timeline(key.entity, key.without);
            if let Some(rng) = &mut rng {
                posts.shuffle(rng);
            }
            posts.truncate(key.n_posts);
            let mut sequences = set.entity_sequences(key.entity, &posts);
            drop_modality(&mut sequences, key.dropped);
            sequences
        })
        .collect();
    let shape = [examples.len(), n_candidates];
    Batch {
        mentions: side(inputs, &mentions, device),
        entities: side(inputs, &entities, device),
        rows: positions,
        candidates: Tensor::from_data(TensorData::new(candidates, shape), device),
        targets: Targets {
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            gold: Tensor::from_data(TensorData::new(gold, [examples.len()]), device),
        },
        prior: Tensor::from_data(TensorData::new(prior, shape), device),
    }
}

/// Drops a modality, unless it is the only one.
fn drop_modality(sequences: &mut [PlainSequence], modality: Option<usize>) {
    let Some(modality) = modality else { return };
    let others = sequences.iter().enumerate().filter(|(i, _)| *i != modality);
    if others
        .into_iter()
        .any(|(_, sequence)| !sequence.pictures.is_empty())
    {
        sequences[modality] = PlainSequence::default();
    }
}
