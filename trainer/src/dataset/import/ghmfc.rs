//! MEL-GHMFC: MELBench's records in `train.json`, `dev.json` and `test.json`, or in `nel_121.json` with `splits.json`.

use std::collections::HashMap;
use std::path::Path;

use anyhow::ensure;

use super::draft::Draft;
use super::melbench::{Record, add, knowledge, records};
use super::{Pairs, split_of};
use crate::dataset::CandidatePolicy;
use crate::files::{read_json, read_json_if_any};

/// Reads the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let candidates: HashMap<String, Vec<String>> =
        read_json_if_any(&folder.join("search_top100.json"))?.unwrap_or_default();
    let policy = if candidates.is_empty() {
        CandidatePolicy::Fuzzy100
    } else {
        CandidatePolicy::Given
    };
    let mut draft = Draft::new(
        "MEL-GHMFC",
        "not stated (texts are Wikipedia's, CC BY-SA)",
        "MEL-GHMFC, https://github.com/seukgcode/MEL-GHMFC",
        policy,
    );
    knowledge(&mut draft, folder)?;
    let parts: Vec<&str> = ["train", "dev", "val", "valid", "test"]
        .into_iter()
        .filter(|part| folder.join(format!("{part}.json")).exists())
        .collect();
    match parts[..] {
        [] => {
            let name = "nel_121.json";
            ensure!(
                folder.join(name).exists(),
                "{} has neither train.json nor {name}",
                folder.display()
            );
            records(&mut draft, folder, name)?;
        }
        // A single file is split by entity.
        [only] => records(&mut draft, folder, &format!("{only}.json"))?,
        _ => {
            for part in parts {
                let split = split_of(part).expect("the names above are known");
                let records: Pairs<Record> = read_json(&folder.join(format!("{part}.json")))?;
                for (id, record) in records.0 {
                    add(&mut draft, Some(split), id, record);
                }
            }
        }
    }
    draft.give_candidates(&candidates);
    Ok(draft)
}
