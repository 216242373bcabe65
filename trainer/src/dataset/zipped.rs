//! A dataset folder in a zip, as the page saves a visitor's own entities.

use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, ensure};
use shared_model::archive::Archive;

use super::Dataset;
use crate::files;

/// Reads the zip.
pub(super) fn read(path: &Path) -> anyhow::Result<Archive> {
    Archive::read(&files::read(path)?).with_context(|| path.display().to_string())
}

/// Unpacks the zip into a folder of its own, which goes with the dataset.
pub(super) fn open(path: &Path) -> anyhow::Result<Dataset> {
    let archive = read(path)?;
    let folder = tempfile::tempdir().context("no folder to unpack the zip into")?;
    for (inside, bytes) in archive.files() {
        files::write(&folder.path().join(inside), bytes.as_ref())?;
    }
    let dataset = Dataset::open(folder.path()).with_context(|| path.display().to_string())?;
    Ok(Dataset {
        _unpacked: Some(Rc::new(folder)),
        ..dataset
    })
}

impl Dataset {
    /// The entities, posts and pictures of a dataset folder or zip, in memory.
    pub(crate) fn archive(path: &Path) -> anyhow::Result<Archive> {
        if path.is_file() {
            return read(path);
        }
        let dataset = Self::open(path)?;
        let mut archive = Archive::default();
        for image in dataset.timeline.iter().flat_map(|post| &post.images) {
            if !archive.pictures.contains_key(image) {
                let bytes = files::read(&dataset.folder.join(image))?;
                archive.pictures.insert(image.clone(), bytes);
            }
        }
        archive.entities = dataset.entities;
        archive.timeline = dataset.timeline;
        ensure!(
            !archive.entities.is_empty(),
            "{}: no entities",
            path.display()
        );
        Ok(archive)
    }
}
