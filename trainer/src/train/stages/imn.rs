//! The stages that train the whole network: knowledge learning on timeline posts, task learning on mentions.

use burn::grad_clipping::GradientClippingConfig;
use burn::lr_scheduler::module_lr_scheduler::ModuleLrScheduler;
use burn::module::{Module as _, ParamGroup};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use burn::tensor::Device;
use rand::rngs::StdRng;
use shared_model::imn::{Imn, Similarities};
use shared_model::loss::{FusionLoss, info_nce};

use super::Setup;
use crate::learn::{LOSS, Metrics, Optimised, Stage, Team, reseed};
use crate::train::batch::{Batch, dropped};
use crate::train::data::Placed;
use crate::train::plan::Settings;
use crate::train::sampler::{Sampler, named};
use crate::train::select::{Held, Selection};

/// Multiplies the cosine beside the training-free logits, so that a difference of 0.1 is one e-fold.
const SHARPNESS: f64 = 10.0;
/// Batches over which the running statistics of BatchNorm are taken anew before an evaluation.
const NORM_BATCHES: usize = 4;
/// Learning-rate multiplier of the gates: each is a single number with a long way to go.
const GATE_LR_MULTIPLIER: f64 = 30.0;
/// Learning-rate divisor of the pooled projection, which is trained already and forgets at the full rate.
const PROJECTION_LR_DIVISOR: f64 = 3.0;
/// Momentum of BatchNorm in training, Burn's default.
const MOMENTUM: f64 = 0.1;

/// Data and criterion of a stage.
pub(in crate::train) struct ImnStage<'a> {
    name: &'static str,
    setup: &'a Setup<'a>,
    sampler: Sampler<'a>,
    held: Vec<Placed<'a>>,
    rates: ModuleLrScheduler,
    team: Team<Imn>,
}

impl<'a> ImnStage<'a> {
    pub(in crate::train) fn new(
        name: &'static str,
        setup: &'a Setup<'a>,
        sampler: Sampler<'a>,
        held: Vec<Placed<'a>>,
    ) -> Self {
        let devices = [std::slice::from_ref(setup.device), setup.helpers].concat();
        Self {
            name,
            setup,
            sampler,
            held,
            rates: rates(setup.settings),
            team: Team::new(devices),
        }
    }

    /// A network with the optimiser of this stage.
    pub(in crate::train) fn optimised(network: Imn, device: &Device) -> Optimised<Imn> {
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        let clipping = GradientClippingConfig::Norm(1.0).init();
        Optimised::new(network, adamw.build(), device).with_clipping(clipping)
    }

    /// Measures the held-out mentions, and chooses the weights of the cosine.
    pub(in crate::train) fn measure(
        &self,
        model: &mut Optimised<Imn>,
    ) -> anyhow::Result<(Vec<Held>, Selection)> {
        self.renew_norms(&mut model.model);
        let held = self.cosines(&model.model, &self.held)?;
        let selection = if self.setup.settings.paper {
            Selection::alone(&held)
        } else {
            Selection::choose(&held, SHARPNESS * self.setup.temperature)
        };
        Ok((held, selection))
    }

    /// The cosines of examples.
    pub(in crate::train) fn cosines(
        &self,
        model: &Imn,
        examples: &[Placed<'a>],
    ) -> anyhow::Result<Vec<Held>> {
        let model = model.clone().valid();
        let inputs = &self.setup.settings.imn.inputs;
        self.setup.held(examples, inputs, |_, batch| {
            Ok(similarities(&model, &batch).fusion)
        })
    }

    fn draw(&self, stage: &str, step: usize) -> (Vec<Placed<'a>>, StdRng) {
        self.setup.draw(&self.sampler, stage, step)
    }

    /// Takes the running statistics of BatchNorm anew, as the plain mean over some batches.
    fn renew_norms(&self, model: &mut Imn) {
        for i in 1..=NORM_BATCHES {
            let device = self.setup.device;
            device.seed(i as u64);
            let (drawn, mut rng) = self.draw("norm", i);
            let batch = batch_of(self.setup, &drawn, &mut rng, device);
            model.set_momentum(1.0 / i as f64);
            similarities(model, &batch);
        }
        model.set_momentum(MOMENTUM);
    }
}

fn batch_of(setup: &Setup, drawn: &[Placed], rng: &mut StdRng, device: &Device) -> Batch {
    let inputs = &setup.settings.imn.inputs;
    dropped(drawn, setup.sets, inputs, &setup.scorer, rng, device)
}

fn similarities(model: &Imn, batch: &Batch) -> Similarities {
    let mentions = model.prepare_mentions(model.encode_mentions(&batch.mentions));
    let entities = model.prepare_entities(model.encode_entities(&batch.entities));
    model.compare(&mentions, &entities, batch.candidates.clone())
}

/// The criterion: eq. 14, and ours beside the paper's, the likelihood of the gold under both scores.
fn loss_of(setup: &Setup, model: &Imn, batch: &Batch) -> Tensor<1> {
    let similarities = similarities(model, batch);
    let loss = FusionLoss::forward(&setup.settings.loss, &similarities, &batch.targets);
    if setup.settings.paper {
        return loss;
    }
    let prior = batch.prior.clone() / setup.temperature;
    let logits = prior + similarities.fusion.clone() * SHARPNESS;
    loss + info_nce(logits, &batch.targets)
}

fn rates(settings: &Settings) -> ModuleLrScheduler {
    let rate = settings.learning_rate;
    let (projection, gates) = (rate / PROJECTION_LR_DIVISOR, rate * GATE_LR_MULTIPLIER);
    ModuleLrScheduler::new(rate)
        .with_group(ParamGroup::from_predicate("readout"), projection)
        .with_group(ParamGroup::from_predicate("gates"), gates)
}

impl Stage<Imn> for ImnStage<'_> {
    const WATCHED: &'static str = "gain";

    fn step(&mut self, model: &mut Optimised<Imn>, step: usize) -> anyhow::Result<Metrics> {
        let (drawn, mut rng) = self.draw(self.name, step);
        let setup = self.setup;
        let n = setup.settings.micro_batches;
        let size = drawn.len() / n;
        let reseed = |device: &Device, i: usize| {
            let mut stage = self.name.to_owned();
            // The first one is seeded as the training loop does it.
            if i > 0 {
                stage += &format!(", micro-batch {i}");
            }
            reseed(device, setup.settings.seed, &stage, step);
        };
        let (loss, gradients) = self.team.gradients(
            &model.model,
            n,
            reseed,
            |i, device| batch_of(setup, &drawn[i * size..][..size], &mut rng, device),
            |model, batch| loss_of(setup, model, &batch),
        )?;
        if loss.is_finite() {
            model.apply(self.rates.step(), gradients);
        }
        Ok(vec![(LOSS, loss)])
    }

    fn batch(&self, step: usize) -> String {
        let (drawn, _) = self.draw(self.name, step);
        named(self.setup.sets, &drawn)
    }

    fn evaluate(&mut self, model: &mut Optimised<Imn>, _: usize) -> anyhow::Result<Metrics> {
        let (_, selection) = self.measure(model)?;
        Ok(selection.figures)
    }
}
