//! Initial values of the network's pooled projection: a half-whitened PCA of the pooled vectors of each modality.

use burn::prelude::*;
use burn::tensor::Distribution;
use shared_model::imn::{ImnConfig, Input, Modality};

use super::data::TrainingSet;

/// Number of vectors that the components are estimated on.
const MAX_VECTORS: usize = 6000;
/// Rounds of the subspace iteration. A whole eigendecomposition, of which 112 of 1,280 components are wanted, is more work.
const ROUNDS: usize = 24;

/// One matrix per input, `[width, aux]`. Text and image have columns of their own, so that the initial cosine is that of their projections side by side. The joint modality beside them starts at 0.
pub(super) fn initial(config: &ImnConfig, sets: &[TrainingSet], device: &Device) -> Vec<Tensor<2>> {
    let root = |input: &Input| {
        let is_beside = input.modality == Modality::Joint && config.inputs.len() > 1;
        if is_beside {
            0.0
        } else {
            (input.width as f64).sqrt()
        }
    };
    let mut left: f64 = config.inputs.iter().map(root).sum();
    let mut first = 0;
    (0..config.inputs.len())
        .map(|modality| {
            let input = config.inputs[modality];
            let share = root(&input) / left.max(f64::MIN_POSITIVE);
            left -= root(&input);
            // A share of 1 must remain 1 when it is rounded.
            let columns = ((config.d_aux - first) as f64 * share + 1e-6) as usize;
            let columns = columns.min(input.width);
            if columns == 0 {
                return Tensor::zeros([input.width, config.d_aux], device);
            }
            let vectors = pooled(modality, sets);
            let matrix = if vectors.is_empty() {
                Tensor::zeros([input.width, columns], device)
            } else {
                half_whitened(vectors, input.width, columns, device)
            };
            let mut padded = Tensor::zeros([input.width, config.d_aux], device);
            padded = padded.slice_assign([0..input.width, first..first + columns], matrix);
            first += columns;
            padded
        })
        .collect()
}

/// The pooled vectors of posts and entities that are trained on.
fn pooled(modality: usize, sets: &[TrainingSet]) -> Vec<Vec<f32>> {
    let share = MAX_VECTORS / sets.len().max(1);
    let mut vectors = Vec::new();
    for set in sets {
        let step = (set.fit().count() * 2 / share.max(1)).max(1);
        let posts = set.fit().step_by(step);
        vectors.extend(posts.map(|example| example.pooled[modality].clone()));
        let step = (set.trained.len() * 2 / share.max(1)).max(1);
        for &entity in set.trained.iter().step_by(step) {
            let posts = set.timeline(entity, None);
            let mut sequences = set.entity_sequences(entity, &posts);
            vectors.push(std::mem::take(&mut sequences[modality].pooled));
        }
    }
    vectors.retain(|vector| vector.iter().any(|value| *value != 0.0));
    vectors
}

/// The first principal components, each divided by the fourth root of its variance, and scaled so that the mean square length of an output is 1, as that of the normalised encoder beside it.
fn half_whitened(
    vectors: Vec<Vec<f32>>,
    width: usize,
    columns: usize,
    device: &Device,
) -> Tensor<2> {
    let n = vectors.len();
    let x: Tensor<2> = Tensor::from_data(TensorData::new(vectors.concat(), [n, width]), device);
    let covariance = x.clone().transpose().matmul(x) / n as f64;
    device.seed(0);
    let mut basis: Tensor<2> =
        Tensor::random([width, columns], Distribution::Normal(0.0, 1.0), device);
    for _ in 0..ROUNDS {
        basis = orthonormal(covariance.clone().matmul(basis));
    }
    let variances = (basis.clone() * covariance.matmul(basis.clone())).sum_dim(0); // [1, columns]
    let scale = variances.clone().clamp_min(1e-8).powf_scalar(-0.25);
    let norm: f32 = (variances * scale.clone() * scale.clone())
        .sum()
        .into_scalar();
    basis * scale / f64::from(norm.max(1e-8)).sqrt()
}

/// Orthonormal columns of the same span, by Gram-Schmidt.
fn orthonormal(matrix: Tensor<2>) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    let device = matrix.device();
    let values = matrix.transpose().into_data().convert::<f32>();
    let mut values: Vec<f32> = values.try_into_vec().expect("floats");
    for i in 0..columns {
        let (before, rest) = values.split_at_mut(i * rows);
        let column = &mut rest[..rows];
        for other in before.chunks(rows) {
            let dot: f32 = column.iter().zip(other).map(|(a, b)| a * b).sum();
            column
                .iter_mut()
                .zip(other)
                .for_each(|(a, b)| *a -= dot * b);
        }
        let norm = column.iter().map(|a| a * a).sum::<f32>().sqrt().max(1e-12);
        column.iter_mut().for_each(|a| *a /= norm);
    }
    Tensor::<2>::from_data(TensorData::new(values, [columns, rows]), &device).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_directions_are_kept_and_half_whitened() {
        // Variances 16, 1 and almost nothing along three axes.
        let vectors = vec![
            vec![4.0, 0.0, 0.0],
            vec![-4.0, 0.0, 0.0],
            vec![0.0, 1.0, 0.0],
            vec![0.0, -1.0, 0.01],
        ];
        let matrix = half_whitened(vectors, 3, 2, &Device::flex());
        let values: Vec<f32> = matrix.into_data().try_into_vec().unwrap();
        let norms = [0, 1].map(|column| {
            (0..3)
                .map(|row| values[row * 2 + column].powi(2))
                .sum::<f32>()
                .sqrt()
        });
        // Deviations 4:1 become 2:1, so the scales are 1:2.
        let ratio = norms[1] / norms[0];
        assert!((ratio - 2.0).abs() < 0.01, "{norms:?}");
        assert!(values[0].abs() > 10.0 * values[2].abs(), "{values:?}");
    }
}
