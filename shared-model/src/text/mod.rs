//! Text encoders.

mod bert;

pub(crate) use bert::heads_fit;
pub use bert::{Bert, BertConfig};
