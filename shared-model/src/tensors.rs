//! Plain values to tensors and back.

use burn::prelude::*;

use crate::error::{Error, Result};
use crate::pack::Pack;
use crate::tokenizer::Encoded;

/// Token ids of texts, padded to the longest, and the padding mask.
///
/// # Shapes
///
/// - ids: `[batch, tokens]`
/// - mask: `[batch, tokens]`, true = padding
pub fn pad(batch: &[Encoded], device: &Device) -> (Tensor<2, Int>, Tensor<2, Bool>) {
    let lengths = batch.iter().map(|encoded| encoded.ids.len());
    let tokens = lengths.max().unwrap_or(0);
    let mut ids = Vec::with_capacity(batch.len() * tokens);
    let mut mask = Vec::with_capacity(batch.len() * tokens);
    for encoded in batch {
        for t in 0..tokens {
            ids.push(encoded.ids.get(t).map_or(0, |&id| id as i32));
            mask.push(t >= encoded.ids.len());
        }
    }
    let shape = [batch.len(), tokens];
    let ids = Tensor::from_data(TensorData::new(ids, shape), device);
    let mask = Tensor::<2, Bool>::from_data(TensorData::new(mask, shape), device);
    (ids, mask)
}

/// Reads a tensor back without blocking, row-major.
///
/// # Errors
///
/// [`Error::Device`] if the device fails.
pub async fn read<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor
        .into_data_async()
        .await
        .map_err(|error| Error::Device(format!("{error:?}")))?;
    data.convert::<f32>()
        .try_into_vec()
        .map_err(|error| Error::Device(format!("{error:?}")))
}

/// Refuses weights whose attention heads do not divide their width.
pub(crate) fn check_heads(pack: &Pack, width: usize, n_heads: usize) -> Result<()> {
    if heads_fit(width, n_heads) {
        return Ok(());
    }
    let reason = format!("{n_heads} attention heads do not divide a width of {width}");
    Err(pack.refuse(reason))
}

/// Whether a width can be divided evenly among attention heads.
pub(crate) fn heads_fit(width: usize, n_heads: usize) -> bool {
    n_heads > 0 && width > 0 && width.is_multiple_of(n_heads)
}
