//! What the encoders read of a post.

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
