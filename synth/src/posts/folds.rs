//! Which posts are mentions; the others are left to the timelines.

use std::collections::{BTreeSet, HashSet};

use rand::seq::SliceRandom as _;

use super::corpus::Corpus;
use super::recurring::Tag;
use crate::random::rng;

/// All posts but as many of each tag as its timeline takes, shared between tags where they can be.
pub(super) fn all_but_timelines(corpus: &Corpus) -> BTreeSet<usize> {
    let rng = &mut rng(corpus.settings.seed, "timelines");
    let mut kept: HashSet<usize> = HashSet::new();
    let mut order: Vec<&Tag> = corpus.tags.iter().collect();
    order.shuffle(rng);
    for tag in order {
        let mut posts: Vec<usize> = tag.posts.iter().copied().collect();
        posts.shuffle(rng);
        posts.sort_by_key(|post| !kept.contains(post));
        kept.extend(posts.iter().take(corpus.settings.timeline));
    }
    corpus
        .mentionable()
        .filter(|post| !kept.contains(post))
        .collect()
}

/// All posts, each in one of `n` folds, the posts of each tag spread over the folds.
pub(super) fn folds(corpus: &Corpus, n: usize) -> Vec<BTreeSet<usize>> {
    let mut order: Vec<usize> = corpus.mentionable().collect();
    order.shuffle(&mut rng(corpus.settings.seed, "folds"));
    let tags = |post: usize| {
        corpus.posts[post]
            .marked
            .iter()
            .map(|&tag| &corpus.tags[tag])
    };
    order.sort_by_key(|&post| tags(post).map(|tag| tag.posts.len()).min());
    let mut folds = vec![BTreeSet::new(); n];
    for post in order {
        let crowding = |fold: &BTreeSet<usize>| -> usize {
            tags(post)
                .map(|tag| {
                    let in_fold = tag.posts.iter().filter(|post| fold.contains(post)).count();
                    // Relative to what the tag can spare: its other posts are its timeline.
                    1000 * in_fold / (tag.posts.len() - corpus.settings.timeline)
                })
                .sum()
        };
        let best = (0..n)
            .min_by_key(|&fold| (crowding(&folds[fold]), folds[fold].len()))
            .expect("there are folds");
        folds[best].insert(post);
    }
    folds
}
