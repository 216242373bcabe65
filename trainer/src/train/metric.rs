//! The read-out's own training, before the encoder's: pooled posts against pooled entities, the other entities of the batch as negatives.

use std::collections::HashMap;

use burn::nn::DropoutConfig;
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::imn::{Imn, entity_sequences, mention_sequences};
use shared_model::loss::{Targets, info_nce};
use shared_model::math::cosine;

use super::batch::timeline;
use super::blend::{Blend, Held};
use super::network::{Placed, Setup, named, pick};
use super::world::{Part, Query};
use crate::learn::{Metrics, Restorable, Stage, pack, rng, unpack};

/// Posts a step.
const BATCH: usize = 64;
/// Posts that stand for an entity, at most.
const MAX_POSTS: usize = 3;
/// How often a modality of a post is left out.
const DROPPED: f64 = 0.15;
const LEARNING_RATE: f64 = 3e-4;
/// Multiplies the cosines.
const TEMPERATURE: f64 = 10.0;

/// Pooled vectors, an input each.
type Pooled = Vec<Vec<f32>>;

/// Network, optimiser and data; nothing but the read-out changes.
pub(super) struct MetricStage<'a> {
    setup: &'a Setup<'a>,
    examples: Vec<(f64, Vec<Placed<'a>>)>,
    held: Vec<Placed<'a>>,
    model: Imn,
    optimizer: ModuleOptimizer,
}

impl<'a> MetricStage<'a> {
    pub(super) fn new(
        setup: &'a Setup<'a>,
        examples: Vec<(f64, Vec<Placed<'a>>)>,
        held: Vec<Placed<'a>>,
        model: Imn,
    ) -> Self {
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        Self {
            setup,
            examples,
            held,
            model,
            optimizer: ModuleOptimizer::from(Restorable(adamw.build())),
        }
    }

    /// The network as it is.
    pub(super) fn into_network(self) -> Imn {
        self.model
    }

    fn post(&self, (world, example): Placed) -> Pooled {
        let world = &self.setup.worlds[world];
        let vectors = match &example.query {
            Query::Mention(features) => features.without_tokens(),
            Query::Timeline(_) => world.vectors(&example.query),
        };
        let inputs = &self.setup.settings.imn.inputs;
        mention_sequences(inputs, &vectors, &vectors.pooled(), &world.kb.statistics)
            .into_iter()
            .map(|sequence| sequence.pooled)
            .collect()
    }

    fn entity(&self, world: usize, entity: usize, posts: &[usize]) -> Pooled {
        let inputs = &self.setup.settings.imn.inputs;
        let kb = &self.setup.worlds[world].kb;
        entity_sequences(inputs, kb, entity, |post| posts.contains(&post))
            .into_iter()
            .map(|sequence| sequence.pooled)
            .collect()
    }

    /// Examples with the posts that stand for their entity, without themselves.
    fn draw(&self, step: usize) -> (Vec<(Placed<'a>, Vec<usize>)>, StdRng) {
        let mut rng = rng(self.setup.settings.seed, "metric", step);
        let offset: f64 = rng.random();
        let drawn = (0..BATCH).map(|i| {
            let place = (i as f64 + offset) / BATCH as f64;
            let (position, example) = pick(&self.examples, place, &mut rng);
            let kb = &self.setup.worlds[position].kb;
            let gold = example.candidates[example.gold];
            let mut posts = timeline(kb, gold, example.without);
            posts.shuffle(&mut rng);
            posts.truncate(rng.random_range(1..=MAX_POSTS));
            ((position, example), posts)
        });
        (drawn.collect(), rng)
    }

    /// `[n, aux]`, each row of length 1.
    fn read(&self, model: &Imn, rows: &[Pooled], device: &Device) -> Tensor<2> {
        // Without effect outside training.
        let dropout = DropoutConfig::new(self.setup.settings.imn.dropout).init();
        let inputs = self.setup.settings.imn.inputs.iter().enumerate();
        let pooled = inputs.map(|(modality, input)| {
            let mut values = vec![0.0; rows.len() * input.width];
            for (row, into) in rows.iter().zip(values.chunks_mut(input.width)) {
                into[..row[modality].len()].copy_from_slice(&row[modality]);
            }
            let pooled = TensorData::new(values, [rows.len(), input.width]);
            dropout.forward(Tensor::from_data(pooled, device))
        });
        let read = model.read(pooled.collect()).expect("ours has a read-out");
        let square = (read.clone() * read.clone()).sum_dim(1);
        read / square.clamp_min(1e-12).sqrt()
    }

    fn held(&self) -> anyhow::Result<Vec<Held>> {
        let Setup {
            worlds,
            settings,
            scorer,
            device,
            ..
        } = self.setup;
        let (model, device) = (self.model.clone().valid(), (*device).clone().inner());
        let aux = settings.imn.aux;
        let read = |rows: Vec<Pooled>| -> anyhow::Result<Vec<Vec<f32>>> {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let read = self.read(&model, &rows, &device);
            let values = pollster::block_on(shared_model::tensors::read(read))?;
            Ok(values.chunks(aux).map(<[f32]>::to_vec).collect())
        };
        let posts = read(self.held.iter().map(|&placed| self.post(placed)).collect())?;
        let mut rows: HashMap<(usize, usize, Option<usize>), usize> = HashMap::new();
        let mut entities = Vec::new();
        let mut place = |world: usize, entity: usize, without: Option<usize>| {
            *rows.entry((world, entity, without)).or_insert_with(|| {
                let posts = timeline(&worlds[world].kb, entity, without);
                entities.push(self.entity(world, entity, &posts));
                entities.len() - 1
            })
        };
        let places: Vec<Vec<usize>> = self
            .held
            .iter()
            .map(|(world, example)| {
                let candidates = example.candidates.iter().enumerate();
                candidates
                    .map(|(i, &entity)| {
                        let own = example.without.filter(|_| i == example.gold);
                        place(*world, entity, own)
                    })
                    .collect()
            })
            .collect();
        let entities = read(entities)?;
        let rows = self.held.iter().zip(posts).zip(places);
        Ok(rows
            .map(|(((world, example), post), places)| Held {
                world: *world,
                is_seen: example.part == Part::Seen,
                entity: example.candidates[example.gold],
                gold: example.gold,
                prior: example.cues.iter().map(|cues| scorer.score(cues)).collect(),
                cosines: places
                    .iter()
                    .map(|&i| cosine(&post, &entities[i]))
                    .collect(),
            })
            .collect())
    }
}

impl Stage for MetricStage<'_> {
    fn loss(&self) -> &'static str {
        "loss"
    }

    fn watched(&self) -> &'static str {
        "gain"
    }

    fn device(&self) -> &Device {
        self.setup.device
    }

    fn step(&mut self, step: usize) -> anyhow::Result<Metrics> {
        let (drawn, mut rng) = self.draw(step);
        let device = self.setup.device;
        let mut posts: Vec<Pooled> = drawn.iter().map(|(placed, _)| self.post(*placed)).collect();
        for post in &mut posts {
            let several = post.iter().filter(|vector| !vector.is_empty()).count() > 1;
            if several && rng.random_bool(DROPPED * post.len() as f64) {
                let dropped = rng.random_range(0..post.len());
                post[dropped].clear();
            }
        }
        let gold = |(_, example): Placed| example.candidates[example.gold];
        let entities: Vec<Pooled> = drawn
            .iter()
            .map(|(placed, posts)| self.entity(placed.0, gold(*placed), posts))
            .collect();
        // Another world's entities are strangers, and the same entity once more is no mistake.
        let mask: Vec<bool> = drawn
            .iter()
            .enumerate()
            .flat_map(|(i, (a, _))| {
                drawn
                    .iter()
                    .enumerate()
                    .map(move |(j, (b, _))| i != j && (a.0 != b.0 || gold(*a) == gold(*b)))
            })
            .collect();
        let posts = self.read(&self.model, &posts, device);
        let entities = self.read(&self.model, &entities, device);
        let targets = Targets {
            mask: Tensor::from_data(TensorData::new(mask, [BATCH, BATCH]), device),
            gold: Tensor::arange(0..BATCH as i64, device),
        };
        let loss = info_nce(posts.matmul(entities.transpose()) * TEMPERATURE, &targets);
        let value: f32 = loss.clone().into_scalar();
        if value.is_finite() {
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            let model = self.model.clone();
            self.model = self.optimizer.step(LEARNING_RATE, model, gradients);
        }
        Ok(vec![("loss", f64::from(value))])
    }

    fn batch(&self, step: usize) -> String {
        let (drawn, _) = self.draw(step);
        let drawn: Vec<Placed> = drawn.into_iter().map(|(placed, _)| placed).collect();
        named(self.setup.worlds, &drawn)
    }

    fn evaluate(&mut self, _: usize) -> anyhow::Result<Metrics> {
        Ok(Blend::choose(&self.held()?, TEMPERATURE * self.setup.temperature).metrics())
    }

    fn state(&self) -> anyhow::Result<Vec<u8>> {
        pack(&self.model, &self.optimizer)
    }

    fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
        let (model, optimizer) = (self.model.clone(), self.optimizer.clone());
        (self.model, self.optimizer) = unpack(model, optimizer, state)?;
        Ok(())
    }
}
