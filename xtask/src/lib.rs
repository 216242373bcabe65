//! What `cargo xtask` and the browser tests share: the server of the page.

pub mod serve;
