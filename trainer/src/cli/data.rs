//! Flags of `imn data world`.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::builder::TypedValueParser;
use clap::{Args, CommandFactory as _};
use shared_model::data::MAX_IMAGES;
use synth::posts::Marker;

use super::{Cli, choice, parse_part};
use crate::dataset;

#[derive(Args)]
#[command(group(clap::ArgGroup::new("source").required(true).args(["photos", "by"])))]
pub(crate) struct WorldArgs {
    /// Folder with one folder of photographs per sense.
    #[arg(long, value_name = "DIR", requires = "senses")]
    pub(crate) photos: Option<PathBuf>,
    /// Senses, one JSON object per line: {"id","name","aliases","gloss","photos","sentences"}; "photos" is a folder below --photos, by default the id. With "sentences" about the senses, each is in one text at most, and "gloss" (or "description") may be absent; otherwise texts are made from words of the gloss.
    #[arg(long, value_name = "FILE", requires = "photos")]
    pub(crate) senses: Option<PathBuf>,
    /// Column of the senses with the name that several of them share, such as "warbler": in sentences it stands in the place of their own names. Senses without sentences then have those of their gloss. A name that only one sense has is replaced by an invented one.
    #[arg(long, value_name = "COLUMN", requires = "senses")]
    pub(crate) alias: Option<String>,
    /// What recurs in the posts of --posts FILE and is taken as an entity.
    #[arg(long, value_parser = markers(), requires = "posts")]
    pub(crate) by: Option<Marker>,
    /// Dataset folder to write; with --folds, the folder of fold-1, fold-2, ...
    pub(crate) destination: PathBuf,
    /// With --photos: timeline posts per entity, the same number for all entities of a name [default: 2..6]. With --by: file of the posts, one JSON object per line: {"id","text","images"}.
    #[arg(long, value_name = "N|A..B|FILE")]
    pub(crate) posts: Option<OsString>,
    /// With --photos: maximum number of pictures per post [default: 1]. With --by: folder of the posts' pictures, if they are not beside the posts.
    #[arg(long, value_name = "N|DIR")]
    pub(crate) images: Option<OsString>,
    /// Number of classes that share an invented name.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(3..=1000), conflicts_with = "by")]
    pub(crate) ambiguity: u32,
    /// Number of candidates up to which random senses of other names are added to those of the name [default: 17 with sentences or --alias, otherwise the senses of the name alone].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000), conflicts_with = "by")]
    pub(crate) candidates: Option<u32>,
    /// Mean share of a gloss's words that a text contains; without effect on sentences.
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
    /// Share of the names whose senses have no train mentions: their dev and test mentions measure new entities. 0 trains on all entities, as the paper does.
    #[arg(long, value_name = "SHARE", default_value_t = 0.3, value_parser = parse_part, conflicts_with = "by")]
    pub(crate) unseen: f64,
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
    /// What the world is made from; ends the program on a wrong number.
    pub(crate) fn source(&self) -> dataset::WorldSource {
        match (&self.photos, &self.senses, self.by) {
            (Some(photos), Some(senses), None) => dataset::WorldSource::Photographs {
                photos: photos.clone(),
                senses: senses.clone(),
                alias: self.alias.clone(),
                settings: self.photo_settings(),
            },
            (None, None, Some(by)) => {
                let (file, pictures) = self.post_sources();
                dataset::WorldSource::Posts {
                    file,
                    pictures,
                    settings: synth::posts::Settings {
                        marker: by,
                        timeline: self.timeline as usize,
                        seed: self.seed,
                    },
                    folds: self.folds.map(|folds| folds as usize),
                }
            }
            _ => unreachable!("clap requires one source with its flags"),
        }
    }

    /// The parameters for photographs; ends the program on a wrong number.
    fn photo_settings(&self) -> synth::photos::Settings {
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
            candidates: self.candidates.map(|candidates| candidates as usize),
            text: self.text,
            noise: self.noise,
            missing: self.missing,
            images: *number("images", &self.images, "1").end(),
            nil: self.nil,
            unseen: self.unseen,
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

    /// The file of posts, and the folder that its picture paths are relative to.
    fn post_sources(&self) -> (PathBuf, PathBuf) {
        let file = PathBuf::from(self.posts.clone().unwrap_or_default());
        let beside = file.parent().unwrap_or(Path::new(""));
        let pictures = self.images.as_deref().map_or(beside, Path::new).to_owned();
        (file, pictures)
    }
}

fn markers() -> impl TypedValueParser<Value = Marker> {
    choice([
        ("hashtag", "#tag", Marker::Hashtag),
        ("handle", "@name", Marker::Handle),
    ])
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
