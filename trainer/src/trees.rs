//! ET: Extra-Trees over what a post and a candidate have in common (Adjali et al. 2020).

use anyhow::{Context as _, ensure};
use shared_model::evidence::Observed;
use shared_model::pack::{Entry, Pack, Precision, write};
use smartcore::ensemble::extra_trees_regressor::{
    ExtraTreesRegressor, ExtraTreesRegressorParameters,
};
use smartcore::linalg::basic::matrix::DenseMatrix;

/// Number of features: similarities of text and picture, six of names and words, popularity, JMEL.
pub(crate) const FEATURES: usize = 10;
/// Number of trees.
const TREES: usize = 100;
/// Number of features that are tried per split, about the root of all.
const TRIED: usize = 3;
/// Smallest number of rows in a leaf.
const LEAF: usize = 5;

/// What is known of one candidate, in the order of [`features`].
pub(crate) type Features = [f32; FEATURES];

/// The features of a candidate.
///
/// # Arguments
///
/// - popularity: how often the candidate is the gold of another train mention.
/// - jmel: score of JMEL.
pub(crate) fn features(observed: &Observed, popularity: f32, jmel: f32) -> Features {
    let [text, _, _, image, _, _, _, names @ ..] = observed.values();
    let [ratio, exact, tokens, surname, words, grams] = names;
    [
        text, image, ratio, exact, tokens, surname, words, grams, popularity, jmel,
    ]
}

/// A fitted forest, which is kept as the rows that it is fitted on: the same rows and seed give the same trees.
pub(crate) struct Forest {
    trees: ExtraTreesRegressor<f32, f32, DenseMatrix<f32>, Vec<f32>>,
}

/// Rows that a forest is fitted on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Rows {
    features: Vec<f32>,
    /// 1 for a gold, 0 for another candidate.
    targets: Vec<f32>,
}

impl Rows {
    /// Adds a candidate.
    pub(crate) fn push(&mut self, features: Features, is_gold: bool) {
        self.features.extend(features);
        self.targets.push(f32::from(u8::from(is_gold)));
    }

    /// The rows as a file of a run.
    pub(crate) fn pack(self, file: &str) -> anyhow::Result<Pack> {
        let n = self.targets.len();
        let entries = vec![
            Entry::floats("features", [n, FEATURES], self.features),
            Entry::floats("targets", [n], self.targets),
        ];
        Ok(Pack::read(file, write(entries, &[], Precision::F32)?)?)
    }

    fn read(pack: &Pack) -> anyhow::Result<Self> {
        let (shape, features) = pack.floats("features")?;
        let (_, targets) = pack.floats("targets")?;
        ensure!(
            shape == [targets.len(), FEATURES],
            "{}: its rows are not of this program's features; train again",
            pack.file()
        );
        Ok(Self { features, targets })
    }
}

impl Forest {
    /// Fits the trees.
    ///
    /// # Errors
    ///
    /// If the pack has no rows, or rows of other features.
    pub(crate) fn fit(pack: &Pack, seed: u64) -> anyhow::Result<Self> {
        let Rows { features, targets } = Rows::read(pack)?;
        let parameters = ExtraTreesRegressorParameters::default()
            .with_n_trees(TREES)
            .with_m(TRIED)
            .with_min_samples_leaf(LEAF)
            .with_seed(seed);
        let trees = ExtraTreesRegressor::fit(&matrix(features)?, &targets, parameters);
        Ok(Self {
            trees: trees.context("the trees cannot be fitted")?,
        })
    }

    /// The share of golds that the trees expect among candidates like each of these.
    pub(crate) fn scores(&self, candidates: &[Features]) -> anyhow::Result<Vec<f32>> {
        if candidates.is_empty() {
            return Ok(Vec::new());
        }
        let scores = self.trees.predict(&matrix(candidates.concat())?);
        scores.context("the trees cannot be read")
    }
}

fn matrix(features: Vec<f32>) -> anyhow::Result<DenseMatrix<f32>> {
    let n = features.len() / FEATURES;
    DenseMatrix::new(n, FEATURES, features, false).context("no rows for the trees")
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    #[test]
    fn the_trees_find_what_tells_the_gold_and_are_the_same_each_time() {
        let mut rng = StdRng::seed_from_u64(1);
        let mut row = || -> Features { std::array::from_fn(|_| rng.random_range(0.0..1.0)) };
        let mut rows = Rows::default();
        for _ in 0..400 {
            let features = row();
            rows.push(features, features[3] > 0.6);
        }
        let pack = rows.pack("trees.bpk").unwrap();
        let [first, second] = [(); 2].map(|()| Forest::fit(&pack, 7).unwrap());
        let mut high = row();
        let mut low = high;
        (high[3], low[3]) = (0.9, 0.2);
        let scores = first.scores(&[high, low]).unwrap();
        assert!(scores[0] > scores[1] + 0.3, "{scores:?}");
        assert_eq!(scores, second.scores(&[high, low]).unwrap());
        assert!(first.scores(&[]).unwrap().is_empty());
    }
}
