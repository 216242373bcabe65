//! What the page and its worker say to each other. The page is the binary `app`, the worker the binary `worker`.

pub mod protocol;
