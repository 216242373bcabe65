//! What the page and its worker share, and the page's logic without its elements.
//!
//! The page is the binary `app`, the worker the binary `worker`.
//! Natively this library has only what is pure, for its tests.

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

#[cfg(target_arch = "wasm32")]
pub mod cache;
#[cfg(target_arch = "wasm32")]
pub mod context;
#[cfg(target_arch = "wasm32")]
pub mod fetch;
#[cfg(target_arch = "wasm32")]
pub mod message;
