//! The rows of a system of the paper's Table 2: alone, as published, and beside the training-free score.

use std::rc::Rc;

use shared_model::imn::NetworkTerm;
use shared_model::linker::{Linker, Reading};

use super::{Scores, System};
use crate::features::FeatureLevel;
use crate::mentions::EncodedMention;
use crate::parallel::on_all_cores;

/// A system that scores candidates without the cues.
pub(super) trait Published {
    /// Names of the rows: alone, and beside the cues.
    fn names(&self) -> [&'static str; 2];

    /// See [`System::needs`].
    fn needs(&self) -> FeatureLevel;

    /// The model with the training-free scorer.
    fn linker(&self) -> &Linker;

    /// The system's term beside the training-free score of each entity, by position in the knowledge base.
    fn terms(&self) -> &[NetworkTerm];

    /// The score of each candidate of each mention.
    ///
    /// # Errors
    ///
    /// See [`System::score`].
    fn scores(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Vec<f32>>>;
}

/// Both rows of a system.
pub(super) fn rows<'a>(system: impl Published + 'a) -> [Box<dyn System + 'a>; 2] {
    let system = Rc::new(system);
    [
        Box::new(Alone(Rc::clone(&system))),
        Box::new(BesideCues(system)),
    ]
}

struct Alone<P>(Rc<P>);

impl<P: Published> System for Alone<P> {
    fn name(&self) -> &'static str {
        self.0.names()[0]
    }

    fn needs(&self) -> FeatureLevel {
        self.0.needs()
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let scores = self.0.scores(mentions)?;
        Ok(scores.into_iter().map(Scores::from).collect())
    }
}

struct BesideCues<P>(Rc<P>);

impl<P: Published> System for BesideCues<P> {
    fn name(&self) -> &'static str {
        self.0.names()[1]
    }

    fn needs(&self) -> FeatureLevel {
        self.0.needs()
    }

    fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
        let rows: Vec<_> = mentions.iter().zip(self.0.scores(mentions)?).collect();
        let (linker, terms) = (self.0.linker(), self.0.terms());
        on_all_cores(&rows, self.name(), |(mention, own)| {
            let reading = Reading {
                pooled: mention.features.without_tokens().pooled(),
                imn: None,
            };
            let cues = Scores::of_linker(linker, mention, &reading)?.values;
            let sums = mention.candidates.iter().zip(cues).zip(own);
            let sums = sums.map(|((&entity, cues), own)| cues + terms[entity].of(*own));
            Ok(sums.collect::<Vec<f32>>().into())
        })
    }
}
