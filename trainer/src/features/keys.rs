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

/// The key of a picture by the bytes of its file, or of a post in the joint encoder by [`joint_content`]; stored with its tokens or pooled.
pub(super) fn key(bytes: &[u8], with_tokens: bool) -> Key {
    let hash = Sha256::new().chain_update([u8::from(with_tokens)]);
    hash.chain_update(bytes).finalize().into()
}

/// The key of a text, stored with its tokens or pooled.
pub(super) fn text_key(encoded: &Encoded, with_tokens: bool) -> Key {
    key(&id_bytes(encoded), with_tokens)
}

fn id_bytes(encoded: &Encoded) -> Vec<u8> {
    encoded.ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// A hash over what the joint encoder reads of a post, the files of the pictures included.
pub(super) fn joint_content(
    dataset: &Dataset,
    encoders: &Encoders,
    source: &Source,
) -> anyhow::Result<Key> {
    let mut hash = Sha256::new();
    let text = joint_text(source, encoders)?.within(MAX_TEXT);
    hash.update(id_bytes(&text));
    hash.update(source.mention.unwrap_or_default());
    for path in source.images.iter().take(MAX_IMAGES) {
        let bytes = files::read(&dataset.folder.join(path))?;
        hash.update(key(&bytes, true));
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
