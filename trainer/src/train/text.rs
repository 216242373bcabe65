//! `imn train --stage text`: fine-tunes the text encoder, so that a mention's post lies near the profile of its entity.
//!
//! The run folder is a weight folder: what trains on it takes it as `--weights`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use burn::module::{Module as _, ParamGroup};
use burn::optim::{AdamWConfig, GradientsParams, ModuleOptimizer};
use burn::prelude::*;
use rand::RngExt as _;
use serde::Serialize;
use shared_model::encoders::Encoders;
use shared_model::loss::{Targets, info_nce};
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::tensors::{pad, read};
use shared_model::text::Bert;
use shared_model::tokenizer::Encoded;

use super::begin;
use super::world::is_validation;
use crate::cli::TrainArgs;
use crate::dataset::{Dataset, Split, candidates};
use crate::device::DeviceArg;
use crate::features::batches_by_length;
use crate::files;
use crate::gold_rank::GoldRank;
use crate::learn::{Metrics, Plan, Restorable, Stage, learn, pack, rng, rows, unpack, warmed};
use crate::run::{EncoderOrigin, Model};

const STAGE: &str = "text";
/// In training; longer texts are cut around the mention.
const MAX_TOKENS: usize = 64;
/// What the cosines are divided by.
const TEMPERATURE: f64 = 0.05;
const LEARNING_RATE: f64 = 3e-5;
/// More than this share of an epoch helps the entities that it shows at the others' cost.
const EPOCHS: f64 = 0.4;
const WARM_UP: f64 = 0.1;
/// Candidates of a held-out mention, the gold among them.
const CANDIDATES: usize = 17;
/// Texts encoded at once in an evaluation.
const BATCH: usize = 64;

/// `train.toml`.
#[derive(Debug, Serialize)]
struct Settings {
    datasets: Vec<String>,
    encoders: String,
    seed: u64,
    batch: usize,
    steps: usize,
    rate: f64,
    evaluate_every: usize,
    patience: usize,
    validation: usize,
}

/// A mention with its entity, as positions among all datasets' profiles.
struct Pair {
    id: String,
    query: Encoded,
    gold: usize,
    /// The other candidates, the likeliest first.
    rivals: Vec<usize>,
}

#[derive(Default)]
struct Pairs {
    profiles: Vec<Encoded>,
    fit: Vec<Pair>,
    /// Held out; the entity is trained on.
    seen: Vec<Pair>,
    /// Held out with their entities.
    new: Vec<Pair>,
}

/// Trains, and writes a weight folder.
pub(super) fn train(args: &TrainArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    ensure!(
        !args.paper && !args.keep_scorer && args.shares.is_empty() && args.accumulate == 1,
        "--stage text takes no --paper, --keep-scorer, --shares or --accumulate: they are of the stages after it"
    );
    let datasets = args
        .datasets
        .iter()
        .map(|folder| Dataset::open(folder))
        .collect::<anyhow::Result<Vec<_>>>()?;
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
    let mut pairs = Pairs::default();
    for dataset in &datasets {
        pairs
            .add(dataset, &encoders)
            .with_context(|| dataset.folder.display().to_string())?;
    }
    ensure!(
        !pairs.fit.is_empty(),
        "no train mention has its entity and another among its candidates: nothing to fine-tune on"
    );
    let (batch, n_held) = (args.batch as usize, args.validation as usize);
    thin(&mut pairs.seen, n_held);
    thin(&mut pairs.new, n_held);
    let epoch = pairs.fit.len() as f64 / batch as f64;
    let settings = Settings {
        datasets: args
            .datasets
            .iter()
            .map(|folder| folder.display().to_string())
            .collect(),
        encoders: fingerprint.encoders,
        seed: args.seed,
        batch,
        steps: args.steps.unwrap_or((epoch * EPOCHS).ceil() as usize),
        rate: args.learning_rate.unwrap_or(LEARNING_RATE),
        evaluate_every: args.evaluate_every as usize,
        patience: args.patience,
        validation: n_held,
    };
    begin(args, &settings)?;
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
    let mut stage = TextStage::new(encoders.text, &pairs, &settings, &device);
    let outcome = learn(&mut stage, &plan, &args.run, args.resume)?;
    save(&stage.model, folder, &datasets, &args.run)?;
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

impl Pairs {
    fn add(&mut self, dataset: &Dataset, encoders: &Encoders) -> anyhow::Result<()> {
        let first = self.profiles.len();
        let encode = |text: &str, mention| -> anyhow::Result<Encoded> {
            Ok(encoders.tokenizer.encode(text, mention)?.within(MAX_TOKENS))
        };
        for entity in &dataset.entities {
            self.profiles.push(encode(&entity.profile(), None)?);
        }
        let posts = dataset.posts_if_any(Split::Train)?;
        let mut mentions: Vec<_> = posts.iter().collect();
        mentions.retain(|post| post.mention.is_some() && post.entity.is_some());
        let positions = dataset.positions();
        let lists = candidates(dataset, &mentions, dataset.info.candidate_policy)?;
        for (post, list) in mentions.into_iter().zip(lists) {
            let id = post.entity.as_deref().unwrap_or_default();
            let Some(&gold) = positions.get(id) else {
                continue;
            };
            let rivals: Vec<usize> = list.into_iter().filter(|&other| other != gold).collect();
            if rivals.is_empty() {
                continue;
            }
            let part = if is_validation(id) {
                &mut self.new
            } else if is_validation(&format!("row {}", post.id)) {
                &mut self.seen
            } else {
                &mut self.fit
            };
            part.push(Pair {
                id: post.id.clone(),
                query: encode(&post.text, post.mention)?,
                gold: first + gold,
                rivals: rivals.into_iter().map(|rival| first + rival).collect(),
            });
        }
        Ok(())
    }
}

/// Leaves at most `n`, spread evenly.
fn thin(pairs: &mut Vec<Pair>, n: usize) {
    let step = pairs.len().div_ceil(n).max(1);
    let mut i = 0;
    pairs.retain(|_| {
        i += 1;
        (i - 1) % step == 0
    });
}

/// See [`Stage`].
struct TextStage<'a> {
    model: Bert,
    optimizer: ModuleOptimizer,
    pairs: &'a Pairs,
    settings: &'a Settings,
    device: &'a Device,
}

impl<'a> TextStage<'a> {
    /// The word embeddings are frozen: a fine-tuning sees too few of them.
    fn new(model: Bert, pairs: &'a Pairs, settings: &'a Settings, device: &'a Device) -> Self {
        let adamw = AdamWConfig::new().with_weight_decay(0.01);
        let words = ParamGroup::from_predicate("word_embeddings");
        Self {
            model: model.train().freeze_group(words),
            optimizer: ModuleOptimizer::from(Restorable(adamw.build())),
            pairs,
            settings,
            device,
        }
    }

    fn rows(&self, step: usize) -> Vec<&'a Pair> {
        let Settings { seed, batch, .. } = *self.settings;
        let rows = rows(seed, "order of mentions", self.pairs.fit.len(), batch, step);
        rows.into_iter().map(|row| &self.pairs.fit[row]).collect()
    }

    /// Of length 1, `[n, width]`.
    fn vectors(model: &Bert, texts: &[Encoded], device: &Device) -> Tensor<2> {
        let (ids, mask) = pad(texts, device);
        let pooled = model.pooled(ids, mask);
        let square = (pooled.clone() * pooled.clone()).sum_dim(1);
        pooled / square.clamp_min(1e-12).sqrt()
    }

    /// Where the gold stands among its nearest rivals, mean of the reciprocal ranks and share of the firsts.
    fn figures(&self, pairs: &[Pair]) -> anyhow::Result<Option<[f64; 2]>> {
        if pairs.is_empty() {
            return Ok(None);
        }
        let model = self.model.valid();
        let device = self.device.clone().inner();
        let list = |pair: &Pair| -> Vec<usize> {
            let rivals = pair.rivals.iter().take(CANDIDATES - 1);
            [pair.gold].iter().chain(rivals).copied().collect()
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

impl Stage for TextStage<'_> {
    fn loss(&self) -> &'static str {
        "loss"
    }

    fn watched(&self) -> &'static str {
        "mrr"
    }

    fn device(&self) -> &Device {
        self.device
    }

    /// Every query against all golds of the batch and a rival of each.
    fn step(&mut self, step: usize) -> anyhow::Result<Metrics> {
        let drawn = self.rows(step);
        let mut rng = rng(self.settings.seed, STAGE, step);
        let golds = drawn.iter().map(|pair| pair.gold);
        let rivals: Vec<usize> = drawn
            .iter()
            .map(|pair| pair.rivals[rng.random_range(0..pair.rivals.len())])
            .collect();
        let entities: Vec<usize> = golds.chain(rivals).collect();
        let queries: Vec<Encoded> = drawn.iter().map(|pair| pair.query.clone()).collect();
        let profiles = entities.iter();
        let profiles: Vec<Encoded> = profiles
            .map(|&entity| self.pairs.profiles[entity].clone())
            .collect();
        // The same entity once more is no mistake.
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
            mask: Tensor::from_data(TensorData::new(mask, shape), self.device),
            gold: Tensor::arange(0..drawn.len() as i64, self.device),
        };
        let queries = Self::vectors(&self.model, &queries, self.device);
        let profiles = Self::vectors(&self.model, &profiles, self.device);
        let loss = info_nce(queries.matmul(profiles.transpose()) / TEMPERATURE, &targets);
        let value: f32 = loss.clone().into_scalar();
        let rate = self.settings.rate * warmed(step, self.settings.steps, WARM_UP);
        if value.is_finite() {
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.model = self.optimizer.step(rate, self.model.clone(), gradients);
        }
        Ok(vec![("loss", f64::from(value)), ("rate", rate)])
    }

    fn batch(&self, step: usize) -> String {
        let ids: Vec<&str> = self
            .rows(step)
            .iter()
            .map(|pair| pair.id.as_str())
            .collect();
        format!("the mentions {}", ids.join(", "))
    }

    fn evaluate(&mut self, _: usize) -> anyhow::Result<Metrics> {
        let parts = [
            ("seen_mrr", "seen_p@1", self.figures(&self.pairs.seen)?),
            ("new_mrr", "new_p@1", self.figures(&self.pairs.new)?),
        ];
        let mut metrics = Metrics::new();
        for (mrr_name, p_name, figures) in parts {
            if let Some([mrr, p_at_1]) = figures {
                metrics.extend([(mrr_name, mrr), (p_name, p_at_1)]);
            }
        }
        let mrr = metrics.iter().filter(|(name, _)| name.ends_with("mrr"));
        let n = mrr.clone().count();
        ensure!(n > 0, "no mention is held out");
        let sum: f64 = mrr.map(|(_, mrr)| mrr).sum();
        metrics.insert(0, ("mrr", sum / n as f64));
        Ok(metrics)
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
            rivals: (0..16).filter(|&other| other != i).collect(),
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
            rate: 5e-3,
            evaluate_every: 400,
            patience: 1,
            validation: 16,
        };
        let bert = bert.init(&device.clone().inner());
        let words = bert.word_embeddings().into_data();
        let mut stage = TextStage::new(bert, &pairs, &settings, &device);
        let mrr = |stage: &mut TextStage| stage.evaluate(0).unwrap()[0].1;
        let before = mrr(&mut stage);
        assert!(before < 0.6, "chance is 0.2, and it is {before}");
        for step in 1..=settings.steps {
            stage.step(step).unwrap();
        }
        assert_eq!(mrr(&mut stage), 1.0);
        assert_eq!(stage.model.word_embeddings().into_data(), words);
    }
}
