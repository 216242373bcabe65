//! KGMEL's copies of three datasets: a list of sentences with parallel lists of mentions, and one file with the parts of all three.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use super::draft::Draft;
use super::melbench::{rows, without_mention};
use super::{Pairs, files, split_of};
use crate::dataset::{CandidatePolicy, Split};
use crate::files::read_json;

const PARTS: &str = "ids_split_mappings.json";

#[derive(Deserialize)]
struct Record {
    id: u64,
    sentence: String,
    #[serde(rename = "imgPath")]
    image: Option<String>,
    mention: Vec<String>,
    entity: Vec<String>,
    answer: Vec<String>,
}

/// Reads the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let path = folder.join(PARTS);
    let datasets: HashMap<String, Pairs<Vec<u64>>> = read_json(&path)?;
    let name = files(folder)?
        .into_iter()
        .filter_map(|name| Some(name.strip_suffix(".json")?.to_owned()))
        .find(|name| datasets.contains_key(name))
        .with_context(|| format!("{} names no dataset of this folder", path.display()))?;
    let mut draft = Draft::new(
        &name,
        "CC BY-SA 4.0 (WikiDiverse); of the other two, not stated",
        "KGMEL, https://github.com/juyeonnn/KGMEL",
        CandidatePolicy::Fuzzy100,
    );
    let mut parts: HashMap<u64, Split> = HashMap::new();
    for (part, ids) in &datasets[&name].0 {
        let split = split_of(part)
            .with_context(|| format!("{}: there is no part {part:?}", path.display()))?;
        for &id in ids {
            // A row of two parts is kept for evaluation, where it must not have been trained on.
            let kept = parts.entry(id).or_insert(split);
            if *kept != split {
                draft.matter("in two parts, kept in the later", &id.to_string());
                *kept = (*kept).max(split);
            }
        }
    }
    let records: Vec<Record> = read_json(&folder.join(format!("{name}.json")))?;
    for record in records {
        let id = record.id.to_string();
        let Some(&split) = parts.get(&record.id) else {
            draft.matter("in no part, dropped", &id);
            continue;
        };
        let text = without_mention(id, record.sentence, record.image);
        let answers = record.answer.into_iter().map(Some).collect();
        let (mentions, names) = (record.mention, &record.entity);
        rows(&mut draft, Some(split), &text, mentions, names, answers);
    }
    Ok(draft)
}
