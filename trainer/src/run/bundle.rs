//! Opening a bundle folder.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use shared_model::bundle::Bundle;
use shared_model::error::{Error, Result};
use shared_model::manifest::{FileEntry, MANIFEST, Manifest};

use crate::files::read;

/// Opens a bundle folder and verifies every file.
pub(crate) fn open_bundle(folder: &Path, device: &Device) -> anyhow::Result<Bundle> {
    let named = || folder.display().to_string();
    let manifest = manifest(folder)?;
    let mut opened = HashSet::new();
    let bundle = pollster::block_on(Bundle::open(
        manifest.clone(),
        |path| {
            opened.insert(path.to_owned());
            part(folder, &manifest, path)
        },
        device,
    ))
    .with_context(named)?;
    for FileEntry { path, .. } in &manifest.files {
        if !opened.contains(path) {
            part(folder, &manifest, path).with_context(named)?;
        }
    }
    Ok(bundle)
}

/// Reads and verifies `bundle.json`.
pub(crate) fn manifest(folder: &Path) -> anyhow::Result<Manifest> {
    let path = folder.join(MANIFEST);
    ensure!(
        path.exists(),
        "{} is not a bundle folder: it has no {MANIFEST}",
        folder.display()
    );
    Manifest::parse(&read(&path)?).with_context(|| folder.display().to_string())
}

/// Reads and verifies a file that the manifest names; one of another size is not read.
pub(super) fn part(folder: &Path, manifest: &Manifest, path: &str) -> Result<Vec<u8>> {
    let refuse = |reason: &dyn std::fmt::Display| Error::file(path, reason);
    let expected = manifest
        .files
        .iter()
        .find(|file| file.path == path)
        .ok_or_else(|| refuse(&"the manifest does not name this file"))?;
    let file = folder.join(path);
    let found = std::fs::metadata(&file)
        .map_err(|error| refuse(&error))?
        .len();
    if found != expected.bytes {
        return Err(refuse(&format!(
            "{found} bytes instead of {}: incomplete or altered",
            expected.bytes
        )));
    }
    let bytes = std::fs::read(&file).map_err(|error| refuse(&error))?;
    manifest.check(path, &bytes)?;
    Ok(bytes)
}
