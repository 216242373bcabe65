//! Reading files with errors that name file and line, and writing them whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Reads a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a file whole or not at all: to a temporary file in the same folder, which is then renamed.
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

/// Writes indented JSON that ends with a line feed.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> anyhow::Result<()> {
    write_with(path, |file| {
        serde_json::to_writer_pretty(&mut *file, value)?;
        file.write_all(b"\n")
    })
}

/// Removes a folder if it exists.
pub(crate) fn clear(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        let cleared = fs::remove_dir_all(folder);
        cleared.with_context(|| format!("cannot clear {}", folder.display()))?;
    }
    Ok(())
}

/// Reads a JSON file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = read(path)?;
    serde_json::from_slice(without_mark(&bytes))
        .with_context(|| format!("{} is malformed", path.display()))
}

/// Reads a JSONL file; an error names the line.
pub(crate) fn read_jsonl<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Vec<T>> {
    read_lines(path, |_, line| from_json(line))
}

/// Reads a text file by its lines, numbered from 1 and blank ones left out; an error of `parse` names file and line.
pub(crate) fn read_lines<T>(
    path: &Path,
    mut parse: impl FnMut(usize, &str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    let bytes = read(path)?;
    let text = std::str::from_utf8(without_mark(&bytes))
        .with_context(|| format!("{} is not UTF-8; save it as UTF-8", path.display()))?;
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(number, line)| {
            parse(number, line).with_context(|| format!("{}, line {number}", path.display()))
        })
        .collect()
}

/// Parses a line of a JSONL file.
pub(crate) fn from_json<T: DeserializeOwned>(line: &str) -> anyhow::Result<T> {
    serde_json::from_str(line).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = error.to_string();
        anyhow!(
            "{} at column {}",
            what.trim_end_matches(&place),
            error.column()
        )
    })
}

/// The bytes behind a UTF-8 byte order mark, which editors on Windows write.
fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes)
}

/// A progress bar on standard error.
pub(crate) fn progress(length: usize, what: &'static str) -> indicatif::ProgressBar {
    let style =
        indicatif::ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {per_sec} {eta}")
            .expect("the template is well-formed");
    indicatif::ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}
