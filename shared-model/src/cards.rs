//! Entities as an answer shows them.

use serde::{Deserialize, Serialize};

use crate::data::{Effects, Ranking};
use crate::kb::{KnowledgeBase, Prototypes};
use crate::math::cosine;
use crate::prototype::Chosen;
use crate::vectors::PooledVectors;

/// The answer to a post.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The candidates, best first.
    pub ranking: Ranking,
    /// Their cards, in the same order.
    pub entities: Vec<EntityCard>,
    /// What in the post decided, once it has been computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effects: Option<Effects>,
}

/// An entity with what the model knows about it, compared with a post.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EntityCard {
    /// Entity id.
    pub id: String,
    /// Name in the knowledge base.
    pub name: String,
    /// One sentence of description.
    pub description: String,
    /// Its text prototypes, most central first.
    pub posts: Vec<CardPost>,
    /// Its image prototypes, most central first.
    pub pictures: Vec<CardPost>,
    /// Edges of the similarity graph of the text prototypes.
    pub links: Vec<CardLink>,
}

/// A prototype of an entity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardPost {
    /// Text of the post.
    pub text: String,
    /// Paths inside the bundle.
    pub images: Vec<String>,
    /// PageRank among the posts of the entity.
    pub rank: f32,
    /// Cosine with the visitor's post; `None` if that lacks the modality.
    pub similarity: Option<f32>,
}

/// An edge between two text prototypes of an entity.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CardLink {
    /// Position of one in [`EntityCard::posts`].
    pub from: usize,
    /// Position of the other.
    pub to: usize,
    /// Cosine of the two, above 0.
    pub weight: f32,
}

impl EntityCard {
    /// The card of the entity at a position of the knowledge base, compared with a post.
    pub fn of(kb: &KnowledgeBase, position: usize, post: &PooledVectors) -> Self {
        let entity = &kb.text.entities[position];
        let Prototypes { text, image, .. } = &kb.text.prototypes[position];
        let centred_text = |pooled: &PooledVectors| {
            let text = pooled.text.as_ref();
            text.map(|text| kb.statistics.centre_text(text))
        };
        let centred_image = |pooled: &PooledVectors| {
            let image = pooled.image.as_ref();
            image.map(|image| kb.statistics.centre_image(image))
        };
        let card_post = |chosen: &Chosen, similarity: Option<f32>| {
            let post = &kb.text.posts[chosen.post];
            CardPost {
                text: post.text.clone(),
                images: post.images.clone(),
                rank: chosen.rank,
                similarity,
            }
        };
        let similarity =
            |a: &Option<Vec<f32>>, b: &Option<Vec<f32>>| Some(cosine(a.as_deref()?, b.as_deref()?));
        let texts: Vec<Option<Vec<f32>>> = text
            .iter()
            .map(|chosen| centred_text(&kb.pooled[chosen.post]))
            .collect();
        let (own_text, own_image) = (centred_text(post), centred_image(post));
        let posts = text.iter().zip(&texts);
        let posts = posts.map(|(chosen, text)| card_post(chosen, similarity(&own_text, text)));
        let pictures = image.iter().map(|chosen| {
            let image = centred_image(&kb.pooled[chosen.post]);
            card_post(chosen, similarity(&own_image, &image))
        });
        let pairs = (0..texts.len()).flat_map(|to| (0..to).map(move |from| (from, to)));
        let links = pairs.filter_map(|(from, to)| {
            let weight = similarity(&texts[from], &texts[to]).filter(|weight| *weight > 0.0)?;
            Some(CardLink { from, to, weight })
        });
        Self {
            id: entity.id.clone(),
            name: entity.name.clone(),
            description: entity.description.clone(),
            posts: posts.collect(),
            pictures: pictures.collect(),
            links: links.collect(),
        }
    }

    /// Paths of all pictures inside the bundle, most central first.
    pub fn thumbs(&self) -> impl Iterator<Item = &String> {
        self.pictures.iter().flat_map(|post| &post.images)
    }
}
