//! WordPiece through the `tokenizers` crate, with the mention carried from characters to tokens.

use std::ops::Range;

use tokenizers::Tokenizer as Inner;

use crate::data::Mention;
use crate::error::{Error, Result};

/// Longer texts are refused.
pub const MAX_CHARACTERS: usize = 20_000;

/// Longest window, [CLS] and [SEP] included.
pub const MAX_TOKENS: usize = 512;

/// Shortest window: [CLS], one piece and [SEP].
pub const MIN_TOKENS: usize = 3;

/// A text as token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Ids, [CLS] first and [SEP] last; at most [`MAX_TOKENS`].
    pub ids: Vec<u32>,
    /// The tokens of the mention, as positions in `ids`.
    pub mention: Option<Range<usize>>,
}

/// Text to token ids, without padding.
#[derive(Debug, Clone)]
pub struct Tokenizer {
    inner: Inner,
    max_tokens: usize,
    cls: u32,
    sep: u32,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`.
    ///
    /// # Errors
    ///
    /// [`Error::Tokenizer`] if it is malformed or knows no [CLS] or [SEP].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let refuse = |reason: &dyn std::fmt::Display| Error::Tokenizer(reason.to_string());
        let mut inner = Inner::from_bytes(bytes).map_err(|error| refuse(&error))?;
        inner
            .with_truncation(None)
            .map_err(|error| refuse(&error))?;
        inner.with_padding(None);
        let special = |token: &str| {
            inner
                .token_to_id(token)
                .ok_or_else(|| refuse(&format!("the vocabulary has no {token}")))
        };
        let (cls, sep) = (special("[CLS]")?, special("[SEP]")?);
        Ok(Self {
            inner,
            max_tokens: MAX_TOKENS,
            cls,
            sep,
        })
    }

    /// Shortens the window to the positions that the text encoder has, if these are fewer than [`MAX_TOKENS`].
    #[must_use]
    pub fn with_max_tokens(mut self, positions: usize) -> Self {
        self.max_tokens = positions.clamp(MIN_TOKENS, MAX_TOKENS);
        self
    }

    /// Pieces that it knows.
    pub fn vocabulary(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// Encodes `text`; of one longer than the window, the window centred on the mention, or the beginning where there is none.
    ///
    /// # Errors
    ///
    /// [`Error::TextTooLong`] beyond [`MAX_CHARACTERS`], [`Error::Span`] for a mention outside the text.
    pub fn encode(&self, text: &str, mention: Option<Mention>) -> Result<Encoded> {
        let length = text.chars().count();
        if length > MAX_CHARACTERS {
            return Err(Error::TextTooLong {
                length,
                max: MAX_CHARACTERS,
            });
        }
        if let Some(mention) = mention {
            mention.surface(text)?;
        }
        let encoding = self
            .inner
            .encode_char_offsets(text, false)
            .map_err(|error| Error::Tokenizer(error.to_string()))?;

        let pieces = encoding.get_ids();
        let covered = mention.and_then(|mention| {
            let inside =
                |&(start, end): &(usize, usize)| start < mention.end && mention.start < end;
            let first = encoding.get_offsets().iter().position(inside)?;
            let last = encoding.get_offsets().iter().rposition(inside)?;
            Some(first..last + 1)
        });
        let encoded = Encoded::of(self.cls, pieces, self.sep, covered);
        Ok(encoded.within(self.max_tokens))
    }

    /// The id of a piece, such as `[MASK]`.
    pub fn id(&self, piece: &str) -> Option<u32> {
        self.inner.token_to_id(piece)
    }
}

impl Encoded {
    fn of(cls: u32, pieces: &[u32], sep: u32, mention: Option<Range<usize>>) -> Self {
        let mut ids = Vec::with_capacity(pieces.len() + 2);
        ids.push(cls);
        ids.extend(pieces);
        ids.push(sep);
        Self {
            ids,
            mention: mention.map(|mention| mention.start + 1..mention.end + 1),
        }
    }

    /// At most `max_tokens`: the window centred on the mention, or the beginning where there is none.
    #[must_use]
    pub fn within(&self, max_tokens: usize) -> Self {
        let [cls, pieces @ .., sep] = self.ids.as_slice() else {
            return self.clone();
        };
        let covered = self
            .mention
            .as_ref()
            .map(|mention| mention.start - 1..mention.end - 1);
        let window = window(pieces.len(), covered.as_ref(), max_tokens);
        let mention = covered.map(|covered| {
            let position = |piece: usize| piece.clamp(window.start, window.end) - window.start;
            position(covered.start)..position(covered.end)
        });
        Self::of(*cls, &pieces[window], *sep, mention)
    }
}

fn window(n_pieces: usize, mention: Option<&Range<usize>>, max_tokens: usize) -> Range<usize> {
    let width = (max_tokens - 2).min(n_pieces);
    let start = mention.map_or(0, |mention| {
        let centre = (mention.start + mention.end) / 2;
        centre
            .saturating_sub((max_tokens - 2) / 2)
            .min(n_pieces - width)
    });
    start..start + width
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_full_and_hold_the_mention() {
        let window = |n, mention: Option<Range<usize>>| window(n, mention.as_ref(), MAX_TOKENS);
        assert_eq!(window(0, None), 0..0);
        assert_eq!(window(300, Some(299..300)), 0..300);
        assert_eq!(window(700, None), 0..510);
        assert_eq!(window(700, Some(0..2)), 0..510);
        assert_eq!(window(700, Some(350..352)), 96..606);
        assert_eq!(window(700, Some(698..700)), 190..700);
    }

    #[test]
    fn a_cut_text_keeps_its_ends_and_its_mention() {
        let pieces: Vec<u32> = (10..110).collect();
        let encoded = Encoded::of(1, &pieces, 2, Some(60..62));
        assert_eq!(encoded.within(102), encoded);
        let cut = encoded.within(12);
        assert_eq!(cut.ids, [1, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 2]);
        assert_eq!(
            cut.mention.map(|mention| cut.ids[mention].to_vec()),
            Some(vec![70, 71])
        );
        let start = Encoded::of(1, &pieces, 2, None).within(4);
        assert_eq!((start.ids, start.mention), (vec![1, 10, 11, 2], None));
    }
}
