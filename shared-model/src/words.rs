//! Word vectors (GloVe), and the embedding of a mention as their mean.

use std::collections::HashMap;

use crate::error::Result;
use crate::normalise::fold;
use crate::pack::{Entry, Pack};

/// Word vectors of a bounded vocabulary.
#[derive(Debug, Clone)]
pub struct WordTable {
    index: HashMap<String, usize>,
    vectors: Vec<f32>,
    width: usize,
}

impl WordTable {
    /// Reads the part `words.bpk`: `vectors` `[words, width]` and `words`, UTF-8 joined by line feeds.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if a tensor is missing or the counts differ.
    pub fn from_pack(pack: &Pack) -> Result<Self> {
        let (shape, vectors) = pack.floats("vectors")?;
        let [rows, width] = shape[..] else {
            return Err(pack.refuse("vectors must be [words, width]"));
        };
        let words = String::from_utf8(pack.bytes("words")?)
            .map_err(|_| pack.refuse("words are not UTF-8"))?;
        let index: HashMap<String, usize> = words
            .split('\n')
            .enumerate()
            .map(|(row, word)| (word.to_owned(), row))
            .collect();
        let n = index.len();
        if n != rows {
            return Err(pack.refuse(format!("{n} distinct words for {rows} vectors")));
        }
        Ok(Self {
            index,
            vectors,
            width,
        })
    }

    /// The entries that [`Self::from_pack`] reads, most frequent word first.
    pub fn entries(words: &[String], vectors: Vec<f32>, width: usize) -> Vec<Entry> {
        vec![
            Entry::floats("vectors", [words.len(), width], vectors),
            Entry::bytes("words", words.join("\n").into_bytes()),
        ]
    }

    /// Width of a vector.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The vector of a word without case and diacritics; `None` if it is not known.
    pub fn get(&self, word: &str) -> Option<&[f32]> {
        let row = *self.index.get(word)?;
        Some(&self.vectors[row * self.width..(row + 1) * self.width])
    }

    /// The mean vector of the mention's known words; `None` if none is known.
    pub fn embed(&self, mention: &str) -> Option<Vec<f32>> {
        let folded = fold(mention);
        crate::math::mean(folded.split(' ').filter_map(|word| self.get(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Precision, write};

    #[test]
    fn a_mention_is_the_mean_of_its_known_words() {
        let words = ["red".to_owned(), "panda".to_owned()];
        let entries = WordTable::entries(&words, vec![1.0, 0.0, 0.0, 3.0], 2);
        let bytes = write(entries, &[], Precision::F32).unwrap();
        let table = WordTable::from_pack(&Pack::read("words.bpk", bytes).unwrap()).unwrap();
        assert_eq!(table.embed("Red #Panda xyzzy"), Some(vec![0.5, 1.5]));
        assert_eq!(table.embed("xyzzy"), None);
    }
}
