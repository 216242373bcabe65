//! Everything that the page says: labels, sentences, statuses, reasons. A submodule per part of the page.
//!
//! The cases of the lesson are contents, in [`lesson`](crate::lesson); the page's title is in `index.html`, errors of the model are in `shared-model`.
//! [`format`](crate::format) writes percentages, sizes and times, which come here as texts.
//! Reasons begin in lower case and have no full stop: they end another sentence.

#![expect(missing_docs, reason = "a constant's text says what it is")]

mod machine;
mod post;
mod ranking;
mod visitor;

pub use self::machine::{about, device, model};
pub use self::post::{composer, examples, lesson, page, pictures, progress};
pub use self::ranking::{answer, cues, explanation, known, none, parts, what_if};
pub use self::visitor::{batch, own};
