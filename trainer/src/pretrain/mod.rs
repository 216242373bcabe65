//! `imn pretrain`: the joint encoder, by masked words, masked patches and the alignment of text and picture.

mod batch;
mod masking;
mod negatives;
mod posts;
mod retrieval;
mod stage;
mod start;
mod tasks;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use burn::module::Module as _;
use burn::prelude::Tensor;
use serde::Serialize;
use shared_model::encoders::{Encoders, Models};
use shared_model::joint::{JointConfig, MAX_TEXT};
use shared_model::pack::{Entry, Precision, write};
use shared_model::words::WordTable;

use self::masking::Shares;
use self::posts::{Corpus, Post};
use self::retrieval::{Retrieval, Retriever};
use self::stage::{Pretraining, optimiser};
use self::start::start;
use self::tasks::Pretrained;
use crate::cli::{ModelArgs, PretrainArgs};
use crate::dataset::{Dataset, Info};
use crate::device::DeviceArg;
use crate::features::Patches;
use crate::files;
use crate::learn::{Optimised, Outcome, Plan, learn, reseed, save_or_verify};
use crate::run::EncoderOrigin;

/// Name of the stage in file names and seeds.
const STAGE: &str = "pretrain";
/// Dropout of the joint encoder in training.
const DROPOUT: f64 = 0.1;
/// Share of the steps over which the learning rate rises: FashionBERT's.
const WARM_UP: f64 = 0.1;
/// AdamW's weight decay: BERT's.
const WEIGHT_DECAY: f64 = 0.01;

/// `pretrain.toml`: everything that the result depends on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Settings {
    /// Dataset folders, as they were named.
    datasets: Vec<PathBuf>,
    /// Dataset folders that are not trained on, whose posts are retrieved at the end.
    retrieve: Vec<PathBuf>,
    /// A hash of the posts and pictures.
    posts: String,
    /// A hash of the encoders' weights.
    encoders: String,
    /// BERT's masking and random negatives.
    plain: bool,
    /// Optimiser steps.
    steps: usize,
    /// Posts per step.
    batch: usize,
    /// Highest learning rate.
    learning_rate: f64,
    /// Share of the steps over which it rises.
    warm_up: f64,
    /// AdamW's weight decay.
    weight_decay: f64,
    /// Seed of everything random.
    seed: u64,
    /// Steps between evaluations.
    evaluate_every: usize,
    /// Evaluations in a row without a gain after which it stops.
    patience: usize,
    /// Sizes of the encoder.
    joint: JointConfig,
}

impl Settings {
    fn shares(&self) -> Shares {
        if self.plain {
            Shares::PLAIN
        } else {
            Shares::MENTION
        }
    }

    fn plan(&self) -> Plan {
        Plan {
            name: STAGE.to_owned(),
            seed: self.seed,
            steps: self.steps,
            evaluate_every: self.evaluate_every,
            patience: self.patience,
        }
    }
}

/// Result of a pre-training, on held-out posts.
#[derive(Serialize)]
struct Report {
    train: Counts,
    held_out: Counts,
    dropped: usize,
    #[serde(flatten)]
    outcome: Outcome,
    /// Among the held-out posts.
    retrieval: Option<Retrieval>,
    /// Among the posts of each dataset that is not trained on.
    retrieval_apart: BTreeMap<String, Option<Retrieval>>,
}

/// Numbers of posts.
#[derive(Serialize)]
struct Counts {
    posts: usize,
    with_picture: usize,
    with_mention: usize,
    with_word_vector: usize,
    with_owner: usize,
    /// Posts whose owner shares a name with the owner of a picture among them.
    with_rival: usize,
}

/// Trains the joint encoder and writes `joint.bpk` into the run folder.
pub(crate) fn pretrain(args: PretrainArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    let datasets = Dataset::open_all(&args.datasets)?;
    let apart = Dataset::open_all(&args.retrieve)?;
    let origin = EncoderOrigin::of(ModelArgs {
        encoders: args.encoders,
        joint: None,
    })?;
    let device = device.open()?;
    let base = origin.load(&device)?;
    let encoders = &base.encoders;
    ensure!(
        encoders.words.is_some() || !matches!(origin, EncoderOrigin::Bundle { .. }),
        "this bundle has no word vectors, which a joint encoder reads: name a weight folder with --weights"
    );
    let joint = sizes_of(&base.sizes, encoders, args.layers as usize);
    let patches = Patches::new(joint.patches, joint.image_width);
    let corpus = Corpus::read(&datasets, &apart, &base, patches)?;
    let settings = Settings {
        datasets: args.datasets,
        retrieve: args.retrieve,
        posts: corpus.fingerprint.clone(),
        encoders: base.fingerprint.encoders.clone(),
        plain: args.plain,
        steps: args.steps as usize,
        batch: args.batch as usize,
        learning_rate: args.learning_rate,
        warm_up: WARM_UP,
        weight_decay: WEIGHT_DECAY,
        seed: args.seed.into(),
        evaluate_every: args.evaluate_every as usize,
        patience: args.patience as usize,
        joint,
    };
    save_or_verify(&args.run.join("pretrain.toml"), &settings, args.resume)?;

    let device = device.autodiff();
    let words = Tensor::from_data(encoders.text.word_embeddings().into_data(), &device);
    let mask = encoders.tokenizer.id("[MASK]");
    let mask = mask.context("the tokenizer has no [MASK]")?;
    reseed(&device, settings.seed, "initial weights", 0);
    let model = start(&settings.joint, &encoders.text, &corpus.channels, &device)?;
    let mut stage = Pretraining::new(words.clone(), mask, &corpus, &settings);
    let mut model = Optimised::new(model, optimiser(&settings), &device);
    let outcome = learn(
        &mut stage,
        &mut model,
        &settings.plan(),
        &args.run,
        args.resume,
    )?;
    let retriever = Retriever {
        model: &model.model.valid(),
        sizes: &settings.joint,
        words: &words.inner(),
        encoders,
        patches: &corpus.patches,
        seed: settings.seed,
    };
    let retrieval_apart = apart.iter().zip(&corpus.apart).map(|(dataset, posts)| {
        let folder = dataset.folder.display().to_string();
        Ok((folder, retriever.among(posts)?))
    });
    let report = Report {
        train: Counts::of(&corpus.train, &corpus.rivals),
        held_out: Counts::of(&corpus.held_out, &corpus.rivals),
        dropped: corpus.dropped,
        outcome,
        retrieval: retriever.among(&corpus.held_out)?,
        retrieval_apart: retrieval_apart.collect::<anyhow::Result<_>>()?,
    };
    save(&model.model, &settings.joint, &datasets, &args.run)?;
    report.print(as_json)
}

/// The joint encoder that these encoders feed.
fn sizes_of(sizes: &Models, encoders: &Encoders, layers: usize) -> JointConfig {
    JointConfig {
        d_model: sizes.text.d_model,
        n_layers: layers,
        n_heads: sizes.text.n_heads,
        d_ff: sizes.text.d_ff,
        max_text: MAX_TEXT.min(sizes.text.max_tokens),
        word_width: encoders.words.as_ref().map_or(1, WordTable::width),
        image_width: sizes.vision.widths().0,
        patches: sizes.vision.tokens(),
        layer_norm_eps: sizes.text.layer_norm_eps,
        dropout: DROPOUT,
    }
}

fn save(
    model: &Pretrained,
    joint: &JointConfig,
    datasets: &[Dataset],
    run: &Path,
) -> anyhow::Result<()> {
    let config = serde_json::to_string(joint)?;
    let listed = |of: fn(&Info) -> &str| {
        let values: Vec<&str> = datasets.iter().map(|dataset| of(&dataset.info)).collect();
        values.join("; ")
    };
    let licence = format!(
        "as the text encoder's; trained on data under: {}",
        listed(|info| &info.licence)
    );
    let source = format!("imn pretrain on {}", listed(|info| &info.name));
    let metadata = [
        ("config", config.as_str()),
        ("licence", &licence),
        ("source", &source),
    ];
    let entries = Entry::of_module(&model.encoder);
    let bytes = write(entries, &metadata, Precision::F32)?;
    files::write(&run.join("joint.bpk"), &bytes)
}

impl Counts {
    fn of(posts: &[Post], rivals: &[Vec<usize>]) -> Self {
        let count = |has: &dyn Fn(&Post) -> bool| posts.iter().filter(|post| has(post)).count();
        let mut pictured = vec![false; rivals.len()];
        for post in posts.iter().filter(|post| !post.pictures.is_empty()) {
            if let Some(owner) = post.owner {
                pictured[owner] = true;
            }
        }
        let has_rival = |post: &Post| {
            let rivals = post.owner.map(|owner| &rivals[owner]);
            rivals.is_some_and(|rivals| rivals.iter().any(|&rival| pictured[rival]))
        };
        Self {
            posts: posts.len(),
            with_picture: count(&|post| !post.pictures.is_empty()),
            with_mention: count(&|post| post.mention.is_some()),
            with_word_vector: count(&|post| post.word.is_some()),
            with_owner: count(&|post| post.owner.is_some()),
            with_rival: count(&has_rival),
        }
    }
}

impl Report {
    fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            out!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        for (part, counts) in [("trained on", &self.train), ("held out", &self.held_out)] {
            out!(
                "{part}: {} posts, {} with a picture, {} with a mention, {} of a known word, {} with an owner, {} with a rival's picture",
                counts.posts,
                counts.with_picture,
                counts.with_mention,
                counts.with_word_vector,
                counts.with_owner,
                counts.with_rival
            );
        }
        out!(
            "dropped, as their text occurs twice or in dev or test: {}",
            self.dropped
        );
        out!(
            "held-out figures before the first step and at step {} of {}:",
            self.outcome.best_step,
            self.outcome.steps
        );
        for (name, start) in &self.outcome.start {
            let best = self.outcome.best.get(name).context("figures differ")?;
            out!("{name:>20} {start:9.4} {best:9.4}");
        }
        let held_out = [("the held-out posts", &self.retrieval)];
        let apart = self.retrieval_apart.iter();
        let apart = apart.map(|(folder, found)| (folder.as_str(), found));
        for (posts, found) in held_out.into_iter().chain(apart) {
            for line in found.iter().flat_map(|found| found.lines(posts)) {
                out!("{line}");
            }
        }
        Ok(())
    }
}
