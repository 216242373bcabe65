//! Tokens of pictures, all in memory, as pre-training needs them.
//!
//! They are stored in shards beside those of `imn features`, so that the next run finds them.

use std::collections::HashMap;

use anyhow::ensure;
use half::f16;
use shared_model::encoders::Encoders;

use super::keys::{Key, key};
use super::shards::shard_name;
use super::{CHUNK, Picture, contents, encode_pictures, folder};
use crate::dataset::Dataset;
use crate::files::{self, progress};
use crate::halves;

/// Means and standard deviations of the channels of tokens.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Channels {
    /// Mean of each channel.
    pub(crate) means: Vec<f32>,
    /// Standard deviation of each channel.
    pub(crate) deviations: Vec<f32>,
}

/// Tokens of pictures, each picture once.
#[derive(Default)]
pub(crate) struct Patches {
    /// Number of tokens per picture.
    pub(crate) tokens: usize,
    /// Width of a token.
    pub(crate) width: usize,
    values: Vec<f16>,
    places: HashMap<Key, usize>,
}

impl Patches {
    /// An empty collection.
    pub(crate) fn new(tokens: usize, width: usize) -> Self {
        Self {
            tokens,
            width,
            ..Self::default()
        }
    }

    /// Adds pictures of a dataset, encodes those that no shard has, and returns the position of each path; equal pictures share one.
    ///
    /// # Errors
    ///
    /// If a picture cannot be read; the error names it.
    pub(crate) fn add(
        &mut self,
        dataset: &Dataset,
        paths: &[String],
        encoders: &Encoders,
        fingerprint: &str,
    ) -> anyhow::Result<HashMap<String, usize>> {
        let folder = folder(dataset, fingerprint);
        let items: Vec<Picture> = paths.iter().map(|path| (path.clone(), true)).collect();
        let mut found = HashMap::new();
        let bar = progress(items.len(), "pictures");
        for chunk in items.chunks(CHUNK) {
            let contents = contents(dataset, chunk)?;
            let keys: Vec<Key> = contents.iter().map(|bytes| key(bytes, true)).collect();
            let shard = folder
                .join(shard_name("patches", &keys))
                .with_extension("tokens");
            if !shard.exists() {
                let bytes: Vec<u8> = encode_pictures(&contents, chunk, encoders)?
                    .iter()
                    .flat_map(|row| halves::bytes(&row.tokens))
                    .collect();
                files::write(&shard, &bytes)?;
            }
            let bytes = files::read(&shard)?;
            let size = halves::SIZE * self.tokens * self.width;
            ensure!(
                bytes.len() == size * keys.len(),
                "{} does not hold the tokens of {} pictures; delete it",
                shard.display(),
                keys.len()
            );
            for ((bytes, key), (path, _)) in bytes.chunks(size).zip(keys).zip(chunk) {
                let next = self.places.len();
                let place = *self.places.entry(key).or_insert(next);
                if place == next {
                    self.values.extend(halves::numbers(bytes));
                }
                found.insert(path.clone(), place);
            }
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(found)
    }

    /// The tokens of the picture at position `place`, row-major.
    pub(crate) fn of(&self, place: usize) -> impl Iterator<Item = f32> + '_ {
        let size = self.tokens * self.width;
        let values = &self.values[place * size..(place + 1) * size];
        values.iter().map(|value| value.to_f32())
    }

    /// Statistics of every channel over the tokens of the pictures at `places`.
    pub(crate) fn channels(&self, places: impl Iterator<Item = usize>) -> Channels {
        let mut sums = vec![(0.0f64, 0.0f64); self.width];
        let mut n = 0usize;
        for place in places {
            for (i, value) in self.of(place).map(f64::from).enumerate() {
                let (sum, squares) = &mut sums[i % self.width];
                *sum += value;
                *squares += value * value;
            }
            n += self.tokens;
        }
        let n = n.max(1) as f64;
        let moments = sums.into_iter().map(|(sum, squares)| {
            let mean = sum / n;
            let variance = (squares / n - mean * mean).max(0.0);
            (mean as f32, variance.sqrt() as f32)
        });
        let (means, deviations) = moments.unzip();
        Channels { means, deviations }
    }

    /// A collection of given tokens, for tests.
    #[cfg(test)]
    pub(crate) fn given(tokens: usize, width: usize, pictures: &[Vec<f32>]) -> Self {
        Self {
            values: pictures
                .iter()
                .flatten()
                .map(|&value| f16::from_f32(value))
                .collect(),
            ..Self::new(tokens, width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_those_of_a_channel() {
        let patches = Patches::given(2, 2, &[vec![1.0, 0.0, 3.0, 0.0], vec![9.0; 4]]);
        let Channels { means, deviations } = patches.channels([0].into_iter());
        assert_eq!((means, deviations), (vec![2.0, 0.0], vec![1.0, 0.0]));
    }
}
