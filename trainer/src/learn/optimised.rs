//! A model with its optimiser: one step at a time, and both as bytes, to the last digit.

use anyhow::{Context as _, bail};
use burn::grad_clipping::GradientClipping;
use burn::lr_scheduler::module_lr_scheduler::ModuleLearningRate;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{
    GradientsParams, LearningRate, ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource,
};
use burn::prelude::*;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use shared_model::pack::{Entry, Pack, Precision, write};

/// A model with its optimiser, on one device.
pub(crate) struct Optimised<M> {
    /// With gradients.
    pub(crate) model: M,
    optimizer: ModuleOptimizer,
    /// Device of the model.
    pub(crate) device: Device,
}

impl<M: Module> Optimised<M> {
    /// Puts `model`, which lies on `device`, beside a fresh optimiser.
    pub(crate) fn new(model: M, algorithm: impl Optimizer, device: &Device) -> Self {
        Self {
            model,
            optimizer: ModuleOptimizer::from(Restorable(algorithm)),
            device: device.clone(),
        }
    }

    /// Clips gradients before every step.
    pub(crate) fn with_clipping(mut self, clipping: GradientClipping) -> Self {
        self.optimizer = self.optimizer.with_grad_clipping(clipping);
        self
    }

    /// Goes one step down the gradient of `loss`, unless the loss is not finite; returns the loss.
    pub(crate) fn descend(&mut self, rate: impl Into<ModuleLearningRate>, loss: Tensor<1>) -> f64 {
        let value: f32 = loss.clone().into_scalar();
        if value.is_finite() {
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            self.apply(rate, gradients);
        }
        f64::from(value)
    }

    /// Takes one step with gradients that were computed elsewhere.
    pub(crate) fn apply(
        &mut self,
        rate: impl Into<ModuleLearningRate>,
        gradients: GradientsParams,
    ) {
        let model = self.model.clone();
        self.model = self.optimizer.step(rate, model, gradients);
    }

    /// The bytes of the model and its optimiser.
    ///
    /// # Errors
    ///
    /// A weight that is not finite, by its name: such a state must not replace a good one.
    pub(super) fn state(&self) -> anyhow::Result<Vec<u8>> {
        let mut finite = Finite::default();
        self.model.visit(&mut finite);
        if let Some(name) = finite.offender {
            bail!("the weight {name} is not finite");
        }
        let model = self.model.clone().into_record().into_bytes()?;
        let optimizer = self.optimizer.into_bytes()?;
        let entries = vec![
            Entry::bytes("model", model.to_vec()),
            Entry::bytes("optimizer", optimizer.to_vec()),
        ];
        Ok(write(entries, &[], Precision::F32)?)
    }

    /// The reverse of [`Self::state`].
    pub(super) fn restore(&mut self, state: &[u8]) -> anyhow::Result<()> {
        let pack = Pack::read("state", state.to_vec())?;
        let bytes = |name: &str| anyhow::Ok(Bytes::from_bytes_vec(pack.bytes(name)?));
        let record = ModuleRecord::from_bytes(bytes("model")?)?;
        let model = self.model.clone().try_load_record(record);
        let model = model.context("the checkpoint is of another model")?;
        self.optimizer = self.optimizer.clone().from_bytes(bytes("optimizer")?)?;
        self.model = model;
        Ok(())
    }
}

/// Finds the first parameter that is not finite.
#[derive(Default)]
struct Finite {
    path: Vec<String>,
    offender: Option<String>,
}

impl ModuleVisitor for Finite {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let sum: f32 = param.val().abs().sum().into_scalar();
        if self.offender.is_none() && !sum.is_finite() {
            self.offender = Some(self.path.join("."));
        }
    }
}

/// An optimiser whose restored state waits on the CPU for the device of its parameter.
///
/// Burn would allocate it on `Device::default()`, a GPU that need not exist.
#[derive(Clone)]
struct Restorable<O>(O);

/// State of a [`Restorable`].
#[derive(Clone)]
struct OnCpu<S>(S);

impl<S: RecordState> RecordState for OnCpu<S> {
    fn state_flatten(&self, prefix: &str, out: &mut StateSink) {
        self.0.state_flatten(prefix, out);
    }

    fn state_unflatten(prefix: &str, src: &mut StateSource, _device: &Device) -> Option<Self> {
        S::state_unflatten(prefix, src, &Device::flex()).map(Self)
    }
}

impl<O: Optimizer> Optimizer for Restorable<O> {
    type State<const D: usize> = OnCpu<O::State<D>>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (tensor, state) = self.0.step(lr, tensor, grad, state.map(|state| state.0));
        (tensor, state.map(OnCpu))
    }

    fn to_device<const D: usize>(state: Self::State<D>, device: &Device) -> Self::State<D> {
        OnCpu(O::to_device(state.0, device))
    }
}
