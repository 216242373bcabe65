//! PyTorch's layout of tensors to Burn's.

use anyhow::{Context as _, ensure};
use shared_model::pack::Entry;

use crate::weights::state_dict::{Floats, StateDict};

/// Transposes linear weights from `[out, in]` to `[in, out]`, and calls the norms' `weight` and `bias` `gamma` and `beta`.
pub(super) fn burn_entry(name: String, Floats { shape, values }: Floats) -> Entry {
    if let [rows, columns] = shape[..]
        && !name.contains("embeddings")
    {
        let transposed = (0..columns)
            .flat_map(|column| values.iter().skip(column).step_by(columns))
            .copied();
        return Entry::floats(name, [columns, rows], transposed.collect());
    }
    let norm = name
        .rsplit('.')
        .nth(1)
        .is_some_and(|layer| layer.contains("norm"));
    let name = match name.rsplit_once('.') {
        Some((layer, "weight" | "gamma")) if norm => format!("{layer}.gamma"),
        Some((layer, "bias" | "beta")) if norm => format!("{layer}.beta"),
        _ => name,
    };
    Entry::floats(name, shape, values)
}

/// Folds every `X.norm` (BatchNorm) into the convolution `X`.
pub(super) fn fold_norms(state: &mut StateDict, epsilon: f32) -> anyhow::Result<()> {
    let folded: Vec<String> = state
        .keys()
        .filter_map(|name| name.strip_suffix(".norm.running_var").map(str::to_owned))
        .collect();
    for conv in folded {
        let mut take = |name: &str| {
            let name = format!("{conv}.norm.{name}");
            state
                .remove(&name)
                .map(|tensor| tensor.values)
                .with_context(|| format!("{name} is missing"))
        };
        let (gamma, beta) = (take("weight")?, take("bias")?);
        let (mean, variance) = (take("running_mean")?, take("running_var")?);
        let name = format!("{conv}.weight");
        let weight = state
            .get_mut(&name)
            .with_context(|| format!("{name} is missing"))?;
        let channels = weight.shape.first().copied().unwrap_or_default();
        ensure!(
            !weight.values.is_empty()
                && [&gamma, &beta, &mean, &variance].map(Vec::len) == [channels; 4],
            "{name}: {:?} does not fit its norm of {}",
            weight.shape,
            gamma.len()
        );
        ensure!(
            variance.iter().all(|variance| variance + epsilon > 0.0),
            "{conv}.norm.running_var is negative: the checkpoint is damaged"
        );
        let inner = weight.values.len() / channels;
        let mut bias = Vec::with_capacity(channels);
        for (channel, row) in weight.values.chunks_mut(inner).enumerate() {
            let scale = gamma[channel] / (variance[channel] + epsilon).sqrt();
            row.iter_mut().for_each(|value| *value *= scale);
            bias.push(beta[channel] - mean[channel] * scale);
        }
        let shape = vec![channels];
        state.insert(
            format!("{conv}.bias"),
            Floats {
                shape,
                values: bias,
            },
        );
    }
    Ok(())
}

/// Splits the `in_proj` of an attention, in which PyTorch packs query, key and value.
pub(super) fn split_packed_attention(state: &mut StateDict) -> anyhow::Result<()> {
    let packed: Vec<String> = state
        .keys()
        .filter(|name| name.contains(".in_proj_"))
        .cloned()
        .collect();
    for name in packed {
        let Floats { mut shape, values } = state.remove(&name).context("just listed")?;
        let (attention, kind) = name.split_once(".in_proj_").context("just filtered")?;
        ensure!(
            !values.is_empty() && shape.first().is_some_and(|rows| rows % 3 == 0),
            "{name}: {shape:?} is not three matrices"
        );
        shape[0] /= 3;
        let parts = values.chunks(values.len() / 3);
        for (part, values) in ["query", "key", "value"].iter().zip(parts) {
            let floats = Floats {
                shape: shape.clone(),
                values: values.to_vec(),
            };
            state.insert(format!("{attention}.{part}.{kind}"), floats);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folded_norm_gives_what_the_norm_gave() {
        let floats = |shape: &[usize], values: &[f32]| Floats {
            shape: shape.to_vec(),
            values: values.to_vec(),
        };
        let mut state = StateDict::from([
            ("stem.weight".to_owned(), floats(&[2, 1, 1, 1], &[2.0, 3.0])),
            ("stem.norm.weight".to_owned(), floats(&[2], &[1.0, 4.0])),
            ("stem.norm.bias".to_owned(), floats(&[2], &[0.5, 0.0])),
            (
                "stem.norm.running_mean".to_owned(),
                floats(&[2], &[1.0, 2.0]),
            ),
            (
                "stem.norm.running_var".to_owned(),
                floats(&[2], &[4.0, 16.0]),
            ),
        ]);
        fold_norms(&mut state, 0.0).unwrap();
        assert_eq!(state["stem.weight"].values, [1.0, 3.0]);
        assert_eq!(state["stem.bias"].values, [0.0, -2.0]);
        assert_eq!(state.len(), 2);
    }
}
