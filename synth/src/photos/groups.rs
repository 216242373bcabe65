//! Which classes share a name.

use std::collections::{BTreeMap, HashSet};

use rand::seq::SliceRandom as _;
use shared_model::normalise::fold;

use super::classes::Class;
use super::{names, settings::Settings};
use crate::random::rng;

/// Classes of one name.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Positions among the classes.
    pub(super) members: Vec<usize>,
    /// Whether it has train mentions.
    pub(super) trains: bool,
}

/// Gives classes a common name: that which they share, or an invented one. Whole groups stay out of train, so that no candidate list mixes trained classes with new ones.
pub(super) fn groups(classes: &[Class], settings: &Settings) -> Vec<Group> {
    let rng = &mut rng(settings.seed, "groups");
    let mut shared: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, class) in classes.iter().enumerate() {
        if let Some(name) = &class.shared_name {
            shared.entry(name).or_default().push(i);
        }
    }
    let is_named = !shared.is_empty();
    shared.retain(|_, members| members.len() > 1);
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.retain(|class| !shared.values().any(|members| members.contains(class)));
    order.shuffle(rng);

    let mut taken: HashSet<String> = HashSet::new();
    for class in classes {
        let names = class.entity.names().chain(class.shared_name.as_deref());
        let sentences = class.sentences.iter().map(String::as_str);
        for text in names
            .chain([class.entity.description.as_str()])
            .chain(sentences)
        {
            taken.extend(fold(text).split(' ').map(str::to_owned));
        }
    }
    let least = if is_named { 2 } else { settings.ambiguity };
    let invented = order.chunks(settings.ambiguity);
    let mut groups: Vec<(String, Vec<usize>)> = invented
        .filter(|members| members.len() >= least)
        .map(|members| (names::invent(&mut taken, rng), members.to_vec()))
        .collect();
    if is_named {
        groups.extend(
            shared
                .into_iter()
                .map(|(name, members)| (name.to_owned(), members)),
        );
        groups.shuffle(rng);
    }

    let n = groups.len();
    let share = settings.unseen;
    let least = usize::from(n > 1 && share > 0.0);
    let unseen = ((n as f64 * share).round() as usize).clamp(least, n.max(1) - 1);
    let groups = groups.into_iter().enumerate();
    groups
        .map(|(i, (name, members))| Group {
            name,
            members,
            trains: i >= unseen,
        })
        .collect()
}
