//! Training of a system of the paper's Table 2, and its weight beside the training-free scorer.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use burn::module::Module as _;
use rand::seq::SliceRandom as _;
use shared_model::baselines::{Baseline, BaselineConfig, Reads};
use shared_model::manifest::Training;
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::words::WordTable;

use super::data::{Placed, held_out};
use super::sampler::Sampler;
use super::select::{Held, Selection};
use super::stages::Setup;
use super::stages::baseline::{BaselineStage, NAME};
use crate::cli::TrainArgs;
use crate::files;
use crate::learn::{Outcome, learn, rng};
use crate::run::{LearnedSystem, SavedBaseline, TrainedBaseline, TrainedTrees};
use crate::trees::{Features, Forest, Rows, features};

/// Number of candidates of a mention that the trees are fitted on, at most.
const MAX_CANDIDATES: usize = 17;

/// Trains a system, and chooses its weight beside the training-free scorer on the held-out mentions.
pub(super) fn train(
    setup: &Setup,
    config: &BaselineConfig,
    words: Option<&WordTable>,
    args: &TrainArgs,
    training: Training,
) -> anyhow::Result<LearnedSystem> {
    let settings = setup.settings;
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
        !settings.extra_trees || settings.train_share == 1.0,
        "--system et counts the golds of all of train.jsonl; it takes no --train-share"
    );
    ensure!(
        setup.helpers.is_empty(),
        "--system trains on one device; --device names several"
    );
    // The trees must see scores of mentions that JMEL was not trained on.
    let of_network = |i: usize| !settings.extra_trees || i.is_multiple_of(2);
    let examples = placed(setup, of_network);
    let mut stage = BaselineStage {
        setup,
        config,
        words,
        sampler: Sampler::new(examples, &settings.shares)
            .context("no dataset has train mentions")?,
        held: held_out(setup.sets, Some(settings.validation)),
    };
    let mut model = stage.optimised();
    let plan = settings.plan(NAME, settings.task_steps);
    let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
    eprintln!(
        "{name}: the best of {} steps was {}, with an MRR of {:.4} alone on held-out mentions",
        outcome.steps, outcome.best_step, outcome.best["gain"]
    );
    let model = model.model;
    let bytes = write(
        Entry::of_module(&model.clone().valid()),
        &[],
        Precision::F32,
    )?;
    let trained = |selection: Selection| -> anyhow::Result<TrainedBaseline> {
        Ok(TrainedBaseline {
            pack: Pack::read(TrainedBaseline::FILE, bytes)?,
            saved: SavedBaseline {
                config: config.clone(),
                seen: selection.terms.seen,
                new: selection.terms.new,
                training: Training {
                    gain: selection.gain,
                    ..training
                },
            },
        })
    };
    if !settings.extra_trees {
        // Chosen on the lists that the network's weight is chosen on: natural ones.
        let selection = Selection::choose_beside(&stage.scores(&model, &stage.held)?);
        return Ok(LearnedSystem::Baseline(trained(selection)?));
    }
    let trees = Trees::new(&stage, &model);
    let rows = trees.rows()?.pack(TrainedTrees::FILE)?;
    let forest = Forest::fit(&rows, settings.seed)?;
    let held = trees.scores(&forest, &stage.held)?;
    let alone = Selection::alone(&held);
    eprintln!(
        "et: an MRR of {:.4} alone on held-out mentions",
        alone.figures[0].1
    );
    // That of JMEL is the outcome of its stage.
    let figures = alone
        .figures
        .iter()
        .map(|(name, value)| ((*name).to_owned(), *value));
    let outcome = Outcome {
        best: figures.collect(),
        ..outcome
    };
    files::write_json(&args.run.join("outcome-et.json"), &outcome)?;
    Ok(LearnedSystem::ExtraTrees(TrainedTrees {
        jmel: trained(Selection::choose_beside(&held))?,
        rows,
        seed: settings.seed,
    }))
}

/// The mentions that are trained on, by dataset, of which `filter` takes the numbers.
fn placed<'a>(setup: &Setup<'a>, filter: impl Fn(usize) -> bool) -> Vec<Vec<Placed<'a>>> {
    let sets = setup.sets.iter().enumerate();
    sets.map(|(position, set)| {
        let examples = set.fit().enumerate().filter(|(i, _)| filter(*i));
        examples.map(|(_, example)| (position, example)).collect()
    })
    .collect()
}

/// What the trees of ET are fitted with.
struct Trees<'s, 'a> {
    stage: &'s BaselineStage<'a>,
    jmel: &'s Baseline,
    /// How often each entity is the gold of a mention that is trained on, by dataset and position.
    popularity: HashMap<(usize, usize), f32>,
}

impl<'s, 'a> Trees<'s, 'a> {
    fn new(stage: &'s BaselineStage<'a>, jmel: &'s Baseline) -> Self {
        let mut popularity = HashMap::new();
        for (set, example) in placed(stage.setup, |_| true).concat() {
            if let Some(gold) = example.entity() {
                *popularity.entry((set, gold)).or_default() += 1.0;
            }
        }
        Self {
            stage,
            jmel,
            popularity,
        }
    }

    /// The candidates of the mentions that JMEL was not trained on: all, or the gold and as many others as there is room for.
    fn rows(&self) -> anyhow::Result<Rows> {
        let mut rows = Rows::default();
        let examples = placed(self.stage.setup, |i| !i.is_multiple_of(2)).concat();
        let scores = self.stage.scores(self.jmel, &examples)?;
        for (i, (&placed, held)) in examples.iter().zip(&scores).enumerate() {
            let (_, example) = placed;
            let mut others: Vec<usize> = (0..example.candidates.len())
                .filter(|other| Some(*other) != example.gold)
                .collect();
            others.shuffle(&mut rng(self.stage.setup.settings.seed, "trees", i));
            others.truncate(MAX_CANDIDATES - 1);
            let features = self.features(placed, held, true);
            for candidate in others.into_iter().chain(example.gold) {
                rows.push(features[candidate], Some(candidate) == example.gold);
            }
        }
        Ok(rows)
    }

    /// Examples with the scores of the trees.
    fn scores(&self, forest: &Forest, examples: &[Placed<'a>]) -> anyhow::Result<Vec<Held>> {
        let mut held = self.stage.scores(self.jmel, examples)?;
        for (held, &placed) in held.iter_mut().zip(examples) {
            held.cosines = forest.scores(&self.features(placed, held, false))?;
        }
        Ok(held)
    }

    /// # Arguments
    ///
    /// - is_counted: whether the mention is one of those that the popularity counts, so that it must not count for its own gold.
    fn features(&self, (set, example): Placed, held: &Held, is_counted: bool) -> Vec<Features> {
        let candidates = example
            .candidates
            .iter()
            .zip(&example.cues)
            .zip(&held.cosines);
        let candidates = candidates.enumerate();
        candidates
            .map(|(i, ((&entity, observed), &jmel))| {
                let own = f32::from(u8::from(is_counted && Some(i) == example.gold));
                let count = self.popularity.get(&(set, entity)).copied();
                features(observed, count.unwrap_or_default() - own, jmel)
            })
            .collect()
    }
}
