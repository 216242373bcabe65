//! `imn data import`: foreign datasets to the canonical folder.

mod archives;
mod draft;
mod ghmfc;
mod kgmel;
mod melbench;
mod mimic;
mod tweets_mel;
mod wikidiverse;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{Args, ValueEnum};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use super::Split;

/// A foreign layout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tweets-MEL: timelineKB.txt, Train.txt, Dev.txt, Test.txt, mapSreenNameToMention.txt.
    TweetsMel,
    /// Weibo-MEL in MELBench's layout, with names as ids; written from its description, without a sample.
    WeiboMel,
    /// MELBench: Wikidata-MEL.json or Richpedia-MEL.json, with qid2ne.json, qid2abs.json and splits.json if there.
    Melbench,
    /// MEL-GHMFC: train.json, dev.json, test.json, or nel_121.json with splits.json; search_top100.json if there.
    Ghmfc,
    /// MIMIC and its kin: kb_entity.json, NAME_train.json, NAME_dev.json, NAME_test.json; qid2id.json unless entities have a qid.
    Mimic,
    /// WikiDiverse: train.json, valid.json, test.json as lists of captions or of mentions with candidates.
    Wikidiverse,
    /// KGMEL's copies: NAME.json with ids_split_mappings.json.
    Kgmel,
}

/// Arguments of `imn data import`.
#[derive(Args)]
pub(crate) struct ForeignFolder {
    /// Layout of the source.
    #[arg(value_enum)]
    format: Format,
    /// Folder to read.
    source: PathBuf,
    /// Dataset folder to write.
    destination: PathBuf,
    /// Folder of the pictures, if they are not below the source; pictures are never downloaded.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// Keep all mentions of a text instead of the first one only.
    #[arg(long)]
    all_mentions: bool,
}

/// Reads a foreign folder, writes the canonical one, and reports what was repaired and dropped.
pub(crate) fn import(foreign: &ForeignFolder, as_json: bool) -> anyhow::Result<()> {
    let source = &foreign.source;
    for folder in [Some(source), foreign.images.as_ref()]
        .into_iter()
        .flatten()
    {
        let packed = archives::is_archive(folder);
        let remedy = if packed {
            ", but an archive: unpack it first"
        } else {
            ""
        };
        ensure!(
            folder.is_dir(),
            "{} is not a folder{remedy}",
            folder.display()
        );
    }
    let mut draft = match foreign.format {
        Format::TweetsMel => tweets_mel::read(source),
        Format::WeiboMel => melbench::read_weibo(source),
        Format::Melbench => melbench::read(source),
        Format::Ghmfc => ghmfc::read(source),
        Format::Mimic => mimic::read(source),
        Format::Wikidiverse => wikidiverse::read(source),
        Format::Kgmel => kgmel::read(source),
    }?;
    if !foreign.all_mentions {
        draft.keep_first_mentions();
    }
    let report = draft.write(source, foreign.images.as_deref(), &foreign.destination)?;
    if as_json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// A string or a list of strings: one mention or several.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(values) => values,
        }
    }
}

/// A JSON object as pairs in the order of the file; a repeated key gives several pairs.
struct Pairs<T>(Vec<(String, T)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Pairs<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for InOrder<T> {
            type Value = Pairs<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(InOrder(PhantomData))
    }
}

/// The part that a format calls `name`.
fn split_of(name: &str) -> Option<Split> {
    match name {
        "train" => Some(Split::Train),
        "dev" | "val" | "valid" => Some(Split::Dev),
        "test" => Some(Split::Test),
        _ => None,
    }
}

/// The names of a folder's files, sorted.
fn files(folder: &Path) -> anyhow::Result<Vec<String>> {
    let paths = crate::files::list(folder)?.into_iter();
    let names = paths.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    Ok(names.collect())
}

/// Decodes percent-encoded UTF-8; leaves everything else as it is.
fn percent_decoded(text: &str) -> Cow<'_, str> {
    percent_decode_str(text)
        .decode_utf8()
        .unwrap_or(Cow::Borrowed(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_valid_percent_encoding_is_decoded() {
        for (text, expected) in [
            ("George%20Washington", "George Washington"),
            ("Z%C3%BCrich", "Zürich"),
            ("100% wool", "100% wool"),
            ("%", "%"),
            ("%FF", "%FF"),
            ("é%2", "é%2"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(percent_decoded(text), expected);
        }
    }
}
