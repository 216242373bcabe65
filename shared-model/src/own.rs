//! Entities that a visitor brings: encoded, added to the knowledge base, taken out again.

use std::sync::Arc;

use crate::aliases::AliasIndex;
use crate::archive::Archive;
use crate::context;
use crate::data::{Entity, MAX_IMAGES};
use crate::encoders::Encoders;
use crate::error::{Error, Result};
use crate::image::decode;
use crate::kb::KbPost;
use crate::linker::Linker;
use crate::tokenizer::Encoded;
use crate::vectors::{PooledVectors, PostVectors};

/// An entity with its posts.
#[derive(Debug, Clone)]
pub struct OwnEntity<'a> {
    /// Its id is in no knowledge base yet.
    pub entity: Entity,
    /// Its timeline.
    pub posts: Vec<OwnPost<'a>>,
}

/// A post about an own entity.
#[derive(Debug, Clone)]
pub struct OwnPost<'a> {
    /// May be empty.
    pub text: String,
    /// Paths by which answers name the pictures.
    pub images: Vec<String>,
    /// Files of the pictures, of which one post's at a time are decoded.
    pub files: Vec<&'a [u8]>,
}

impl<'a> OwnEntity<'a> {
    /// The folder of the pictures' paths in answers, so that they differ from those of a bundle.
    pub const FOLDER: &'static str = "own/";

    /// An entity of an archive with its posts.
    pub fn of(archive: &'a Archive, entity: &Entity) -> Self {
        let file = |path: &String| archive.pictures.get(path).map_or(&[][..], Vec::as_slice);
        let posts = archive.posts(&entity.id).map(|post| {
            let images = || post.images.iter().take(MAX_IMAGES);
            OwnPost {
                text: post.text.clone(),
                images: images()
                    .map(|path| format!("{}{path}", Self::FOLDER))
                    .collect(),
                files: images().map(file).collect(),
            }
        });
        Self {
            posts: posts.collect(),
            entity: entity.clone(),
        }
    }
}

impl Linker {
    /// Encodes entities and adds them: they are candidates for their names, beside bundled namesakes, and new to the network.
    ///
    /// The statistics that vectors are centred by stay as they are.
    ///
    /// # Arguments
    ///
    /// - on_post: called before each post.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming a picture that cannot be decoded, [`Error::TextTooLong`], [`Error::Device`] if the device fails; nothing is added then, unless it fails while the entities are indexed.
    pub async fn add(
        &mut self,
        entities: &[OwnEntity<'_>],
        mut on_post: impl AsyncFnMut(),
    ) -> Result<()> {
        let mut encoded = Vec::new();
        for OwnEntity { entity, posts } in entities {
            let profile = profile(&self.encoders, entity).await?;
            let mut timeline = Vec::new();
            for post in posts {
                on_post().await;
                timeline.push(pooled(&self.encoders, entity, post).await?);
            }
            encoded.push((profile, timeline));
        }
        for (OwnEntity { entity, posts }, (profile, timeline)) in entities.iter().zip(encoded) {
            let position = self.kb.text.entities.len();
            self.kb.text.entities.push(entity.clone());
            self.kb.profiles.push(profile);
            self.kb.pooled.extend(timeline);
            let posts = posts.iter().map(|post| KbPost {
                entity: position,
                text: post.text.clone(),
                images: post.images.clone(),
            });
            self.kb.text.posts.extend(posts);
        }
        self.changed().await
    }

    /// Takes entities out, by their ids.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn remove(&mut self, ids: &[&str]) -> Result<()> {
        self.kb.remove(|entity| ids.contains(&entity.id.as_str()));
        self.changed().await
    }

    async fn changed(&mut self) -> Result<()> {
        self.aliases = AliasIndex::new(&self.kb.text.entities);
        let (k, selection) = (self.kb.text.k, self.kb.text.selection);
        self.choose_prototypes(k, selection).await
    }
}

async fn profile(encoders: &Encoders, entity: &Entity) -> Result<PooledVectors> {
    let text = encoders.tokenizer.encode(&entity.profile(), None)?;
    let context = context::of_entity(entity);
    let context = encoded(encoders, context.as_deref())?;
    let texts: Vec<Encoded> = [Some(&text), context.as_ref()]
        .into_iter()
        .flatten()
        .cloned()
        .collect();
    let vectors = encoders.token_vectors(&texts).await?;
    let mut vectors = vectors.into_iter().map(Arc::new);
    let post = PostVectors {
        text: vectors.next(),
        context: vectors.next(),
        tuned: tuned(encoders, context).await?,
        ..PostVectors::default()
    };
    with_joint(encoders, post, &text).await
}

async fn pooled(encoders: &Encoders, entity: &Entity, post: &OwnPost<'_>) -> Result<PooledVectors> {
    let text = encoders.tokenizer.encode(&post.text, None)?;
    let mut images = Vec::new();
    for (path, file) in post.images.iter().zip(&post.files) {
        let path = path.trim_start_matches(OwnEntity::FOLDER);
        let picture = decode(file).map_err(|error| Error::file(path, error))?;
        images.push(encoders.image(&picture).await?.into());
    }
    let without_names = context::of_text(&post.text, entity);
    let post = PostVectors {
        text: match post.text.is_empty() {
            true => None,
            false => Some(encoders.text(&text).await?.into()),
        },
        context: None,
        tuned: tuned(encoders, encoded(encoders, without_names.as_deref())?).await?,
        images,
        joint: None,
    };
    with_joint(encoders, post, &text).await
}

async fn with_joint(
    encoders: &Encoders,
    mut post: PostVectors,
    text: &Encoded,
) -> Result<PooledVectors> {
    encoders.join(&mut post, text, None).await?;
    Ok(post.pooled())
}

fn encoded(encoders: &Encoders, text: Option<&str>) -> Result<Option<Encoded>> {
    text.map(|text| encoders.tokenizer.encode(text, None))
        .transpose()
}

async fn tuned(encoders: &Encoders, text: Option<Encoded>) -> Result<Option<Vec<f32>>> {
    let Some(text) = text else {
        return Ok(None);
    };
    let tuned = encoders.contexts(&[text]).await?;
    Ok(tuned.and_then(|mut tuned| tuned.pop()))
}
