//! Tweets-MEL: tab-separated timelines, mentions and names.

use std::collections::HashMap;
use std::path::Path;

use anyhow::ensure;

use super::draft::{Draft, Row};
use crate::dataset::{CandidatePolicy, Split};
use crate::files;

/// Reads the folder.
pub(super) fn read(folder: &Path) -> anyhow::Result<Draft> {
    let mut draft = Draft::new(
        "Tweets-MEL",
        "CC BY-NC-SA 3.0; tweets may not be passed on",
        "MEL_Tweets, https://github.com/OA256864/MEL_Tweets",
        CandidatePolicy::Given,
    );
    let names = lines(folder, "mapSreenNameToMention.txt", '|', 2)?;
    let mut bearers: HashMap<String, Vec<String>> = HashMap::new();
    for [screen, mention] in names.iter().map(|line| [&line[0], &line[1]]) {
        draft.entity(screen, screen.trim_start_matches('@'), "");
        draft.alias(screen, mention);
        bearers
            .entry(mention.to_lowercase())
            .or_default()
            .push(screen.clone());
    }
    for post in lines(folder, "timelineKB.txt", '\t', 4)? {
        let [screen, _, text, image] = &post[..] else {
            unreachable!("counted")
        };
        draft.entity(screen, screen.trim_start_matches('@'), "");
        draft.timeline_post(screen, text, picture(image));
    }
    for (split, file) in [
        (Split::Train, "Train.txt"),
        (Split::Dev, "Dev.txt"),
        (Split::Test, "Test.txt"),
    ] {
        if !folder.join(file).exists() {
            draft.matter("part is not there", file);
            continue;
        }
        for row in lines(folder, file, '\t', 7)? {
            let [id, start, _, mention, screen, text, image] = &row[..] else {
                unreachable!("counted")
            };
            draft.row(
                split,
                Row {
                    id: id.clone(),
                    number: 0,
                    text: text.clone(),
                    surface: mention.clone(),
                    start: start.parse().ok(),
                    images: picture(image),
                    candidates: bearers.get(&mention.to_lowercase()).cloned(),
                    entity: Some(screen.clone()),
                },
            );
        }
    }
    Ok(draft)
}

/// The columns of each line; another number of them is an error.
fn lines(folder: &Path, file: &str, separator: char, n: usize) -> anyhow::Result<Vec<Vec<String>>> {
    files::read_lines(&folder.join(file), |_, line| {
        let columns: Vec<String> = line.split(separator).map(|c| c.trim().to_owned()).collect();
        let found = columns.len();
        ensure!(found == n, "{found} columns instead of {n}");
        Ok(columns)
    })
}

/// The file that a picture's address was saved as: its last part.
fn picture(url: &str) -> Vec<String> {
    let name = url.rsplit('/').next().unwrap_or_default();
    let name = name.split(['?', '#']).next().unwrap_or_default();
    Some(name.to_owned())
        .filter(|name| !name.is_empty())
        .into_iter()
        .collect()
}
