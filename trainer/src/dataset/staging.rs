//! A dataset folder in the making: written beside its destination, and moved there when it is complete.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use shared_model::data::{Entity, Post, TimelinePost};

use super::{Info, Split};
use crate::files::{NewFolder, write, write_json, write_jsonl};

/// A temporary folder that becomes the dataset folder with [`Staging::finish`]; dropped before that, it leaves nothing.
pub(crate) struct Staging(NewFolder);

impl Staging {
    /// Starts a dataset folder. A destination that is a file or a folder with anything in it is refused.
    pub(crate) fn new(destination: &Path) -> anyhow::Result<Self> {
        let taken = fs::read_dir(destination).is_ok_and(|mut entries| entries.next().is_some());
        ensure!(
            !taken && !destination.is_file(),
            "{} is not empty; name a new folder",
            destination.display()
        );
        NewFolder::new(destination).map(Self)
    }

    /// Starts a dataset folder inside this one: several are moved to their destination together.
    pub(crate) fn within(&self, name: &str) -> anyhow::Result<Self> {
        Self::new(&self.0.path().join(name))
    }

    /// Writes everything but the pictures.
    pub(crate) fn write<'a>(
        &self,
        info: &Info,
        entities: &[Entity],
        timeline: &[TimelinePost],
        parts: impl IntoIterator<Item = (Split, &'a Vec<Post>)>,
    ) -> anyhow::Result<()> {
        let folder = self.0.path();
        write_json(&folder.join("dataset.json"), info)?;
        write_jsonl(&folder.join("entities.jsonl"), entities)?;
        write_jsonl(&folder.join("timeline.jsonl"), timeline)?;
        for (split, posts) in parts {
            write_jsonl(&folder.join(split.file()), posts)?;
        }
        Ok(())
    }

    /// Writes a picture's bytes at a path relative to the folder, such as `images/a.jpg`.
    pub(crate) fn picture(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        super::inside(path)?;
        write(&self.0.path().join(path), bytes)
    }

    /// Moves the complete folder to its destination, which must still be empty.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let destination = &self.0.destination;
        if destination.exists() {
            let removed = fs::remove_dir(destination);
            removed.with_context(|| format!("cannot write {}", destination.display()))?;
        }
        self.0.finish()
    }
}
