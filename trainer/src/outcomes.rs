//! What became of each mention: the lines from which every figure is computed, and the files that keep them.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use serde::{Deserialize, Serialize};
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::data::Entity;
use shared_model::normalise::fold;

use crate::files;
use crate::mentions::EncodedMention;
use crate::place::Place;

/// A mention with a gold, and how each system ranked it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// The row's id.
    pub(crate) id: String,
    /// The gold.
    pub(crate) entity: String,
    /// The model was trained on the gold.
    pub(crate) seen: bool,
    /// Two entities or more bear the mention's characters.
    pub(crate) ambiguous: bool,
    /// The mention is not the gold's name.
    pub(crate) renamed: bool,
    /// An earlier mention has the same sentence and gold.
    pub(crate) repeated: bool,
    /// By the name of the system.
    pub(crate) systems: BTreeMap<String, Answer>,
}

/// How a system ranked a mention: shares over the orders of equal scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// The gold comes first.
    #[serde(rename = "p@1")]
    pub(crate) p_at_1: f64,
    /// It is among the first 3.
    #[serde(rename = "r@3")]
    pub(crate) r_at_3: f64,
    /// It is among the first 5.
    #[serde(rename = "r@5")]
    pub(crate) r_at_5: f64,
    /// It is among the first 10.
    #[serde(rename = "r@10")]
    pub(crate) r_at_10: f64,
    /// It is among the first 20.
    #[serde(rename = "r@20")]
    pub(crate) r_at_20: f64,
    /// Of the gold.
    pub(crate) reciprocal_rank: f64,
    /// The gold is a candidate.
    pub(crate) recall: f64,
    /// The best candidate's probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confidence: Option<f64>,
}

impl Answer {
    /// Of the gold's place.
    pub(crate) fn of(place: Place, confidence: Option<f64>) -> Self {
        Self {
            p_at_1: place.recall_at(1),
            r_at_3: place.recall_at(3),
            r_at_5: place.recall_at(5),
            r_at_10: place.recall_at(10),
            r_at_20: place.recall_at(20),
            reciprocal_rank: place.reciprocal_rank(),
            recall: place.recall(),
            confidence,
        }
    }
}

/// A part of the mentions that is a row of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subset {
    /// Every mention.
    #[default]
    All,
    /// See [`Outcome::seen`].
    Seen,
    /// The others.
    Unseen,
    /// See [`Outcome::ambiguous`].
    Ambiguous,
    /// See [`Outcome::renamed`].
    Renamed,
    /// See [`Outcome::repeated`]: the first of each sentence.
    Distinct,
}

impl Subset {
    /// In the order of the tables.
    pub(crate) const EVERY: [Self; 6] = [
        Self::All,
        Self::Seen,
        Self::Unseen,
        Self::Ambiguous,
        Self::Renamed,
        Self::Distinct,
    ];

    /// As printed, and as a key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Seen => "seen",
            Self::Unseen => "unseen",
            Self::Ambiguous => "ambiguous",
            Self::Renamed => "renamed",
            Self::Distinct => "distinct",
        }
    }

    /// Whether a mention belongs to it.
    pub(crate) fn holds(self, outcome: &Outcome) -> bool {
        match self {
            Self::All => true,
            Self::Seen => outcome.seen,
            Self::Unseen => !outcome.seen,
            Self::Ambiguous => outcome.ambiguous,
            Self::Renamed => outcome.renamed,
            Self::Distinct => !outcome.repeated,
        }
    }
}

/// What tells the subsets apart, for mentions in the order of their file.
pub(crate) struct Sorting<'a> {
    names: &'a AliasIndex,
    entities: &'a [Entity],
    trained: &'a HashSet<String>,
    sentences: HashSet<(String, String)>,
}

impl<'a> Sorting<'a> {
    /// Nothing is repeated yet.
    pub(crate) fn new(
        names: &'a AliasIndex,
        entities: &'a [Entity],
        trained: &'a HashSet<String>,
    ) -> Self {
        Self {
            names,
            entities,
            trained,
            sentences: HashSet::new(),
        }
    }

    /// The outcome of the next mention, which no system has ranked yet.
    pub(crate) fn next(&mut self, mention: &EncodedMention, gold: &str) -> Outcome {
        let name = self.entities.iter().find(|entity| entity.id == gold);
        let surface = fold(mention.surface);
        Outcome {
            id: mention.post.id.clone(),
            entity: gold.to_owned(),
            seen: self.trained.contains(gold),
            ambiguous: self
                .names
                .candidates(mention.surface, NameMatch::Equal)
                .len()
                > 1,
            renamed: name.is_none_or(|entity| fold(&entity.name) != surface),
            repeated: !self
                .sentences
                .insert((fold(&mention.post.text), gold.to_owned())),
            systems: BTreeMap::new(),
        }
    }
}

/// Writes one line a mention.
pub(crate) fn write(path: &Path, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let mut bytes = Vec::new();
    for outcome in outcomes {
        serde_json::to_writer(&mut bytes, outcome)?;
        bytes.push(b'\n');
    }
    files::write(path, &bytes)
}

/// Reads what [`write`] wrote.
pub(crate) fn read(path: &Path) -> anyhow::Result<Vec<Outcome>> {
    files::read_jsonl(path)
}
