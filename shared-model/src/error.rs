//! The one error type.

/// Everything that input from outside can do wrong. A `forward` never returns it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A picture that cannot be decoded, or must not be.
    #[error("picture: {0}")]
    Image(String),
    /// A mention outside its text, empty, or reversed.
    #[error("mention {start}..{end} does not lie within the text of {length} characters")]
    Span {
        /// First character of the mention.
        start: usize,
        /// One past its last character.
        end: usize,
        /// Characters in the text.
        length: usize,
    },
    /// A text beyond [`crate::tokenizer::MAX_CHARACTERS`].
    #[error("the text has {length} characters; at most {max} are read")]
    TextTooLong {
        /// Characters in the text.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// A post with neither text nor picture.
    #[error("the post is empty: it needs a text or a picture")]
    EmptyPost,
    /// A candidate that is not in the knowledge base.
    #[error("no entity {0:?}")]
    UnknownEntity(String),
    /// A tokenizer file that the library refuses, or a text that it cannot encode.
    #[error("tokenizer: {0}")]
    Tokenizer(String),
    /// A file of a bundle or a weight file that is missing, altered, too new or of another shape.
    #[error("{file}: {reason}")]
    File {
        /// Path inside the bundle or weight folder.
        file: String,
        /// What is wrong, and where.
        reason: String,
    },
    /// The device stopped answering while tensors were read back.
    #[error("the device failed: {0}")]
    Device(String),
}

impl Error {
    /// An [`Error::File`].
    pub fn file(file: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::File {
            file: file.into(),
            reason: reason.to_string(),
        }
    }
}

/// A result with [`enum@Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
