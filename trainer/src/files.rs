//! Reading whole files with errors that name them, writing them whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use anyhow::Context as _;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file beside its place and renames it: never half a file.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let refuse = || format!("cannot write {}", path.display());
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    fs::create_dir_all(folder).with_context(refuse)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(refuse)?;
    let mut writer = BufWriter::new(file.as_file_mut());
    fill(&mut writer)
        .and_then(|()| writer.flush())
        .with_context(refuse)?;
    drop(writer);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).with_context(refuse)?;
    }
    file.persist(path).with_context(refuse)?;
    Ok(())
}

/// Writes pretty JSON with a line feed at its end.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_with(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Removes a folder, if it is there.
pub(crate) fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let cleared = fs::remove_dir_all(folder);
        cleared.with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    serde_json::from_slice(&read(path)?).with_context(|| format!("{} is malformed", path.display()))
}

/// Reads a JSONL file; an error names the line.
pub(crate) fn read_jsonl<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    let bytes = read(path)?;
    let text =
        std::str::from_utf8(&bytes).with_context(|| format!("{} is not UTF-8", path.display()))?;
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            serde_json::from_str(line)
                .with_context(|| format!("{}, line {}", path.display(), number + 1))
        })
        .collect()
}

/// A bar on standard error for work of more than a moment.
pub(crate) fn progress(length: usize, what: &'static str) -> indicatif::ProgressBar {
    let style =
        indicatif::ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {per_sec} {eta}")
            .expect("the template is well-formed");
    indicatif::ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}
