//! Examples as the tensors of a batch: every distinct entity once, posts and modalities dropped by one draw for all candidates of a mention.

use std::collections::HashMap;

use burn::prelude::*;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::imn::{Input, PlainSequence, Side, entity_sequences, mention_sequences, side};
use shared_model::kb::KnowledgeBase;
use shared_model::loss::Targets;
use shared_model::scorer::ScorerConfig;

use super::world::{Example, World};

/// How often a modality of a side is left out.
const DROPPED: f64 = 0.15;
/// The longest timeline in training.
const MAX_POSTS: usize = 5;
/// Candidates in training: the gold, half of the others the hardest, half drawn.
const MAX_CANDIDATES: usize = 17;

/// A batch on the device.
pub(super) struct Batch {
    pub(super) mentions: Side,
    pub(super) entities: Side,
    /// `[batch, n_candidates]`, rows of `entities`.
    pub(super) candidates: Tensor<2, Int>,
    pub(super) targets: Targets,
    /// `[batch, n_candidates]`: the training-free score.
    pub(super) prior: Tensor<2>,
}

/// An entity as one or more mentions of a batch see it.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Seen {
    world: usize,
    entity: usize,
    without: Option<usize>,
    n_posts: usize,
    dropped: Option<usize>,
}

/// What is left out of one example.
struct Draw {
    candidates: Vec<usize>,
    n_posts: usize,
    mention: Option<usize>,
    entity: Option<usize>,
}

/// A batch as it is at inference: everything is there.
pub(super) fn whole(
    examples: &[(usize, &Example)],
    worlds: &[World],
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
        worlds,
        inputs,
        scorer,
        None,
        device,
    )
}

/// A batch for a training step.
pub(super) fn dropped(
    examples: &[(usize, &Example)],
    worlds: &[World],
    inputs: &[Input],
    scorer: &ScorerConfig,
    rng: &mut StdRng,
    device: &Device,
) -> Batch {
    let draws = examples
        .iter()
        .map(|(world, example)| {
            let drop = |rng: &mut StdRng| {
                let drop = inputs.len() > 1 && rng.random_bool(DROPPED * inputs.len() as f64);
                drop.then(|| rng.random_range(0..inputs.len()))
            };
            let candidates = candidates(example, scorer, rng);
            let kb = &worlds[*world].kb;
            // Without its own post the gold may have none left: then nobody has any.
            let gold = example.candidates[example.gold];
            let is_bare =
                example.without.is_some() && timeline(kb, gold, example.without).is_empty();
            let shortest = candidates
                .iter()
                .map(|&i| timeline(kb, example.candidates[i], own(example, i)).len())
                .filter(|&n| n > 0)
                .min();
            Draw {
                n_posts: match shortest {
                    Some(shortest) if !is_bare => rng.random_range(1..=MAX_POSTS).min(shortest),
                    _ => 0,
                },
                mention: drop(rng),
                entity: drop(rng),
                candidates,
            }
        })
        .collect();
    assemble(examples, draws, worlds, inputs, scorer, Some(rng), device)
}

/// The gold, the hardest of the others and a draw from the rest, as places in the example's list.
fn candidates(example: &Example, scorer: &ScorerConfig, rng: &mut StdRng) -> Vec<usize> {
    let n = example.candidates.len();
    let mut others: Vec<usize> = (0..n).filter(|&i| i != example.gold).collect();
    if n > MAX_CANDIDATES {
        let score = |&i: &usize| scorer.score(&example.cues[i]);
        others.sort_by(|a, b| score(b).total_cmp(&score(a)));
        let mut rest = others.split_off(MAX_CANDIDATES / 2);
        rest.shuffle(rng);
        rest.truncate(MAX_CANDIDATES - 1 - others.len());
        others.extend(rest);
    }
    let mut all = others;
    all.push(example.gold);
    // The gold's place must tell nothing.
    all.shuffle(rng);
    all
}

/// The post that the owner is compared without.
fn own(example: &Example, candidate: usize) -> Option<usize> {
    example.without.filter(|_| candidate == example.gold)
}

/// The posts of an entity that are a prototype in some modality.
pub(super) fn timeline(kb: &KnowledgeBase, entity: usize, without: Option<usize>) -> Vec<usize> {
    let chosen = &kb.text.prototypes[entity];
    let mut posts: Vec<usize> = chosen
        .all()
        .map(|chosen| chosen.post)
        .filter(|post| Some(*post) != without)
        .collect();
    posts.sort_unstable();
    posts.dedup();
    posts
}

fn assemble(
    examples: &[(usize, &Example)],
    draws: Vec<Draw>,
    worlds: &[World],
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
    let mut entities: Vec<Seen> = Vec::new();
    let mut rows: HashMap<Seen, i32> = HashMap::new();
    let (mut candidates, mut mask, mut prior, mut gold) = (vec![], vec![], vec![], vec![]);
    let mut mentions = Vec::new();
    for ((world, example), draw) in examples.iter().zip(draws) {
        let kb = &worlds[*world].kb;
        let vectors = worlds[*world].vectors(&example.query);
        let mut sequences = mention_sequences(inputs, &vectors, &vectors.pooled(), &kb.statistics);
        forget(&mut sequences, draw.mention);
        mentions.push(sequences);
        for place in 0..n_candidates {
            let Some(&i) = draw.candidates.get(place) else {
                candidates.push(0);
                mask.push(true);
                prior.push(0.0);
                continue;
            };
            if i == example.gold {
                gold.push(place as i32);
            }
            let seen = Seen {
                world: *world,
                entity: example.candidates[i],
                without: own(example, i),
                n_posts: draw.n_posts,
                dropped: draw.entity,
            };
            let row = *rows.entry(seen).or_insert_with(|| {
                entities.push(seen);
                entities.len() as i32 - 1
            });
            candidates.push(row);
            mask.push(false);
            prior.push(scorer.score(&example.cues[i]));
        }
    }
    let entities: Vec<Vec<PlainSequence>> = entities
        .into_iter()
        .map(|seen| {
            let kb = &worlds[seen.world].kb;
            let mut posts = timeline(kb, seen.entity, seen.without);
            if let Some(rng) = &mut rng {
                posts.shuffle(rng);
            }
            posts.truncate(seen.n_posts);
            let mut sequences =
                entity_sequences(inputs, kb, seen.entity, |post| posts.contains(&post));
            forget(&mut sequences, seen.dropped);
            sequences
        })
        .collect();
    let shape = [examples.len(), n_candidates];
    Batch {
        mentions: side(inputs, &mentions, device),
        entities: side(inputs, &entities, device),
        candidates: Tensor::from_data(TensorData::new(candidates, shape), device),
        targets: Targets {
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
            gold: Tensor::from_data(TensorData::new(gold, [examples.len()]), device),
        },
        prior: Tensor::from_data(TensorData::new(prior, shape), device),
    }
}

/// Leaves a modality out, unless nothing else is there.
fn forget(sequences: &mut [PlainSequence], modality: Option<usize>) {
    let Some(modality) = modality else { return };
    let others = sequences.iter().enumerate().filter(|(i, _)| *i != modality);
    if others
        .into_iter()
        .any(|(_, sequence)| !sequence.pictures.is_empty())
    {
        sequences[modality] = PlainSequence::default();
    }
}
