//! Paths that come with data.

/// Whether a path that came with the data stays below the folder that it is relative to.
pub fn is_inside(path: &str) -> bool {
    !path.is_empty()
        && !path.contains(['\\', ':', '\0'])
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        for path in ["kb.json", "thumbs/a.jpg", "a..b"] {
            assert!(is_inside(path), "{path}");
        }
        for path in [
            "",
            "/etc/passwd",
            "../a",
            "thumbs/../../a",
            "a//b",
            "C:a",
            "a\\b",
            "./a",
        ] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
