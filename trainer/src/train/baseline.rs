//! Training of a system of the paper's Table 2, and its weight beside the training-free scorer.

use anyhow::{Context as _, ensure};
use burn::module::Module as _;
use shared_model::baselines::{BaselineConfig, Reads};
use shared_model::manifest::Training;
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::words::WordTable;

use super::data::{Placed, held_out, held_out_others};
use super::sampler::Sampler;
use super::select::Selection;
use super::stages::Setup;
use super::stages::baseline::{BaselineStage, NAME};
use crate::cli::TrainArgs;
use crate::learn::learn;
use crate::run::TrainedBaseline;

/// Trains a system, and chooses its weight beside the training-free scorer on the held-out mentions.
pub(super) fn train(
    setup: &Setup,
    config: &BaselineConfig,
    words: Option<&WordTable>,
    args: &TrainArgs,
    training: Training,
) -> anyhow::Result<TrainedBaseline> {
    let Setup { sets, settings, .. } = setup;
    let name = config.kind.name();
    let reads_words = matches!(
        config.kind.reads(),
        Reads::AllWords | Reads::WordsBesideMention
    );
    ensure!(
        !reads_words || words.is_some(),
        "{name} reads word vectors, and the weights have none; get them with `imn weights fetch`"
    );
    ensure!(
        setup.helpers.is_empty(),
        "--system trains on one device; --device names several"
    );
    let task = sets.iter().enumerate().map(|(position, set)| {
        let examples = set.fit().map(|example| (position, example));
        examples.collect::<Vec<Placed>>()
    });
    let sampler = Sampler::new(task.collect(), &settings.shares);
    let mut stage = BaselineStage {
        setup,
        config,
        words,
        sampler: sampler.context("no dataset has train mentions")?,
        held: held_out(sets, Some(settings.validation)),
    };
    let mut model = stage.optimised();
    let plan = settings.plan(NAME, settings.task_steps);
    let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
    eprintln!(
        "{name}: the best of {} steps was {}, with an MRR of {:.4} alone on held-out mentions",
        outcome.steps, outcome.best_step, outcome.best["gain"]
    );
    let mut held = stage.scores(&model.model, &stage.held)?;
    let others = held_out_others(sets, settings.validation);
    held.extend(stage.scores(&model.model, &others)?);
    let selection = Selection::choose_beside(&held);
    let entries = Entry::of_module(&model.model.valid());
    let bytes = write(entries, &[], Precision::F32)?;
    Ok(TrainedBaseline {
        pack: Pack::read(TrainedBaseline::FILE, bytes)?,
        config: config.clone(),
        seen: selection.terms.seen,
        new: selection.terms.new,
        training: Training {
            gain: selection.gain,
            ..training
        },
    })
}
