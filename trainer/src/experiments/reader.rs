//! The outcomes of runs: read from files, or evaluated, each run once.

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::ensure;
use burn::prelude::Device;

use super::{SystemPlan, TablePlan};
use crate::cues::Cue;
use crate::dataset::{CandidatePolicy, Dataset, Modalities, Split};
use crate::device::DeviceArg;
use crate::evaluate::{Evaluation, Nil, Protocol};
use crate::files;
use crate::outcomes::Outcome;

/// What a run came to.
#[derive(Debug, Clone)]
pub(super) struct Evaluated {
    /// One per mention with a gold.
    pub(super) outcomes: Vec<Outcome>,
    /// Figures on NIL of the systems that have probabilities; files of outcomes have none.
    pub(super) nil: BTreeMap<&'static str, Nil>,
}

/// Reads the outcomes of a table's runs, or evaluates the runs.
pub(super) struct Reader<'a> {
    pub(super) evaluator: &'a Evaluator<'a>,
    pub(super) plan: &'a TablePlan,
    /// The dataset of the table.
    pub(super) dataset: Dataset,
}

impl Reader<'_> {
    /// How candidates are found, for the caption.
    pub(super) fn candidates(&self) -> &'static str {
        let mut runs = self.plan.systems.iter().flat_map(|system| &system.runs);
        let are_files = runs.all(|run| self.evaluator.folder.join(run).is_file());
        match self.plan.candidates {
            None if are_files => "those of the files of outcomes",
            _ => self.policy().name(),
        }
    }

    fn policy(&self) -> CandidatePolicy {
        let own = self.plan.candidates;
        own.unwrap_or(self.dataset.info.candidate_policy)
    }

    /// What a run folder, a bundle folder or a file of outcomes came to, with at least one outcome.
    pub(super) fn evaluated(&self, run: &Path, system: &SystemPlan) -> anyhow::Result<Evaluated> {
        let path = self.evaluator.folder.join(run);
        if path.is_dir() {
            let key = Key {
                run: path,
                dataset: self.dataset.folder.clone(),
                split: self.plan.split,
                policy: self.policy(),
                mentions: system.mention_modalities,
                entities: system.entity_modalities,
                without: system.without.clone(),
            };
            return self.evaluator.evaluated(key, &self.dataset);
        }
        ensure!(
            system.is_whole(),
            "{} is a file of outcomes: modalities and cues are left out of runs and bundles alone",
            path.display()
        );
        let outcomes: Vec<Outcome> = files::read_jsonl(&path)?;
        ensure!(!outcomes.is_empty(), "{} is empty", path.display());
        let nil = BTreeMap::new();
        Ok(Evaluated { outcomes, nil })
    }
}

/// Evaluates runs of all tables.
pub(super) struct Evaluator<'a> {
    /// Folder of the plan.
    folder: &'a Path,
    device_name: &'a DeviceArg,
    /// Files of outcomes need none.
    device: OnceCell<Device>,
    evaluated: RefCell<HashMap<Key, Evaluated>>,
}

/// What an evaluation depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    /// Run or bundle folder.
    run: PathBuf,
    /// Dataset folder.
    dataset: PathBuf,
    split: Split,
    policy: CandidatePolicy,
    mentions: Modalities,
    entities: Modalities,
    without: Vec<Cue>,
}

impl<'a> Evaluator<'a> {
    pub(super) fn new(folder: &'a Path, device_name: &'a DeviceArg) -> Self {
        Self {
            folder,
            device_name,
            device: OnceCell::new(),
            evaluated: RefCell::default(),
        }
    }

    fn evaluated(&self, key: Key, dataset: &Dataset) -> anyhow::Result<Evaluated> {
        if let Some(evaluated) = self.evaluated.borrow().get(&key) {
            return Ok(evaluated.clone());
        }
        let device = match self.device.get() {
            Some(device) => device,
            None => {
                let opened = self.device_name.open()?;
                self.device.get_or_init(|| opened)
            }
        };
        let protocol = Protocol {
            split: key.split,
            ids: "",
            policy: Some(key.policy),
            mentions: key.mentions,
            without: &key.without,
        };
        let left = match key.entities {
            Modalities::Both => None,
            modalities => Some(modalities.of_entities(dataset.clone())),
        };
        let dataset = left.as_ref().unwrap_or(dataset);
        let Evaluation { outcomes, nil, .. } = Evaluation::of(dataset, &key.run, protocol, device)?;
        let evaluated = Evaluated { outcomes, nil };
        let mut known = self.evaluated.borrow_mut();
        Ok(known.entry(key).or_insert(evaluated).clone())
    }
}
