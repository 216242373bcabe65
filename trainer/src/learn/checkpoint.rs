//! `checkpoint-<stage>.bpk`: all that a run needs to go on.

use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::{Deserialize, Serialize};
use shared_model::pack::{Entry, Pack, Precision, write};

use super::Plan;
use crate::files;

/// A run after an evaluation.
pub(crate) struct Checkpoint {
    /// Steps that are done.
    pub(crate) step: usize,
    /// Step at which the watched figure was highest.
    pub(crate) best_step: usize,
    /// The watched figure there.
    pub(crate) best: f64,
    /// Evaluations since then.
    pub(crate) without_gain: usize,
    /// Model and optimiser after the last step.
    pub(crate) state: Vec<u8>,
    /// Model and optimiser after the best step.
    pub(crate) best_state: Vec<u8>,
}

/// The numbers of a checkpoint, kept as metadata.
#[derive(Serialize, Deserialize)]
struct Numbers {
    plan: Plan,
    step: usize,
    best_step: usize,
    /// The bits: JSON's decimals need not come back to the last digit.
    best: u64,
    without_gain: usize,
}

impl Checkpoint {
    /// The state before the first evaluation.
    pub(crate) fn start() -> Self {
        Self {
            step: 0,
            best_step: 0,
            best: f64::NEG_INFINITY,
            without_gain: 0,
            state: Vec::new(),
            best_state: Vec::new(),
        }
    }

    /// Takes in an evaluation; of equals, the first stays the best.
    pub(crate) fn advance(&mut self, step: usize, watched: f64, state: Vec<u8>) {
        self.step = step;
        if watched > self.best {
            self.best = watched;
            self.best_step = step;
            self.without_gain = 0;
            self.best_state.clone_from(&state);
        } else {
            self.without_gain += 1;
        }
        self.state = state;
    }

    /// Writes the file anew.
    pub(crate) fn write(&self, path: &Path, plan: &Plan) -> anyhow::Result<()> {
        let numbers = Numbers {
            plan: plan.clone(),
            step: self.step,
            best_step: self.best_step,
            best: self.best.to_bits(),
            without_gain: self.without_gain,
        };
        let mut entries = vec![Entry::bytes("state", self.state.clone())];
        if self.best_step != self.step {
            entries.push(Entry::bytes("best", self.best_state.clone()));
        }
        let numbers = serde_json::to_string(&numbers)?;
        let bytes = write(entries, &[("numbers", &numbers)], Precision::F32)?;
        files::write(path, &bytes)
    }

    /// Reads the file, which must be of the same plan.
    pub(crate) fn read(path: &Path, plan: &Plan) -> anyhow::Result<Self> {
        let name = path.display().to_string();
        let pack = Pack::read(&name, files::read(path)?)?;
        let numbers = pack
            .metadata("numbers")
            .with_context(|| format!("{name} is no checkpoint"))?;
        let numbers: Numbers =
            serde_json::from_str(numbers).with_context(|| format!("{name} is malformed"))?;
        ensure!(
            numbers.plan == *plan,
            "{name} is of another plan: {:?} there, {plan:?} now; resume with the same settings",
            numbers.plan
        );
        let state = pack.bytes("state")?;
        let best_state = if numbers.best_step == numbers.step {
            state.clone()
        } else {
            pack.bytes("best")?
        };
        Ok(Self {
            step: numbers.step,
            best_step: numbers.best_step,
            best: f64::from_bits(numbers.best),
            without_gain: numbers.without_gain,
            state,
            best_state,
        })
    }
}
