//! A dataset folder in the making: written beside its destination, and moved there when it is complete.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Serialize;
use shared_model::data::{Entity, Post, TimelinePost};
use tempfile::TempDir;

use super::{Info, Split};
use crate::files::{write, write_json};

/// A temporary folder that becomes the dataset folder with [`Staging::finish`]; dropped before that, it leaves nothing.
pub(crate) struct Staging {
    folder: TempDir,
    destination: PathBuf,
}

impl Staging {
    /// Starts a dataset folder. A destination that is a file or a folder with anything in it is refused.
    pub(crate) fn new(destination: &Path) -> anyhow::Result<Self> {
        let taken = fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(
            !taken && !destination.is_file(),
            "{} is not empty; name a new folder",
            destination.display()
        );
        let parent = destination
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let refuse = || format!("cannot write {}", destination.display());
        fs::create_dir_all(parent).with_context(refuse)?;
        Ok(Self {
            folder: TempDir::new_in(parent).with_context(refuse)?,
            destination: destination.to_owned(),
        })
    }

    /// Starts a dataset folder inside this one: several are moved to their destination together.
    pub(crate) fn within(&self, name: &str) -> anyhow::Result<Self> {
        Self::new(&self.folder.path().join(name))
    }

    /// Writes `dataset.json`.
    pub(crate) fn info(&self, info: &Info) -> anyhow::Result<()> {
        write_json(&self.folder.path().join("dataset.json"), info)
    }

    /// Writes `entities.jsonl`.
    pub(crate) fn entities(&self, entities: &[Entity]) -> anyhow::Result<()> {
        self.lines("entities.jsonl", entities)
    }

    /// Writes `timeline.jsonl`.
    pub(crate) fn timeline(&self, posts: &[TimelinePost]) -> anyhow::Result<()> {
        self.lines("timeline.jsonl", posts)
    }

    /// Writes one part of the mentions.
    pub(crate) fn posts(&self, split: Split, posts: &[Post]) -> anyhow::Result<()> {
        self.lines(split.file(), posts)
    }

    /// Writes a picture's bytes at a path relative to the folder, such as `images/a.jpg`.
    pub(crate) fn picture(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        super::inside(path)?;
        write(&self.folder.path().join(path), bytes)
    }

    /// Moves the complete folder to its destination.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let refuse = || format!("cannot write {}", self.destination.display());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755))
                .with_context(refuse)?;
        }
        if self.destination.exists() {
            fs::remove_dir(&self.destination).with_context(refuse)?;
        }
        fs::rename(self.folder.path(), &self.destination).with_context(refuse)
    }

    fn lines(&self, file: &str, rows: &[impl Serialize]) -> anyhow::Result<()> {
        let mut bytes = Vec::new();
        for row in rows {
            serde_json::to_writer(&mut bytes, row)?;
            bytes.push(b'\n');
        }
        write(&self.folder.path().join(file), &bytes)
    }
}
