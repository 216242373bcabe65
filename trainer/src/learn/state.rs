//! Model and optimiser as bytes, to the last digit.

use anyhow::{Context as _, bail};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::{LearningRate, ModuleOptimizer, Optimizer, RecordState, StateSink, StateSource};
use burn::prelude::*;
use burn::store::ModuleRecord;
use burn::tensor::Bytes;
use shared_model::pack::{Entry, Pack, Precision, write};

/// The bytes of a model and its optimiser.
///
/// # Errors
///
/// A weight that is not finite, by its name: such a state must not replace a good one.
pub(crate) fn pack<M: Module>(model: &M, optimizer: &ModuleOptimizer) -> anyhow::Result<Vec<u8>> {
    let mut finite = Finite::default();
    model.visit(&mut finite);
    if let Some(name) = finite.offender {
        bail!("the weight {name} is not finite");
    }
    let model = model.clone().into_record().into_bytes()?;
    let optimizer = optimizer.into_bytes()?;
    let entries = vec![
        Entry::bytes("model", model.to_vec()),
        Entry::bytes("optimizer", optimizer.to_vec()),
    ];
    Ok(write(entries, &[], Precision::F32)?)
}

/// The reverse of [`pack`]; the optimiser's algorithm must be wrapped in [`Restorable`].
pub(crate) fn unpack<M: Module>(
    model: M,
    optimizer: ModuleOptimizer,
    state: &[u8],
) -> anyhow::Result<(M, ModuleOptimizer)> {
    let pack = Pack::read("state", state.to_vec())?;
    let bytes = |name: &str| anyhow::Ok(Bytes::from_bytes_vec(pack.bytes(name)?));
    let record = ModuleRecord::from_bytes(bytes("model")?)?;
    let model = model
        .try_load_record(record)
        .context("the checkpoint is of another model")?;
    let optimizer = optimizer.from_bytes(bytes("optimizer")?)?;
    Ok((model, optimizer))
}

/// An optimiser whose restored state waits on the CPU for its parameter's device.
///
/// Burn would make it on `Device::default()`: a GPU that need not exist.
#[derive(Clone)]
pub(crate) struct Restorable<O>(pub(crate) O);

/// The state of a [`Restorable`].
#[derive(Clone)]
pub(crate) struct OnCpu<S>(S);

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

/// Finds a parameter that is not finite.
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
