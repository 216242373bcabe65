//! Text encoders.

mod bert;

pub use bert::{Bert, BertConfig, HiddenAct};

/// The name of a text encoder on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TextKind {
    /// BERT.
    #[default]
    Bert,
}

impl TextKind {
    /// The name as written in flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bert => "bert",
        }
    }

    /// The name of its file in a weight folder.
    pub fn file(self) -> &'static str {
        match self {
            Self::Bert => "text.bpk",
        }
    }
}
