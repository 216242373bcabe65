//! Entities as an answer shows them.

use serde::{Deserialize, Serialize};

use crate::kb::{KbText, Prototypes};

/// An entity with what the model knows about it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityCard {
    /// Entity id.
    pub id: String,
    /// Name in the knowledge base.
    pub name: String,
    /// One sentence of description.
    pub description: String,
    /// Pictures of its prototypes, best first: paths inside the bundle.
    pub thumbs: Vec<String>,
    /// Texts of its prototypes, best first.
    pub posts: Vec<String>,
}

impl EntityCard {
    /// The card of the entity at a position of the knowledge base.
    pub fn of(kb: &KbText, position: usize) -> Self {
        let entity = &kb.entities[position];
        let Prototypes { text, image, .. } = &kb.prototypes[position];
        let images = image
            .iter()
            .flat_map(|chosen| &kb.posts[chosen.post].images);
        let posts = text.iter().map(|chosen| &kb.posts[chosen.post].text);
        Self {
            id: entity.id.clone(),
            name: entity.name.clone(),
            description: entity.description.clone(),
            thumbs: images.cloned().collect(),
            posts: posts.cloned().collect(),
        }
    }
}
