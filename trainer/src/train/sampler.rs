//! Examples of several training sets, each with its share of a batch.

use rand::RngExt as _;
use rand::rngs::StdRng;

use super::data::{Placed, TrainingSet};

/// Draws examples; a training set without any has no share.
pub(super) struct Sampler<'a> {
    /// Shares, summed up, with the examples.
    sets: Vec<(f64, Vec<Placed<'a>>)>,
}

impl<'a> Sampler<'a> {
    /// `None` if no set with a share above 0 has examples.
    pub(super) fn new(examples: Vec<Vec<Placed<'a>>>, shares: &[f64]) -> Option<Self> {
        let mut sum = 0.0;
        let mut sets: Vec<(f64, Vec<Placed>)> = Vec::new();
        for (examples, share) in examples.into_iter().zip(shares) {
            if !examples.is_empty() && *share > 0.0 {
                sum += share;
                sets.push((sum, examples));
            }
        }
        sets.iter_mut().for_each(|(until, _)| *until /= sum);
        (!sets.is_empty()).then_some(Self { sets })
    }

    /// `n` examples. Their places are spread evenly, so that each set gets its share of them.
    pub(super) fn draw(
        &self,
        n: usize,
        rng: &mut StdRng,
        mut each: impl FnMut(Placed<'a>, &mut StdRng),
    ) {
        let offset: f64 = rng.random();
        for i in 0..n {
            let place = (i as f64 + offset) / n as f64;
            let set = self.sets.iter().find(|(until, _)| place < *until);
            let (_, set) = set.unwrap_or(&self.sets[self.sets.len() - 1]);
            let example = set[rng.random_range(0..set.len())];
            each(example, rng);
        }
    }
}

/// Names the examples of a batch in an error.
pub(super) fn named(sets: &[TrainingSet], drawn: &[Placed]) -> String {
    let names = drawn.iter().filter_map(|(set, example)| {
        let entities = &sets[*set].kb.text.entities;
        Some(entities[example.entity()?].id.as_str())
    });
    format!("posts of {}", names.collect::<Vec<_>>().join(", "))
}
