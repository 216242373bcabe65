//! Keys of the cache: hashes over what an encoder reads.

use sha2::{Digest as _, Sha256};
use shared_model::data::MAX_IMAGES;
use shared_model::encoders::Encoders;
use shared_model::joint::MAX_TEXT;
use shared_model::tokenizer::Encoded;

use super::source::Source;
use crate::dataset::Dataset;
use crate::files;

/// A SHA-256 hash.
pub(super) type Key = [u8; 32];

/// The key of a text, stored with its tokens or pooled.
pub(super) fn text_key(encoded: &Encoded, with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    for id in &encoded.ids {
        hash.update(id.to_le_bytes());
    }
    hash.finalize().into()
}

/// The key of a picture, stored with its tokens or pooled, by the bytes of its file.
pub(super) fn picture_key(bytes: &[u8], with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    hash.update(bytes);
    hash.finalize().into()
}

/// The key of a post in the joint encoder, stored with its tokens or pooled.
pub(super) fn joint_key(content: &Key, with_tokens: bool) -> Key {
    let mut hash = Sha256::new();
    hash.update([u8::from(with_tokens)]);
    hash.update(content);
    hash.finalize().into()
}

/// A hash over what the joint encoder reads of a post, the files of the pictures included.
pub(super) fn joint_content(
    dataset: &Dataset,
    encoders: &Encoders,
    source: &Source,
) -> anyhow::Result<Key> {
    let mut hash = Sha256::new();
    for id in joint_text(source, encoders)?.within(MAX_TEXT).ids {
        hash.update(id.to_le_bytes());
    }
    hash.update(source.mention.unwrap_or_default());
    for path in source.images.iter().take(MAX_IMAGES) {
        let bytes = files::read(&dataset.folder.join(path))?;
        hash.update(picture_key(&bytes, true));
    }
    Ok(hash.finalize().into())
}

/// The text that the joint encoder reads: `[CLS] [SEP]` for a post without one.
pub(super) fn joint_text(source: &Source, encoders: &Encoders) -> anyhow::Result<Encoded> {
    match &source.text {
        Some(text) => Ok(text.clone()),
        None => Ok(encoders.tokenizer.encode("", None)?),
    }
}
