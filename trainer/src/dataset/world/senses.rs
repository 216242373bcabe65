//! The sense list and the photographs of each sense.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use serde::Deserialize;

use super::gloss::{self, Word};
use crate::dataset::account::Account;
use crate::dataset::duplicates::Pictures;
use crate::dataset::{inside, picture};
use crate::files::{progress, read_jsonl};

/// Fewer photographs than this cannot be shared out.
const MIN_PHOTOS: usize = 6;

/// A line of the sense list.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sense {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) aliases: Vec<String>,
    pub(super) gloss: String,
    photos: String,
}

/// A sense with what can be shown and told of it.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) sense: Sense,
    /// Of its gloss.
    pub(super) words: Vec<Word>,
    photos: Vec<PathBuf>,
}

/// A class's photographs of one part.
#[derive(Debug)]
pub(super) struct Pool {
    photos: Vec<PathBuf>,
    next: usize,
}

/// A class's photographs by the part that shows them.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) timeline: Pool,
    /// Empty for a class that never trains.
    pub(super) train: Pool,
    pub(super) dev: Pool,
    pub(super) test: Pool,
}

/// Reads the list and looks at every photograph.
pub(super) fn read(
    list: &Path,
    folder: &Path,
    account: &mut Account,
) -> anyhow::Result<Vec<Class>> {
    let senses: Vec<Sense> = read_jsonl(list)?;
    ensure!(!senses.is_empty(), "{}: no senses", list.display());
    let (mut ids, mut folders) = (HashSet::new(), HashSet::new());
    let bar = progress(senses.len(), "photographs");
    let mut classes = Vec::with_capacity(senses.len());
    for sense in senses {
        let class = || format!("{}: {:?}", list.display(), sense.id);
        ensure!(!sense.name.trim().is_empty(), "{} has no name", class());
        ensure!(ids.insert(sense.id.clone()), "{} stands twice", class());
        let names = std::iter::once(&sense.name).chain(&sense.aliases);
        let words = gloss::words(&sense.gloss, names.map(String::as_str));
        let wordless = || format!("{}: no word of its gloss tells anything", class());
        ensure!(!words.is_empty(), wordless());
        inside(&sense.photos).with_context(class)?;
        let twice = || format!("{}: another has the photos {:?}", class(), sense.photos);
        ensure!(folders.insert(sense.photos.clone()), twice());
        let photos = photographs(&folder.join(&sense.photos), account).with_context(class)?;
        classes.push(Class {
            sense,
            words,
            photos,
        });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(classes)
}

/// The whole pictures of a folder, without near-duplicates.
fn photographs(folder: &Path, account: &mut Account) -> anyhow::Result<Vec<PathBuf>> {
    let shown = folder.display();
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?;
    let mut files = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<Vec<PathBuf>>>()
        .with_context(|| format!("cannot read {shown}"))?;
    files.retain(|file| file.is_file());
    files.sort();
    let n = files.len();
    ensure!(n > 0, "{shown} holds no pictures");
    let mut so_far = Pictures::new();
    let mut photos = Vec::new();
    for file in files {
        match picture(&file) {
            Err(error) => account.matter("corrupt picture, left out", &format!("{error:#}")),
            Ok(picture) if !so_far.insert(&picture) => account.matter(
                "nearly the same photograph as another of its class, left out",
                &file.display().to_string(),
            ),
            Ok(_) => photos.push(file),
        }
    }
    ensure!(
        photos.len() >= MIN_PHOTOS,
        "{shown} has {} of {n} files that are different whole pictures; it takes {MIN_PHOTOS} to share them out",
        photos.len()
    );
    Ok(photos)
}

impl Class {
    /// Shares the photographs out: up to half of them to the timeline, which wants `wanted`; of the rest more to train than to test, and least to dev.
    pub(super) fn share_out(&self, wanted: usize, trains: bool, draws: &mut StdRng) -> Pools {
        let mut photos = self.photos.clone();
        photos.shuffle(draws);
        let n = photos.len();
        let timeline = wanted.clamp(n.div_ceil(6), n / 2);
        let rest = n - timeline;
        let (train, dev) = if trains {
            ((rest * 9 / 20).max(1), (rest * 3 / 20).max(1))
        } else {
            (0, (rest / 5).max(1))
        };
        let mut take = |n: usize| Pool {
            photos: photos.drain(..n).collect(),
            next: 0,
        };
        Pools {
            timeline: take(timeline),
            train: take(train),
            dev: take(dev),
            test: take(rest - train - dev),
        }
    }
}

impl Pool {
    /// Every photograph once before any comes again.
    pub(super) fn next(&mut self, draws: &mut StdRng) -> PathBuf {
        if self.next == self.photos.len() {
            self.photos.shuffle(draws);
            self.next = 0;
        }
        self.next += 1;
        self.photos[self.next - 1].clone()
    }

    /// Any photograph.
    pub(super) fn any(&self, draws: &mut StdRng) -> PathBuf {
        self.photos[draws.random_range(..self.photos.len())].clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::world::draws;

    #[test]
    fn no_photograph_is_in_two_parts() {
        for (n, wanted, trains) in [(6, 3, true), (6, 10, false), (60, 8, true), (60, 50, false)] {
            let class = Class {
                sense: Sense {
                    id: String::new(),
                    name: String::new(),
                    aliases: Vec::new(),
                    gloss: String::new(),
                    photos: String::new(),
                },
                words: Vec::new(),
                photos: (0..n).map(|i| PathBuf::from(i.to_string())).collect(),
            };
            let pools = class.share_out(wanted, trains, &mut draws(1, "test"));
            let parts = [&pools.timeline, &pools.train, &pools.dev, &pools.test];
            let all: HashSet<&PathBuf> = parts.iter().flat_map(|pool| &pool.photos).collect();
            assert_eq!(all.len(), n);
            let sizes = parts.map(|pool| pool.photos.len());
            assert_eq!(sizes.iter().sum::<usize>(), n);
            assert_eq!(sizes[1] > 0, trains, "{sizes:?}");
            assert!(
                sizes[0] > 0 && sizes[2] > 0 && sizes[3] > 0,
                "{n}, {wanted}: {sizes:?}"
            );
        }
    }
}
