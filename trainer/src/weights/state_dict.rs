//! Foreign weight files as tensors by name.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, bail};
use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader};
use safetensors::{Dtype, SafeTensors};

/// A float tensor of a state dict.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Floats {
    pub(crate) shape: Vec<usize>,
    pub(crate) values: Vec<f32>,
}

/// Float tensors by name; counters and other integers are left out.
pub(crate) type StateDict = BTreeMap<String, Floats>;

/// Reads a `.safetensors`, `.pth`, `.pt` or `.bin` file.
pub(crate) fn read(path: &Path) -> anyhow::Result<StateDict> {
    let state = match path.extension().and_then(|extension| extension.to_str()) {
        Some("safetensors") => safetensors(path),
        Some("pth" | "pt" | "bin") => pytorch(path),
        _ => bail!(
            "{}: expected .safetensors, .pth, .pt or .bin",
            path.display()
        ),
    };
    state.with_context(|| path.display().to_string())
}

/// Reads all float tensors of a safetensors file.
fn safetensors(path: &Path) -> anyhow::Result<StateDict> {
    let bytes = std::fs::read(path)?;
    let file = SafeTensors::deserialize(&bytes).context("not a whole safetensors file")?;
    let mut state = StateDict::new();
    for (name, view) in file.tensors() {
        if let Some(values) = floats(view.dtype(), view.data()) {
            let shape = view.shape().to_vec();
            state.insert(name, Floats { shape, values });
        }
    }
    Ok(state)
}

/// The values of a float type; `None` for another.
fn floats(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    fn decoded<const N: usize>(bytes: &[u8], decode: fn([u8; N]) -> f32) -> Option<Vec<f32>> {
        let (values, _) = bytes.as_chunks::<N>();
        Some(values.iter().copied().map(decode).collect())
    }
    match dtype {
        Dtype::F32 => decoded(bytes, f32::from_le_bytes),
        Dtype::F64 => decoded(bytes, |value| f64::from_le_bytes(value) as f32),
        Dtype::F16 => decoded(bytes, |value| f16::from_le_bytes(value).to_f32()),
        Dtype::BF16 => decoded(bytes, |value| bf16::from_le_bytes(value).to_f32()),
        _ => None,
    }
}

/// Reads a state dict under the key `model` or `state_dict`, else at the root.
fn pytorch(path: &Path) -> anyhow::Result<StateDict> {
    let reader = ["model", "state_dict"]
        .iter()
        .filter_map(|key| PytorchReader::with_top_level_key(path, key).ok())
        .find(|reader| !reader.is_empty())
        .map_or_else(|| PytorchReader::new(path), Ok)
        .context("not a whole PyTorch checkpoint")?;
    let mut state = StateDict::new();
    for (name, tensor) in reader.into_tensors() {
        let dtype = match tensor.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            DType::F16 => Dtype::F16,
            DType::BF16 => Dtype::BF16,
            _ => continue,
        };
        let values = floats(dtype, &tensor.read()?).expect("a float type");
        let shape = tensor.shape().to_vec();
        state.insert(name, Floats { shape, values });
    }
    Ok(state)
}
