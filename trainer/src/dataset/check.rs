//! `imn data check`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use anyhow::bail;
use serde::Serialize;
use shared_model::data::Post;
use shared_model::paths::is_inside;

use super::{Dataset, Split, picture, validate};
use crate::files::{from_json, read_lines, tracked};

#[derive(Debug, Default, Serialize)]
struct Report {
    entities: usize,
    entities_without_timeline: usize,
    timeline_posts: usize,
    mentions: BTreeMap<&'static str, usize>,
    nil_mentions: usize,
    pictures: usize,
    missing_pictures: Vec<String>,
    corrupt_pictures: Vec<String>,
    problems: Vec<String>,
}

/// Prints what a dataset folder holds and every problem; fails if there is one.
pub(crate) fn check(folder: &Path, json: bool) -> anyhow::Result<()> {
    let dataset = Dataset::open(folder)?;
    let ids = dataset.positions();
    let owners: HashSet<&str> = dataset
        .timeline
        .iter()
        .map(|post| post.entity.as_str())
        .collect();
    let mut paths: BTreeSet<String> = dataset
        .timeline
        .iter()
        .flat_map(|post| post.images.clone())
        .collect();
    let mut report = Report {
        entities: dataset.entities.len(),
        entities_without_timeline: dataset.entities.len() - owners.len(),
        timeline_posts: dataset.timeline.len(),
        ..Report::default()
    };

    for split in Split::ALL {
        let file = split.file();
        if !folder.join(file).exists() {
            continue;
        }
        let posts: Vec<(usize, Post)> = read_lines(&folder.join(file), |line, text| {
            Ok((line, from_json(text)?))
        })?;
        let mut seen = HashSet::new();
        for (line, post) in &posts {
            let mut problem = |what: String| {
                let problem = format!("{file}, line {line}, {:?}: {what}", post.id);
                report.problems.push(problem);
            };
            if let Err(error) = validate(post) {
                problem(format!("{error:#}"));
            }
            if !seen.insert(&post.id) {
                problem("the id appears twice".to_owned());
            }
            let named = post.candidates.iter().flatten().chain(&post.entity);
            for id in named.filter(|id| !ids.contains_key(id.as_str())) {
                problem(format!("no entity {id:?}"));
            }
            let mut distinct = HashSet::new();
            for id in post.candidates.iter().flatten() {
                if !distinct.insert(id) {
                    problem(format!(
                        "the candidate {id:?} is named twice and counts once"
                    ));
                }
            }
            paths.extend(post.images.iter().filter(|path| is_inside(path)).cloned());
        }
        let nil = posts.iter().filter(|(_, post)| post.entity.is_none());
        report.nil_mentions += nil.count();
        report.mentions.insert(file, posts.len());
    }

    report.pictures = paths.len();
    for path in tracked(paths, "pictures") {
        let file = folder.join(&path);
        if !file.exists() {
            report.missing_pictures.push(path);
        } else if let Err(error) = picture(&file) {
            report.corrupt_pictures.push(format!("{error:#}"));
        }
    }

    if json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print(&report);
    }
    match report.problems.len() + report.missing_pictures.len() + report.corrupt_pictures.len() {
        0 => Ok(()),
        n => bail!("{}: {n} problems", folder.display()),
    }
}

fn print(report: &Report) {
    out!(
        "{} entities, {} of them without a timeline",
        report.entities,
        report.entities_without_timeline
    );
    out!("{} timeline posts", report.timeline_posts);
    for (file, n) in &report.mentions {
        out!("{n} mentions in {file}");
    }
    out!("{} mentions without an entity (NIL)", report.nil_mentions);
    out!("{} pictures", report.pictures);
    for path in &report.missing_pictures {
        out!("missing: {path}");
    }
    for path in &report.corrupt_pictures {
        out!("corrupt: {path}");
    }
    for problem in &report.problems {
        out!("{problem}");
    }
}
