//! MIMIC, OT-MEL, M3EL, MMoE, FAST-MEL: `kb_entity.json` with numbered entities, one list of mentions per part.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::draft::{Draft, Row};
use super::{files, percent_decoded, split_of};
use crate::dataset::CandidatePolicy;
use crate::files::{read_json, read_json_if_any};

#[derive(Deserialize)]
struct KbEntity {
    /// Its number in `qid2id.json`.
    id: Option<u64>,
    /// Its Wikidata id, in releases without `qid2id.json`.
    qid: Option<String>,
    entity_name: String,
    #[serde(alias = "desc")]
    attr: Option<String>,
    image_list: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Record {
    id: serde_json::Value,
    sentence: String,
    mentions: String,
    answer: String,
    #[serde(rename = "imgPath")]
    image: Option<String>,
}

/// Reads the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let names = files(folder)?;
    let parts: Vec<_> = names
        .iter()
        .filter_map(|name| {
            let (dataset, part) = name.strip_suffix(".json")?.rsplit_once('_')?;
            Some((dataset, split_of(part)?, name))
        })
        .collect();
    let Some((dataset, ..)) = parts.first() else {
        bail!(
            "{} has no NAME_train.json, NAME_dev.json or NAME_test.json",
            folder.display()
        );
    };
    let mut draft = Draft::new(
        dataset,
        "not stated (texts are Wikipedia's, CC BY-SA)",
        "MIMIC, https://github.com/pengfei-luo/MIMIC",
        CandidatePolicy::FullKb,
    );
    let qids = qids(&folder.join("qid2id.json"))?;
    let mut entities: Vec<KbEntity> = read_json(&folder.join("kb_entity.json"))?;
    entities.sort_by_key(|entity| entity.id);
    for entity in &entities {
        let numbered = entity.id.and_then(|number| qids.get(&number));
        let qid = numbered.or(entity.qid.as_ref()).with_context(|| {
            format!(
                "kb_entity.json: {} has neither a qid nor an id that qid2id.json lists",
                entity.entity_name
            )
        })?;
        if draft.knows(qid) {
            bail!("kb_entity.json: {qid} is there twice");
        }
        draft.entity(
            qid,
            &percent_decoded(&entity.entity_name),
            entity.attr.as_deref().unwrap_or_default(),
        );
        let images = entity.image_list.iter().flatten();
        let images: Vec<String> = images.map(|path| format!("kb_image/{path}")).collect();
        if !images.is_empty() && draft.knows(qid) {
            draft.timeline_post(qid, "", images);
        }
    }
    let pictures = ["mention_image", "mention_images"]
        .into_iter()
        .find(|name| folder.join(name).is_dir())
        .unwrap_or("mention_image");
    for (_, split, name) in parts {
        for record in read_json::<Vec<Record>>(&folder.join(name))? {
            let path = record.image.unwrap_or_default();
            let file = path.rsplit('/').next().unwrap_or_default();
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            let is_nil = record.answer.eq_ignore_ascii_case("nil");
            draft.row(
                split,
                Row {
                    id: record
                        .id
                        .as_str()
                        .map_or_else(|| record.id.to_string(), str::to_owned),
                    text: record.sentence,
                    surface: record.mentions,
                    images: (!stem.is_empty())
                        .then(|| format!("{pictures}/{stem}.jpg"))
                        .into_iter()
                        .collect(),
                    entity: (!is_nil).then_some(record.answer),
                    ..Row::default()
                },
            );
        }
    }
    Ok(draft)
}

/// The Wikidata ids by number; empty if the release has no such file.
fn qids(path: &Path) -> anyhow::Result<HashMap<u64, String>> {
    let mut qids: HashMap<u64, String> = HashMap::new();
    let numbers: HashMap<String, u64> = read_json_if_any(path)?.unwrap_or_default();
    for (qid, number) in numbers {
        if let Some(other) = qids.get(&number) {
            bail!("qid2id.json: {qid} and {other} have the same number {number}");
        }
        qids.insert(number, qid);
    }
    Ok(qids)
}
