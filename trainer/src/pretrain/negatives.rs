//! The task of each post of a batch, and negative pictures for the alignment of text and picture.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};

use super::posts::Post;

/// Draws after which there is taken to be no other picture.
const TRIES: usize = 50;

/// Source of a negative picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// A post of an entity that shares a name with the owner.
    Rival,
    /// Any post of another owner.
    Random,
}

/// Task of a post. One that is to be aligned is not masked: with most mentions masked, the alignment would depend on the rest of the sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Question {
    /// To predict masked tokens and patches.
    Hidden,
    /// To tell whether the pictures are its own; they are not where a negative is drawn.
    Pair(Option<Wrong>),
}

/// A post with the pictures of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrong {
    /// Post whose pictures they are.
    pub(crate) post: usize,
    /// How it was chosen.
    pub(crate) source: Source,
}

/// Draws negative pictures from posts.
pub(crate) struct Negatives<'a> {
    posts: &'a [Post],
    rivals: &'a [Vec<usize>],
    all: Vec<usize>,
    by_owner: BTreeMap<usize, Vec<usize>>,
}

impl<'a> Negatives<'a> {
    /// Lists the posts with pictures.
    pub(crate) fn new(posts: &'a [Post], rivals: &'a [Vec<usize>]) -> Self {
        let all: Vec<usize> = (0..posts.len())
            .filter(|&post| !posts[post].pictures.is_empty())
            .collect();
        let mut by_owner: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &post in &all {
            if let Some(owner) = posts[post].owner {
                by_owner.entry(owner).or_default().push(post);
            }
        }
        Self {
            posts,
            rivals,
            all,
            by_owner,
        }
    }

    /// Aligns half of the pairs of `batch`, half of these with negative pictures; a post without text or picture is no pair.
    pub(crate) fn draw(&self, batch: &[usize], guided: bool, rng: &mut StdRng) -> Vec<Question> {
        let mut pairs: Vec<usize> = (0..batch.len())
            .filter(|&row| is_pair(&self.posts[batch[row]]))
            .collect();
        pairs.shuffle(rng);
        // Either half of an odd number may be the larger.
        let half = |n: usize, rng: &mut StdRng| (n + usize::from(rng.random_bool(0.5))) / 2;
        let n_asked = half(pairs.len(), rng);
        let n_wrong = half(n_asked, rng);
        let mut drawn = vec![Question::Hidden; batch.len()];
        for (i, &row) in pairs[..n_asked].iter().enumerate() {
            let post = batch[row];
            let wrong = (i < n_wrong).then(|| {
                let rival = guided.then(|| self.rival(post, rng)).flatten();
                rival.or_else(|| self.random(post, rng))
            });
            drawn[row] = Question::Pair(wrong.flatten());
        }
        drawn
    }

    /// The pictures of an entity that shares a name with the owner of the post, if there are any.
    pub(crate) fn rival(&self, post: usize, rng: &mut StdRng) -> Option<Wrong> {
        let rivals = &self.rivals[self.posts[post].owner?];
        let with_pictures: Vec<&Vec<usize>> = rivals
            .iter()
            .filter_map(|rival| self.by_owner.get(rival))
            .collect();
        // Every such entity is equally likely, however many posts it has.
        let wrong = |_| with_pictures.choose(rng)?.choose(rng).copied();
        let found = (0..TRIES)
            .filter_map(wrong)
            .find(|&other| self.differ(post, other))?;
        Some(Wrong {
            post: found,
            source: Source::Rival,
        })
    }

    /// The pictures of any post, but not of the same owner.
    pub(crate) fn random(&self, post: usize, rng: &mut StdRng) -> Option<Wrong> {
        let wrong = |_| self.all.choose(rng).copied();
        let owner = self.posts[post].owner;
        let found = (0..TRIES).filter_map(wrong).find(|&other| {
            let same_owner = owner.is_some() && owner == self.posts[other].owner;
            !same_owner && self.differ(post, other)
        })?;
        Some(Wrong {
            post: found,
            source: Source::Random,
        })
    }

    fn differ(&self, post: usize, other: usize) -> bool {
        let [own, others] = [post, other].map(|post| &self.posts[post].pictures);
        others.iter().all(|picture| !own.contains(picture))
    }
}

/// Whether a post has text and picture.
pub(crate) fn is_pair(post: &Post) -> bool {
    !post.pictures.is_empty() && post.ids.len() > 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::rng;

    /// Entities 0 and 1 share a name, 2 and 3 do not; post 8 has no owner.
    fn posts() -> (Vec<Post>, Vec<Vec<usize>>) {
        let post = |n: usize, owner| Post {
            ids: vec![1, 5, 2],
            pictures: vec![n],
            owner,
            ..Post::default()
        };
        let owned = (0..8).map(|n| post(n, Some(n % 4)));
        let posts = owned.chain([post(8, None)]).collect();
        (posts, vec![vec![1], vec![0], vec![], vec![]])
    }

    /// The wrong pictures that are drawn for the posts in many batches.
    fn drawn(guided: bool) -> Vec<(usize, Wrong)> {
        let (posts, rivals) = posts();
        let negatives = Negatives::new(&posts, &rivals);
        let batch: Vec<usize> = (0..9).collect();
        let mut drawn = Vec::new();
        for step in 0..200 {
            let batch_drawn = negatives.draw(&batch, guided, &mut rng(3, "negatives", step));
            let wrong: Vec<_> = batch
                .iter()
                .zip(batch_drawn)
                .filter_map(|(&post, question)| match question {
                    Question::Pair(wrong) => Some((post, wrong?)),
                    Question::Hidden => None,
                })
                .collect();
            assert!([2, 3].contains(&wrong.len()), "a quarter of nine");
            drawn.extend(wrong);
        }
        for (post, wrong) in &drawn {
            let owner = posts[*post].owner;
            assert_ne!(*post, wrong.post);
            assert!(owner.is_none() || owner != posts[wrong.post].owner);
        }
        drawn
    }

    #[test]
    fn a_guided_negative_shares_a_name_with_the_owner() {
        let (posts, rivals) = posts();
        for (post, wrong) in drawn(true) {
            let owner = posts[post].owner.filter(|&owner| !rivals[owner].is_empty());
            match owner {
                Some(owner) => {
                    assert_eq!(wrong.source, Source::Rival);
                    assert!(rivals[owner].contains(&posts[wrong.post].owner.unwrap()));
                }
                None => assert_eq!(wrong.source, Source::Random),
            }
        }
    }

    #[test]
    fn a_plain_negative_need_not() {
        let (posts, _) = posts();
        let drawn = drawn(false);
        assert!(
            drawn
                .iter()
                .all(|(_, wrong)| wrong.source == Source::Random)
        );
        let strangers = drawn.iter().filter(|(post, wrong)| {
            posts[*post].owner == Some(0) && posts[wrong.post].owner != Some(1)
        });
        assert!(strangers.count() > 0);
    }

    #[test]
    fn without_another_picture_there_is_no_negative() {
        let (posts, rivals) = posts();
        let negatives = Negatives::new(&posts[..1], &rivals);
        for step in 0..20 {
            let drawn = negatives.draw(&[0], true, &mut rng(3, "negatives", step));
            assert!(
                [Question::Hidden, Question::Pair(None)].contains(&drawn[0]),
                "{drawn:?}"
            );
        }
    }
}
