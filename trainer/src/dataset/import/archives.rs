//! Pictures that were downloaded but not unpacked.

use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::files::list;

/// Endings of archives.
const ENDINGS: [&str; 9] = [
    ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar",
];

/// The archives of the folders that pictures are looked up in.
pub(super) struct Archives(Vec<Archive>);

struct Archive {
    path: PathBuf,
    /// Names of its files without their folders; `None` if it cannot be listed here.
    names: Option<HashSet<String>>,
}

impl Archives {
    /// Finds the archives of the folders and of the folders directly in them.
    pub(super) fn of(folders: &[&Path]) -> Self {
        let files = |folder: &Path| list(folder).unwrap_or_default();
        let archives = folders
            .iter()
            .flat_map(|folder| files(folder))
            .flat_map(|path| {
                if path.is_dir() {
                    files(&path)
                } else {
                    vec![path]
                }
            })
            .filter(|path| is_archive(path) && path.is_file())
            .map(|path| Archive {
                names: names(&path),
                path,
            });
        Self(archives.collect())
    }

    /// The archive that holds a picture, or may hold it.
    pub(super) fn holding(&self, picture: &str) -> Option<&Path> {
        let name = picture.rsplit('/').next().unwrap_or(picture);
        let listed = |archive: &&Archive| {
            archive
                .names
                .as_ref()
                .is_some_and(|names| names.contains(name))
        };
        let found = self.0.iter().find(listed);
        let found = found.or_else(|| self.0.iter().find(|archive| archive.names.is_none()));
        found.map(|archive| archive.path.as_path())
    }
}

/// Whether a path is named like an archive.
pub(super) fn is_archive(path: &Path) -> bool {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .to_lowercase();
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// The names of the files in a zip, without their folders.
fn names(path: &Path) -> Option<HashSet<String>> {
    let zip = ZipArchive::new(File::open(path).ok()?).ok()?;
    let names = zip.file_names().filter_map(Result::ok);
    Some(
        names
            .map(|name| name.rsplit('/').next().unwrap_or_default().to_owned())
            .collect(),
    )
}
