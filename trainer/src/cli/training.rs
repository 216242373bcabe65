//! Flags of `imn pretrain` and `imn train`.

use std::path::PathBuf;

use clap::builder::TypedValueParser;
use clap::{Args, ValueEnum};
use serde::Serialize;
use shared_model::baselines::BaselineKind;
use shared_model::imn::{LEVELS, Modality};

use super::{ChoiceArgs, EncoderArgs, ModelArgs, choice, parse_part};

#[derive(Args)]
pub(crate) struct PretrainArgs {
    /// Dataset folders. Their timelines and train mentions are read; a tenth of the posts is held out.
    #[arg(required = true)]
    pub(crate) datasets: Vec<PathBuf>,
    /// Run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) encoders: EncoderArgs,
    /// Dataset folders that are not trained on: pictures and texts of their posts are retrieved at the end, as those of the held-out posts are.
    #[arg(long, num_args = 1.., value_name = "DATASETS")]
    pub(crate) retrieve: Vec<PathBuf>,
    /// Ablation: mask as BERT does, and draw negative pictures at random.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Resume from the run's checkpoint, if it has one.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Number of optimiser steps.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Number of posts per step.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) batch: u32,
    /// Peak learning rate, reached after a tenth of the steps.
    #[arg(long, alias = "lr", default_value_t = 5e-5)]
    pub(crate) learning_rate: f64,
    /// Number of Transformer layers; they start as the first layers of the text encoder.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=48))]
    pub(crate) layers: u32,
    /// Seed of the random generator.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u32,
    /// Number of steps between evaluations; each writes a checkpoint.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) evaluate_every: u32,
    /// Number of evaluations without a gain after which training stops.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) patience: u32,
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    /// Dataset folders. The run keeps the knowledge base of the first one. A dataset without train.jsonl takes part with its timelines.
    #[arg(required = true)]
    pub(crate) datasets: Vec<PathBuf>,
    /// Run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    /// Last stage of training; the stages before it are run first, but for `text`, which is run alone.
    #[arg(long, value_enum, default_value = "task")]
    pub(crate) stage: StageArg,
    /// Train a system of the paper's Table 2 in the place of the IMN, on the train mentions alone. `imn eval` ranks with it alone, and as NAME+cues beside the training-free scorer.
    #[arg(long, value_parser = systems(), conflicts_with_all = ["paper", "stage", "metric_steps", "knowledge_steps", "accumulate"])]
    pub(crate) system: Option<TableSystem>,
    /// Width of the embeddings and hidden states of `--system`.
    #[arg(long, default_value_t = 128, requires = "system", value_parser = clap::value_parser!(u32).range(2..=4096))]
    pub(crate) width: u32,
    /// Train the network as the paper describes it: without the training-free scorer, from random weights, with learning rate 1e-3.
    #[arg(long)]
    pub(crate) paper: bool,
    /// Weight of each dataset in the batches and in the fit of the scorer, separated by commas [default: equal weights].
    #[arg(long, value_delimiter = ',', value_name = "NUMBER")]
    pub(crate) shares: Vec<f64>,
    /// Keep the weights of the training-free scorer as they are in the bundle, or the defaults: for a model that is meant for other knowledge bases than those it is trained on. What its scores are worth by the kind of evidence is fitted all the same.
    #[arg(long, conflicts_with_all = ["paper", "modalities"])]
    pub(crate) keep_scorer: bool,
    /// Share of the train mentions that are trained on, the same ones for a seed; all held-out mentions stay.
    #[arg(long, default_value_t = 1.0, value_name = "SHARE", value_parser = parse_train_share)]
    pub(crate) train_share: f64,
    /// Mentions that early stopping and the weights are chosen on.
    #[arg(long, value_enum, default_value = "train")]
    pub(crate) hold_out: HoldOutArg,
    /// Weights of the auxiliary spaces in the loss of the network (τ1, τ2, τ3 of the paper's eq. 14); 0 leaves a space out.
    #[arg(long, value_name = "NUMBER,NUMBER,NUMBER", conflicts_with = "system", value_parser = parse_aux_weights, default_value = "0.5,0.5,0.5")]
    pub(crate) aux_weights: AuxWeights,
    /// Share of the posts that mean none of their candidates where the model will be used [default: the share in the data that NIL is calibrated on].
    #[arg(long, value_name = "SHARE", value_parser = parse_nil_share)]
    pub(crate) nil_share: Option<f64>,
    /// Modalities that the network and the scorer use; those that no encoder or knowledge base has are left out.
    #[arg(
        long,
        value_parser = modalities(),
        value_delimiter = ',',
        default_value = "text,image,joint"
    )]
    pub(crate) modalities: Vec<Modality>,
    /// Modalities, among --modalities, that the network reads of mentions [default: all].
    #[arg(long, value_parser = modalities(), value_delimiter = ',', requires = "paper")]
    pub(crate) mention_modalities: Option<Vec<Modality>>,
    /// Modalities, among --modalities, that the network reads of entities [default: all].
    #[arg(long, value_parser = modalities(), value_delimiter = ',', requires = "paper")]
    pub(crate) entity_modalities: Option<Vec<Modality>>,
    /// Seed of the random generator.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Number of mentions per step; several devices share them equally.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub(crate) batch: u32,
    /// Number of micro-batches per device and step, computed one after the other: 2 need about half the memory.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) accumulate: u32,
    /// Dropout probability inside the network.
    #[arg(long, default_value_t = 0.2, value_parser = parse_dropout)]
    pub(crate) dropout: f64,
    /// Maximum number of steps of the contrastive training of the pooled projection, before knowledge learning.
    #[arg(long, visible_alias = "contrastive-steps", default_value_t = 300)]
    pub(crate) metric_steps: usize,
    /// Maximum number of steps of knowledge learning.
    #[arg(long, default_value_t = 200)]
    pub(crate) knowledge_steps: usize,
    /// Maximum number of steps of task learning, or of the context encoder [default: 600; for the context encoder those of one epoch].
    #[arg(long)]
    pub(crate) steps: Option<usize>,
    /// Learning rate [default: 3e-4; 1e-3 with --paper or --system; 3e-5 for the context encoder].
    #[arg(long)]
    pub(crate) learning_rate: Option<f64>,
    /// Number of the text encoder's last layers that `--stage text` tunes; the lower ones are shared with the text encoder [default: all].
    #[arg(long, value_name = "LAYERS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tune_layers: Option<u32>,
    /// Number of steps between evaluations on held-out mentions.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) evaluate_every: u32,
    /// Number of evaluations without a gain after which a stage stops.
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,
    /// Maximum number of held-out mentions per evaluation, dataset and part (seen or unseen entities).
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) validation: u32,
    /// Resume from the run's checkpoints.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

impl TrainArgs {
    /// Maximum number of steps of task learning, or of the system of Table 2.
    pub(crate) fn task_steps(&self) -> usize {
        self.steps.unwrap_or(600)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum HoldOutArg {
    /// A part of train.jsonl: a tenth of the mentions, and a tenth of the entities with all their mentions, so that new entities count.
    Train,
    /// dev.jsonl: all mentions of train.jsonl are trained on, as in the paper.
    Dev,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageArg {
    /// Fine-tune a copy of the text encoder on posts and entities without their names: the context encoder, `context.bpk` in the run folder, which is also a weight folder: `--weights` names it for the other stages, which fit and use it as a cue. Training continues from the context encoder of the weight folder, if there is one. Datasets share a batch by the square roots of their sizes.
    Text,
    /// Fit the weights of the training-free scorer.
    Prototype,
    /// Knowledge learning: match timeline posts to their owners.
    Knowledge,
    /// Task learning: link mentions.
    Task,
}

/// A system of the paper's Table 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TableSystem {
    /// ET.
    ExtraTrees,
    /// A system with a network.
    Network(BaselineKind),
}

impl TableSystem {
    /// The network of the system; that of ET is JMEL, whose scores are among its features.
    pub(crate) fn network(self) -> BaselineKind {
        match self {
            Self::ExtraTrees => BaselineKind::Jmel,
            Self::Network(kind) => kind,
        }
    }
}

fn systems() -> impl TypedValueParser<Value = TableSystem> {
    let trees = "Extra-Trees over similarities of text, picture and names, popularity, and the score of JMEL";
    let [a, b, c, d, e] = BaselineKind::ALL.map(|kind| {
        let description = match kind {
            BaselineKind::Jmel => "One joint embedding of text and picture per side",
            BaselineKind::Arnn => "Recurrent layers over word vectors, attention by the candidate",
            BaselineKind::Bert => "As ARNN, over the tokens of BERT",
            BaselineKind::Dzmned => {
                "Recurrent layers over words and letters, attention over the modalities"
            }
            BaselineKind::DzmnedBert => "As DZMNED, over the tokens of BERT",
        };
        (kind.name(), description, TableSystem::Network(kind))
    });
    choice([("et", trees, TableSystem::ExtraTrees), a, b, c, d, e])
}

fn modalities() -> impl TypedValueParser<Value = Modality> {
    let joint = "Text and pictures in the joint encoder";
    choice([
        ("text", "Text", Modality::Text),
        ("image", "Pictures", Modality::Image),
        ("joint", joint, Modality::Joint),
    ])
}

/// τ1, τ2, τ3 of the paper's eq. 14.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuxWeights(pub(crate) [f64; LEVELS]);

fn parse_aux_weights(list: &str) -> Result<AuxWeights, String> {
    let weights = list.split(',').map(|weight| weight.parse().ok());
    let weights: Option<Vec<f64>> = weights.collect();
    weights
        .and_then(|weights| weights.try_into().ok())
        .filter(|weights: &[f64; LEVELS]| {
            weights.iter().all(|weight| (0.0..=100.0).contains(weight))
        })
        .map(AuxWeights)
        .ok_or_else(|| format!("expected {LEVELS} numbers from 0 to 100, separated by commas"))
}

fn parse_train_share(part: &str) -> Result<f64, String> {
    let part = parse_part(part).ok().filter(|part| *part > 0.0);
    part.ok_or_else(|| "expected a share above 0, at most 1".to_owned())
}

fn parse_nil_share(part: &str) -> Result<f64, String> {
    let part = parse_part(part).ok();
    let part = part.filter(|part| *part > 0.0 && *part < 1.0);
    part.ok_or_else(|| "expected a share above 0 and below 1".to_owned())
}

fn parse_dropout(part: &str) -> Result<f64, String> {
    let part = parse_part(part).ok().filter(|part| *part < 1.0);
    part.ok_or_else(|| "expected a share from 0, below 1".to_owned())
}
