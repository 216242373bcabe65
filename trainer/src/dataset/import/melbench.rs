//! MELBench: one JSON object keyed by id, with mentions, names and answers as strings (Richpedia-MEL) or lists (Wikidata-MEL, Weibo-MEL).

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::draft::{Draft, Row};
use super::{OneOrMany, Pairs, files, split_of};
use crate::dataset::{CandidatePolicy, Split};
use crate::files::read_json;

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
        let path = folder.join(name);
        if !path.exists() {
            return Ok(Vec::new());
        }
        Ok(read_json::<Pairs<String>>(&path)?.0)
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
    if !path.exists() {
        for (id, record) in records.0 {
            for row in rows(draft, &id, record) {
                draft.row_of_no_part(row);
            }
        }
        return Ok(());
    }
    let mut parts: HashMap<String, Split> = HashMap::new();
    let mut named = 0;
    for (part, ids) in read_json::<Pairs<Vec<String>>>(&path)?.0 {
        let split = split_of(&part)
            .with_context(|| format!("{}: there is no part {part:?}", path.display()))?;
        named += ids.len();
        parts.extend(ids.into_iter().map(|id| (id, split)));
    }
    ensure!(named > 0, "{} names no id", path.display());
    for (id, record) in records.0 {
        match parts.remove(&id) {
            Some(split) => {
                for row in rows(draft, &id, record) {
                    draft.row(split, row);
                }
            }
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

/// The mentions of a record. Adds its entities unless a file has named them already.
pub(super) fn rows(draft: &mut Draft, id: &str, record: Record) -> Vec<Row> {
    let (mentions, names) = (record.mentions.into_vec(), record.entities.into_vec());
    let answers = record
        .answer
        .map_or_else(|| names.clone(), OneOrMany::into_vec);
    if mentions.len() != names.len() || names.len() != answers.len() {
        draft.matter(
            "its mentions, entities and answers differ in number, dropped",
            id,
        );
        return Vec::new();
    }
    let mentions = mentions.into_iter().zip(names.iter().zip(answers));
    mentions
        .enumerate()
        .map(|(number, (surface, (name, answer)))| {
            let is_nil = answer.is_empty() || answer.eq_ignore_ascii_case("nil");
            if !is_nil {
                draft.entity(&answer, name, "");
            }
            Row {
                id: id.to_owned(),
                number,
                text: record.sentence.clone(),
                surface,
                start: None,
                images: record
                    .image
                    .iter()
                    .filter(|path| !path.is_empty())
                    .cloned()
                    .collect(),
                candidates: None,
                entity: (!is_nil).then_some(answer),
            }
        })
        .collect()
}
