//! Building the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use sha2::{Digest as _, Sha256};

use crate::command::{run, target};
use crate::setup::PageTools;

const SERVICE_WORKER: &str = "service-worker.js";

/// Builds the page in release; its folder, which any static host can serve.
///
/// # Errors
///
/// If Trunk fails, or the page lacks the demo bundle.
pub(crate) fn build(tools: &PageTools) -> anyhow::Result<PathBuf> {
    let page = target().join("page");
    run(tools
        .trunk()
        .args(["build", "--release", "--locked", "--dist"])
        .arg(&page))?;
    ensure!(
        page.join("demo/bundle.json").exists(),
        "the page has no demo bundle: assets/demo is missing"
    );
    write_service_worker(&page)?;
    Ok(page)
}

/// Writes the service worker with the files of this build, the bundle's excepted.
fn write_service_worker(page: &Path) -> anyhow::Result<()> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(page)? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        let name = name.map_err(|name| anyhow!("{name:?} is not UTF-8"))?;
        if entry.file_type()?.is_file() && name != SERVICE_WORKER {
            files.insert(name, hex::encode(Sha256::digest(fs::read(entry.path())?)));
        }
    }
    let files = serde_json::to_string_pretty(&files)?;
    let version = hex::encode(&Sha256::digest(&files)[..8]);
    let source = root().join("assets/js").join(SERVICE_WORKER);
    let source = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let written = source
        .replacen("{/* files */}", &files, 1)
        .replacen("/* version */", &version, 1);
    Ok(fs::write(page.join(SERVICE_WORKER), written)?)
}
