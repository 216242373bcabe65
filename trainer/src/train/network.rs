//! Training of a network: its initial weights and its stages in order.

use anyhow::Context as _;
use burn::module::Module as _;
use burn::prelude::Tensor;
use shared_model::imn::{Imn, TrainedImn};
use shared_model::manifest::Training;
use shared_model::pack::{Entry, Pack, Precision, write};

use super::data::{self, Placed, TrainingSet, held_out, held_out_others, mark_known};
use super::plan::Settings;
use super::projection;
use super::sampler::Sampler;
use super::select::{Held, Selection};
use super::stages::Setup;
use super::stages::contrastive::{self, ContrastiveStage};
use super::stages::imn::ImnStage;
use crate::cli::{StageArg, TrainArgs};
use crate::dataset::Dataset;
use crate::holdout::Part;
use crate::learn::{Outcome, learn};
use crate::run::Network;

/// Adds what only a network or a baseline needs, and returns the ids of the entities that it is trained on.
pub(super) fn prepare(
    sets: &mut [TrainingSet],
    settings: &Settings,
) -> anyhow::Result<Vec<String>> {
    for set in &mut *sets {
        if settings.baseline.is_none() {
            set.add_posts(settings.seed, &settings.modalities)?;
        }
        set.freeze(&settings.imn.inputs);
    }
    let ids = mark_known(sets, &settings.shares);
    for set in sets {
        set.mix_lists(settings.seed, &settings.modalities);
    }
    Ok(ids)
}

/// A trained network with the held-out mentions under it.
pub(super) struct Trained {
    network: Imn,
    /// Its terms in the scores of candidates.
    pub(super) selection: Selection,
    /// Mentions with an entity.
    pub(super) held: Vec<Held>,
    /// NIL mentions, and lists that were made of known and new candidates.
    pub(super) others: Vec<Held>,
}

/// The network before its first stage.
fn initial(setup: &Setup) -> Imn {
    let Setup {
        sets,
        settings,
        device,
        ..
    } = setup;
    device.seed(settings.seed);
    let network = settings.imn.init(device);
    if !settings.imn.pooled_projection {
        return network;
    }
    let inner = (*device).clone().inner();
    let matrices = projection::initial(&settings.imn, sets, &inner).into_iter();
    let matrices = matrices.map(|matrix| Tensor::from_inner(matrix).require_grad());
    network.with_pooled_projection(matrices.collect())
}

/// The contrastive stage, then knowledge learning, then task learning.
pub(super) fn train(setup: &Setup, args: &TrainArgs) -> anyhow::Result<Trained> {
    let Setup { sets, settings, .. } = setup;
    let placed = |examples: fn(&TrainingSet) -> Vec<&data::Example>| -> Vec<Vec<Placed>> {
        let sets = sets.iter().enumerate();
        sets.map(|(position, set)| {
            let examples = examples(set).into_iter();
            examples.map(|example| (position, example)).collect()
        })
        .collect()
    };
    let posts = placed(|set| set.posts.iter().collect());
    let task = placed(|set| set.fit().collect());
    let held = held_out(sets, Some(settings.validation));
    let mut network = initial(setup);

    if settings.imn.pooled_projection && settings.metric_steps > 0 {
        let examples = task.iter().zip(&posts);
        let examples = examples.map(|(task, posts)| if task.is_empty() { posts } else { task });
        let sampler = Sampler::new(examples.cloned().collect(), &settings.shares);
        let sampler = sampler.context("no dataset has examples")?;
        let mut stage = ContrastiveStage {
            setup,
            sampler,
            held: held.clone(),
        };
        let mut model = ContrastiveStage::optimised(network, setup.device);
        let plan = settings.plan(contrastive::NAME, settings.metric_steps);
        let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
        announce("contrastive", &outcome);
        network = model.model;
    }
    let mut stages = vec![("knowledge", posts, settings.knowledge_steps)];
    if settings.knowledge_steps == 0 {
        stages.clear();
    }
    if args.stage == StageArg::Task {
        stages.push(("task", task, settings.task_steps));
    }
    let mut trained = None;
    for (name, examples, steps) in stages {
        let Some(sampler) = Sampler::new(examples, &settings.shares) else {
            continue;
        };
        let mut stage = ImnStage::new(name, setup, sampler, held.clone());
        let mut model = ImnStage::optimised(network, setup.device);
        let plan = settings.plan(name, steps);
        let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
        announce(name, &outcome);
        let (measured, selection) = stage.measure(&mut model)?;
        let others = held_out_others(sets, settings.validation);
        let others = stage.cosines(&model.model, &others)?;
        network = model.model;
        trained = Some((selection, measured, others));
    }
    let (mut selection, measured, others) =
        trained.context("no entity has two timeline posts: nothing for knowledge learning")?;
    if !settings.paper && held.iter().all(|(_, example)| example.part == Part::Fit) {
        // A gain on the mentions that were trained on proves nothing.
        selection = Selection::default();
    }
    Ok(Trained {
        network,
        selection,
        held: measured,
        others,
    })
}

fn announce(stage: &str, outcome: &Outcome) {
    let Outcome {
        steps, best_step, ..
    } = outcome;
    eprintln!("{stage}: the best of {steps} steps was {best_step}");
}

impl Trained {
    /// The network as a run keeps it.
    pub(super) fn network(
        self,
        settings: &Settings,
        training: Training,
    ) -> anyhow::Result<Network> {
        let entries = Entry::of_module(&self.network.valid());
        let bytes = write(entries, &[], Precision::F32)?;
        Ok(Network {
            pack: Pack::read("imn.bpk", bytes)?,
            trained: TrainedImn {
                config: settings.imn.clone(),
                seen: self.selection.terms.seen,
                new: self.selection.terms.new,
            },
            training: Training {
                gain: self.selection.gain,
                ..training
            },
        })
    }
}

/// What a system is trained on.
pub(super) fn training(
    datasets: &[Dataset],
    settings: &Settings,
    entities: Vec<String>,
) -> Training {
    let used = datasets.iter().zip(&settings.shares);
    let used = used.filter(|(_, share)| **share > 0.0);
    Training {
        entities,
        datasets: used
            .map(|(dataset, _)| format!("{} ({})", dataset.info.name, dataset.info.licence))
            .collect(),
        gain: None,
    }
}
