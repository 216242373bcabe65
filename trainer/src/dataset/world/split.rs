//! Which tags share their posts, and which of them train.

use std::collections::{BTreeMap, HashMap, HashSet};

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::posts::Tag;
use crate::dataset::Split;

/// Pairs of tags that share half the posts of one of them.
#[derive(Debug, Default)]
pub(super) struct Ties(HashSet<(usize, usize)>);

impl Ties {
    pub(super) fn of(tags: &[Tag]) -> Self {
        let mut by_post: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (tag, at) in tags.iter().zip(0..) {
            for &post in &tag.posts {
                by_post.entry(post).or_default().push(at);
            }
        }
        let mut shared: HashMap<(usize, usize), usize> = HashMap::new();
        for tags in by_post.values() {
            for (i, &b) in tags.iter().enumerate() {
                for &a in &tags[..i] {
                    *shared.entry((a, b)).or_default() += 1;
                }
            }
        }
        let is_half = |&(&(a, b), &n): &(&(usize, usize), &usize)| {
            2 * n >= tags[a].posts.len().min(tags[b].posts.len())
        };
        Self(
            shared
                .iter()
                .filter(is_half)
                .map(|(&pair, _)| pair)
                .collect(),
        )
    }

    pub(super) fn are_tied(&self, a: usize, b: usize) -> bool {
        self.0.contains(&(a.min(b), a.max(b)))
    }

    /// Tags that are tied, directly or through others.
    fn clusters(&self, n: usize) -> Vec<Vec<usize>> {
        let mut leader: Vec<usize> = (0..n).collect();
        let mut pairs: Vec<_> = self.0.iter().copied().collect();
        pairs.sort_unstable();
        for (a, b) in pairs {
            let (a, b) = (leader[a], leader[b]);
            for of in &mut leader {
                if *of == b {
                    *of = a;
                }
            }
        }
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (tag, leader) in leader.into_iter().enumerate() {
            clusters.entry(leader).or_default().push(tag);
        }
        clusters.into_values().collect()
    }
}

/// The part of each tag's rows: half of the tags are tested, and a tenth of the others is for dev.
#[derive(Debug)]
pub(super) struct Parts(Vec<Split>);

impl Parts {
    /// Tags that are tied stay together.
    pub(super) fn of(ties: &Ties, n: usize, draws: &mut StdRng) -> Self {
        let mut clusters = ties.clusters(n);
        clusters.shuffle(draws);
        let mut parts = vec![Split::Train; n];
        let mut give = |split: Split, wanted: usize| {
            let mut given = 0;
            while given < wanted
                && let Some(cluster) = clusters.pop()
            {
                given += cluster.len();
                for tag in cluster {
                    parts[tag] = split;
                }
            }
            n - given
        };
        let others = give(Split::Test, n / 2);
        give(Split::Dev, others / 10);
        Self(parts)
    }

    pub(super) fn split(&self, tag: usize) -> Split {
        self.0[tag]
    }

    /// Whether a tag may be a wrong candidate of a row. Test rows have test tags, all of them new; train rows have train tags; dev tags are too few to be among themselves.
    pub(super) fn is_rival(&self, tag: usize, of: Split) -> bool {
        match of {
            Split::Train | Split::Test => self.0[tag] == of,
            Split::Dev => self.0[tag] != Split::Test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::world::draws;

    #[test]
    fn tied_tags_stay_together() {
        let tags: Vec<Tag> = (0..60)
            .map(|tag| Tag::of_posts((tag / 3 * 4)..(tag / 3 * 4 + 3 + tag % 2)))
            .collect();
        let ties = Ties::of(&tags);
        assert!(ties.are_tied(1, 0) && ties.are_tied(0, 2) && !ties.are_tied(2, 3));
        let parts = Parts::of(&ties, tags.len(), &mut draws(1, "test"));
        let mut counts = HashMap::new();
        for tag in 0..60 {
            assert_eq!(parts.split(tag), parts.split(tag / 3 * 3), "{tag}");
            *counts.entry(parts.split(tag).file()).or_insert(0) += 1;
        }
        assert_eq!(counts["test.jsonl"], 30);
        assert_eq!(counts["dev.jsonl"], 3);
    }
}
