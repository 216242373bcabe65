//! A stage of training the IMN: knowledge learning or task learning.

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module as _, ParamGroup};
use burn::optim::{AdamWConfig, ModuleOptimizer};
use burn::prelude::*;
use burn::tensor::Device;
use rand::RngExt as _;
use rand::rngs::StdRng;
use shared_model::imn::{Imn, Similarities};
use shared_model::loss::{FusionLoss, info_nce};

use super::batch::{Batch, dropped, whole};
use super::blend::{Blend, Held};
use super::settings::Settings;
use super::world::{Example, Part, World};
use crate::learn::{Draw, Metrics, Restorable, Stage, Team, pack, rng, unpack};
use shared_model::scorer::ScorerConfig;

/// What multiplies the cosine beside the training-free logits, so that a difference of 0.1 is one e-fold.
const SHARPNESS: f64 = 10.0;
/// Batches over which the normalisation's statistics are taken anew before an evaluation.
const NORM_BATCHES: usize = 4;
/// How much faster a gate learns than the weights behind it.
const GATE_HASTE: f64 = 30.0;
/// Burn's own momentum, in training.
const MOMENTUM: f64 = 0.1;

/// What all stages of a run share.
pub(super) struct Setup<'a> {
    pub(super) worlds: &'a [World],
    pub(super) settings: &'a Settings,
    /// The training-free scorer, frozen; all weights 0 in the paper's form.
    pub(super) scorer: ScorerConfig,
    /// Fitted for it alone.
    pub(super) temperature: f64,
    /// With gradients.
    pub(super) device: &'a Device,
    /// Others, that get a part of each batch.
    pub(super) helpers: &'a [Device],
}

/// An example with the position of its world.
pub(super) type Placed<'a> = (usize, &'a Example);

/// Each world's share of a batch, summed up, with its examples; worlds without any are left out.
pub(super) fn shared<'a>(
    examples: Vec<Vec<Placed<'a>>>,
    shares: &[f64],
) -> Vec<(f64, Vec<Placed<'a>>)> {
    let mut sum = 0.0;
    let mut until: Vec<(f64, Vec<Placed>)> = Vec::new();
    for (examples, share) in examples.into_iter().zip(shares) {
        if !examples.is_empty() && *share > 0.0 {
            sum += share;
            until.push((sum, examples));
        }
    }
    until.iter_mut().for_each(|(until, _)| *until /= sum);
    until
}

/// An example of the [`shared`] world whose share holds `place`, from 0 to 1: places that are spread evenly give each world its share.
pub(super) fn pick<'a>(
    worlds: &[(f64, Vec<Placed<'a>>)],
    place: f64,
    rng: &mut StdRng,
) -> Placed<'a> {
    let world = worlds.iter().find(|(until, _)| place < *until);
    let (_, world) = world.unwrap_or(&worlds[worlds.len() - 1]);
    world[rng.random_range(0..world.len())]
}

/// What an error says of a batch.
pub(super) fn named(worlds: &[World], drawn: &[Placed]) -> String {
    let names = drawn.iter().map(|(world, example)| {
        let entities = &worlds[*world].kb.text.entities;
        entities[example.candidates[example.gold]].id.as_str()
    });
    format!("posts of {}", names.collect::<Vec<_>>().join(", "))
}

/// Model, optimiser and data of a stage.
pub(super) struct ImnStage<'a> {
    name: &'static str,
    setup: &'a Setup<'a>,
    /// See [`shared`].
    examples: Vec<(f64, Vec<Placed<'a>>)>,
    held: Vec<Placed<'a>>,
    model: Imn,
    optimizer: ModuleOptimizer,
    rates: ModuleLrScheduler,
    team: Team<Imn>,
}

impl<'a> ImnStage<'a> {
    pub(super) fn new(
        name: &'static str,
        setup: &'a Setup<'a>,
        examples: Vec<(f64, Vec<Placed<'a>>)>,
        held: Vec<Placed<'a>>,
        model: Imn,
    ) -> Self {
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        let optimizer = ModuleOptimizer::from(Restorable(adamw.build()))
            .with_grad_clipping(GradientClippingConfig::Norm(1.0).init());
        let devices = [std::slice::from_ref(setup.device), setup.helpers].concat();
        Self {
            team: Team::new(devices),
            name,
            setup,
            examples,
            held,
            model,
            optimizer,
            rates: rates(setup.settings),
        }
    }

    /// The held-out posts at the best state, and what the cosine weighs.
    pub(super) fn settle(&mut self) -> anyhow::Result<(Vec<Held>, Blend)> {
        self.renew_norms();
        let held = self.cosines(&self.held)?;
        let blend = self.choose(&held);
        Ok((held, blend))
    }

    /// The network as it is.
    pub(super) fn into_network(self) -> Imn {
        self.model
    }

    fn draw(&self, stage: &str, step: usize) -> (Vec<Placed<'a>>, StdRng) {
        let Settings { seed, batch, .. } = *self.setup.settings;
        let mut rng = rng(seed, stage, step);
        let offset: f64 = rng.random();
        let place = |i: usize| (i as f64 + offset) / batch as f64;
        let drawn = (0..batch).map(|i| pick(&self.examples, place(i), &mut rng));
        (drawn.collect(), rng)
    }

    fn batch_of(setup: &Setup, drawn: &[Placed], rng: &mut StdRng, device: &Device) -> Batch {
        let inputs = &setup.settings.imn.inputs;
        dropped(drawn, setup.worlds, inputs, &setup.scorer, rng, device)
    }

    fn similarities(model: &Imn, batch: &Batch) -> Similarities {
        let mentions = model.prepare_mentions(model.encode_mentions(&batch.mentions));
        let entities = model.prepare_entities(model.encode_entities(&batch.entities));
        model.compare(&mentions, &entities, batch.candidates.clone())
    }

    fn loss_of(setup: &Setup, model: &Imn, batch: &Batch) -> Tensor<1> {
        let similarities = Self::similarities(model, batch);
        let loss = FusionLoss::forward(&setup.settings.loss, &similarities, &batch.targets);
        if setup.settings.paper {
            return loss;
        }
        let prior = batch.prior.clone() / setup.temperature;
        let logits = prior + similarities.fusion.clone() * SHARPNESS;
        loss + info_nce(logits, &batch.targets)
    }

    /// Takes the normalisation's statistics anew, as the plain mean over some batches.
    fn renew_norms(&mut self) {
        for i in 1..=NORM_BATCHES {
            let device = self.setup.device;
            device.seed(i as u64);
            let (drawn, mut rng) = self.draw("norm", i);
            let batch = Self::batch_of(self.setup, &drawn, &mut rng, device);
            self.model.set_momentum(1.0 / i as f64);
            Self::similarities(&self.model, &batch);
        }
        self.model.set_momentum(MOMENTUM);
    }

    /// The cosines of the held-out examples.
    pub(super) fn cosines(&self, examples: &[Placed<'a>]) -> anyhow::Result<Vec<Held>> {
        let model = self.model.clone().valid();
        let Setup {
            worlds,
            settings,
            scorer,
            device,
            ..
        } = self.setup;
        let device = (*device).clone().inner();
        let mut held = Vec::with_capacity(examples.len());
        for examples in examples.chunks(settings.batch) {
            let batch = whole(examples, worlds, &settings.imn.inputs, scorer, &device);
            let fusion = Self::similarities(&model, &batch).fusion;
            let [_, n_candidates] = fusion.dims();
            let fusion = pollster::block_on(shared_model::tensors::read(fusion))?;
            for ((world, example), cosines) in examples.iter().zip(fusion.chunks(n_candidates)) {
                held.push(Held {
                    world: *world,
                    is_seen: example.part == Part::Seen,
                    entity: example.candidates[example.gold],
                    gold: example.gold,
                    prior: example.cues.iter().map(|cues| scorer.score(cues)).collect(),
                    cosines: cosines[..example.candidates.len()].to_vec(),
                });
            }
        }
        Ok(held)
    }

    fn choose(&self, held: &[Held]) -> Blend {
        if self.setup.settings.paper {
            Blend::alone(held)
        } else {
            Blend::choose(held, SHARPNESS * self.setup.temperature)
        }
    }
}

/// The read-out knows something already and forgets it when hurried; a gate has a long way to go for a single number.
fn rates(settings: &Settings) -> ModuleLrScheduler {
    let rate = settings.learning_rate;
    ModuleLrScheduler::new(rate)
        .with_group(ParamGroup::from_predicate("readout"), rate / 3.0)
        .with_group(ParamGroup::from_predicate("gates"), rate * GATE_HASTE)
}

impl Stage for ImnStage<'_> {
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
        let (drawn, mut rng) = self.draw(self.name, step);
        let setup = self.setup;
        let n = setup.settings.micro_batches;
        let size = drawn.len() / n;
        let draw = Draw {
            seed: setup.settings.seed,
            stage: self.name,
            step,
        };
        let (loss, gradients) = self.team.gradients(
            &self.model,
            n,
            draw,
            |i, device| Self::batch_of(setup, &drawn[i * size..][..size], &mut rng, device),
            |model, batch| Self::loss_of(setup, model, &batch),
        )?;
        if loss.is_finite() {
            let model = self.model.clone();
            self.model = self.optimizer.step(self.rates.step(), model, gradients);
        }
        Ok(vec![("loss", loss)])
    }

    fn batch(&self, step: usize) -> String {
        let (drawn, _) = self.draw(self.name, step);
        named(self.setup.worlds, &drawn)
    }

    fn evaluate(&mut self, _: usize) -> anyhow::Result<Metrics> {
        let (_, blend) = self.settle()?;
        Ok(blend.metrics())
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
