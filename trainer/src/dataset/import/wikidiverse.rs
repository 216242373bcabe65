//! WikiDiverse: lists of captions with their mentions, or of mentions with up to ten candidates. Entities are Wikipedia pages.

use std::path::Path;

use anyhow::{Context as _, bail};
use md5::{Digest as _, Md5};
use serde_json::Value;

use super::draft::{Draft, Row};
use super::{files, percent_decoded, split_of};
use crate::dataset::{CandidatePolicy, Split};
use crate::files::read_json;

/// Reads the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let mut draft = Draft::new(
        "WikiDiverse",
        "CC BY-SA 4.0",
        "WikiDiverse, https://github.com/wangxw5/wikiDiverse",
        CandidatePolicy::Given,
    );
    let mut found = false;
    for name in files(folder)? {
        let Some(stem) = name.strip_suffix(".json") else {
            continue;
        };
        let part = stem.split(['_', '-']).next().unwrap_or_default();
        let Some(split) = split_of(part) else {
            continue;
        };
        found = true;
        let rows: Vec<Vec<Value>> = read_json(&folder.join(&name))?;
        for (i, row) in rows.iter().enumerate() {
            let id = format!("{part}-{}", i + 1);
            let place = || format!("{name}, row {}", i + 1);
            match row.len() {
                4 => captions(&mut draft, split, &id, row).with_context(place)?,
                11 => mention(&mut draft, split, &id, row).with_context(place)?,
                n => bail!(
                    "{}: {n} columns instead of 4 (captions) or 11 (mentions)",
                    place()
                ),
            }
        }
    }
    if !found {
        bail!(
            "{} has no train.json, valid.json or test.json",
            folder.display()
        );
    }
    Ok(draft)
}

/// `[caption, image, topic, [[mention, type, start, end, page], ...]]`
fn captions(draft: &mut Draft, split: Split, id: &str, row: &[Value]) -> anyhow::Result<()> {
    let mentions = row[3].as_array().context("column 4 is not a list")?;
    for (number, mention) in mentions.iter().enumerate() {
        let mention = mention.as_array().context("a mention is not a list")?;
        let column = |i: usize| mention.get(i).context("a mention has fewer than 5 columns");
        let entity = page(draft, text(column(4)?)?);
        draft.row(
            split,
            Row {
                id: id.to_owned(),
                number,
                text: text(&row[0])?.to_owned(),
                surface: text(column(0)?)?.to_owned(),
                start: column(2)?.as_u64().map(|start| start as usize),
                images: picture(text(&row[1])?),
                candidates: None,
                entity,
            },
        );
    }
    Ok(())
}

/// `[caption, image, mention, type, left, right, page, candidates, topic, start, end]`
fn mention(draft: &mut Draft, split: Split, id: &str, row: &[Value]) -> anyhow::Result<()> {
    let entity = page(draft, text(&row[6])?);
    let candidates = row[7]
        .as_array()
        .context("column 8 is not a list")?
        .iter()
        .map(|url| Ok(page(draft, text(url)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    draft.row(
        split,
        Row {
            id: id.to_owned(),
            number: 0,
            text: text(&row[0])?.to_owned(),
            surface: text(&row[2])?.to_owned(),
            start: row[9].as_u64().map(|start| start as usize),
            images: picture(text(&row[1])?),
            candidates: Some(candidates.into_iter().flatten().collect()),
            entity,
        },
    );
    Ok(())
}

fn text(value: &Value) -> anyhow::Result<&str> {
    value
        .as_str()
        .with_context(|| format!("{value} is not a text"))
}

/// Adds the entity of a page's address under its title; `None` for NIL. Anything in front of `http` is damage.
fn page(draft: &mut Draft, url: &str) -> Option<String> {
    let title = percent_decoded(url.rsplit('/').next().unwrap_or_default()).into_owned();
    if title.is_empty() || url.eq_ignore_ascii_case("nil") {
        return None;
    }
    if !url.starts_with("http") {
        draft.matter("page address is damaged, its title taken", url);
    }
    draft.entity(&title, &title.replace('_', " "), "");
    Some(title)
}

/// The file that a picture's address was saved as: the MD5 of its last part, and its ending.
fn picture(url: &str) -> Vec<String> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let Some((_, ending)) = name.rsplit_once('.') else {
        return Vec::new();
    };
    let ending = if ending.eq_ignore_ascii_case("svg") {
        "png"
    } else {
        ending
    };
    let hash = hex::encode(Md5::digest(name.as_bytes()));
    vec![format!("{hash}.{ending}")]
}
