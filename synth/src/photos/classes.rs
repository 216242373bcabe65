//! Classes with their photographs.

use std::path::PathBuf;

use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use shared_model::data::Entity;

use super::gloss::{self, Word};
use super::pools::Pools;

/// The least number of photographs that can be shared out between a timeline and three parts.
pub const MIN_PHOTOS: usize = 6;

/// A sense with its photographs.
#[derive(Debug, Clone)]
pub struct Class {
    /// The sense; its description is the gloss.
    pub(super) entity: Entity,
    /// The informative words of the gloss.
    ///
    /// Empty if texts are sentences about the class.
    pub(super) words: Vec<Word>,
    /// Sentences about the class.
    pub(super) sentences: Vec<String>,
    /// The name that it shares with other classes, if one is given.
    pub(super) shared_name: Option<String>,
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
        Ok(Self {
            words,
            ..Self::with_sentences(entity, Vec::new(), None, photos)?
        })
    }

    /// A class that texts tell of in these sentences, and that shares this name with all classes that have it too.
    ///
    /// # Errors
    ///
    /// [`ClassError::FewPhotos`] with fewer than [`MIN_PHOTOS`] photographs.
    pub fn with_sentences(
        entity: Entity,
        sentences: Vec<String>,
        shared_name: Option<String>,
        photos: Vec<Photo>,
    ) -> Result<Self, ClassError> {
        if photos.len() < MIN_PHOTOS {
            return Err(ClassError::FewPhotos(photos.len()));
        }
        Ok(Self {
            entity,
            words: Vec::new(),
            sentences,
            shared_name,
            photos,
        })
    }

    /// The photographs by the posts that show them; a timeline can show `wanted`.
    pub(super) fn share_out(&self, wanted: usize, trains: bool, rng: &mut StdRng) -> Pools<Photo> {
        let mut photos = self.photos.clone();
        photos.shuffle(rng);
        Pools::new(photos, wanted, trains)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
