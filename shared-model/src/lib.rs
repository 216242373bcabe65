//! The model: encoders, prototypes and the linker, compiled natively and to WebAssembly.
//!
//! The crate is pure: bytes and plain values come in, plain values go out.
//! It opens no file, reads no clock, starts no thread and picks no backend; it runs on the [`burn::prelude::Device`] it is given.
//!
//! Three types carry most of it: [`data::Post`] is what a visitor or a dataset brings, [`bundle::Bundle`] is an exported model read from bytes, and [`linker::Linker`] turns the first into a [`data::Ranking`] with the second.

#![recursion_limit = "256"]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod adam;
mod addresses;
pub mod aliases;
pub mod archive;
pub mod baselines;
pub mod batch;
pub mod bundle;
pub mod calibration;
pub mod cards;
pub mod classes;
pub mod context;
pub mod cover;
pub mod cues;
pub mod data;
pub mod encoders;
pub mod error;
pub mod evidence;
pub mod explain;
pub mod gold_rank;
pub mod hash;
pub mod image;
pub mod imn;
pub mod joint;
pub mod kb;
pub mod lexical;
pub mod linker;
pub mod loss;
pub mod manifest;
pub mod math;
mod mentions;
pub mod names;
pub mod normalise;
pub mod own;
pub mod pack;
pub mod paths;
mod pieces;
mod post_cache;
pub mod prototype;
pub mod resize;
mod scales;
pub mod scorer;
pub mod self_test;
mod similar;
pub mod stages;
pub mod statistics;
pub mod tensors;
pub mod text;
pub mod tokenizer;
pub mod vectors;
pub mod vision;
pub mod words;
