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

/// The archives of the folders that pictures are looked up in, with the names of their files without folders; `None` if one cannot be listed here.
pub(super) struct Archives(Vec<(PathBuf, Option<HashSet<String>>)>);

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
            .map(|path| {
                let names = names(&path);
                (path, names)
            });
        Self(archives.collect())
    }

    /// The archive that holds a picture, or may hold it.
    pub(super) fn holding(&self, picture: &str) -> Option<&Path> {
        let name = picture.rsplit('/').next().unwrap_or(picture);
        let archives = || self.0.iter();
        let listed = |names: &HashSet<String>| names.contains(name);
        let found = archives().find(|(_, names)| names.as_ref().is_some_and(listed));
        let found = found.or_else(|| archives().find(|(_, names)| names.is_none()));
        found.map(|(path, _)| path.as_path())
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
