//! What the encoders read of a post.

use shared_model::context;
use shared_model::data::{Entity, Mention, Post};
use shared_model::encoders::Encoders;
use shared_model::tokenizer::Encoded;

/// A post to look up or encode.
pub(crate) struct Source<'a> {
    /// `None` for an empty text.
    pub(crate) text: Option<Encoded>,
    /// The text without its mention, or, of a profile, the description without the names; see [`shared_model::context`].
    pub(crate) context: Option<Encoded>,
    /// What the context encoder reads: the same, or a timeline's text without the names; `None` without such an encoder.
    pub(crate) tuned: Option<Encoded>,
    /// Characters of the mention.
    pub(crate) mention: Option<&'a str>,
    /// Paths relative to the dataset; those beyond [`MAX_IMAGES`](shared_model::data::MAX_IMAGES) are left out.
    pub(crate) images: &'a [String],
}

impl<'a> Source<'a> {
    /// A post without a mention.
    pub(crate) fn plain(
        encoders: &Encoders,
        text: &str,
        images: &'a [String],
    ) -> anyhow::Result<Self> {
        let encoded = (!text.is_empty()).then(|| encoders.tokenizer.encode(text, None));
        Ok(Self {
            text: encoded.transpose()?,
            context: None,
            tuned: None,
            mention: None,
            images,
        })
    }

    /// A timeline post of an entity.
    pub(crate) fn timeline(
        encoders: &Encoders,
        entity: &Entity,
        text: &str,
        images: &'a [String],
    ) -> anyhow::Result<Self> {
        let tuned = match encoders.context {
            Some(_) => context::of_text(text, entity),
            None => None,
        };
        let tuned = tuned.map(|text| encoders.tokenizer.encode(&text, None));
        Ok(Self {
            tuned: tuned.transpose()?,
            ..Self::plain(encoders, text, images)?
        })
    }

    /// The profile of an entity.
    pub(crate) fn profile(encoders: &Encoders, entity: &Entity) -> anyhow::Result<Self> {
        let profile = Self::plain(encoders, &entity.profile(), &[])?;
        let context = context::of_entity(entity);
        let context = context.map(|text| encoders.tokenizer.encode(&text, None));
        let context = context.transpose()?;
        Ok(Self {
            tuned: context.clone().filter(|_| encoders.context.is_some()),
            context,
            ..profile
        })
    }

    /// A post with a mention.
    pub(crate) fn mention(
        encoders: &Encoders,
        post: &'a Post,
        mention: Mention,
    ) -> anyhow::Result<Self> {
        let encode = |text: &str, mention| encoders.tokenizer.encode(text, Some(mention));
        let context = context::of_post(&post.text, mention)?;
        let context = context.map(|context| encode(&context.text, context.mention));
        let context = context.transpose()?;
        Ok(Self {
            text: Some(encode(&post.text, mention)?),
            tuned: context.clone().filter(|_| encoders.context.is_some()),
            context,
            mention: Some(mention.surface(&post.text)?),
            images: &post.images,
        })
    }
}
