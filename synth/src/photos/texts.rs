//! What posts say of a class, made from glosses or chosen among sentences.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::data::Mention;

use super::classes::Class;
use super::descriptions::{self, Description};
use super::groups::Group;
use super::pools::Pools;
use super::sentences;
use super::settings::Settings;
use super::wording::Wording;
use crate::{Note, Part};

pub(super) const FEW_SENTENCES: &str =
    "class has fewer sentences than posts, pictures decide the others";

/// What decides a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decider {
    /// The picture is absent; with glosses it may also be off-topic.
    Text,
    /// The text fits every class.
    Picture,
    /// With glosses, the text is about two classes, the picture shows two, and one is in both. With sentences, both are about the class.
    Both,
}

impl Decider {
    pub(super) const ALL: [Self; 3] = [Self::Text, Self::Picture, Self::Both];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Picture => "picture",
            Self::Both => "both",
        }
    }
}

/// Where texts come from.
pub(super) enum Texts<'a> {
    /// Words of the glosses.
    Glosses(Wording<'a>),
    /// Sentences about the classes.
    Sentences {
        /// The sentences of each class. Each is in one post at most, off-topic ones aside.
        pools: Vec<Pools<Description>>,
        /// Classes with fewer sentences than posts.
        short: BTreeSet<usize>,
        /// Sentences that were left out.
        notes: Vec<Note>,
    },
}

impl<'a> Texts<'a> {
    /// Texts from glosses if all classes have one, and from sentences otherwise.
    pub(super) fn new(
        classes: &'a [Class],
        groups: &[Group],
        settings: &Settings,
        rng: &mut StdRng,
    ) -> Self {
        if classes.iter().all(|class| !class.words.is_empty()) {
            return Self::Glosses(Wording {
                classes,
                share: settings.text,
            });
        }
        let mut described: Vec<Vec<Description>> = vec![Vec::new(); classes.len()];
        let mut notes = Vec::new();
        let mut trains = vec![false; classes.len()];
        for group in groups {
            for &class in &group.members {
                described[class] = descriptions::of_class(&classes[class], &group.name, &mut notes);
                trains[class] = group.trains;
            }
        }
        descriptions::keep_distinctive(&mut described, &mut notes);
        let pools = described.into_iter().zip(trains);
        let pools = pools.map(|(mut described, trains)| {
            described.shuffle(rng);
            // Those without a name come first: they go to the timeline.
            described.sort_by_key(|description| description.mention.is_some());
            Pools::new(described, *settings.posts.end(), trains)
        });
        Self::Sentences {
            pools: pools.collect(),
            short: BTreeSet::new(),
            notes,
        }
    }

    /// What was left out or is missing.
    pub(super) fn notes(self, classes: &[Class]) -> Vec<Note> {
        match self {
            Self::Glosses(_) => Vec::new(),
            Self::Sentences {
                short, mut notes, ..
            } => {
                let short = short.into_iter().map(|class| &classes[class].entity.id);
                notes.extend(short.map(|id| Note::new(FEW_SENTENCES, id)));
                notes
            }
        }
    }

    /// A text about a class for its own timeline or for another; empty if no sentence is left.
    pub(super) fn timeline(&mut self, class: usize, is_own: bool, rng: &mut StdRng) -> String {
        match self {
            Self::Glosses(wording) => {
                let words = wording.of_class(class, rng);
                sentences::timeline(&words, rng)
            }
            Self::Sentences { pools, short, .. } => {
                let pool = &mut pools[class].timeline;
                let said = if is_own { pool.once() } else { pool.any(rng) };
                if said.is_none() {
                    short.insert(class);
                }
                said.map(|said| said.text).unwrap_or_default()
            }
        }
    }

    /// A text with a mention of a class, and what decides the mention: the picture if no sentence is left. With glosses, a text for [`Decider::Both`] is also about `other`.
    pub(super) fn mention(
        &mut self,
        part: Part,
        group: &Group,
        [class, other]: [usize; 2],
        decider: Decider,
        rng: &mut StdRng,
    ) -> (Decider, String, Mention) {
        let name = &group.name;
        let said = match (self, decider) {
            (_, Decider::Picture) => None,
            (Self::Glosses(wording), _) => {
                let words = match decider {
                    Decider::Both => wording.of_two(group, [class, other], rng),
                    _ => wording.of_one(group, class, rng),
                };
                Some(sentences::informative(part, name, &words, rng))
            }
            (Self::Sentences { pools, short, .. }, _) => {
                let said = pools[class].parts[part as usize].once();
                if said.is_none() {
                    short.insert(class);
                }
                said.map(|said| said.with_mention(name))
            }
        };
        match said {
            Some((text, mention)) => (decider, text, mention),
            None => {
                let (text, mention) = sentences::neutral(part, name, rng);
                (Decider::Picture, text, mention)
            }
        }
    }
}
