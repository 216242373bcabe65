//! Who a mention may mean, by candidate policy.

use anyhow::Context as _;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::data::Post;

use super::{CandidatePolicy, Dataset};
use crate::parallel::on_all_cores;

/// The candidates of each row, as positions among the entities; on all cores, since names are compared with names.
///
/// # Errors
///
/// Of a row without a mention or with an unknown candidate: its id.
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
            (CandidatePolicy::Given, Some(ids)) => ids
                .iter()
                .map(|id| {
                    let position = positions.get(id.as_str()).copied();
                    position.with_context(|| format!("no entity {id:?}"))
                })
                .collect::<anyhow::Result<_>>()?,
            (CandidatePolicy::Given, None) => aliases.candidates(surface, NameMatch::Equal),
            (CandidatePolicy::Fuzzy100, _) => aliases.nearest(surface, 100),
            (CandidatePolicy::FullKb, _) => (0..positions.len()).collect(),
        })
    };
    on_all_cores(posts, "candidates", |post| {
        of_row(post).with_context(|| format!("{:?}", post.id))
    })
}
