//! Tweets-MEL: tab-separated timelines, mentions and names.

use std::collections::HashMap;
use std::path::Path;

use anyhow::anyhow;

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
    let mut bearers: HashMap<String, Vec<String>> = HashMap::new();
    for [screen, mention] in lines::<2>(folder, "mapSreenNameToMention.txt", '|')? {
        draft.entity(&screen, screen.trim_start_matches('@'), "");
        draft.alias(&screen, &mention);
        let bearers = bearers.entry(mention.to_lowercase());
        bearers.or_default().push(screen);
    }
    for [screen, _, text, image] in lines::<4>(folder, "timelineKB.txt", '\t')? {
        draft.entity(&screen, screen.trim_start_matches('@'), "");
        draft.timeline_post(&screen, &text, picture(&image));
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
        for [id, start, _, mention, screen, text, image] in lines::<7>(folder, file, '\t')? {
            draft.row(
                split,
                Row {
                    id,
                    number: 0,
                    text,
                    candidates: bearers.get(&mention.to_lowercase()).cloned(),
                    surface: mention,
                    start: start.parse().ok(),
                    images: picture(&image),
                    entity: Some(screen),
                },
            );
        }
    }
    Ok(draft)
}

/// The columns of each line; another number of them is an error.
fn lines<const N: usize>(
    folder: &Path,
    file: &str,
    separator: char,
) -> anyhow::Result<Vec<[String; N]>> {
    files::read_lines(&folder.join(file), |_, line| {
        let columns: Vec<String> = line.split(separator).map(|c| c.trim().to_owned()).collect();
        let columns = <[String; N]>::try_from(columns);
        columns.map_err(|found| anyhow!("{} columns instead of {N}", found.len()))
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
