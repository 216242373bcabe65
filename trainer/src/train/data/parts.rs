//! Which mentions something is fitted on.

use super::{Example, TrainingSet};
use crate::holdout::Part;

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
