//! Words and letters of a batch: plain values to padded tensors.

use burn::prelude::*;

use super::{BaselineConfig, Batch, Reads};
use crate::data::Mention;
use crate::error::{Error, Result};
use crate::imn::{Modality, Side};
use crate::normalise::fold;
use crate::words::WordTable;

/// Number of rows of the table of letters, which the characters share.
pub(super) const LETTERS: usize = 4096;
/// Number of words that are read on either side of a mention (Eshel et al. 2017).
const MAX_WORDS: usize = 50;
/// Number of letters that are read of a name.
const MAX_LETTERS: usize = 32;

/// Sequences of vectors.
#[derive(Debug, Clone)]
pub struct Words {
    /// `[n, length, width]`, at least one position.
    pub vectors: Tensor<3>,
    /// `[n, length]`, true = padding, which is at the end.
    pub mask: Tensor<2, Bool>,
}

impl Words {
    /// 0 on padding, 1 elsewhere.
    ///
    /// # Shapes
    ///
    /// - output: `[n, length, 1]`
    pub(super) fn keep(&self) -> Tensor<3> {
        self.mask.clone().bool_not().float().unsqueeze_dim(2)
    }
}

/// Names, letter by letter.
#[derive(Debug, Clone)]
pub struct Letters {
    /// `[n, length]`: rows of the table of letters.
    pub forward: Tensor<2, Int>,
    /// The same from the last letter to the first.
    pub backward: Tensor<2, Int>,
    /// `[n, length]`, true = padding, which is at the end.
    pub mask: Tensor<2, Bool>,
}

impl BaselineConfig {
    /// A batch of posts.
    ///
    /// # Arguments
    ///
    /// - posts: text and mention of each.
    /// - mentions, entities: sequences of the same posts and of their candidates; of the posts' tokens no more than the text's are read.
    /// - names: name of each entity.
    /// - candidates: `[batch, n_candidates]`, rows of `entities`.
    /// - table: word vectors, for the systems that read them.
    ///
    /// # Errors
    ///
    /// An error if a mention is not in its text, and [`Error::File`] if the system reads word vectors and there are none.
    pub fn batch(
        &self,
        posts: &[(&str, Mention)],
        [mentions, entities]: [Side; 2],
        names: &[&str],
        candidates: Tensor<2, Int>,
        table: Option<&WordTable>,
    ) -> Result<Batch> {
        let device = candidates.device();
        let surfaces = posts.iter().map(|(text, mention)| mention.surface(text));
        let surfaces = surfaces.collect::<Result<Vec<&str>>>()?;
        let contexts = match self.kind.reads() {
            Reads::Pooled => Vec::new(),
            Reads::Tokens => {
                let text = self.position(Modality::Text);
                let sequence = &mentions.sequences[text.expect("the config is whole")];
                vec![Words {
                    vectors: sequence.vectors.clone(),
                    mask: sequence.mask.clone(),
                }]
            }
            reads => {
                let name = self.kind.name();
                let table = table.ok_or_else(|| {
                    Error::file(
                        "words.bpk",
                        format!("{name} reads word vectors, and there are none"),
                    )
                })?;
                let rows = posts.iter().map(|(text, mention)| {
                    let is_split = reads == Reads::WordsBesideMention;
                    known_words(text, *mention, is_split, table)
                });
                let rows = rows.collect::<Result<Vec<[Vec<f32>; 2]>>>()?;
                let sequence = |i: usize| {
                    let rows: Vec<&[f32]> = rows.iter().map(|row| row[i].as_slice()).collect();
                    words(&rows, self.word_width, &device)
                };
                vec![sequence(0), sequence(1)]
            }
        };
        Ok(Batch {
            mentions,
            contexts,
            surfaces: letters(&surfaces, &device),
            entities,
            names: letters(names, &device),
            candidates,
        })
    }
}

/// Vectors of the known words of a text, in two sequences: what precedes the mention, and what follows it, reversed;
/// or all words, and all words reversed.
///
/// # Arguments
///
/// - is_split: whether the sequences end at the mention.
fn known_words(
    text: &str,
    mention: Mention,
    is_split: bool,
    table: &WordTable,
) -> Result<[Vec<f32>; 2]> {
    let vectors = |text: &str| -> Vec<Vec<f32>> {
        let folded = fold(text);
        let words = folded.split(' ');
        let known = words.filter_map(|word| table.get(word));
        known.map(<[f32]>::to_vec).collect()
    };
    let surface = mention.surface(text)?;
    let characters: Vec<char> = text.chars().collect();
    let part = |part: &[char]| vectors(&part.iter().collect::<String>());
    let (before, after) = (
        part(&characters[..mention.start]),
        part(&characters[mention.end..]),
    );
    let near_before = before[before.len().saturating_sub(MAX_WORDS)..].to_vec();
    let near_after = after[..after.len().min(MAX_WORDS)].to_vec();
    let reversed = |mut words: Vec<Vec<f32>>| {
        words.reverse();
        words.concat()
    };
    if is_split {
        return Ok([near_before.concat(), reversed(near_after)]);
    }
    let all = [near_before, vectors(surface), near_after].concat();
    Ok([all.concat(), reversed(all)])
}

/// Pads one sequence per row.
fn words(rows: &[&[f32]], width: usize, device: &Device) -> Words {
    let lengths = rows.iter().map(|row| row.len() / width);
    let length = lengths.clone().max().unwrap_or(0).max(1);
    let mut vectors = vec![0.0; rows.len() * length * width];
    for (row, known) in vectors.chunks_mut(length * width).zip(rows) {
        row[..known.len()].copy_from_slice(known);
    }
    Words {
        vectors: Tensor::from_data(
            TensorData::new(vectors, [rows.len(), length, width]),
            device,
        ),
        mask: mask(lengths, length, device),
    }
}

/// Pads one name per row, without case and diacritics.
fn letters(names: &[&str], device: &Device) -> Letters {
    let read =
        |name: &&str| -> Vec<i32> { fold(name).chars().take(MAX_LETTERS).map(row_of).collect() };
    let rows: Vec<Vec<i32>> = names.iter().map(read).collect();
    let lengths = rows.iter().map(Vec::len);
    let length = lengths.clone().max().unwrap_or(0).max(1);
    let padded = |is_backward: bool| {
        let mut ids = vec![0; rows.len() * length];
        for (row, known) in ids.chunks_mut(length).zip(&rows) {
            row[..known.len()].copy_from_slice(known);
            if is_backward {
                row[..known.len()].reverse();
            }
        }
        Tensor::from_data(TensorData::new(ids, [rows.len(), length]), device)
    };
    Letters {
        forward: padded(false),
        backward: padded(true),
        mask: mask(lengths, length, device),
    }
}

/// Row of a character in the table of letters.
fn row_of(letter: char) -> i32 {
    (letter as usize % LETTERS) as i32
}

fn mask(lengths: impl Iterator<Item = usize>, length: usize, device: &Device) -> Tensor<2, Bool> {
    let rows = lengths.map(|n_real| (0..length).map(move |position| position >= n_real));
    let mask: Vec<bool> = rows.flatten().collect();
    let n = mask.len() / length;
    Tensor::from_data(TensorData::new(mask, [n, length]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Pack, Precision, write};

    fn table() -> WordTable {
        let words = ["a", "b", "jaguar", "c", "d"].map(str::to_owned);
        let entries = WordTable::entries(&words, vec![1.0, 2.0, 3.0, 4.0, 5.0], 1);
        let bytes = write(entries, &[], Precision::F32).unwrap();
        WordTable::from_pack(&Pack::read("words.bpk", bytes).unwrap()).unwrap()
    }

    #[test]
    fn words_are_read_towards_the_mention_or_in_both_directions() {
        let mention = Mention { start: 6, end: 12 };
        let read =
            |is_split| known_words("A x B jaguar C, D!", mention, is_split, &table()).unwrap();
        assert_eq!(read(true), [vec![1.0, 2.0], vec![5.0, 4.0]]);
        let all = vec![1.0, 2.0, 3.0, 4.0, 5.0];
        let backward = all.iter().rev().copied().collect();
        assert_eq!(read(false), [all, backward]);
    }

    #[test]
    fn no_more_words_are_read_than_the_nearest() {
        let text = format!("{}jaguar{}", "a b ".repeat(40), " c d".repeat(40));
        let mention = Mention {
            start: 160,
            end: 166,
        };
        let [before, after] = known_words(&text, mention, true, &table()).unwrap();
        assert_eq!((before.len(), after.len()), (MAX_WORDS, MAX_WORDS));
        assert_eq!((before.last(), after.last()), (Some(&2.0), Some(&4.0)));
    }

    #[test]
    fn letters_are_reversed_before_their_padding() {
        let letters = letters(&["Ab", "Çde"], &Device::flex());
        let ids =
            |tensor: Tensor<2, Int>| -> Vec<i64> { tensor.into_data().iter::<i64>().collect() };
        let [a, b, c, d, e] = ['a', 'b', 'c', 'd', 'e'].map(|letter| letter as i64);
        assert_eq!(ids(letters.forward), [a, b, 0, c, d, e]);
        assert_eq!(ids(letters.backward), [b, a, 0, e, d, c]);
        let mask: Vec<bool> = letters.mask.into_data().iter::<bool>().collect();
        assert_eq!(mask, [false, false, true, false, false, false]);
    }
}
