//! Classes, and which of their photographs each part shows.

use std::path::PathBuf;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::data::Entity;

use super::gloss::{self, Word};

/// The least number of photographs that can be shared out between a timeline and three parts.
pub const MIN_PHOTOS: usize = 6;

/// A sense with its photographs.
#[derive(Debug, Clone)]
pub struct Class {
    /// The sense; its description is the gloss.
    pub(super) entity: Entity,
    /// The informative words of the gloss, at least one.
    pub(super) words: Vec<Word>,
    photos: Vec<Photo>,
}

/// Why a sense is no class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClassError {
    /// The gloss consists of function words.
    #[error("no word of the gloss is informative; write what the pictures show")]
    EmptyGloss,
    /// Not enough for a timeline and three parts.
    #[error("{0} photographs; each class takes {MIN_PHOTOS}")]
    FewPhotos(usize),
}

/// A photograph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Photo {
    /// Where it lies.
    pub file: PathBuf,
    /// The usual extension of its format, which the file's name need not have.
    pub extension: &'static str,
}

/// The photographs of a class by the part that shows them.
#[derive(Debug)]
pub(super) struct Pools {
    pub(super) timeline: Pool,
    /// What only one part shows: train, empty for a class that never trains, dev and test.
    pub(super) parts: [Pool; 3],
}

/// Photographs that take turns.
#[derive(Debug)]
pub(super) struct Pool {
    photos: Vec<Photo>,
    next: usize,
}

impl Class {
    /// A class of the sense `entity`, whose description is the gloss.
    ///
    /// # Errors
    ///
    /// [`ClassError`] without an informative word or with fewer than [`MIN_PHOTOS`] photographs.
    pub fn new(entity: Entity, photos: Vec<Photo>) -> Result<Self, ClassError> {
        let words = gloss::words(&entity.description, entity.names());
        if words.is_empty() {
            return Err(ClassError::EmptyGloss);
        }
        if photos.len() < MIN_PHOTOS {
            return Err(ClassError::FewPhotos(photos.len()));
        }
        Ok(Self {
            entity,
            words,
            photos,
        })
    }

    /// Shares the photographs out: up to half of them to the timeline, which can show `wanted`; of the rest most to train and least to dev.
    pub(super) fn share_out(&self, wanted: usize, trains: bool, rng: &mut StdRng) -> Pools {
        let mut photos = self.photos.clone();
        photos.shuffle(rng);
        let n = photos.len();
        let timeline = wanted.clamp(n.div_ceil(6), n / 2);
        let rest = n - timeline;
        let (train, dev) = if trains {
            ((rest * 9 / 20).max(1), (rest * 3 / 20).max(1))
        } else {
            (0, (rest / 5).max(1))
        };
        let mut take = |n: usize| Pool {
            photos: photos.drain(..n).collect(),
            next: 0,
        };
        Pools {
            timeline: take(timeline),
            parts: [train, dev, rest - train - dev].map(take),
        }
    }
}

impl Pool {
    /// The next photograph: none comes again before all have been shown.
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Photo {
        if self.next == self.photos.len() {
            self.photos.shuffle(rng);
            self.next = 0;
        }
        self.next += 1;
        self.photos[self.next - 1].clone()
    }

    /// A random photograph.
    pub(super) fn any(&self, rng: &mut StdRng) -> Photo {
        self.photos[rng.random_range(..self.photos.len())].clone()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::random::rng;

    fn class(gloss: &str, n: usize) -> Result<Class, ClassError> {
        let entity = Entity {
            id: "x".to_owned(),
            name: "spoon".to_owned(),
            aliases: Vec::new(),
            description: gloss.to_owned(),
        };
        let photo = |i: usize| Photo {
            file: PathBuf::from(i.to_string()),
            extension: "jpg",
        };
        Class::new(entity, (0..n).map(photo).collect())
    }

    #[test]
    fn no_photograph_is_in_two_parts() {
        for (n, wanted, trains) in [(6, 3, true), (6, 10, false), (60, 8, true), (60, 50, false)] {
            let class = class("a tool of wood", n).unwrap();
            let pools = class.share_out(wanted, trains, &mut rng(1, "test"));
            let pools = || std::iter::once(&pools.timeline).chain(&pools.parts);
            let all: HashSet<&Photo> = pools().flat_map(|pool| &pool.photos).collect();
            assert_eq!(all.len(), n);
            let sizes: Vec<usize> = pools().map(|pool| pool.photos.len()).collect();
            assert_eq!(sizes.iter().sum::<usize>(), n);
            assert_eq!(sizes[1] > 0, trains, "{sizes:?}");
            assert!(
                sizes[0] > 0 && sizes[2] > 0 && sizes[3] > 0,
                "{n}, {wanted}: {sizes:?}"
            );
        }
    }

    #[test]
    fn a_class_has_words_and_photographs() {
        for (gloss, n, expected) in [
            ("of the", 6, ClassError::EmptyGloss),
            ("", 0, ClassError::EmptyGloss),
            ("a tool of wood", 5, ClassError::FewPhotos(5)),
            ("a tool of wood", 0, ClassError::FewPhotos(0)),
        ] {
            assert_eq!(class(gloss, n).unwrap_err(), expected, "{gloss:?}, {n}");
        }
    }
}
