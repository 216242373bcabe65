//! A list of senses, and a folder of photographs for each.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use shared_model::data::{Entity, or_default};
use synth::photos::{Class, MIN_PHOTOS, Photo};

use crate::dataset::account::Account;
use crate::dataset::duplicates::Pictures;
use crate::dataset::{inside, picture_of};
use crate::files::{list, read, read_jsonl, tracked};

/// A line of the list.
#[derive(Debug, Deserialize)]
struct Sense {
    id: String,
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    aliases: Vec<String>,
    gloss: String,
    /// A folder below that of all photographs.
    photos: String,
}

/// Reads the list and looks at every photograph.
pub(super) fn classes(
    list: &Path,
    folder: &Path,
    account: &mut Account,
) -> anyhow::Result<Vec<Class>> {
    let senses: Vec<Sense> = read_jsonl(list)?;
    ensure!(!senses.is_empty(), "{}: no senses", list.display());
    let (mut ids, mut folders) = (HashSet::new(), HashSet::new());
    let mut classes = Vec::with_capacity(senses.len());
    for sense in tracked(senses, "photographs") {
        let of_sense = format!("{}: {:?}", list.display(), sense.id);
        ensure!(!sense.name.trim().is_empty(), "{of_sense} has no name");
        ensure!(ids.insert(sense.id.clone()), "{of_sense} appears twice");
        inside(&sense.photos).with_context(|| of_sense.clone())?;
        ensure!(
            folders.insert(sense.photos.clone()),
            "{of_sense}: another sense has the photos {:?}",
            sense.photos
        );
        let photos = photographs(folder, Path::new(&sense.photos), account);
        let entity = Entity {
            id: sense.id,
            name: sense.name,
            aliases: sense.aliases,
            description: sense.gloss,
        };
        let class = photos.and_then(|photos| Ok(Class::new(entity, photos)?));
        classes.push(class.context(of_sense)?);
    }
    Ok(classes)
}

/// The whole pictures of a folder below `all`, without near-duplicates.
fn photographs(all: &Path, folder: &Path, account: &mut Account) -> anyhow::Result<Vec<Photo>> {
    let full = all.join(folder);
    let shown = full.display();
    let mut files = list(&full)?;
    files.retain(|file| file.is_file());
    let n = files.len();
    ensure!(n > 0, "{shown} holds no pictures");
    let mut so_far = Pictures::new();
    let mut photos = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let bytes = read(&file)?;
        let decoded = picture_of(&bytes, &name)
            .and_then(|picture| Ok((picture, image::guess_format(&bytes)?)));
        match decoded {
            Err(error) => account.matter("corrupt picture, left out", &format!("{error:#}")),
            Ok((picture, _)) if !so_far.insert(&picture) => account.matter(
                "nearly the same photograph as another of its class, left out",
                &name,
            ),
            Ok((_, format)) => photos.push(Photo {
                file: folder.join(file.file_name().unwrap_or_default()),
                extension: format.extensions_str()[0],
            }),
        }
    }
    ensure!(
        photos.len() >= MIN_PHOTOS,
        "{shown} has {} of {n} files that are different whole pictures; each class takes {MIN_PHOTOS}",
        photos.len()
    );
    Ok(photos)
}
