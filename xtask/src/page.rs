//! Building the page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use sha2::{Digest as _, Sha256};

use crate::command::{root, run, target};
use crate::setup::PageTools;

const SERVICE_WORKER: &str = "service-worker.js";
/// Files that the service worker does not keep, beside weights: itself, and what the model's worker keeps.
const NOT_KEPT: [&str; 3] = [SERVICE_WORKER, "kb.json", "tokenizer.json"];

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

/// Writes the service worker with the files of this build. The model's large files are kept by the worker that loads them.
fn write_service_worker(page: &Path) -> anyhow::Result<()> {
    let mut files = BTreeMap::new();
    for folder in ["", "demo", "demo/examples", "demo/thumbs"] {
        let entries = fs::read_dir(page.join(folder)).with_context(|| folder.to_owned())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().into_string();
            let name = name.map_err(|name| anyhow!("{name:?} is not UTF-8"))?;
            let is_kept = entry.file_type()?.is_file() && !NOT_KEPT.contains(&name.as_str());
            if is_kept && !name.ends_with(".bpk") {
                let path = Path::new(folder).join(name).display().to_string();
                let sha256 = Sha256::digest(fs::read(entry.path())?);
                files.insert(path.replace('\\', "/"), hex::encode(sha256));
            }
        }
    }
    let files = serde_json::to_string_pretty(&files)?;
    let version = hex::encode(&Sha256::digest(&files)[..8]);
    let source = root().join("assets/js").join(SERVICE_WORKER);
    let source = fs::read_to_string(&source).with_context(|| source.display().to_string())?;
    let written =
        source
            .replacen("{/* files */}", &files, 1)
            .replacen("/* version */", &version, 1);
    Ok(fs::write(page.join(SERVICE_WORKER), written)?)
}
