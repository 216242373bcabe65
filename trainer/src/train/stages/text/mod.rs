//! `imn train --stage text`: fine-tunes the text encoder, so that a mention's post lies near the profile of its entity.
//!
//! The run folder is a weight folder: a training that builds on it takes it as `--weights`. The hold-out is the same there, so that
//! it is measured on mentions that neither has seen.

mod pairs;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burn::module::{Module as _, ParamGroup};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use rand::RngExt as _;
use serde::Serialize;
use shared_model::loss::{Targets, info_nce};
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::tensors::{pad, read};
use shared_model::text::Bert;
use shared_model::tokenizer::Encoded;

use self::pairs::{Pair, Pairs, thin};
use crate::cli::TrainArgs;
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::features::batches_by_length;
use crate::files;
use crate::gold_rank::GoldRank;
use crate::learn::{
    LOSS, Metrics, Optimised, Plan, Stage, learn, rng, rows, save_or_verify, warmed,
};
use crate::run::{EncoderOrigin, Model};
use crate::train::plan::clear_checkpoints;

const STAGE: &str = "text";
/// Divides the cosines.
const TEMPERATURE: f64 = 0.05;
/// Default learning rate.
const LEARNING_RATE: f64 = 3e-5;
/// Default length in epochs: more helps the entities that are trained on at the cost of the others.
const EPOCHS: f64 = 0.4;
/// Share of the steps over which the learning rate rises.
const WARM_UP: f64 = 0.1;
/// Candidates of a held-out mention in an evaluation, the gold among them.
const CANDIDATES: usize = 17;
/// Texts encoded at once in an evaluation.
const BATCH: usize = 64;

/// Settings of the run: `train.toml`.
#[derive(Debug, Serialize)]
struct Settings {
    datasets: Vec<PathBuf>,
    encoders: String,
    seed: u64,
    batch: usize,
    steps: usize,
    learning_rate: f64,
    evaluate_every: usize,
    patience: usize,
    validation: usize,
}

/// Trains, and writes a weight folder.
pub(in crate::train) fn train(
    args: &TrainArgs,
    device: DeviceArg,
    as_json: bool,
) -> anyhow::Result<()> {
    ensure!(
        !args.paper && !args.keep_scorer && args.shares.is_empty() && args.accumulate == 1,
        "--stage text takes no --paper, --keep-scorer, --shares or --accumulate: they are of the stages after it"
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
        fingerprint,
        ..
    } = origin.load(&device)?;
    let mut pairs = Pairs::read(&datasets, &encoders)?;
    ensure!(
        !pairs.fit.is_empty(),
        "no train mention has its entity and another among its candidates: nothing to fine-tune on"
    );
    let (batch, n_held) = (args.batch as usize, args.validation as usize);
    thin(&mut pairs.seen, n_held);
    thin(&mut pairs.new, n_held);
    let epoch = pairs.fit.len() as f64 / batch as f64;
    let settings = Settings {
        datasets: args.datasets.clone(),
        encoders: fingerprint.encoders,
        seed: args.seed,
        batch,
        steps: args.steps.unwrap_or((epoch * EPOCHS).ceil() as usize),
        learning_rate: args.learning_rate.unwrap_or(LEARNING_RATE),
        evaluate_every: args.evaluate_every as usize,
        patience: args.patience,
        validation: n_held,
    };
    save_or_verify(&args.run.join("train.toml"), &settings, args.resume)?;
    if !args.resume {
        clear_checkpoints(&args.run)?;
    }
    eprintln!(
        "{} mentions to train on, {} held out with their entities, {} without",
        pairs.fit.len(),
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
    let device = device.autodiff();
    let mut model = optimised(encoders.text, &device);
    let mut stage = TextStage {
        pairs: &pairs,
        settings: &settings,
    };
    let outcome = learn(&mut stage, &mut model, &plan, &args.run, args.resume)?;
    save(&model.model, folder, &datasets, &args.run)?;
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

/// Data and criterion of the stage.
struct TextStage<'a> {
    pairs: &'a Pairs,
    settings: &'a Settings,
}

/// The encoder with its optimiser. The word embeddings are frozen: a fine-tuning sees too few of the words.
fn optimised(model: Bert, device: &Device) -> Optimised<Bert> {
    let adamw = AdamWConfig::new().with_weight_decay(0.01);
    let words = ParamGroup::from_predicate("word_embeddings");
    Optimised::new(model.train().freeze_group(words), adamw.build(), device)
}

impl<'a> TextStage<'a> {
    fn rows(&self, step: usize) -> Vec<&'a Pair> {
        let Settings { seed, batch, .. } = *self.settings;
        let rows = rows(seed, "order of mentions", self.pairs.fit.len(), batch, step);
        rows.into_iter().map(|row| &self.pairs.fit[row]).collect()
    }

    /// Pooled vectors of unit length.
    ///
    /// # Shapes
    ///
    /// - output: `[n, width]`
    fn vectors(model: &Bert, texts: &[Encoded], device: &Device) -> Tensor<2> {
        let (ids, mask) = pad(texts, device);
        let pooled = model.pooled(ids, mask);
        let square = (pooled.clone() * pooled.clone()).sum_dim(1); // [n, 1]
        pooled / square.clamp_min(1e-12).sqrt()
    }

    /// Mean reciprocal rank and P@1 of the golds among their likeliest candidates.
    fn figures(&self, model: &Optimised<Bert>, pairs: &[Pair]) -> anyhow::Result<Option<[f64; 2]>> {
        if pairs.is_empty() {
            return Ok(None);
        }
        let device = model.device.clone().inner();
        let model = model.model.valid();
        let list = |pair: &Pair| -> Vec<usize> {
            let negatives = pair.negatives.iter().take(CANDIDATES - 1);
            [pair.gold].iter().chain(negatives).copied().collect()
        };
        let mut wanted: Vec<usize> = pairs.iter().flat_map(list).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let encode = |texts: Vec<&Encoded>| -> anyhow::Result<Vec<Vec<f32>>> {
            let mut vectors = vec![Vec::new(); texts.len()];
            for rows in batches_by_length(texts.iter().map(|text| text.ids.len()), BATCH) {
                let batch: Vec<Encoded> = rows.iter().map(|&i| texts[i].clone()).collect();
                let encoded = Self::vectors(&model, &batch, &device);
                let [_, width] = encoded.dims();
                let values = pollster::block_on(read(encoded))?;
                for (&i, values) in rows.iter().zip(values.chunks(width)) {
                    vectors[i] = values.to_vec();
                }
            }
            Ok(vectors)
        };
        let profiles = wanted.iter().map(|&entity| &self.pairs.profiles[entity]);
        let profiles = encode(profiles.collect())?;
        let queries = encode(pairs.iter().map(|pair| &pair.query).collect())?;
        let (mut mrr, mut p_at_1) = (0.0, 0.0);
        for (pair, query) in pairs.iter().zip(&queries) {
            let score = |entity: usize| {
                let place = wanted.binary_search(&entity).expect("every candidate is");
                let pairs = query.iter().zip(&profiles[place]);
                pairs.map(|(a, b)| a * b).sum::<f32>()
            };
            let scores: Vec<f32> = list(pair).into_iter().map(score).collect();
            let rank = GoldRank::of(&scores, 0);
            mrr += rank.reciprocal_rank();
            p_at_1 += rank.recall_at(1);
        }
        let n = pairs.len() as f64;
        Ok(Some([mrr / n, p_at_1 / n]))
    }
}

impl Stage<Bert> for TextStage<'_> {
    const WATCHED: &'static str = "mrr";

    /// Every query against all golds of the batch and one negative of each.
    fn step(&mut self, model: &mut Optimised<Bert>, step: usize) -> anyhow::Result<Metrics> {
        let device = model.device.clone();
        let drawn = self.rows(step);
        let mut rng = rng(self.settings.seed, STAGE, step);
        let golds = drawn.iter().map(|pair| pair.gold);
        let negatives: Vec<usize> = drawn
            .iter()
            .map(|pair| pair.negatives[rng.random_range(0..pair.negatives.len())])
            .collect();
        let entities: Vec<usize> = golds.chain(negatives).collect();
        let queries: Vec<Encoded> = drawn.iter().map(|pair| pair.query.clone()).collect();
        let profiles = entities.iter();
        let profiles: Vec<Encoded> = profiles
            .map(|&entity| self.pairs.profiles[entity].clone())
            .collect();
        // The same entity once more is no negative.
        let mask: Vec<bool> = drawn
            .iter()
            .enumerate()
            .flat_map(|(row, pair)| {
                let columns = entities.iter().enumerate();
                columns.map(move |(column, &entity)| column != row && entity == pair.gold)
            })
            .collect();
        let shape = [drawn.len(), entities.len()];
        let targets = Targets {
            mask: Tensor::from_data(TensorData::new(mask, shape), &device),
            gold: Tensor::arange(0..drawn.len() as i64, &device),
        };
        let queries = Self::vectors(&model.model, &queries, &device);
        let profiles = Self::vectors(&model.model, &profiles, &device);
        let loss = info_nce(queries.matmul(profiles.transpose()) / TEMPERATURE, &targets);
        let rate = self.settings.learning_rate * warmed(step, self.settings.steps, WARM_UP);
        Ok(vec![(LOSS, model.descend(rate, loss)), ("rate", rate)])
    }

    fn batch(&self, step: usize) -> String {
        let ids: Vec<&str> = self
            .rows(step)
            .iter()
            .map(|pair| pair.id.as_str())
            .collect();
        format!("the mentions {}", ids.join(", "))
    }

    fn evaluate(&mut self, model: &mut Optimised<Bert>, _: usize) -> anyhow::Result<Metrics> {
        let mut metrics = Metrics::new();
        for (names, pairs) in [
            (["seen_mrr", "seen_p@1"], &self.pairs.seen),
            (["new_mrr", "new_p@1"], &self.pairs.new),
        ] {
            let figures = self.figures(model, pairs)?.into_iter().flatten();
            metrics.extend(names.into_iter().zip(figures));
        }
        let mrr = metrics.iter().filter(|(name, _)| name.ends_with("mrr"));
        let n = mrr.clone().count();
        ensure!(n > 0, "no mention is held out");
        let sum: f64 = mrr.map(|(_, mrr)| mrr).sum();
        metrics.insert(0, ("mrr", sum / n as f64));
        Ok(metrics)
    }
}

/// The weight folder `from` with the new text encoder, in `run`.
fn save(model: &Bert, from: &Path, datasets: &[Dataset], run: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default();
        let is_other = path.extension().is_some_and(|extension| extension == "bpk");
        if (is_other && name != "text.bpk" && name != crate::weights::JOINT)
            || name == "tokenizer.json"
        {
            files::write(&run.join(name), &files::read(&path)?)?;
        }
    }
    let old = from.join("text.bpk");
    let old = Pack::read(&old.display().to_string(), files::read(&old)?)?;
    let said = |key: &str| old.metadata(key).unwrap_or("not stated");
    let names: Vec<&str> = datasets
        .iter()
        .map(|dataset| dataset.info.name.as_str())
        .collect();
    let source = format!(
        "{}; fine-tuned by imn train --stage text on {}",
        said("source"),
        names.join("; ")
    );
    let metadata = [
        ("config", said("config")),
        ("licence", said("licence")),
        ("source", &source),
    ];
    let bytes = write(Entry::of_module(model), &metadata, Precision::F32)?;
    files::write(&run.join("text.bpk"), &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_model::text::{BertConfig, HiddenAct};

    #[test]
    fn mentions_find_their_entities_and_the_words_stay() {
        let device = Device::flex().autodiff();
        device.seed(1);
        let bert = BertConfig {
            d_model: 16,
            n_layers: 1,
            n_heads: 2,
            d_ff: 32,
            vocab_size: 60,
            max_tokens: 8,
            type_vocab_size: 1,
            layer_norm_eps: 1e-12,
            hidden_act: HiddenAct::Gelu,
        };
        let text = |ids: [u32; 3]| Encoded {
            ids: ids.to_vec(),
            mention: None,
        };
        // Entity i is called 10 + i, and mentioned by 30 + i.
        let pair = |i: usize| Pair {
            id: i.to_string(),
            query: text([1, 30 + i as u32, 2]),
            gold: i,
            negatives: (0..16).filter(|&other| other != i).collect(),
        };
        let pairs = Pairs {
            profiles: (0..16).map(|i| text([1, 10 + i, 2])).collect(),
            fit: (0..16).map(pair).collect(),
            seen: (0..16).map(pair).collect(),
            new: Vec::new(),
        };
        let settings = Settings {
            datasets: Vec::new(),
            encoders: String::new(),
            seed: 1,
            batch: 8,
            steps: 400,
            learning_rate: 5e-3,
            evaluate_every: 400,
            patience: 1,
            validation: 16,
        };
        let bert = bert.init(&device.clone().inner());
        let words = bert.word_embeddings().into_data();
        let mut model = optimised(bert, &device);
        let mut stage = TextStage {
            pairs: &pairs,
            settings: &settings,
        };
        let before = stage.evaluate(&mut model, 0).unwrap()[0].1;
        assert!(before < 0.6, "chance is 0.2, and it is {before}");
        for step in 1..=settings.steps {
            stage.step(&mut model, step).unwrap();
        }
        assert_eq!(stage.evaluate(&mut model, 0).unwrap()[0].1, 1.0);
        assert_eq!(model.model.word_embeddings().into_data(), words);
    }
}
