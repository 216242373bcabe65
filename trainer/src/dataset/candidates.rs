//! The candidates of a mention, by candidate policy.

use std::collections::HashSet;

use anyhow::Context as _;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::data::{Entity, Post};

use super::{CandidatePolicy, Dataset};
use crate::parallel::on_all_cores;

/// The candidates of each row, as positions among the entities; computed on all cores, since names are compared with names.
///
/// # Errors
///
/// Names the row that has no mention or an unknown candidate.
pub(crate) fn candidates(
    dataset: &Dataset,
    posts: &[&Post],
    policy: CandidatePolicy,
) -> anyhow::Result<Vec<Vec<usize>>> {
    let aliases = AliasIndex::new(&dataset.entities);
    let positions = dataset.positions();
    let of_row = |post: &Post| -> anyhow::Result<Vec<usize>> {
        let mention = post.mention.context("the row has no mention")?;
        let surface = mention.surface(&post.text)?;
        Ok(match (policy, &post.candidates) {
            (CandidatePolicy::Given, Some(ids)) => given(ids, |id| positions.get(id).copied())?,
            (CandidatePolicy::Given, None) => aliases.candidates(surface, NameMatch::Equal),
            (CandidatePolicy::Fuzzy100, _) => aliases.nearest(surface, 100),
            (CandidatePolicy::FullKb, _) => (0..positions.len()).collect(),
        })
    };
    on_all_cores(posts, "candidates", |post| {
        of_row(post).with_context(|| format!("{:?}", post.id))
    })
}

/// The other entities that have one of an entity's names, by position.
pub(crate) fn namesakes(entities: &[Entity], entity: usize, aliases: &AliasIndex) -> Vec<usize> {
    let names = entities[entity].names();
    let mut others: Vec<usize> = names
        .flat_map(|name| aliases.candidates(name, NameMatch::Equal))
        .filter(|&other| other != entity)
        .collect();
    others.sort_unstable();
    others.dedup();
    others
}

/// Positions of the candidates that a row names, each once.
///
/// # Errors
///
/// Names a candidate that has no position.
pub(crate) fn given(
    ids: &[String],
    position: impl Fn(&str) -> Option<usize>,
) -> anyhow::Result<Vec<usize>> {
    let mut distinct = HashSet::new();
    ids.iter()
        .filter(|id| distinct.insert(id.as_str()))
        .map(|id| position(id).with_context(|| format!("no entity {id:?}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_is_named_twice_counts_once() {
        let position = |id: &str| "abc".find(id);
        for (ids, expected) in [
            (&["b", "a", "b"][..], vec![1, 0]),
            (&["c", "c", "c"], vec![2]),
            (&["a", "b", "c", "a", "b"], vec![0, 1, 2]),
        ] {
            let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(given(&ids, position).unwrap(), expected);
        }
        let error = given(&["a".to_owned(), "d".to_owned()], position).unwrap_err();
        assert_eq!(error.to_string(), "no entity \"d\"");
    }
}
