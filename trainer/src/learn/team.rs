//! One step on several devices: micro-batches, and their gradients together.

use std::collections::HashSet;

use anyhow::anyhow;
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::prelude::*;
use shared_model::error::Error;
use shared_model::tensors::read;

/// The devices of a training: micro-batch i of a step is computed on device i mod n.
///
/// Weights and gradients go through this process, in one message per device and direction: servers need not reach each other.
pub(crate) struct Team<M> {
    /// Devices with gradients; the model itself is on the first.
    devices: Vec<Device>,
    /// Models on the other devices, from the first step on.
    copies: Vec<M>,
}

impl<M: Module> Team<M> {
    /// A team of `devices`; the model is on the first.
    pub(crate) fn new(devices: Vec<Device>) -> Self {
        Self {
            devices,
            copies: Vec::new(),
        }
    }

    /// The mean loss of a step's `n` micro-batches, and its gradients on the first device.
    ///
    /// `batch` makes the i-th on a device and is called in their order. `reseed` seeds dropout for each of them, so that it does not matter which device computes which.
    pub(crate) fn gradients<B>(
        &mut self,
        model: &M,
        n: usize,
        reseed: impl Fn(&Device, usize),
        mut batch: impl FnMut(usize, &Device) -> B,
        loss: impl Fn(&M, B) -> Tensor<1>,
    ) -> anyhow::Result<(f64, GradientsParams)> {
        self.renew(model)?;
        let first = &self.devices[0];
        let mut value = 0.0;
        let mut sum = GradientsAccumulator::new();
        for start in (0..n).step_by(self.devices.len()) {
            let devices = self.devices.iter().enumerate().take(n - start);
            let batches: Vec<B> = devices
                .clone()
                .map(|(place, device)| batch(start + place, device))
                .collect();
            let mut parts = Vec::new();
            // The first device comes last: the others work while this process computes.
            for ((place, device), batch) in devices.zip(batches).rev() {
                reseed(device, start + place);
                let model = place.checked_sub(1).map_or(model, |i| &self.copies[i]);
                let loss = loss(model, batch) / n as f64;
                let gradients = GradientsParams::from_grads(loss.backward(), model);
                parts.push(if place == 0 {
                    Part::Here(loss, gradients)
                } else {
                    Part::away(loss, gradients, model)
                });
                device.flush()?;
            }
            for part in parts.into_iter().rev() {
                let (loss, gradients) = part.here(model, first)?;
                value += f64::from(loss);
                sum.accumulate(model, gradients);
            }
        }
        Ok((value, sum.grads()))
    }

    /// Gives the copies the weights of `model`.
    fn renew(&mut self, model: &M) -> anyhow::Result<()> {
        let others = &self.devices[1..];
        if others.is_empty() {
            return Ok(());
        }
        if self.copies.is_empty() {
            // A clone would share BatchNorm's running statistics with `model`, and take them along.
            let here = model.valid().fork(&Device::flex());
            let copy = |device: &Device| here.valid().fork(&device.clone().inner()).train();
            self.copies = others.iter().map(copy).collect();
        }
        let mut flatten = Flatten::default();
        model.visit(&mut flatten);
        let weights = pollster::block_on(read(Tensor::cat(flatten.0, 0)))?;
        let copies = std::mem::take(&mut self.copies).into_iter().zip(others);
        self.copies = copies
            .map(|(copy, device)| copy.map(&mut Fill(Flat::new(&weights, device))))
            .collect();
        Ok(())
    }
}

/// Loss and gradients of a micro-batch.
enum Part {
    /// Both on the first device.
    Here(Tensor<1>, GradientsParams),
    /// Both on another device, flattened, with the parameters that have a gradient.
    Away(Tensor<1>, HashSet<ParamId>),
}

impl Part {
    fn away<M: Module>(loss: Tensor<1>, gradients: GradientsParams, copy: &M) -> Self {
        let mut flatten = FlattenGradients {
            gradients,
            flat: vec![loss.inner()],
            ids: HashSet::new(),
        };
        copy.visit(&mut flatten);
        Self::Away(Tensor::cat(flatten.flat, 0), flatten.ids)
    }

    fn here<M: Module>(self, model: &M, device: &Device) -> anyhow::Result<(f32, GradientsParams)> {
        let values = |tensor| {
            let lost = |error: Error| {
                let error = error.to_string();
                let words: Vec<&str> = error.split_whitespace().collect();
                anyhow!("a device was lost: {}", words.join(" "))
            };
            pollster::block_on(read(tensor)).map_err(lost)
        };
        match self {
            Self::Here(loss, gradients) => Ok((values(loss)?[0], gradients)),
            Self::Away(flat, ids) => {
                let values = values(flat)?;
                let mut unflatten = UnflattenGradients {
                    flat: Flat::new(&values[1..], device),
                    ids,
                    gradients: GradientsParams::new(),
                };
                model.visit(&mut unflatten);
                Ok((values[0], unflatten.gradients))
            }
        }
    }
}

/// Tensors of a model, flattened, in the order of a visit.
struct Flat {
    values: Tensor<1>,
    at: usize,
}

impl Flat {
    fn new(values: &[f32], device: &Device) -> Self {
        Self {
            values: Tensor::from_data(values, &device.clone().inner()),
            at: 0,
        }
    }

    /// The next tensor, of the shape of `like`.
    fn next<const D: usize>(&mut self, like: &Param<Tensor<D>>) -> Tensor<D> {
        let shape = like.val().shape();
        let start = self.at;
        self.at += shape.num_elements();
        self.values.clone().slice(start..self.at).reshape(shape)
    }
}

/// Reads weights.
#[derive(Default)]
struct Flatten(Vec<Tensor<1>>);

impl ModuleVisitor for Flatten {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.push(param.val().without_autodiff().reshape([-1]));
    }
}

/// Writes weights.
struct Fill(Flat);

impl ModuleMapper for Fill {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weights = Tensor::from_inner(self.0.next(&param));
        param.map(|old| weights.set_require_grad(old.is_require_grad()))
    }
}

/// Reads gradients.
struct FlattenGradients {
    gradients: GradientsParams,
    flat: Vec<Tensor<1>>,
    ids: HashSet<ParamId>,
}

impl ModuleVisitor for FlattenGradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.flat.push(gradient.reshape([-1]));
            self.ids.insert(param.id);
        }
    }
}

/// Writes gradients.
struct UnflattenGradients {
    flat: Flat,
    ids: HashSet<ParamId>,
    gradients: GradientsParams,
}

impl ModuleVisitor for UnflattenGradients {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if self.ids.contains(&param.id) {
            let gradient = self.flat.next(param);
            self.gradients.register(param.id, gradient);
        }
    }
}
