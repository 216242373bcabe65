//! Addresses of a bundle's files.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything but letters, digits, the marks that need no escape, and the slash between folders.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// The address of the file at `path` inside the bundle whose folder is at `base`.
pub fn file_address(base: &str, path: &str) -> String {
    format!("{base}{}", utf8_percent_encode(path, ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: &str, expected: &str) {
        assert_eq!(
            file_address("https://example.org/demo/", path),
            format!("https://example.org/demo/{expected}")
        );
    }

    #[test]
    fn characters_with_a_meaning_in_addresses_are_escaped() {
        check("thumbs/0001.jpg", "thumbs/0001.jpg");
        check("examples/cat #1.jpg", "examples/cat%20%231.jpg");
        check("examples/who?.jpg", "examples/who%3F.jpg");
        check("examples/100%25 wool.jpg", "examples/100%2525%20wool.jpg");
        check(
            "examples/größe_~1-2.png",
            "examples/gr%C3%B6%C3%9Fe_~1-2.png",
        );
    }
}
