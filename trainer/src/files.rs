//! Reading files with errors that name file and line, and writing them whole or not at all.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use indicatif::{ProgressBar, ProgressBarIter, ProgressStyle};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::{NamedTempFile, TempDir};

/// Reads a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The paths in a folder, sorted.
pub(crate) fn list(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let refuse = || format!("cannot read {}", folder.display());
    let paths = fs::read_dir(folder).with_context(refuse)?;
    let paths = paths.map(|entry| Ok(entry?.path()));
    let mut paths = paths.collect::<io::Result<Vec<_>>>().with_context(refuse)?;
    paths.sort();
    Ok(paths)
}

/// Writes a file whole or not at all: to a temporary file in the same folder, which is then renamed.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    write_with(path, |file| file.write_all(bytes))
}

/// As [`write()`], with bytes that `fill` writes one after the other.
fn write_with(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&mut File>) -> io::Result<()>,
) -> anyhow::Result<()> {
    let refuse = || format!("cannot write {}", path.display());
    let folder = parent(path);
    fs::create_dir_all(folder).with_context(refuse)?;
    let mut file = NamedTempFile::new_in(folder).with_context(refuse)?;
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

/// Writes a JSONL file.
pub(crate) fn write_jsonl(path: &Path, rows: &[impl Serialize]) -> anyhow::Result<()> {
    write_with(path, |file| {
        rows.iter().try_for_each(|row| {
            serde_json::to_writer(&mut *file, row)?;
            file.write_all(b"\n")
        })
    })
}

/// The folder that a file or folder is in.
fn parent(path: &Path) -> &Path {
    let parent = path.parent();
    let parent = parent.filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// A folder that is written beside its destination and takes its place with [`Self::finish`]; dropped before that, it leaves nothing.
pub(crate) struct NewFolder {
    beside: TempDir,
    /// The place that it takes.
    pub(crate) destination: PathBuf,
}

impl NewFolder {
    /// Starts a folder.
    pub(crate) fn new(destination: &Path) -> anyhow::Result<Self> {
        let refuse = || format!("cannot write {}", destination.display());
        let parent = parent(destination);
        fs::create_dir_all(parent).with_context(refuse)?;
        Ok(Self {
            beside: TempDir::new_in(parent).with_context(refuse)?,
            destination: destination.to_owned(),
        })
    }

    /// The path of the folder until it is finished.
    pub(crate) fn path(&self) -> PathBuf {
        self.beside.path().join("new")
    }

    /// Moves the folder to its destination, in place of what is there.
    pub(crate) fn finish(self) -> anyhow::Result<()> {
        let refuse = || format!("cannot write {}", self.destination.display());
        if self.destination.exists() {
            let old = self.beside.path().join("old");
            fs::rename(&self.destination, old).with_context(refuse)?;
        }
        fs::rename(self.path(), &self.destination).with_context(refuse)
    }
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

/// Reads a JSON file; `None` without the file.
pub(crate) fn read_json_if_any<T: DeserializeOwned>(path: &Path) -> anyhow::Result<Option<T>> {
    path.exists().then(|| read_json(path)).transpose()
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

/// Reads a text file as [`read_lines`] does; empty without the file.
pub(crate) fn read_lines_if_any<T>(
    path: &Path,
    parse: impl FnMut(usize, &str) -> anyhow::Result<T>,
) -> anyhow::Result<Vec<T>> {
    if path.exists() {
        read_lines(path, parse)
    } else {
        Ok(Vec::new())
    }
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
pub(crate) fn progress(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>12} {wide_bar} {pos}/{len} {per_sec} {eta}")
        .expect("the template is well-formed");
    ProgressBar::new(length as u64)
        .with_style(style)
        .with_message(what)
}

/// The items, with a progress bar that counts them and is cleared at the end.
pub(crate) fn tracked<I>(items: I, what: &'static str) -> ProgressBarIter<I::IntoIter>
where
    I: IntoIterator<IntoIter: ExactSizeIterator>,
{
    let items = items.into_iter();
    progress(items.len(), what).wrap_iter(items)
}
