//! `imn data world`: labelled datasets from what has no labels: photographs with a sense list, or posts with recurring tags.

mod album;
mod gloss;
mod invented;
mod photos;
mod posts;
mod senses;
mod sentences;
mod split;
mod tags;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

pub(crate) use photos::Settings as PhotoSettings;
pub(crate) use posts::Settings as PostSettings;

use clap::ValueEnum;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde::Serialize;
use shared_model::data::Post;

use super::Split;
use super::account::Account;
use crate::cli::WorldArgs;

/// What recurs in posts and stands for an entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// #tag
    Hashtag,
    /// @name
    Handle,
}

/// Makes a dataset folder, or one a fold, and says what it holds.
pub(crate) fn world(args: &WorldArgs, as_json: bool) -> anyhow::Result<()> {
    let summary = match (&args.photos, &args.senses, args.by) {
        (Some(photos), Some(senses), None) => {
            photos::make(photos, senses, &args.photo_settings(), &args.destination)
        }
        (None, None, Some(by)) => {
            posts::make(by, &args.post_settings(), args.folds, &args.destination)
        }
        _ => unreachable!("clap requires one source with its flags"),
    }?;
    eprint!("{summary}");
    if as_json {
        out!("{}", serde_json::to_string_pretty(&summary)?);
    }
    Ok(())
}

/// What was made; over all folds, where there are several.
#[derive(Debug, Default, Serialize)]
struct Summary {
    folders: usize,
    entities: usize,
    timeline_posts: usize,
    mentions: BTreeMap<&'static str, Rows>,
    pictures: usize,
    matters: Account,
}

/// The rows of a part.
#[derive(Debug, Default, Serialize)]
struct Rows {
    rows: usize,
    /// Their entity has train mentions.
    seen: usize,
    /// It has none.
    unseen: usize,
    nil: usize,
}

impl Summary {
    /// Counts the rows of a part.
    fn count(&mut self, split: Split, posts: &[Post], is_seen: impl Fn(&str) -> bool) {
        let rows = self.mentions.entry(split.file()).or_default();
        for post in posts {
            rows.rows += 1;
            match &post.entity {
                None => rows.nil += 1,
                Some(entity) if is_seen(entity) => rows.seen += 1,
                Some(_) => rows.unseen += 1,
            }
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} entities, {} timeline posts, {} pictures in {} dataset folder{}",
            self.entities,
            self.timeline_posts,
            self.pictures,
            self.folders,
            if self.folders == 1 { "" } else { "s" }
        )?;
        for (file, rows) in &self.mentions {
            writeln!(
                f,
                "{} mentions in {file}: {} of seen entities, {} of unseen ones, {} of none (NIL)",
                rows.rows, rows.seen, rows.unseen, rows.nil
            )?;
        }
        write!(f, "{}", self.matters)
    }
}

/// The draws of one stage: another number of draws in one stage leaves the others as they were.
fn draws(seed: u64, stage: &str) -> StdRng {
    // FNV-1a.
    let stage = stage.bytes().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    });
    StdRng::seed_from_u64(seed ^ stage)
}

/// A dataset's name: its folder's.
fn name_of(destination: &Path) -> String {
    let name = destination.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
