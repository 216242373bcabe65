//! Entities that the visitor brings: kept in the browser as one zip, encoded by the engine.

use std::collections::HashMap;

use crate::cache::{FileCache, OWN, Store};
use crate::protocol::{NewEntity, OwnCard};
use shared_model::archive::Archive;
use shared_model::data::{Entity, TimelinePost};

use super::storage::read;

/// Largest zip that is read, in bytes.
const MAX_ZIP_BYTES: u64 = shared_model::archive::MAX_BYTES;

/// The visitor's entities, and files that wait to become pictures of one.
#[derive(Default)]
pub(crate) struct Own {
    /// Entities, posts and files.
    pub(crate) archive: Archive,
    files: HashMap<u32, Vec<u8>>,
    /// What is kept could not be read: it is not replaced.
    pub(crate) is_locked: bool,
}

impl Own {
    /// The zip of an earlier visit, if there is one.
    ///
    /// Where the browser keeps nothing at all there is none.
    ///
    /// # Errors
    ///
    /// If it cannot be read.
    pub(crate) async fn kept() -> Result<Option<Vec<u8>>, String> {
        let Ok(cache) = FileCache::open(Store::Own).await else {
            return Ok(None);
        };
        let Some(response) = cache.get(OWN).await? else {
            return Ok(None);
        };
        read(response.body(), MAX_ZIP_BYTES, |_| {}).await.map(Some)
    }

    /// Keeps the entities for the next visit; says whether the browser does.
    pub(crate) async fn keep(&self) -> bool {
        if self.is_locked {
            return false;
        }
        if self.archive.entities.is_empty() {
            return Store::Own.delete().await.is_ok();
        }
        let (Ok(cache), Ok(zip)) = (FileCache::open(Store::Own).await, self.archive.write()) else {
            return false;
        };
        cache.put(OWN, &zip).await.is_ok()
    }

    /// A file for an entity to come.
    pub(crate) fn add_file(&mut self, id: u32, bytes: Vec<u8>) {
        self.files.insert(id, bytes);
    }

    /// The entity as an archive of its own; its files are taken.
    pub(crate) fn archive_of(&mut self, new: NewEntity) -> Archive {
        let NewEntity {
            name,
            aliases,
            description,
            texts,
            files,
        } = new;
        let id = "own".to_owned();
        let post = |text: String, images: Vec<String>| TimelinePost {
            entity: id.clone(),
            text,
            images,
            id: None,
        };
        let mut archive = Archive::default();
        archive
            .timeline
            .extend(texts.into_iter().map(|text| post(text, Vec::new())));
        for (at, file) in files.into_iter().enumerate() {
            let Some(bytes) = self.files.remove(&file) else {
                continue;
            };
            let path = format!("images/own-{}.{}", at + 1, ending(&bytes));
            archive
                .timeline
                .push(post(String::new(), vec![path.clone()]));
            archive.pictures.insert(path, bytes);
        }
        self.files.clear();
        archive.entities.push(Entity {
            id,
            name,
            aliases,
            description,
        });
        archive
    }

    /// The entities as the page lists them.
    pub(crate) fn cards(&self) -> Vec<OwnCard> {
        let entities = self.archive.entities.iter();
        let card = |entity: &Entity| {
            let posts = || self.archive.posts(&entity.id);
            OwnCard {
                id: entity.id.clone(),
                name: entity.name.clone(),
                n_posts: posts().count(),
                n_pictures: posts().map(|post| post.images.len()).sum(),
            }
        };
        entities.map(card).collect()
    }
}

/// The file name's ending, by the first bytes.
fn ending(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [b'R', b'I', b'F', b'F', ..] => "webp",
        _ => "jpg",
    }
}
