//! Word vectors: a word and its numbers per line, most frequent word first.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use shared_model::hash::sha256;
use shared_model::pack::{Precision, write};
use shared_model::words::WordTable;

use super::Origin;
use super::source::{files_with, only};
use crate::files;
use crate::weights::WORDS;

/// Words kept of a table, most frequent first.
const MAX_WORDS: usize = 20_000;

/// Converts a text file, or the only one of a folder.
pub(super) fn glove_text(source: &str, to: &Path, origin: &Origin) -> anyhow::Result<()> {
    ensure!(
        !source.starts_with("hf:"),
        "GloVe is imported from a local .txt file"
    );
    let path = text_file(Path::new(source))?;
    let bytes = files::read(&path)?;
    let (words, vectors) = parse(&bytes).with_context(|| path.display().to_string())?;
    glove(words, vectors, &sha256(&bytes), to, origin)
}

fn text_file(source: &Path) -> anyhow::Result<PathBuf> {
    ensure!(source.exists(), "{} does not exist", source.display());
    if !source.is_dir() {
        return Ok(source.to_owned());
    }
    only(files_with(source, &["txt"])?, source, &["txt"], ".txt")
}

/// The words and their vectors, one after the other. A word that is repeated keeps its first vector.
fn parse(bytes: &[u8]) -> anyhow::Result<(Vec<String>, Vec<f32>)> {
    let text = std::str::from_utf8(bytes).context("not UTF-8")?;
    let mut words = Vec::new();
    let mut vectors: Vec<f32> = Vec::new();
    let mut known = HashSet::new();
    for (number, line) in text.lines().take(MAX_WORDS).enumerate() {
        let place = || format!("line {}", number + 1);
        let (word, numbers) = line.split_once(' ').with_context(place)?;
        let row: Vec<f32> = numbers
            .split(' ')
            .map(str::parse)
            .collect::<Result<_, _>>()
            .with_context(place)?;
        ensure!(
            row.iter().all(|value| value.is_finite()),
            "{}: a value is not a finite number",
            place()
        );
        ensure!(
            words.is_empty() || row.len() * words.len() == vectors.len(),
            "{}: {} numbers",
            place(),
            row.len()
        );
        if known.insert(word) {
            words.push(word.to_owned());
            vectors.extend(row);
        }
    }
    Ok((words, vectors))
}

/// Writes word vectors, most frequent word first.
pub(in crate::weights) fn glove(
    mut words: Vec<String>,
    mut vectors: Vec<f32>,
    digest: &str,
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    ensure!(
        !words.is_empty() && vectors.len().is_multiple_of(words.len()),
        "the word table is empty or ragged"
    );
    let width = vectors.len() / words.len();
    words.truncate(MAX_WORDS);
    vectors.truncate(words.len() * width);
    let metadata = origin.metadata(digest);
    let entries = WordTable::entries(&words, vectors, width);
    let bytes = write(entries, &metadata, Precision::F32)?;
    files::write(&to.join(WORDS), &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_refused_by_its_number() {
        for (line, said) in [
            ("b nan 1", "finite"),
            ("b 1 inf", "finite"),
            ("b -inf 1", "finite"),
            ("b 1", "1 numbers"),
            ("b 1 x", "line 2"),
            ("b", "line 2"),
        ] {
            let error = parse(format!("a 1 2\n{line}\n").as_bytes()).unwrap_err();
            let error = format!("{error:#}");
            assert!(
                error.contains("line 2") && error.contains(said),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn a_repeated_word_keeps_its_first_vector() {
        for text in ["a 1 2\na 3 4\nb 5 6", "a 1 2\nb 5 6\nb 7 8\na 9 9"] {
            let (words, vectors) = parse(text.as_bytes()).unwrap();
            assert_eq!(words, ["a", "b"]);
            assert_eq!(vectors, [1.0, 2.0, 5.0, 6.0]);
        }
    }
}
