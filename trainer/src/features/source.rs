//! What the encoders read of a post.

use shared_model::encoders::Encoders;
use shared_model::tokenizer::Encoded;

/// A post to look up or encode.
pub(crate) struct Source<'a> {
    /// `None` for an empty text.
    pub(crate) text: Option<Encoded>,
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
            mention: None,
            images,
        })
    }
}
