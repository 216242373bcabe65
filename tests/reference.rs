//! Weights, inputs and gradients of the references in `fixtures/make_imn_reference.py` and `fixtures/make_baselines_reference.py`.

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Gradients;
use serde::Deserialize;
use shared_model::imn::Sequence;
use tests::{close, device, fnv1a32, hash32};

use crate::values;

/// Largest difference to the reference. On an NVIDIA H200 by Vulkan the first gradients that missed 1e-4 were 1.1e-4 apart.
pub(crate) fn tolerance() -> f32 {
    if device() == Device::flex() {
        1e-4
    } else {
        3e-4
    }
}

/// Nested JSON arrays of numbers, or one number, flattened.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub(crate) enum Numbers {
    One(f32),
    Many(Vec<Numbers>),
}

impl Numbers {
    pub(crate) fn flat(&self) -> Vec<f32> {
        match self {
            Self::One(value) => vec![*value],
            Self::Many(values) => values.iter().flat_map(Self::flat).collect(),
        }
    }
}

/// A weight of the reference with its gradient.
#[derive(Deserialize)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) gradient: Numbers,
}

/// The numbers of a stream, as the fixtures' README has them.
pub(crate) fn stream(name: &str, n: usize, offset: f64, gain: f64) -> Vec<f32> {
    let seed = fnv1a32(name);
    (0..n as u32)
        .map(|i| f64::from(hash32(seed, i)) / 4_294_967_296.0 * 2.0 - 1.0)
        .map(|u| (offset + gain * u) as f32)
        .collect()
}

/// Whether a tensor of the reference is a table of learned vectors.
fn is_table(name: &str) -> bool {
    let tables = [
        "types",
        "absent",
        "image_index",
        "position_embeddings",
        "patch_positions",
        "picture_index",
        "table.weight",
    ];
    tables.iter().any(|table| name.contains(table))
}

/// The weights of the reference, in its layout.
pub(crate) fn weights(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, gain) = if is_table(name) {
        (0.0, 0.5)
    } else if name == "gates" {
        (0.5, 0.3)
    } else if name.ends_with(".gamma") {
        (1.0, 0.2)
    } else if shape.len() == 1 {
        (0.0, 0.1)
    } else {
        let fan_in: usize = shape[1..].iter().product();
        (0.0, 1.5 / (fan_in as f64).sqrt())
    };
    stream(name, shape.iter().product(), offset, gain)
}

/// Whether our tensor is the transpose of the reference's: Burn's linear weights are `[in, out]`.
fn is_transposed(name: &str, rank: usize) -> bool {
    rank == 2 && name.ends_with(".weight") && !is_table(name)
}

fn transpose(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

/// Gives every parameter the reference's values; `name` turns our paths into its names.
struct Fill<'a> {
    pub(crate) path: Vec<String>,
    pub(crate) name: &'a dyn Fn(&str) -> String,
    device: &'a Device,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if path.contains("running_") {
            return param;
        }
        let name = (self.name)(&path);
        param.map(|tensor| {
            let dims = tensor.dims();
            let filled = if is_transposed(&name, D) {
                let flipped = [dims[1], dims[0]];
                transpose(&weights(&name, &flipped), flipped)
            } else {
                weights(&name, &dims)
            };
            Tensor::from_data(TensorData::new(filled, dims), self.device).require_grad()
        })
    }
}

pub(crate) fn filled<M: Module>(module: M, name: &dyn Fn(&str) -> String, device: &Device) -> M {
    module.map(&mut Fill {
        path: Vec::new(),
        name,
        device,
    })
}

/// Sums the gradients under the reference's names, in its layout.
struct Collect<'a> {
    path: Vec<String>,
    name: &'a dyn Fn(&str) -> String,
    gradients: &'a Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if path.contains("running_") {
            return;
        }
        let name = (self.name)(&path);
        let dims = param.val().dims();
        let n = dims.iter().product();
        let gradient = param.val().grad(self.gradients).map(values);
        let mut gradient = gradient.unwrap_or_else(|| vec![0.0; n]);
        if is_transposed(&name, D) {
            gradient = transpose(&gradient, [dims[0], dims[1]]);
        }
        let sum = self.found.entry(name).or_insert_with(|| vec![0.0; n]);
        for (sum, gradient) in sum.iter_mut().zip(gradient) {
            *sum += gradient;
        }
    }
}

/// The gradients of a module under the reference's names, in its layout.
pub(crate) fn gradients_of(
    module: &impl Module,
    name: &dyn Fn(&str) -> String,
    gradients: &Gradients,
) -> BTreeMap<String, Vec<f32>> {
    let mut collect = Collect {
        path: Vec::new(),
        name,
        gradients,
        found: BTreeMap::new(),
    };
    module.visit(&mut collect);
    collect.found
}

/// Asserts that all gradients of `modules` are the reference's; nothing may lack on either side.
pub(crate) fn check_gradients(
    case: &str,
    found: &BTreeMap<String, Vec<f32>>,
    expected: &[Parameter],
) {
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected
            .iter()
            .map(|parameter| (&parameter.name, ()))
            .collect::<BTreeMap<_, _>>()
            .into_keys()
            .collect::<Vec<_>>(),
        "{case}: the names of the weights differ"
    );
    for Parameter { name, gradient } in expected {
        let want = gradient.flat();
        // Ours may have more rows, for more pictures; nothing reaches them.
        let (got, rest) = found[name].split_at(want.len());
        assert!(rest.iter().all(|value| *value == 0.0), "{name}");
        close(
            &format!("{case}, gradient of {name}"),
            got,
            &want,
            tolerance(),
        );
    }
}

pub(crate) fn tensor<const D: usize>(
    values: Vec<f32>,
    shape: [usize; D],
    device: &Device,
) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

pub(crate) fn booleans(rows: &[Vec<bool>], device: &Device) -> Tensor<2, Bool> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

pub(crate) fn integers(rows: &[Vec<i64>], device: &Device) -> Tensor<2, Int> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

#[derive(Deserialize)]
pub(crate) struct ReferenceSequence {
    pub(crate) shape: [usize; 3],
    pub(crate) mask: Vec<Vec<bool>>,
    pub(crate) image_index: Option<Vec<Vec<i64>>>,
}

impl ReferenceSequence {
    /// The sequence, whose vectors are the streams `seq` and `pooled` below `stem`.
    pub(crate) fn read(&self, stem: &str, device: &Device) -> Sequence {
        let shape @ [n, _, width] = self.shape;
        let input = |what: &str, n| stream(&format!("{stem}/{what}"), n, 0.0, 1.0);
        Sequence {
            vectors: tensor(input("seq", shape.iter().product()), shape, device),
            mask: booleans(&self.mask, device),
            pooled: tensor(input("pooled", n * width), [n, width], device),
            picture: self.image_index.as_ref().map(|rows| integers(rows, device)),
        }
    }
}
