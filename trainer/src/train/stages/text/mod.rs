//! `imn train --stage text`: the context encoder, a fine-tuned copy of the text encoder.
//!
//! It learns that a mention's post lies near the texts of its entity, all without the names: those are compared by other cues.
//! Its embeddings and its lower layers are those of the text encoder, and `context.bpk` has the other layers alone.
//!
//! A weight folder that has a context encoder already gives the layers to start from; else these are the text encoder's.
//!
//! The hold-out is the one of the other trainings, so that a network beside this encoder is measured on mentions that neither
//! has seen.

mod pairs;
mod stage;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burn::module::Module as _;
use burn::optim::AdamWConfig;
use burn::prelude::*;
use serde::Serialize;
use shared_model::hash::sha256;
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::text::{Bert, TunedConfig, TunedLayers};

use self::pairs::Pairs;
use self::stage::{TextStage, places};
use crate::cli::{HoldOutArg, TrainArgs};
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::files;
use crate::learn::{Optimised, Plan, learn, save_or_verify};
use crate::run::{EncoderOrigin, Model};
use crate::train::plan::clear_checkpoints;
use crate::weights::{self, CONTEXT, MADE_WITH};

const STAGE: &str = "text";
/// Default learning rate.
const LEARNING_RATE: f64 = 3e-5;
/// Default length: as many mentions as there are in this many epochs.
const EPOCHS: f64 = 1.0;

/// Settings of the run: `train.toml`.
#[derive(Debug, Serialize)]
struct Settings {
    datasets: Vec<PathBuf>,
    encoders: String,
    /// Hash of the context encoder that the training starts from.
    context: Option<String>,
    seed: u64,
    batch: usize,
    steps: usize,
    learning_rate: f64,
    tuned_layers: usize,
    evaluate_every: usize,
    patience: usize,
    validation: usize,
}

/// Trains, and writes a weight folder with a context encoder.
pub(in crate::train) fn train(
    args: &TrainArgs,
    device: DeviceArg,
    as_json: bool,
) -> anyhow::Result<()> {
    ensure!(
        !args.paper && !args.keep_scorer && args.shares.is_empty() && args.accumulate == 1,
        "--stage text takes no --paper, --keep-scorer, --shares or --accumulate: they are of the stages after it"
    );
    ensure!(
        args.hold_out == HoldOutArg::Train && args.train_share == 1.0,
        "--stage text takes no --hold-out or --train-share: it is trained on all of train.jsonl but a tenth"
    );
    let datasets = Dataset::open_all(&args.datasets)?;
    let origin = EncoderOrigin::of(args.model.clone())?;
    let EncoderOrigin::Weights { folder, .. } = &origin else {
        anyhow::bail!(
            "a bundle's text encoder is rounded and cannot be fine-tuned; name a weight folder"
        );
    };
    let device = device.open()?;
    let Model {
        encoders,
        sizes,
        fingerprint,
        ..
    } = origin.load(&device)?;
    let (text, start) = (encoders.text, encoders.context);
    let most = text.n_layers();
    let n_layers = args.tune_layers.map_or(most, |n| n as usize);
    ensure!(
        n_layers <= most,
        "--tune-layers {n_layers}: the text encoder has {most} layers"
    );
    if let Some(TunedConfig { n_layers: tuned }) = sizes.context {
        ensure!(
            n_layers >= tuned,
            "--tune-layers {n_layers}: {CONTEXT} in {} has {tuned} layers of its own, and training continues from it",
            folder.display()
        );
    }
    let (batch, n_held) = (args.batch as usize, args.validation as usize);
    let pairs = Pairs::read(&datasets, &encoders.tokenizer, n_held)?;
    let n_sets = pairs.fit.len();
    ensure!(
        n_sets > 0,
        "no train mention has its entity and another among its candidates, and each a text: nothing to fine-tune on"
    );
    ensure!(
        n_sets <= batch,
        "a batch of {batch} mentions has no place for each of {n_sets} datasets"
    );
    let n_fit: usize = pairs.fit.iter().map(Vec::len).sum();
    let epoch = n_fit as f64 / batch as f64;
    let settings = Settings {
        datasets: args.datasets.clone(),
        encoders: fingerprint.encoders,
        context: fingerprint.context,
        seed: args.seed,
        batch,
        steps: args.steps.unwrap_or((epoch * EPOCHS).ceil() as usize),
        learning_rate: args.learning_rate.unwrap_or(LEARNING_RATE),
        tuned_layers: n_layers,
        evaluate_every: args.evaluate_every as usize,
        patience: args.patience,
        validation: n_held,
    };
    save_or_verify(&args.run.join("train.toml"), &settings, args.resume)?;
    if !args.resume {
        clear_checkpoints(&args.run)?;
    }
    eprintln!(
        "{n_fit} mentions to train on, {} held out with their entities, {} without",
        pairs.new.len(),
        pairs.seen.len()
    );

    let plan = Plan {
        name: STAGE.to_owned(),
        seed: settings.seed,
        steps: settings.steps,
        evaluate_every: settings.evaluate_every,
        patience: settings.patience,
    };
    let (mut model, mut stage) = prepare(text, start, &pairs, &settings, &device.autodiff());
    let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
    save(&model.model, &settings, folder, &datasets, &args.run)?;
    if as_json {
        out!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        out!(
            "the best of {} steps was {}",
            outcome.steps,
            outcome.best_step
        );
        for (name, start) in &outcome.start {
            out!("{name:>10} {start:.4} -> {:.4}", outcome.best[name]);
        }
    }
    Ok(())
}

/// The layers to be trained with their optimiser, and the stage with the rest of the encoder.
///
/// # Arguments
///
/// - start: the encoder whose last layers are the first ones of the training; `None` for `text`.
fn prepare<'a>(
    text: Bert,
    start: Option<Bert>,
    pairs: &'a Pairs,
    settings: &'a Settings,
    device: &Device,
) -> (Optimised<TunedLayers>, TextStage<'a>) {
    let start = start.as_ref().unwrap_or(&text);
    let layers = start.last_layers(settings.tuned_layers).train();
    let adamw = AdamWConfig::new().with_weight_decay(0.01);
    let stage = TextStage {
        pairs,
        settings,
        places: places(
            &pairs.fit.iter().map(Vec::len).collect::<Vec<_>>(),
            settings.batch,
        ),
        frozen: text.clone().train().freeze(),
        text,
    };
    (Optimised::new(layers, adamw.build(), device), stage)
}

/// The weight folder `from` with the context encoder, in `run`.
fn save(
    layers: &TunedLayers,
    settings: &Settings,
    from: &Path,
    datasets: &[Dataset],
    run: &Path,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_pack = path.extension().is_some_and(|extension| extension == "bpk");
        // `from` may be a run folder, too.
        let is_of_run =
            name == CONTEXT || name.to_str().is_some_and(|n| n.starts_with("checkpoint-"));
        if (is_pack && !is_of_run) || name == "tokenizer.json" {
            files::write(&run.join(name), &files::read(&path)?)?;
        }
    }
    let bytes = files::read(&from.join("text.bpk"))?;
    let made_with = sha256(&bytes);
    let base = Pack::read("text.bpk", bytes)?;
    let said = |key: &str| base.metadata(key).unwrap_or("not stated");
    // A training that continues another one names the data of both.
    let start = weights::pack(from, CONTEXT)?;
    let start = start.as_ref().and_then(|start| start.metadata("source"));
    let names: Vec<&str> = datasets
        .iter()
        .map(|dataset| dataset.info.name.as_str())
        .collect();
    let source = format!(
        "{}; fine-tuned by imn train --stage text on {}",
        start.unwrap_or(said("source")),
        names.join("; ")
    );
    let config = serde_json::to_string(&TunedConfig {
        n_layers: settings.tuned_layers,
    })?;
    let metadata = [
        ("config", config.as_str()),
        ("licence", said("licence")),
        ("source", &source),
        (MADE_WITH, &made_with),
    ];
    let bytes = write(Entry::of_module(layers), &metadata, Precision::F32)?;
    files::write(&run.join(CONTEXT), &bytes)
}
