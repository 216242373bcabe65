//! Burnpack files with f32, f16 or int8 storage, widened to f32 when read.
//!
//! An int8 tensor `x` has beside it `x.scale`: f32, of the same rank, one value an output row and 1 in every other dimension.

use std::collections::BTreeMap;
use std::fmt::Display;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::{DType, Shape, Tensor, TensorData, f16};
use burn_pack::{Bytes, Reader, Writer};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How floats are stored. Vectors (norms and biases) always stay f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 4 bytes.
    F32,
    /// 2 bytes.
    F16,
    /// 1 byte and one f32 scale an output row, symmetric; rows of fewer than 32 values as in [`Self::F16`].
    Int8,
}

/// A named tensor to be written.
#[derive(Debug, Clone)]
pub struct Entry {
    name: String,
    shape: Vec<usize>,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Floats(Vec<f32>),
    Halves(Bytes),
    Bytes(Vec<u8>),
}

impl Entry {
    /// A float tensor.
    pub fn floats(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            values: Values::Floats(values),
        }
    }

    /// A float tensor that is in f16 already and stays so: of a file, say, of which no more than some megabytes are held at once.
    pub fn halves(name: impl Into<String>, shape: impl Into<Vec<usize>>, values: Bytes) -> Self {
        Self {
            name: name.into(),
            shape: shape.into(),
            values: Values::Halves(values),
        }
    }

    /// Raw bytes.
    pub fn bytes(name: impl Into<String>, values: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            shape: vec![values.len()],
            values: Values::Bytes(values),
        }
    }

    /// The parameters of a module, by their paths.
    pub fn of_module(module: &impl Module) -> Vec<Self> {
        let mut collector = Collector {
            with_values: true,
            ..Collector::default()
        };
        module.visit(&mut collector);
        collector.entries
    }
}

/// The bytes of a `.bpk` file; the same entries give the same bytes.
///
/// # Errors
///
/// [`Error::File`] if the container refuses them (too many, too large).
pub fn write(
    entries: Vec<Entry>,
    metadata: &[(&str, &str)],
    precision: Precision,
) -> Result<Vec<u8>> {
    let bytes = writer(entries, metadata, precision)
        .into_bytes()
        .map_err(|error| Error::file("burnpack", error))?;
    Ok(bytes.to_vec())
}

/// As [`write`], to where the caller wants the bytes.
pub fn writer(entries: Vec<Entry>, metadata: &[(&str, &str)], precision: Precision) -> Writer {
    let tensor = |name, dtype, shape: Vec<usize>, bytes| {
        burn_pack::Tensor::new(name, dtype, Shape::from(shape), None, bytes)
    };
    let mut tensors = Vec::new();
    for Entry {
        name,
        shape,
        values,
    } in entries
    {
        let (dtype, bytes) = match values {
            Values::Halves(bytes) => (DType::F16, bytes),
            Values::Bytes(bytes) => (DType::U8, Bytes::from_bytes_vec(bytes)),
            Values::Floats(values) if precision == Precision::F32 || shape.len() < 2 => {
                (DType::F32, little_endian(&values))
            }
            Values::Floats(values) if precision == Precision::F16 || rows_are_short(&shape) => {
                let halves = values.iter().map(|&value| f16::from_f32(value));
                let bytes = halves.flat_map(f16::to_le_bytes).collect();
                (DType::F16, Bytes::from_bytes_vec(bytes))
            }
            Values::Floats(values) => {
                let axis = output_axis(&name, shape.len());
                let (scales, bytes) = quantise(&values, &shape, axis);
                let mut scale_shape = vec![1; shape.len()];
                scale_shape[axis] = scales.len();
                let scale = format!("{name}.scale");
                tensors.push(tensor(
                    scale,
                    DType::F32,
                    scale_shape,
                    little_endian(&scales),
                ));
                (DType::I8, Bytes::from_bytes_vec(bytes))
            }
        };
        tensors.push(tensor(name, dtype, shape, bytes));
    }
    metadata
        .iter()
        .fold(Writer::new(tensors), |writer, (key, value)| {
            writer.with_metadata(key, value)
        })
}

/// A `.bpk` file read from bytes, int8 and f16 widened.
#[derive(Debug, Clone)]
pub struct Pack {
    file: String,
    metadata: BTreeMap<String, String>,
    tensors: BTreeMap<String, TensorData>,
}

impl Pack {
    /// Reads the bytes of `file`.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for a damaged container, an unknown type or scales that do not fit.
    pub fn read(file: &str, bytes: Vec<u8>) -> Result<Self> {
        let refuse = |error: burn_pack::Error| Error::file(file, error);
        let reader = Reader::from_bytes(Bytes::from_bytes_vec(bytes)).map_err(refuse)?;
        let metadata = reader.metadata().clone();
        let mut stored = BTreeMap::new();
        for tensor in reader.into_tensors().map_err(refuse)? {
            let (name, dtype, shape, _, bytes) = tensor.into_parts().map_err(refuse)?;
            stored.insert(name, TensorData::from_bytes(bytes, shape, dtype));
        }
        let scales = take_scales(&mut stored);
        let mut tensors = BTreeMap::new();
        for (name, data) in stored {
            let widened = match data.dtype() {
                DType::F32 | DType::U8 => data,
                DType::F16 => data.convert::<f32>(),
                DType::I8 => {
                    let scale = scales.get(&name).ok_or_else(|| {
                        Error::file(file, format!("{name} is int8 and has no scale"))
                    })?;
                    widen(&data, scale).ok_or_else(|| {
                        Error::file(file, format!("{name}: its scale does not fit"))
                    })?
                }
                other => {
                    return Err(Error::file(
                        file,
                        format!("{name} has the unknown type {other:?}"),
                    ));
                }
            };
            tensors.insert(name, widened);
        }
        Ok(Self {
            file: file.to_owned(),
            metadata,
            tensors,
        })
    }

    /// The name given to [`Self::read`].
    pub fn file(&self) -> &str {
        &self.file
    }

    /// An [`Error::File`] of this file.
    pub(crate) fn refuse(&self, reason: impl Display) -> Error {
        Error::file(&self.file, reason)
    }

    /// A metadata value.
    pub fn metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }

    /// Every tensor's name, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Shape and values of a float tensor.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is missing or no float.
    pub fn floats(&self, name: &str) -> Result<(Vec<usize>, Vec<f32>)> {
        let data = self.tensor(name)?;
        let values = data
            .as_slice::<f32>()
            .map_err(|error| self.refuse(format!("{name}: {error:?}")))?;
        Ok((data.shape().to_vec(), values.to_vec()))
    }

    /// Values of a float tensor that must have this shape.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is missing, no float or of another shape.
    pub(crate) fn shaped(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.expect(name, shape)?;
        Ok(self.floats(name)?.1)
    }

    /// A byte tensor.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is missing or not of bytes.
    pub fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let bytes = self
            .tensor(name)?
            .as_slice::<u8>()
            .map_err(|error| self.refuse(format!("{name}: {error:?}")))?;
        Ok(bytes.to_vec())
    }

    /// Asserts that a tensor has this shape: before a module of a size read from elsewhere is allocated.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if it is missing or has another.
    pub fn expect(&self, name: &str, shape: &[usize]) -> Result<()> {
        let found = self.tensor(name)?.shape().to_vec();
        if found == shape {
            Ok(())
        } else {
            Err(self.refuse(format!("{name} is {found:?} instead of {shape:?}")))
        }
    }

    /// How many of `prefix.0.name`, `prefix.1.name` and so on there are.
    pub fn count(&self, prefix: &str, name: &str) -> usize {
        (0..)
            .take_while(|n| self.tensors.contains_key(&format!("{prefix}.{n}.{name}")))
            .count()
    }

    /// Fills `module`; every parameter and every tensor must find its counterpart.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming what is missing, unused or of another shape.
    pub fn load<M: Module>(&self, module: M) -> Result<M> {
        let mut collector = Collector::default();
        module.visit(&mut collector);
        let entries = collector.entries.into_iter();
        let shapes: BTreeMap<_, _> = entries.map(|entry| (entry.name, entry.shape)).collect();
        for (name, shape) in &shapes {
            self.expect(name, shape)?;
            if self.tensor(name)?.dtype() != DType::F32 {
                return Err(self.refuse(format!("{name} is no float")));
            }
        }
        if let Some(unused) = self.tensors.keys().find(|name| !shapes.contains_key(*name)) {
            return Err(self.refuse(format!("the tensor {unused} has no place in this model")));
        }
        Ok(module.map(&mut Loader {
            path: Vec::new(),
            tensors: &self.tensors,
        }))
    }

    /// The entries again, to be written in another precision.
    pub fn entries(&self) -> Vec<Entry> {
        let entry = |(name, data): (&String, &TensorData)| match data.as_slice::<f32>() {
            Ok(values) => Entry::floats(name, data.shape().to_vec(), values.to_vec()),
            Err(_) => Entry::bytes(name, data.as_bytes().to_vec()),
        };
        self.tensors.iter().map(entry).collect()
    }

    fn tensor(&self, name: &str) -> Result<&TensorData> {
        self.tensors
            .get(name)
            .ok_or_else(|| self.refuse(format!("the tensor {name} is missing")))
    }
}

/// The dimension that runs over outputs: the second of a linear weight `[in, out]`, the first of an embedding or a convolution.
fn output_axis(name: &str, rank: usize) -> usize {
    let table = name.contains("embeddings") || name == "vectors";
    usize::from(rank == 2 && !table)
}

/// Rows so short that the scale would weigh as much as what it saves, such as those of depthwise convolutions: int8 leaves them f16.
fn rows_are_short(shape: &[usize]) -> bool {
    shape.len() == 4 && shape[1..].iter().product::<usize>() < 32
}

fn quantise(values: &[f32], shape: &[usize], axis: usize) -> (Vec<f32>, Vec<u8>) {
    let row = row_of(shape, axis);
    let mut scales = vec![0.0f32; shape[axis]];
    for (i, value) in values.iter().enumerate() {
        let scale = &mut scales[row(i)];
        *scale = scale.max(value.abs() / 127.0);
    }
    let bytes = values
        .iter()
        .enumerate()
        .map(|(i, value)| match scales[row(i)] {
            0.0 => 0,
            scale => (value / scale).round() as i8 as u8,
        })
        .collect();
    (scales, bytes)
}

fn widen(data: &TensorData, scale: &TensorData) -> Option<TensorData> {
    let (shape, scale_shape) = (data.shape().to_vec(), scale.shape().to_vec());
    let scales = scale.as_slice::<f32>().ok()?;
    // One scale for all, of a tensor with one output, may stand anywhere.
    let axis = scale_shape.iter().position(|&n| n > 1);
    let axis = axis.or_else(|| shape.iter().position(|&n| n == 1))?;
    let fits = scale_shape.len() == shape.len()
        && shape[axis] == scales.len()
        && scale_shape.iter().product::<usize>() == scales.len();
    if !fits {
        return None;
    }
    let stored = data.as_slice::<i8>().ok()?;
    let inner: usize = shape[axis + 1..].iter().product();
    let mut values = Vec::with_capacity(stored.len());
    let widened = |(&value, &scale): (&i8, &f32)| f32::from(value) * scale;
    if inner == 1 {
        for row in stored.chunks(shape[axis].max(1)) {
            values.extend(row.iter().zip(scales).map(widened));
        }
    } else {
        for (row, scale) in stored.chunks(inner.max(1)).zip(scales.iter().cycle()) {
            values.extend(row.iter().map(|value| widened((value, scale))));
        }
    }
    Some(TensorData::new(values, shape))
}

fn row_of(shape: &[usize], axis: usize) -> impl Fn(usize) -> usize + use<> {
    let inner: usize = shape[axis + 1..].iter().product();
    let rows = shape[axis];
    move |i| i / inner % rows
}

/// Takes the scales out of the tensors, by the names of the int8 tensors that they belong to.
fn take_scales(tensors: &mut BTreeMap<String, TensorData>) -> BTreeMap<String, TensorData> {
    let is_int8 = |(_, data): &(&String, &TensorData)| data.dtype() == DType::I8;
    let names: Vec<String> = tensors
        .iter()
        .filter(is_int8)
        .map(|(name, _)| name.clone())
        .collect();
    names
        .into_iter()
        .filter_map(|name| Some((tensors.remove(&format!("{name}.scale"))?, name)))
        .map(|(scale, name)| (name, scale))
        .collect()
}

fn little_endian(values: &[f32]) -> Bytes {
    let bytes = values.iter().flat_map(|value| value.to_le_bytes());
    Bytes::from_bytes_vec(bytes.collect())
}

/// Puts tensors into a module's parameters, one after the other; every parameter has its tensor.
struct Loader<'a> {
    path: Vec<String>,
    tensors: &'a BTreeMap<String, TensorData>,
}

impl ModuleMapper for Loader<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let data = &self.tensors[&self.path.join(".")];
        let tensor = Tensor::from_data(data.clone(), (&param.lazy_device(), DType::F32));
        param.transform_for_load(tensor, ParamId::new())
    }
}

/// A module's parameters; their shapes alone without filling those that are not.
#[derive(Default)]
struct Collector {
    with_values: bool,
    path: Vec<String>,
    entries: Vec<Entry>,
}

impl ModuleVisitor for Collector {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = self.path.join(".");
        let entry = if self.with_values {
            let data = param.transform_for_save().val().into_data();
            let data = data.convert::<f32>();
            let values = data.as_slice::<f32>().expect("converted to f32").to_vec();
            Entry::floats(name, data.shape().to_vec(), values)
        } else {
            Entry::floats(name, param.lazy_shape().to_vec(), Vec::new())
        };
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Vec<Entry> {
        vec![
            Entry::floats(
                "linear.weight",
                [2, 3],
                vec![1.0, -20.0, 0.0, 0.5, 10.0, 0.0],
            ),
            Entry::floats(
                "word_embeddings.weight",
                [2, 3],
                vec![1.0, -0.5, 0.25, 100.0, -50.0, 25.0],
            ),
            Entry::floats("norm.gamma", [2], vec![1.23456, -0.001]),
        ]
    }

    #[track_caller]
    fn check(precision: Precision, relative: f32) {
        let bytes = write(entries(), &[("licence", "MIT")], precision).unwrap();
        assert_eq!(
            bytes,
            write(entries(), &[("licence", "MIT")], precision).unwrap()
        );
        let pack = Pack::read("x.bpk", bytes).unwrap();
        assert_eq!(pack.metadata("licence"), Some("MIT"));
        assert_eq!(pack.tensors.len(), 3);
        for entry in entries() {
            let (shape, values) = pack.floats(&entry.name).unwrap();
            assert_eq!(shape, entry.shape);
            let Values::Floats(expected) = entry.values else {
                unreachable!()
            };
            for (value, expected) in values.iter().zip(expected) {
                assert!(
                    (value - expected).abs() <= relative * expected.abs() + 1e-9,
                    "{}: {value} {expected}",
                    entry.name
                );
            }
        }
        assert_eq!(pack.floats("norm.gamma").unwrap().1, [1.23456, -0.001]);
    }

    #[test]
    fn every_precision_round_trips_row_by_row() {
        check(Precision::F32, 0.0);
        check(Precision::F16, 1e-3);
        check(Precision::Int8, 1e-2);
    }

    #[test]
    fn damage_is_named() {
        let mut bytes = write(entries(), &[], Precision::Int8).unwrap();
        bytes.truncate(bytes.len() - 300);
        let error = Pack::read("text.bpk", bytes).unwrap_err().to_string();
        assert!(error.starts_with("text.bpk: "), "{error}");
        let pack = Pack::read("x.bpk", write(entries(), &[], Precision::F32).unwrap()).unwrap();
        let error = pack.floats("other").unwrap_err().to_string();
        assert_eq!(error, "x.bpk: the tensor other is missing");
    }
}
