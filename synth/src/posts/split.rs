//! Which tags occur together, and which part each belongs to.

use std::collections::{BTreeMap, HashMap, HashSet};

use petgraph::unionfind::UnionFind;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;

use super::recurring::Tag;
use crate::Part;

/// Pairs of tags that share half the posts of one of them.
#[derive(Debug, Default)]
pub(super) struct Ties(HashSet<(usize, usize)>);

impl Ties {
    pub(super) fn new(tags: &[Tag]) -> Self {
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
        shared.retain(|&(a, b), n| 2 * *n >= tags[a].posts.len().min(tags[b].posts.len()));
        Self(shared.into_keys().collect())
    }

    /// Whether two tags share half the posts of one of them.
    pub(super) fn are_tied(&self, a: usize, b: usize) -> bool {
        self.0.contains(&(a.min(b), a.max(b)))
    }

    /// Tags that are tied, directly or through others.
    fn clusters(&self, n: usize) -> Vec<Vec<usize>> {
        let mut sets = UnionFind::new(n);
        // The order of the clusters, by representative: it decides which part each gets.
        let mut orders: Vec<usize> = (0..n).collect();
        let mut pairs: Vec<_> = self.0.iter().copied().collect();
        pairs.sort_unstable();
        for (a, b) in pairs {
            let order = orders[sets.find(a)];
            sets.union(a, b);
            orders[sets.find(a)] = order;
        }
        let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for tag in 0..n {
            clusters
                .entry(orders[sets.find(tag)])
                .or_default()
                .push(tag);
        }
        clusters.into_values().collect()
    }
}

/// The part of each tag's mentions: half of the tags are for test, and a tenth of the others for dev.
#[derive(Debug)]
pub(super) struct Parts(Vec<Part>);

impl Parts {
    /// Random parts; tags that are tied get the same.
    pub(super) fn new(ties: &Ties, n: usize, rng: &mut StdRng) -> Self {
        let mut clusters = ties.clusters(n);
        clusters.shuffle(rng);
        let mut parts = vec![Part::Train; n];
        let mut give = |part: Part, wanted: usize| {
            let mut given = 0;
            while given < wanted
                && let Some(cluster) = clusters.pop()
            {
                given += cluster.len();
                for tag in cluster {
                    parts[tag] = part;
                }
            }
            n - given
        };
        let others = give(Part::Test, n / 2);
        give(Part::Dev, others / 10);
        Self(parts)
    }

    /// The part of a tag's mentions.
    pub(super) fn part(&self, tag: usize) -> Part {
        self.0[tag]
    }

    /// Whether a tag may be a wrong candidate of a mention. Test mentions have test tags, all of them new; train mentions have train tags; there are too few dev tags for dev mentions to have no others.
    pub(super) fn may_be_negative(&self, tag: usize, part: Part) -> bool {
        match part {
            Part::Train | Part::Test => self.0[tag] == part,
            Part::Dev => self.0[tag] != Part::Test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::rng;

    fn tag(posts: std::ops::Range<usize>) -> Tag {
        Tag {
            key: String::new(),
            written: String::new(),
            posts: posts.collect(),
        }
    }

    #[test]
    fn tied_tags_stay_together() {
        let tags: Vec<Tag> = (0..60)
            .map(|i| tag((i / 3 * 4)..(i / 3 * 4 + 3 + i % 2)))
            .collect();
        let ties = Ties::new(&tags);
        assert!(ties.are_tied(1, 0) && ties.are_tied(0, 2) && !ties.are_tied(2, 3));
        let parts = Parts::new(&ties, tags.len(), &mut rng(1, "test"));
        let mut counts = HashMap::new();
        for tag in 0..60 {
            assert_eq!(parts.part(tag), parts.part(tag / 3 * 3), "{tag}");
            *counts.entry(parts.part(tag).name()).or_insert(0) += 1;
        }
        assert_eq!((counts["test"], counts["dev"]), (30, 3));
    }

    /// The seed's benchmark depends on this order.
    #[test]
    fn clusters_are_in_the_order_of_what_the_last_pair_joined_to() {
        let check = |pairs: &[(usize, usize)], expected: &[&[usize]]| {
            let ties = Ties(pairs.iter().copied().collect());
            assert_eq!(ties.clusters(6), expected, "{pairs:?}");
        };
        check(&[], &[&[0], &[1], &[2], &[3], &[4], &[5]]);
        check(&[(0, 5), (1, 2)], &[&[0, 5], &[1, 2], &[3], &[4]]);
        check(&[(0, 5), (2, 5)], &[&[1], &[0, 2, 5], &[3], &[4]]);
        check(&[(0, 4), (1, 4), (3, 4), (2, 5)], &[&[2, 5], &[0, 1, 3, 4]]);
    }
}
