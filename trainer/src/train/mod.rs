//! `imn train`: plan, data, stages, weights of the network, calibration, run.

mod baseline;
mod batch;
mod calibrate;
mod data;
mod fit;
mod network;
mod plan;
mod projection;
mod report;
mod sampler;
mod select;
mod stages;
#[cfg(test)]
mod tests;
mod worth;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use shared_model::calibration::Calibration;
use shared_model::scorer::ScorerConfig;
use shared_model::words::WordTable;

use self::calibrate::{CalibrationErrors, Scored, calibrate, calibrate_balanced, refusals};
use self::data::{Example, TrainingSet, held_out};
use self::plan::Settings;
use self::report::Report;
use self::stages::Setup;
use crate::cli::{StageArg, TrainArgs};
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::holdout::Part;
use crate::learn::save_or_verify;
use crate::run::{EncoderOrigin, LearnedSystem};
use crate::write_run::{Fitted, write_run};

/// Number of mentions of the run's own knowledge base below which the calibration is learned from all datasets.
const MIN_OWN: usize = 100;

/// Trains, and writes a run that can be evaluated and exported.
pub(crate) fn train(args: TrainArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    if args.stage == StageArg::Text {
        return stages::text::train(&args, device, as_json);
    }
    ensure!(
        args.tune_layers.is_none(),
        "--tune-layers is of --stage text: the other stages tune no encoder"
    );
    let datasets = Dataset::open_all(&args.datasets)?;
    plan::check_shares(&args.shares, datasets.len())?;
    let origin = EncoderOrigin::of(args.model.clone())?;
    let devices = device.open_all()?;
    let micro_batches = plan::micro_batches(&args, devices.len())?;
    let model = origin.load(&devices[0])?;

    let scaled = !args.keep_scorer || model.scorer.scaled;
    let mut sets = data::open(
        &datasets,
        &model.encoders,
        &model.fingerprint,
        scaled,
        &args,
    )?;
    ensure!(
        sets.iter().any(|set| !set.examples.is_empty()),
        "no dataset has a train.jsonl; `imn prototypes` makes a run without training"
    );
    let words = model.encoders.words.as_ref();
    let word_width = words.map_or(1, WordTable::width);
    let settings = Settings::new(&args, &sets, micro_batches, word_width);
    plan::check_data(args.stage, &sets, &settings)?;
    save_or_verify(&args.run.join("train.toml"), &settings, args.resume)?;
    if !args.resume {
        plan::clear_checkpoints(&args.run)?;
    }

    let scorer = if args.keep_scorer {
        ScorerConfig {
            worth: worth::fit(&sets, &settings.shares, &model.scorer),
            ..model.scorer
        }
    } else {
        fit::scorer(&sets, &settings)
    };
    let (temperature, _) = calibrate(&training_free(&sets, &scorer, None), None);
    let mut baseline = None;
    let network = match args.stage {
        StageArg::Knowledge | StageArg::Task => {
            let ids = network::prepare(&mut sets, &settings)?;
            let devices: Vec<Device> = devices.into_iter().map(Device::autodiff).collect();
            let setup = Setup {
                sets: &sets,
                settings: &settings,
                scorer,
                temperature: f64::from(temperature),
                device: &devices[0],
                helpers: &devices[1..],
            };
            let training = network::training(&datasets, &settings, ids);
            match &settings.baseline {
                Some(config) => {
                    baseline = Some(baseline::train(&setup, config, words, &args, training)?);
                    None
                }
                None => Some((network::train(&setup, &args)?, training)),
            }
        }
        StageArg::Text | StageArg::Prototype => None,
    };

    // Before and after are measured on the same mentions.
    let limit = network.as_ref().map(|_| settings.validation);
    let start = if args.keep_scorer {
        model.scorer
    } else {
        ScorerConfig::default()
    };
    let before = training_free(&sets, &start, limit);
    let (scored, fitted, refusals) = match &network {
        None => {
            let scored = training_free(&sets, &scorer, None);
            let own = of_own_knowledge_base(&sets[0], &scorer, args.keep_scorer);
            let seen = own.as_deref().unwrap_or(&scored);
            let fitted = calibrate(seen, settings.nil_share);
            let refusals = refusals(seen, fitted);
            (scored, fitted, refusals)
        }
        Some((trained, _)) => {
            let held = trained.held.iter().chain(&trained.others);
            let scored: Vec<Scored> = held
                .map(|held| held.scored(trained.selection.terms))
                .collect();
            let fitted = calibrate_balanced(&scored, settings.nil_share);
            let refusals = refusals(&scored, fitted);
            (scored, fitted, refusals)
        }
    };
    let errors = CalibrationErrors::new(&scored, fitted);
    let n_held = network
        .as_ref()
        .map_or(scored.len(), |(trained, _)| trained.held.len());
    let network = network
        .map(|(trained, training)| trained.network(&settings, training))
        .transpose()?;
    let (temperature, nil_logit) = fitted;
    let calibration = Calibration {
        policy: datasets[0].info.candidate_policy.name().to_owned(),
        temperature,
        nil_logit,
        entities: nil_logit.map(|_| Calibration::fingerprint(&datasets[0].entities)),
        refusals,
    };
    let trained = network.as_ref();
    let trained = trained.map(|network| (network.trained.clone(), errors));
    let figures = [&before[..], &scored[..n_held]];
    let is_fitted = !args.keep_scorer && !args.paper;
    let report = Report::new(&sets, figures, scorer, is_fitted, calibration, trained);

    let dataset = datasets.into_iter().next();
    let set = sets.into_iter().next();
    let kb = set.context("clap requires a dataset")?.kb;
    let vectors = kb.entries();
    let fitted = Fitted {
        encoders: origin,
        scorer,
        calibration: Some(report.calibration.clone()),
        systems: network
            .map(LearnedSystem::Imn)
            .into_iter()
            .chain(baseline)
            .collect(),
    };
    let dataset = dataset.context("clap requires a dataset")?;
    write_run(dataset, kb.text, vectors, fitted, &args.run)?;
    report.print(as_json)
}

/// The mentions of the run's own knowledge base under the training-free scorer, from which its calibration is learned;
/// `None` if there are few, or none is NIL. How frequent NIL is, and at which scores, is a property of a knowledge base.
///
/// # Arguments
///
/// - all: the weights of the cues were not fitted on the mentions, so that none is held out; the few lines by the kind of evidence were.
fn of_own_knowledge_base(
    set: &TrainingSet,
    scorer: &ScorerConfig,
    all: bool,
) -> Option<Vec<Scored>> {
    let examples = set.examples.iter().chain(&set.nil);
    let scored: Vec<Scored> = examples
        .filter(|example| all || example.part != Part::Fit)
        .map(|example| scored(set, example, scorer))
        .collect();
    let has_nil = scored.iter().any(|scored| scored.gold.is_none());
    (has_nil && scored.len() >= MIN_OWN).then_some(scored)
}

/// The held-out mentions under the training-free scorer.
fn training_free(sets: &[TrainingSet], scorer: &ScorerConfig, limit: Option<usize>) -> Vec<Scored> {
    let golds = held_out(sets, limit).into_iter();
    let nil = sets.iter().enumerate().flat_map(|(position, set)| {
        let held = set.nil.iter().filter(|example| example.part != Part::Fit);
        held.map(move |example| (position, example))
    });
    let examples = golds.chain(nil);
    examples
        .map(|(position, example)| scored(&sets[position], example, scorer))
        .collect()
}

fn scored(set: &TrainingSet, example: &Example, scorer: &ScorerConfig) -> Scored {
    Scored {
        scores: example.cues.iter().map(|cues| scorer.score(cues)).collect(),
        gold: example.gold,
        kind: set.kind(example),
    }
}
