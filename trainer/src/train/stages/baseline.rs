//! Trains a system of the paper's Table 2 on mentions.

use burn::grad_clipping::GradientClippingConfig;
use burn::optim::AdamWConfig;
use burn::prelude::*;
use rand::rngs::StdRng;
use shared_model::baselines::{Baseline, BaselineConfig, Batch};
use shared_model::data::Mention;
use shared_model::loss::Targets;
use shared_model::words::WordTable;

use super::Setup;
use crate::learn::{LOSS, Metrics, Optimised, Stage};
use crate::train::batch::{self, dropped};
use crate::train::data::{Placed, Query};
use crate::train::sampler::{Sampler, named};
use crate::train::select::{Held, Selection};

/// Name of the stage.
pub(in crate::train) const NAME: &str = "baseline";

/// Data and criterion of the stage.
pub(in crate::train) struct BaselineStage<'a> {
    pub(in crate::train) setup: &'a Setup<'a>,
    pub(in crate::train) config: &'a BaselineConfig,
    /// Word vectors, for the systems that read them.
    pub(in crate::train) words: Option<&'a WordTable>,
    pub(in crate::train) sampler: Sampler<'a>,
    pub(in crate::train) held: Vec<Placed<'a>>,
}

impl<'a> BaselineStage<'a> {
    /// A system with random weights and the optimiser of this stage.
    pub(in crate::train) fn optimised(&self) -> Optimised<Baseline> {
        let device = self.setup.device;
        device.seed(self.setup.settings.seed);
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        let clipping = GradientClippingConfig::Norm(1.0).init();
        Optimised::new(self.config.init(device), adamw.build(), device).with_clipping(clipping)
    }

    /// The scores of examples.
    pub(in crate::train) fn scores(
        &self,
        model: &Baseline,
        examples: &[Placed<'a>],
    ) -> anyhow::Result<Vec<Held>> {
        let model = model.clone().valid();
        self.setup
            .held(examples, &self.config.inputs, |examples, batch| {
                Ok(model.forward(&self.read(examples, batch)?.0))
            })
    }

    /// The batch as the system reads it.
    fn read(&self, examples: &[Placed], batch: batch::Batch) -> anyhow::Result<(Batch, Targets)> {
        let posts = examples.iter().map(|(_, example)| match &example.query {
            Query::Mention { text, mention, .. } => (text.as_str(), *mention),
            Query::Timeline(_) => unreachable!("the stage is given mentions alone"),
        });
        let posts: Vec<(&str, Mention)> = posts.collect();
        let names = batch.rows.iter().map(|&(set, entity)| {
            let entities = &self.setup.sets[set].kb.text.entities;
            entities[entity].name.as_str()
        });
        let names: Vec<&str> = names.collect();
        let sides = [batch.mentions, batch.entities];
        let (config, words) = (self.config, self.words);
        let read = config.batch(&posts, sides, &names, batch.candidates, words)?;
        Ok((read, batch.targets))
    }

    fn draw(&self, step: usize) -> (Vec<Placed<'a>>, StdRng) {
        self.setup.draw(&self.sampler, NAME, step)
    }
}

impl Stage<Baseline> for BaselineStage<'_> {
    const WATCHED: &'static str = "gain";

    fn step(&mut self, model: &mut Optimised<Baseline>, step: usize) -> anyhow::Result<Metrics> {
        let (drawn, mut rng) = self.draw(step);
        let Setup {
            sets,
            settings,
            scorer,
            device,
            ..
        } = self.setup;
        let batch = dropped(&drawn, sets, &self.config.inputs, scorer, &mut rng, device);
        let (batch, targets) = self.read(&drawn, batch)?;
        let loss = model.model.loss(&batch, &targets);
        Ok(vec![(LOSS, model.descend(settings.learning_rate, loss))])
    }

    fn batch(&self, step: usize) -> String {
        named(self.setup.sets, &self.draw(step).0)
    }

    fn evaluate(&mut self, model: &mut Optimised<Baseline>, _: usize) -> anyhow::Result<Metrics> {
        Ok(Selection::alone(&self.scores(&model.model, &self.held)?).figures)
    }
}
