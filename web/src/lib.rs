//! What the page and its worker share, and the page's logic without its elements.
//!
//! The page is the binary `app`; the worker is the binary `worker` and, where the browser offers a graphics processor, `worker_webgpu`.
//! Natively this library has only what is pure, for its tests.

#![recursion_limit = "256"]

pub mod address;
pub mod format;
pub mod lesson;
pub mod link_request;
pub mod phase;
pub mod post;
pub mod protocol;
pub mod selection;
pub mod share;
pub mod timeout;
pub mod wording;

#[cfg(target_arch = "wasm32")]
pub mod adapter;
#[cfg(target_arch = "wasm32")]
pub mod cache;
#[cfg(target_arch = "wasm32")]
pub mod context;
#[cfg(target_arch = "wasm32")]
pub mod fetch;
#[cfg(target_arch = "wasm32")]
pub mod message;
#[cfg(all(target_arch = "wasm32", feature = "engine"))]
pub mod worker;
