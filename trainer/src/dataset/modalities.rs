//! Datasets with a modality left out: what a system is, and is not, allowed to see of mentions and entities.

use clap::ValueEnum;
use serde::Deserialize;
use shared_model::data::{Mention, Post};

use super::Dataset;

/// What is left of posts. Names are always known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Modalities {
    /// Texts and pictures.
    #[default]
    Both,
    /// Texts alone.
    Text,
    /// Pictures alone; the text of a post is no more than its mention.
    Image,
    /// Names alone.
    None,
}

impl Modalities {
    fn has_text(self) -> bool {
        matches!(self, Self::Both | Self::Text)
    }

    fn has_images(self) -> bool {
        matches!(self, Self::Both | Self::Image)
    }

    /// The entities of a dataset with these modalities alone: without descriptions and texts of timelines, or without pictures.
    pub(crate) fn of_entities(self, mut dataset: Dataset) -> Dataset {
        if !self.has_text() {
            for entity in &mut dataset.entities {
                entity.description.clear();
            }
        }
        for post in &mut dataset.timeline {
            if !self.has_text() {
                post.text.clear();
            }
            if !self.has_images() {
                post.images.clear();
            }
        }
        let timeline = &mut dataset.timeline;
        timeline.retain(|post| !post.text.is_empty() || !post.images.is_empty());
        dataset
    }

    /// A labelled post with these modalities alone.
    ///
    /// # Errors
    ///
    /// If the mention is outside the text.
    pub(crate) fn of_mention(self, mut post: Post) -> anyhow::Result<Post> {
        if let (Some(mention), false) = (post.mention, self.has_text()) {
            post.text = mention.surface(&post.text)?.to_owned();
            post.mention = Some(Mention {
                start: 0,
                end: mention.end - mention.start,
            });
        }
        if !self.has_images() {
            post.images.clear();
        }
        Ok(post)
    }
}

#[cfg(test)]
mod tests {
    use shared_model::data::{Entity, TimelinePost};

    use super::*;
    use crate::dataset::{CandidatePolicy, Info};

    fn dataset() -> Dataset {
        let post = |text: &str, images: &[&str]| TimelinePost {
            entity: "Q1".to_owned(),
            text: text.to_owned(),
            images: images.iter().map(|&image| image.to_owned()).collect(),
            id: None,
        };
        Dataset {
            folder: "d".into(),
            info: Info::new("n", "l", "s", CandidatePolicy::Given),
            entities: vec![Entity {
                id: "Q1".to_owned(),
                name: "Jaguar".to_owned(),
                aliases: Vec::new(),
                description: "big cat".to_owned(),
            }],
            timeline: vec![post("in the Pantanal", &["a.jpg"]), post("", &["b.jpg"])],
            _unpacked: None,
        }
    }

    #[test]
    fn entities_keep_their_names_and_the_modalities_asked_for() {
        for (modalities, description, texts, n_images) in [
            (Modalities::Both, "big cat", &["in the Pantanal", ""][..], 2),
            (Modalities::Text, "big cat", &["in the Pantanal"], 0),
            (Modalities::Image, "", &["", ""], 2),
            (Modalities::None, "", &[], 0),
        ] {
            let dataset = modalities.of_entities(dataset());
            assert_eq!(dataset.entities[0].name, "Jaguar");
            assert_eq!(dataset.entities[0].description, description);
            let posts = dataset.timeline.iter();
            let found: Vec<&str> = posts.clone().map(|post| post.text.as_str()).collect();
            assert_eq!(found, texts, "{modalities:?}");
            assert_eq!(posts.flat_map(|post| &post.images).count(), n_images);
        }
    }

    #[test]
    fn a_mention_without_text_is_its_name() {
        let post: Post = serde_json::from_str(
            r#"{"id":"m","text":"a 🐆 jaguar!","mention":{"start":4,"end":10},"images":["a.jpg"],"entity":"Q1"}"#,
        )
        .unwrap();
        for (modalities, text, start, n_images) in [
            (Modalities::Both, "a 🐆 jaguar!", 4, 1),
            (Modalities::Text, "a 🐆 jaguar!", 4, 0),
            (Modalities::Image, "jaguar", 0, 1),
            (Modalities::None, "jaguar", 0, 0),
        ] {
            let left = modalities.of_mention(post.clone()).unwrap();
            assert_eq!((left.text.as_str(), left.images.len()), (text, n_images));
            let mention = left.mention.unwrap();
            assert_eq!(mention.start, start);
            assert_eq!(mention.surface(&left.text).unwrap(), "jaguar");
        }
    }
}
