//! Copies of the built page that a test may change.

use std::fs;
use std::path::{Path, PathBuf};

use shared_model::hash::sha256;
use shared_model::manifest::{MANIFEST, Manifest};

use crate::Dir;
use crate::page::folder;

/// A folder of hard links.
pub struct Copy {
    /// The folder.
    pub root: PathBuf,
}

/// A copy of the built page, in a folder of its own.
pub struct Site {
    /// The page's files.
    pub files: Copy,
    _dir: Dir,
}

impl Site {
    /// Copies the page.
    pub fn new() -> Self {
        // Beside the page, so that links to its files are possible.
        let dir = Dir::new_in(folder().parent().expect("a folder above the page"));
        let files = Copy::new(&folder(), dir.root());
        Self { files, _dir: dir }
    }

    /// Puts lines in front of every script: of the page, and of its workers.
    pub fn prepend_everywhere(&self, lines: &str) {
        for script in ["start.js", "worker.js", "worker_webgpu.js"] {
            self.files.prepend(script, lines);
        }
    }

    /// Adds a bundle of its own below `name`.
    pub fn bundle(&self, name: &str) -> Copy {
        Copy::new(&folder().join("demo"), &self.files.root.join(name))
    }
}

impl Default for Site {
    fn default() -> Self {
        Self::new()
    }
}

impl Copy {
    /// Links all files of a folder into another.
    pub fn new(from: &Path, to: &Path) -> Self {
        link_folder(from, to);
        Self {
            root: to.to_path_buf(),
        }
    }

    /// The bytes of a file.
    #[track_caller]
    pub fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Replaces a file; the one that it is a link of stays as it is.
    #[track_caller]
    pub fn write(&self, file: &str, bytes: &[u8]) {
        fs::remove_file(self.root.join(file)).expect("a link");
        fs::write(self.root.join(file), bytes).expect("a file");
    }

    /// Changes one bit of a file.
    #[track_caller]
    pub fn flip(&self, file: &str) {
        let mut bytes = self.read(file);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.write(file, &bytes);
    }

    /// Replaces the first occurrence of a part of a script.
    #[track_caller]
    pub fn change(&self, file: &str, from: &str, to: &str) {
        let script = String::from_utf8(self.read(file)).expect("a text");
        assert!(script.contains(from), "{file} has no {from:?}");
        self.write(file, script.replacen(from, to, 1).as_bytes());
    }

    /// Puts lines in front of a script.
    #[track_caller]
    pub fn prepend(&self, file: &str, lines: &str) {
        let script = String::from_utf8(self.read(file)).expect("a text");
        self.write(file, format!("{lines}\n{script}").as_bytes());
    }

    /// Replaces a file of a bundle, in the manifest as well.
    #[track_caller]
    pub fn replace(&self, file: &str, bytes: &[u8]) {
        self.write(file, bytes);
        self.change_manifest(|manifest| {
            let entry = manifest.files.iter_mut().find(|entry| entry.path == file);
            let entry = entry.unwrap_or_else(|| panic!("the manifest does not name {file}"));
            entry.bytes = bytes.len() as u64;
            entry.sha256 = sha256(bytes);
        });
    }

    /// Changes the manifest of a bundle and signs it anew.
    #[track_caller]
    pub fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = Manifest::parse(&self.read(MANIFEST)).expect("a manifest");
        change(&mut manifest);
        self.write(MANIFEST, &manifest.to_bytes());
    }
}

/// Links all files of a folder into another; copies them where the disk cannot.
fn link_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{from:?}: {error}")) {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            link_folder(&from, &to);
        } else if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).expect("a copy");
        }
    }
}
