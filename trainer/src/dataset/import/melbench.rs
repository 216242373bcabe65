//! MELBench: one JSON object keyed by id, with mentions, names and answers as strings (Richpedia-MEL) or lists (Wikidata-MEL, Weibo-MEL).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::draft::{Draft, Row};
use super::{OneOrMany, Pairs, files, split_of};
use crate::dataset::{CandidatePolicy, Split};
use crate::files::{read_json, read_json_if_any};

const SOURCE: &str = "MELBench, https://github.com/seukgcode/MELBench";

/// A record of this layout and of MEL-GHMFC's.
#[derive(Deserialize)]
pub(super) struct Record {
    sentence: String,
    mentions: OneOrMany,
    entities: OneOrMany,
    answer: Option<OneOrMany>,
    #[serde(default, rename = "imgPath")]
    image: Option<String>,
}

/// Reads the folder; the records are in the one JSON file whose name ends in `-MEL.json`.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let name = files(folder)?
        .into_iter()
        .find(|name| name.ends_with("-MEL.json"))
        .with_context(|| format!("{} has no *-MEL.json", folder.display()))?;
    let mut draft = Draft::new(
        name.trim_end_matches(".json"),
        "MIT (the repository's; Wikipedia's texts are CC BY-SA)",
        SOURCE,
        CandidatePolicy::Fuzzy100,
    );
    knowledge(&mut draft, folder)?;
    records(&mut draft, folder, &name)?;
    Ok(draft)
}

/// Reads Weibo-MEL, in which names serve as ids.
pub(super) fn read_weibo(folder: &Path) -> anyhow::Result<Draft> {
    let name = files(folder)?
        .into_iter()
        .find(|name| name.ends_with(".json") && name != "splits.json")
        .with_context(|| format!("{} has no JSON file", folder.display()))?;
    let licence = "not stated";
    let mut draft = Draft::new("Weibo-MEL", licence, SOURCE, CandidatePolicy::Fuzzy100);
    records(&mut draft, folder, &name)?;
    draft.matter(
        "this layout was never tried on its own data: compare a few rows",
        &name,
    );
    Ok(draft)
}

/// Adds the entities of `qid2ne.json` (names) and `qid2abs.json` (descriptions), if there are such files.
pub(super) fn knowledge(draft: &mut Draft, folder: &Path) -> anyhow::Result<()> {
    let map = |name: &str| -> anyhow::Result<Vec<(String, String)>> {
        let pairs: Option<Pairs<String>> = read_json_if_any(&folder.join(name))?;
        Ok(pairs.map_or_else(Vec::new, |pairs| pairs.0))
    };
    let (descriptions, names) = (map("qid2abs.json")?, map("qid2ne.json")?);
    let by_id: HashMap<&str, &str> = descriptions
        .iter()
        .map(|(id, text)| (id.as_str(), text.as_str()))
        .collect();
    for (id, name) in &names {
        let description = by_id.get(id.as_str()).copied().unwrap_or_default();
        draft.entity(id, name, description);
    }
    Ok(())
}

/// Reads the records of a file into the parts that `splits.json` gives, or without it into parts by entity.
pub(super) fn records(draft: &mut Draft, folder: &Path, name: &str) -> anyhow::Result<()> {
    let records: Pairs<Record> = read_json(&folder.join(name))?;
    let path = folder.join("splits.json");
    let Some(listed) = read_json_if_any::<Pairs<Vec<String>>>(&path)? else {
        for (id, record) in records.0 {
            add(draft, None, id, record);
        }
        return Ok(());
    };
    let mut parts: HashMap<String, Split> = HashMap::new();
    let mut named = 0;
    for (part, ids) in listed.0 {
        let split = split_of(&part)
            .with_context(|| format!("{}: there is no part {part:?}", path.display()))?;
        named += ids.len();
        parts.extend(ids.into_iter().map(|id| (id, split)));
    }
    ensure!(named > 0, "{} names no id", path.display());
    for (id, record) in records.0 {
        match parts.remove(&id) {
            Some(split) => add(draft, Some(split), id, record),
            None => draft.matter("in no part (or there twice), dropped", &id),
        }
    }
    let mut missing: Vec<String> = parts.into_keys().collect();
    missing.sort();
    for id in missing {
        draft.matter("named by splits.json, has no record", &id);
    }
    Ok(())
}

/// Adds the mentions of a record, and its entities unless a file has named them already.
pub(super) fn add(draft: &mut Draft, split: Option<Split>, id: String, record: Record) {
    let (mentions, names) = (record.mentions.into_vec(), record.entities.into_vec());
    let answers = record
        .answer
        .map_or_else(|| names.clone(), OneOrMany::into_vec);
    let is_entity = |answer: &String| !answer.is_empty() && !answer.eq_ignore_ascii_case("nil");
    let answers = answers.into_iter();
    let answers = answers.map(|answer| Some(answer).filter(is_entity));
    let text = without_mention(id, record.sentence, record.image);
    rows(draft, split, &text, mentions, &names, answers.collect());
}

/// What the rows of a text have in common; a picture without a path is none.
pub(super) fn without_mention(id: String, text: String, image: Option<String>) -> Row {
    let image = image.filter(|path| !path.is_empty());
    Row {
        id,
        text,
        images: image.into_iter().collect(),
        ..Row::default()
    }
}

/// Adds a row for each mention of a text, and its entity unless that is known. A text without a part is put into one by its entity.
///
/// # Arguments
///
/// - text: the id, the text and the pictures of the rows.
/// - names: the names of the entities.
/// - answers: the ids of the entities; `None` is NIL.
pub(super) fn rows(
    draft: &mut Draft,
    split: Option<Split>,
    text: &Row,
    mentions: Vec<String>,
    names: &[String],
    answers: Vec<Option<String>>,
) {
    if mentions.len() != names.len() || names.len() != answers.len() {
        let what = "its mentions, entities and answers differ in number, dropped";
        draft.matter(what, &text.id);
        return;
    }
    let mentions = mentions.into_iter().zip(names).zip(answers);
    for (number, ((surface, name), entity)) in mentions.enumerate() {
        if let Some(id) = &entity {
            draft.entity(id, name, "");
        }
        let row = Row {
            number,
            surface,
            entity,
            ..text.clone()
        };
        match split {
            Some(split) => draft.row(split, row),
            None => draft.row_of_no_part(row),
        }
    }
}
