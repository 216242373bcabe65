//! Lists of known and new candidates for a dataset that has none of its own.

use std::collections::BTreeSet;

use rand::seq::SliceRandom as _;
use shared_model::imn::Modality;

use super::{Example, TrainingSet};
use crate::holdout::Part;
use crate::learn::rng;
use crate::outcomes::ListKind;

impl TrainingSet {
    /// Makes held-out lists of known and new candidates where the dataset has none: half of the other candidates of each held-out
    /// mention are replaced by candidates of the other kind, drawn from the held-out lists, or from all entities if those have none.
    pub(crate) fn mix_lists(&mut self, seed: u64, modalities: &[Modality]) {
        let all = self.examples.iter().chain(&self.nil);
        let held: Vec<&Example> = all.filter(|example| example.part != Part::Fit).collect();
        let kinds = held.iter().map(|example| self.kind(example));
        if kinds.into_iter().any(|kind| kind == ListKind::Mixed) {
            return;
        }
        let candidates = held.iter().flat_map(|example| &example.candidates);
        let candidates: BTreeSet<usize> = candidates.copied().collect();
        let of_kind = |is_known: bool| -> Vec<usize> {
            let is_wanted = |candidate: &usize| self.known[*candidate] == is_known;
            let drawn: Vec<usize> = candidates.iter().copied().filter(is_wanted).collect();
            if drawn.is_empty() {
                (0..self.known.len()).filter(is_wanted).collect()
            } else {
                drawn
            }
        };
        let (known, new) = (of_kind(true), of_kind(false));
        let mut mixed = Vec::new();
        for (row, example) in held.into_iter().enumerate() {
            let mut rng = rng(seed, "mixed lists", row);
            let mut drawn = match self.kind(example) {
                ListKind::Known => new.clone(),
                _ => known.clone(),
            };
            drawn.shuffle(&mut rng);
            let mut replaced: Vec<usize> = (0..example.candidates.len())
                .filter(|&i| Some(i) != example.gold)
                .collect();
            replaced.shuffle(&mut rng);
            replaced.truncate(replaced.len().div_ceil(2));
            let mut made = example.clone();
            for (i, other) in replaced.into_iter().zip(drawn) {
                made.candidates[i] = other;
            }
            if self.kind(&made) != ListKind::Mixed {
                continue;
            }
            made.cues = self.cues_of(&made.query, &made.candidates, made.without, modalities);
            mixed.push(made);
        }
        self.mixed = mixed;
    }
}
