//! The contrastive stage: trains the network's pooled projection before its encoder, pooled posts against pooled entities, with the
//! other entities of the batch as negatives.

use std::collections::HashMap;

use burn::nn::DropoutConfig;
use burn::optim::AdamWConfig;
use burn::prelude::*;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::imn::Imn;
use shared_model::loss::{Targets, info_nce};
use shared_model::math::cosine;
use shared_model::tensors::read;

use super::Setup;
use crate::learn::{LOSS, Metrics, Optimised, Stage, rng};
use crate::train::data::Placed;
use crate::train::sampler::{Sampler, named};
use crate::train::select::{Held, Selection};

/// Name of the stage in file names and seeds, as in runs of older versions.
pub(in crate::train) const NAME: &str = "metric";
/// Posts per step.
const BATCH: usize = 64;
/// Posts that represent an entity, at most.
const MAX_POSTS: usize = 3;
/// Probability of dropping a modality of a post.
const DROPPED: f64 = 0.15;
const LEARNING_RATE: f64 = 3e-4;
/// Multiplies the cosines.
const SHARPNESS: f64 = 10.0;

/// Pooled vectors, one per input.
type Pooled = Vec<Vec<f32>>;

/// Data of the stage.
pub(in crate::train) struct ContrastiveStage<'a> {
    pub(in crate::train) setup: &'a Setup<'a>,
    pub(in crate::train) sampler: Sampler<'a>,
    /// Held-out mentions.
    pub(in crate::train) held: Vec<Placed<'a>>,
}

/// An example with the posts that represent its entity, without itself.
struct Drawn<'a> {
    placed: Placed<'a>,
    gold: usize,
    posts: Vec<usize>,
}

impl<'a> ContrastiveStage<'a> {
    /// A network with the optimiser of this stage.
    pub(in crate::train) fn optimised(network: Imn, device: &Device) -> Optimised<Imn> {
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        Optimised::new(network, adamw.build(), device)
    }

    fn entity(&self, set: usize, entity: usize, posts: &[usize]) -> Pooled {
        let sequences = self.setup.sets[set].entity_sequences(entity, posts);
        let pooled = sequences.into_iter().map(|sequence| sequence.pooled);
        pooled.collect()
    }

    fn draw(&self, step: usize) -> (Vec<Drawn<'a>>, StdRng) {
        let mut rng = rng(self.setup.settings.seed, NAME, step);
        let mut drawn = Vec::with_capacity(BATCH);
        self.sampler.draw(BATCH, &mut rng, |placed, rng| {
            let (set, example) = placed;
            let gold = example.entity().expect("NIL is no example");
            let mut posts = self.setup.sets[set].timeline(gold, example.without);
            posts.shuffle(rng);
            posts.truncate(rng.random_range(1..=MAX_POSTS));
            drawn.push(Drawn {
                placed,
                gold,
                posts,
            });
        });
        (drawn, rng)
    }

    /// Projects vectors to unit length.
    ///
    /// # Shapes
    ///
    /// - output: `[n, aux]`
    fn project(&self, model: &Imn, rows: &[Pooled], device: &Device) -> Tensor<2> {
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
        let projected = model
            .project_pooled(pooled.collect())
            .expect("the paper's form has no such stage");
        let square = (projected.clone() * projected.clone()).sum_dim(1); // [n, 1]
        projected / square.clamp_min(1e-12).sqrt()
    }

    /// The held-out mentions under the projection alone.
    fn held(&self, model: &Imn) -> anyhow::Result<Vec<Held>> {
        let Setup {
            sets,
            settings,
            scorer,
            device,
            ..
        } = self.setup;
        let (model, device) = (model.clone().valid(), (*device).clone().inner());
        let aux = settings.imn.d_aux;
        let projected = |rows: Vec<Pooled>| -> anyhow::Result<Vec<Vec<f32>>> {
            if rows.is_empty() {
                return Ok(Vec::new());
            }
            let projected = self.project(&model, &rows, &device);
            let values = pollster::block_on(read(projected))?;
            Ok(values.chunks(aux).map(<[f32]>::to_vec).collect())
        };
        let posts = self.held.iter().map(|(_, example)| example.pooled.clone());
        let posts = projected(posts.collect())?;
        let mut rows: HashMap<(usize, usize, Option<usize>), usize> = HashMap::new();
        let mut entities = Vec::new();
        let mut row_of = |set: usize, entity: usize, without: Option<usize>| {
            *rows.entry((set, entity, without)).or_insert_with(|| {
                let posts = sets[set].timeline(entity, without);
                entities.push(self.entity(set, entity, &posts));
                entities.len() - 1
            })
        };
        let mut lists = Vec::new();
        for (set, example) in &self.held {
            let candidates = example.candidates.iter().enumerate();
            let list = candidates.map(|(i, &entity)| row_of(*set, entity, example.without(i)));
            lists.push(list.collect::<Vec<usize>>());
        }
        let entities = projected(entities)?;
        let rows = self.held.iter().zip(posts).zip(lists);
        let held = rows.map(|((&placed, post), list)| {
            let cosines = list.iter().map(|&row| cosine(&post, &entities[row]));
            Held::new(placed, &sets[placed.0], scorer, cosines.collect())
        });
        Ok(held.collect())
    }
}

impl Stage<Imn> for ContrastiveStage<'_> {
    const WATCHED: &'static str = "gain";

    fn step(&mut self, model: &mut Optimised<Imn>, step: usize) -> anyhow::Result<Metrics> {
        let (drawn, mut rng) = self.draw(step);
        let device = self.setup.device;
        let mut posts: Vec<Pooled> = drawn
            .iter()
            .map(|drawn| drawn.placed.1.pooled.clone())
            .collect();
        for post in &mut posts {
            let several = post.iter().filter(|vector| !vector.is_empty()).count() > 1;
            if several && rng.random_bool(DROPPED * post.len() as f64) {
                let dropped = rng.random_range(0..post.len());
                post[dropped].clear();
            }
        }
        let entities: Vec<Pooled> = drawn
            .iter()
            .map(|drawn| self.entity(drawn.placed.0, drawn.gold, &drawn.posts))
            .collect();
        // An entity of another dataset is no negative, nor is the same entity once more.
        let set = |drawn: &Drawn| drawn.placed.0;
        let mask: Vec<bool> = (0..BATCH * BATCH)
            .map(|at| {
                let (i, j) = (at / BATCH, at % BATCH);
                let (a, b) = (&drawn[i], &drawn[j]);
                i != j && (set(a) != set(b) || a.gold == b.gold)
            })
            .collect();
        let posts = self.project(&model.model, &posts, device);
        let entities = self.project(&model.model, &entities, device);
        let targets = Targets {
            mask: Tensor::from_data(TensorData::new(mask, [BATCH, BATCH]), device),
            gold: Tensor::arange(0..BATCH as i64, device),
        };
        let loss = info_nce(posts.matmul(entities.transpose()) * SHARPNESS, &targets);
        Ok(vec![(LOSS, model.descend(LEARNING_RATE, loss))])
    }

    fn batch(&self, step: usize) -> String {
        let (drawn, _) = self.draw(step);
        let drawn: Vec<Placed> = drawn.iter().map(|drawn| drawn.placed).collect();
        named(self.setup.sets, &drawn)
    }

    fn evaluate(&mut self, model: &mut Optimised<Imn>, _: usize) -> anyhow::Result<Metrics> {
        let unit = SHARPNESS * self.setup.temperature;
        Ok(Selection::choose(&self.held(&model.model)?, unit).figures)
    }
}
