//! Building the page.

use std::path::PathBuf;

use anyhow::ensure;

use crate::command::{run, target};
use crate::setup::PageTools;

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
    Ok(page)
}
