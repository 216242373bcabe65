//! MIMIC, OT-MEL, M3EL, MMoE: `kb_entity.json` with numbered entities, `qid2id.json`, a list of mentions a part.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use serde::Deserialize;

use super::draft::{Draft, Row};
use super::{files, percent_decoded, split_of};
use crate::dataset::CandidatePolicy;
use crate::files::read_json;

#[derive(Deserialize)]
struct KbEntity {
    id: u64,
    entity_name: String,
    #[serde(default, alias = "desc")]
    attr: String,
    #[serde(default)]
    image_list: Vec<String>,
}

#[derive(Deserialize)]
struct Record {
    id: serde_json::Value,
    sentence: String,
    mentions: String,
    answer: String,
    #[serde(default, rename = "imgPath")]
    image: String,
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
    let ids: HashMap<String, u64> = read_json(&folder.join("qid2id.json"))?;
    let mut qids: HashMap<u64, &str> = HashMap::new();
    for (qid, id) in &ids {
        if let Some(other) = qids.insert(*id, qid) {
            bail!("qid2id.json: {qid} and {other} have the same number {id}");
        }
    }
    let mut entities: Vec<KbEntity> = read_json(&folder.join("kb_entity.json"))?;
    entities.sort_by_key(|entity| entity.id);
    for entity in &entities {
        let qid = qids.get(&entity.id).with_context(|| {
            format!(
                "kb_entity.json: qid2id.json has no id for number {}",
                entity.id
            )
        })?;
        if draft.knows(qid) {
            bail!("kb_entity.json: the number {} stands twice", entity.id);
        }
        draft.entity(qid, &percent_decoded(&entity.entity_name), &entity.attr);
        if !entity.image_list.is_empty() && draft.knows(qid) {
            let images = entity
                .image_list
                .iter()
                .map(|path| format!("kb_image/{path}"));
            draft.timeline_post(qid, "", images.collect());
        }
    }
    let pictures = ["mention_image", "mention_images"]
        .into_iter()
        .find(|name| folder.join(name).is_dir())
        .unwrap_or("mention_image");
    for (_, split, name) in parts {
        for record in read_json::<Vec<Record>>(&folder.join(name))? {
            let file = record.image.rsplit('/').next().unwrap_or_default();
            let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
            let is_nil = record.answer.eq_ignore_ascii_case("nil");
            draft.row(
                split,
                Row {
                    id: record
                        .id
                        .as_str()
                        .map_or_else(|| record.id.to_string(), str::to_owned),
                    number: 0,
                    text: record.sentence,
                    surface: record.mentions,
                    start: None,
                    images: (!stem.is_empty())
                        .then(|| format!("{pictures}/{stem}.jpg"))
                        .into_iter()
                        .collect(),
                    candidates: None,
                    entity: (!is_nil).then_some(record.answer),
                },
            );
        }
    }
    Ok(draft)
}
