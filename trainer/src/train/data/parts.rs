//! Which mentions something is fitted on, and which are held out.

use super::{Example, Placed, TrainingSet};
use crate::holdout::Part;
use crate::outcomes::ListKind;

/// Number of held-out mentions below which the scorer is fitted on the others even beside a context encoder.
const MIN_HELD: usize = 100;

impl TrainingSet {
    /// Mentions with an entity that are trained on.
    pub(crate) fn fit(&self) -> impl Iterator<Item = &Example> + Clone {
        let examples = self.examples.iter();
        examples.filter(|example| example.part == Part::Fit)
    }

    /// Mentions with an entity that the scorer is fitted on: those that are trained on, or the held-out ones.
    pub(crate) fn fit_of_scorer(&self) -> impl Iterator<Item = &Example> + Clone {
        let on_held = self.is_scorer_fitted_on_held();
        let examples = self.examples.iter();
        examples.filter(move |example| (example.part != Part::Fit) == on_held)
    }

    /// Mentions without an entity that the scorer is fitted on, of the same part.
    pub(crate) fn nil_of_scorer(&self) -> impl Iterator<Item = &Example> + Clone {
        let on_held = self.is_scorer_fitted_on_held();
        let examples = self.nil.iter();
        examples.filter(move |example| (example.part != Part::Fit) == on_held)
    }

    /// Whether the scorer is fitted on the held-out mentions: there is a context encoder, which may know the others, and enough are held out.
    pub(crate) fn is_scorer_fitted_on_held(&self) -> bool {
        let n_held = self.examples.len() - self.fit().count();
        self.has_context_encoder && n_held >= MIN_HELD
    }
}

/// The held-out mentions with an entity, at most `limit` per dataset of those with known candidates alone, and as many of the others;
/// all mentions if none is held out.
pub(crate) fn held_out(sets: &[TrainingSet], limit: Option<usize>) -> Vec<Placed<'_>> {
    let mut held = Vec::new();
    for (position, set) in sets.iter().enumerate() {
        for only_known in [true, false] {
            let examples = held_of(set, &set.examples, only_known);
            let step = step(examples.clone().count(), limit);
            held.extend(examples.step_by(step).map(|example| (position, example)));
        }
    }
    if held.is_empty() {
        for (position, set) in sets.iter().enumerate() {
            let step = step(set.fit().count(), limit);
            held.extend(set.fit().step_by(step).map(|example| (position, example)));
        }
    }
    held
}

/// Held-out NIL mentions and made lists, thinned as [`held_out`] thins the mentions with an entity, or NIL would seem more frequent than it is.
pub(crate) fn held_out_others(sets: &[TrainingSet], limit: usize) -> Vec<Placed<'_>> {
    let mut held = Vec::new();
    for (position, set) in sets.iter().enumerate() {
        for only_known in [true, false] {
            let n = held_of(set, &set.examples, only_known).count();
            let nil = held_of(set, &set.nil, only_known).step_by(step(n, Some(limit)));
            held.extend(nil.map(|example| (position, example)));
        }
        let mixed = set.mixed.iter().step_by(step(set.mixed.len(), Some(limit)));
        held.extend(mixed.map(|example| (position, example)));
    }
    held
}

fn held_of<'a>(
    set: &'a TrainingSet,
    examples: &'a [Example],
    only_known: bool,
) -> impl Iterator<Item = &'a Example> + Clone {
    let held = examples.iter();
    held.filter(move |example| {
        example.part != Part::Fit && (set.kind(example) == ListKind::Known) == only_known
    })
}

fn step(n: usize, limit: Option<usize>) -> usize {
    limit.map_or(1, |limit| n.div_ceil(limit).max(1))
}
