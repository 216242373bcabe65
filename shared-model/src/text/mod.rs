//! Text encoders.

mod bert;
mod tuned;

pub use bert::{Bert, BertConfig, HiddenAct};
pub use tuned::{TunedConfig, TunedLayers};
