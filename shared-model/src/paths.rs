//! Paths that came with data: relative, and inside the folder that they are relative to, on every platform.

use std::collections::HashSet;

/// Why a path is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing but `.` and `/`.
    #[error("names no file")]
    Empty,
    /// Begins with `/`.
    #[error("is absolute; write it relative to the file that names it")]
    Absolute,
    /// Has `..` among its parts.
    #[error("may leave its folder by \"..\"; write it without")]
    Outside,
    /// Has a colon: a drive or a stream on Windows.
    #[error("has a colon, which Windows allows in no file name; rename the file")]
    Colon,
    /// Has a NUL.
    #[error("has a NUL character, which no file name may have")]
    Nul,
}

/// The path with `/` between its parts: backslashes are read as `/`, `.` and empty parts are taken out.
///
/// # Errors
///
/// [`PathError`] for a path that may name a file outside the folder that it is relative to, on any platform.
pub fn relative(path: &str) -> Result<String, PathError> {
    let path = path.replace('\\', "/");
    if path.starts_with('/') {
        return Err(PathError::Absolute);
    }
    if path.contains(':') {
        return Err(PathError::Colon);
    }
    if path.contains('\0') {
        return Err(PathError::Nul);
    }
    let parts: Vec<&str> = path
        .split('/')
        .filter(|part| !matches!(*part, "" | "."))
        .collect();
    if parts.is_empty() {
        return Err(PathError::Empty);
    }
    // Windows drops spaces and dots at a name's end.
    if parts
        .iter()
        .any(|part| part.trim_end_matches(['.', ' ']).is_empty())
    {
        return Err(PathError::Outside);
    }
    Ok(parts.join("/"))
}

/// Whether a path is as [`relative`] gives it.
pub fn is_inside(path: &str) -> bool {
    relative(path).is_ok_and(|relative| relative == path)
}

/// File names of one folder, no two the same, letter case aside.
#[derive(Debug, Default)]
pub struct UniqueNames(HashSet<String>);

impl UniqueNames {
    /// A name for the file at `path`: `a/b.jpg` becomes `a_b.jpg`, or `a_b-2.jpg` if that is taken.
    pub fn name(&mut self, path: &str) -> String {
        let flat = path.replace('/', "_");
        let (stem, extension) = match flat.rfind('.') {
            Some(dot) if dot > 0 => flat.split_at(dot),
            _ => (flat.as_str(), ""),
        };
        let mut name = flat.clone();
        let mut n = 1;
        while !self.0.insert(name.to_lowercase()) {
            n += 1;
            name = format!("{stem}-{n}{extension}");
        }
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_paths_are_put_in_one_form() {
        for (path, expected) in [
            ("kb.json", "kb.json"),
            ("thumbs/a.jpg", "thumbs/a.jpg"),
            ("a..b", "a..b"),
            (".hidden/a.jpg", ".hidden/a.jpg"),
            ("./a.jpg", "a.jpg"),
            ("images/./a.jpg", "images/a.jpg"),
            ("images//a.jpg", "images/a.jpg"),
            ("images\\summer\\a.jpg", "images/summer/a.jpg"),
            (".\\a b#1?.jpg", "a b#1?.jpg"),
        ] {
            assert_eq!(relative(path).as_deref(), Ok(expected), "{path}");
            assert_eq!(is_inside(path), path == expected, "{path}");
        }
    }

    #[test]
    fn paths_that_may_lead_outside_are_refused_by_reason() {
        use PathError::{Absolute, Colon, Empty, Nul, Outside};
        for (path, reason) in [
            ("", Empty),
            ("./", Empty),
            (".//.", Empty),
            ("/etc/passwd", Absolute),
            ("\\\\server\\share\\a.jpg", Absolute),
            ("//a.jpg", Absolute),
            ("../a", Outside),
            ("thumbs/../../a", Outside),
            ("..\\a.jpg", Outside),
            ("a/.. /b.jpg", Outside),
            ("C:a", Colon),
            ("C:\\a.jpg", Colon),
            ("images/12:30.jpg", Colon),
            ("http://host/a.jpg", Colon),
            ("a\0.jpg", Nul),
        ] {
            assert_eq!(relative(path), Err(reason), "{path}");
            assert!(!is_inside(path), "{path}");
        }
    }

    #[test]
    fn names_are_unique() {
        let mut names = UniqueNames::default();
        for (path, name) in [
            ("a/b.jpg", "a_b.jpg"),
            ("a_b.jpg", "a_b-2.jpg"),
            ("A_B.JPG", "A_B-3.JPG"),
            ("a_b-2.jpg", "a_b-2-2.jpg"),
            ("b.jpg", "b.jpg"),
            ("picture", "picture"),
            ("picture", "picture-2"),
            (".jpg", ".jpg"),
            (".jpg", ".jpg-2"),
        ] {
            assert_eq!(names.name(path), name, "{path}");
        }
    }
}
