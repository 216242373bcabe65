//! Labelled benchmarks from sources without labels.
//!
//! [`photos::generate`] makes one from photographs and a list of senses, [`posts::Corpus`] makes one, or one per fold, from posts in which hashtags or handles recur.
//! Both take plain values and a seed, read no file, and give the same [`Benchmark`] for the same input.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod album;
mod benchmark;
pub mod photos;
pub mod posts;
mod random;

pub use album::{Picture, Source};
pub use benchmark::{Benchmark, Note, Part};
