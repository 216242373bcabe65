//! The candidates of a mention, by candidate policy.

use anyhow::Context as _;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::batch::given;
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
