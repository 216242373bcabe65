//! Which classes share a name.

use std::collections::HashSet;

use rand::seq::SliceRandom as _;
use shared_model::normalise::fold;

use super::classes::Class;
use super::{names, settings::Settings};
use crate::random::rng;

/// Share of the groups that never train.
const UNSEEN: f64 = 0.3;

/// Classes of one name.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    /// Positions among the classes.
    pub(super) members: Vec<usize>,
    /// Whether it has train mentions.
    pub(super) trains: bool,
}

/// Gives random classes a common name. Whole groups stay out of train, so that no candidate list mixes trained classes with new ones.
pub(super) fn groups(classes: &[Class], settings: &Settings) -> Vec<Group> {
    let rng = &mut rng(settings.seed, "groups");
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.shuffle(rng);
    let n = order.len() / settings.ambiguity;
    let unseen = ((n as f64 * UNSEEN).round() as usize).clamp(usize::from(n > 1), n - 1);
    let mut taken: HashSet<String> = HashSet::new();
    for Class { entity, .. } in classes {
        for text in entity.names().chain([entity.description.as_str()]) {
            taken.extend(fold(text).split(' ').map(str::to_owned));
        }
    }
    order
        .chunks_exact(settings.ambiguity)
        .enumerate()
        .map(|(i, members)| Group {
            name: names::invent(&mut taken, rng),
            members: members.to_vec(),
            trains: i >= unseen,
        })
        .collect()
}
