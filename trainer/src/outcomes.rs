//! Outcomes: how each system ranked each mention. All figures are computed from them, and files keep them.

use std::collections::{HashMap, HashSet};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::data::Entity;
use shared_model::normalise::fold;

use crate::mentions::EncodedMention;
use crate::systems::Scores;
use shared_model::gold_rank::GoldRank;

/// A mention with a gold, and how each system ranked it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Id of the row.
    pub(crate) id: String,
    /// Id of the gold.
    pub(crate) entity: String,
    /// Whether the run was trained on the gold.
    pub(crate) seen: bool,
    /// Whether two or more entities have the mention as their name.
    pub(crate) ambiguous: bool,
    /// Whether the mention differs from the gold's name.
    pub(crate) renamed: bool,
    /// Whether an earlier mention has the same text and gold.
    pub(crate) repeated: bool,
    /// Which of the candidates the network was trained on; `None` without a network or candidates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) list: Option<ListKind>,
    /// One answer per system, the run's own first.
    #[serde(deserialize_with = "answers")]
    pub(crate) systems: Vec<Answer>,
}

/// How a system ranked a mention.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// Name of the system.
    pub(crate) name: String,
    /// Rank of the gold; `None` if it is not a candidate.
    pub(crate) rank: Option<GoldRank>,
    /// Number of candidates.
    pub(crate) n: usize,
    /// Probability of the best candidate; `None` for a system without probabilities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confidence: Option<f64>,
}

/// Which candidates of a mention the network was trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ListKind {
    /// All of them.
    Known,
    /// Some of them.
    Mixed,
    /// None of them.
    New,
}

impl ListKind {
    /// All kinds, in the order of the reports.
    pub(crate) const ALL: [Self; 3] = [Self::Known, Self::Mixed, Self::New];

    /// The kind of a list, by whether each candidate was trained on; `None` for an empty one.
    pub(crate) fn of(are_trained: impl Iterator<Item = bool>) -> Option<Self> {
        let (mut trained, mut new) = (false, false);
        are_trained.for_each(|is_trained| *if is_trained { &mut trained } else { &mut new } = true);
        match (trained, new) {
            (true, false) => Some(Self::Known),
            (true, true) => Some(Self::Mixed),
            (false, true) => Some(Self::New),
            (false, false) => None,
        }
    }

    /// The kind as printed, and as a key.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Known => "known",
            Self::Mixed => "mixed",
            Self::New => "new",
        }
    }
}

impl Outcome {
    /// The answer of a system.
    pub(crate) fn answer(&self, system: &str) -> Option<&Answer> {
        self.systems.iter().find(|answer| answer.name == system)
    }
}

impl Answer {
    /// The answer of a system, by its scores and the position of the gold among them.
    pub(crate) fn new(name: &str, scores: &Scores, gold: Option<usize>) -> Self {
        Self {
            name: name.to_owned(),
            rank: gold.map(|gold| GoldRank::of(&scores.values, gold)),
            n: scores.values.len(),
            confidence: scores
                .probabilities
                .map(|probabilities| f64::from(probabilities.best)),
        }
    }

    /// The share of the orders of equal scores in which the gold is among the first k; 0 if it is not a candidate.
    pub(crate) fn recall_at(&self, k: usize) -> f64 {
        self.rank.map_or(0.0, |rank| rank.recall_at(k))
    }

    /// The reciprocal rank of the gold; 0 if it is not a candidate.
    pub(crate) fn reciprocal_rank(&self) -> f64 {
        self.rank.map_or(0.0, GoldRank::reciprocal_rank)
    }

    /// 1 if the gold is a candidate, else 0.
    pub(crate) fn recall(&self) -> f64 {
        f64::from(u8::from(self.rank.is_some()))
    }
}

/// A subset of the mentions, with a row of its own in tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Subset {
    /// Every mention.
    #[default]
    All,
    /// See [`Outcome::seen`].
    Seen,
    /// The mentions that are not seen.
    Unseen,
    /// See [`Outcome::ambiguous`].
    Ambiguous,
    /// See [`Outcome::renamed`].
    Renamed,
    /// The mentions that are not repeated; see [`Outcome::repeated`].
    Distinct,
}

impl Subset {
    /// All subsets, in the order of the tables.
    pub(crate) const EVERY: [Self; 6] = [
        Self::All,
        Self::Seen,
        Self::Unseen,
        Self::Ambiguous,
        Self::Renamed,
        Self::Distinct,
    ];

    /// The subset as printed, and as a key.
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

    /// Whether a mention belongs to the subset.
    pub(crate) fn contains(self, outcome: &Outcome) -> bool {
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

/// The outcomes of mentions with the subsets that they belong to, without the answers of systems.
///
/// # Arguments
///
/// - trained: ids of the entities that the run was trained on.
pub(crate) fn labelled(
    mentions: &[EncodedMention],
    aliases: &AliasIndex,
    entities: &[Entity],
    trained: &HashSet<String>,
) -> Vec<Outcome> {
    let names = entities.iter();
    let names: HashMap<&str, &str> = names
        .map(|entity| (entity.id.as_str(), entity.name.as_str()))
        .collect();
    let mut sentences = HashSet::new();
    let label = |mention: &EncodedMention| {
        let gold = mention.post.entity.as_deref().unwrap_or_default();
        let surface = fold(mention.surface);
        let same_name = aliases.candidates(mention.surface, NameMatch::Equal);
        Outcome {
            id: mention.post.id.clone(),
            entity: gold.to_owned(),
            seen: trained.contains(gold),
            ambiguous: same_name.len() > 1,
            renamed: names.get(gold).is_none_or(|name| fold(name) != surface),
            repeated: !sentences.insert((fold(&mention.post.text), gold.to_owned())),
            list: None,
            systems: Vec::new(),
        }
    };
    mentions.iter().map(label).collect()
}

/// Reads the answers; those of an older version, which have no ranks, are refused.
fn answers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Answer>, D::Error> {
    let answers = Value::deserialize(deserializer)?;
    if answers.is_object() {
        return Err(D::Error::custom(
            "an older version of `imn` wrote these outcomes, without ranks; \
             write them again with `imn eval --outcomes`",
        ));
    }
    serde_json::from_value(answers).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_mixed_as_soon_as_one_candidate_differs() {
        for (are_trained, expected) in [
            (&[][..], None),
            (&[true], Some(ListKind::Known)),
            (&[true, true], Some(ListKind::Known)),
            (&[false, false, false], Some(ListKind::New)),
            (&[true, true, false], Some(ListKind::Mixed)),
            (&[false, true], Some(ListKind::Mixed)),
        ] {
            let kind = ListKind::of(are_trained.iter().copied());
            assert_eq!(kind, expected, "{are_trained:?}");
        }
    }
}
