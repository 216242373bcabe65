//! The pictures of a benchmark: which there are, and where each goes.

use std::collections::HashMap;
use std::path::PathBuf;

use shared_model::paths::UniqueNames;

/// A picture of a dataset folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Its path in the folder.
    pub path: String,
    /// What it shows.
    pub source: Source,
}

/// What a picture is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A copy of this file, whose path is as the source of the pictures gives it.
    File(PathBuf),
    /// Four photographs, to be joined by [`montage`](crate::photos::montage).
    Montage([PathBuf; 4]),
}

/// Collects pictures; a file is one picture however often it is shown.
#[derive(Debug, Default)]
pub(crate) struct Album {
    /// In the order of their numbers.
    pub(crate) pictures: Vec<Picture>,
    paths: HashMap<PathBuf, String>,
    names: UniqueNames,
}

impl Album {
    /// The path of a picture. A new one is named by `name`, which gets its number, counted from 1; a name that is taken gets a suffix.
    pub(crate) fn add(&mut self, source: Source, name: impl FnOnce(usize) -> String) -> String {
        if let Source::File(file) = &source
            && let Some(path) = self.paths.get(file)
        {
            return path.clone();
        }
        let name = name(self.pictures.len() + 1);
        let path = format!("images/{}", self.names.name(&name));
        if let Source::File(file) = &source {
            self.paths.insert(file.clone(), path.clone());
        }
        self.pictures.push(Picture {
            path: path.clone(),
            source,
        });
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_one_picture_and_a_path_names_one_file() {
        let mut album = Album::default();
        for (file, path) in [
            ("a/b.jpg", "images/a_b.jpg"),
            ("a_b.jpg", "images/a_b-2.jpg"),
            ("a/b.jpg", "images/a_b.jpg"),
            ("c/d/e.png", "images/c_d_e.png"),
            ("c_d/e.png", "images/c_d_e-2.png"),
            ("C/d_e.png", "images/C_d_e-3.png"),
        ] {
            let name = |_| file.to_owned();
            assert_eq!(album.add(Source::File(PathBuf::from(file)), name), path);
        }
        let montage = || Source::Montage(["1", "2", "3", "4"].map(PathBuf::from));
        let name = |n| format!("{n:06}.jpg");
        assert_eq!(album.add(montage(), name), "images/000006.jpg");
        assert_eq!(album.add(montage(), name), "images/000007.jpg");
        assert_eq!(album.pictures.len(), 7);
    }
}
