//! f16 numbers in files: two bytes each, little-endian.

use half::f16;

/// Number of bytes per number.
pub(crate) const SIZE: usize = size_of::<f16>();

/// The bytes of the numbers, rounded to f16.
pub(crate) fn bytes(values: &[f32]) -> impl Iterator<Item = u8> {
    values
        .iter()
        .flat_map(|&value| f16::from_f32(value).to_le_bytes())
}

/// The numbers that [`bytes`] wrote.
pub(crate) fn numbers(bytes: &[u8]) -> impl Iterator<Item = f16> {
    let (pairs, _) = bytes.as_chunks::<SIZE>();
    pairs.iter().map(|&pair| f16::from_le_bytes(pair))
}
