//! `imn weights import`: foreign checkpoints to `.bpk` files of the weight folder.

mod bert;
mod detr;
mod efficientnet;
mod glove;
mod layout;
mod rename;
mod source;

use std::path::Path;

use anyhow::bail;
use burn::prelude::Device;
use shared_model::pack::{Pack, Precision, write};
use shared_model::vision::VisionKind;

pub(super) use bert::bert;
pub(super) use efficientnet::efficientnet;
pub(super) use glove::glove;
pub(super) use source::Checkpoint;

use super::Importable;
use super::state_dict::StateDict;
use crate::files;

/// Where weights come from, for the metadata of the file that is written.
pub(super) struct Origin<'a> {
    pub(super) licence: &'a str,
    pub(super) source: &'a str,
}

impl<'a> Origin<'a> {
    fn metadata(&self, digest: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("licence", self.licence),
            ("source", self.source),
            ("sha256", digest),
        ]
    }
}

/// Converts one encoder into the weight folder `to`.
pub(crate) fn import(kind: Importable, source: &str, to: &Path) -> anyhow::Result<()> {
    let origin = Origin {
        licence: "see source",
        source,
    };
    match kind {
        Importable::Bert => {
            let checkpoint = Checkpoint::find(source, &["config.json", "tokenizer.json"])?;
            bert(&checkpoint, to, &origin)
        }
        Importable::Vision(VisionKind::Detr) => {
            detr::detr(&Checkpoint::find(source, &["config.json"])?, to, &origin)
        }
        Importable::Vision(VisionKind::Efficientnet) => {
            bail!("EfficientNet-Lite0 comes with `imn weights fetch`")
        }
        Importable::Glove => glove::glove_text(source, to, &origin),
    }?;
    eprintln!("{source} -> {}", to.display());
    Ok(())
}

/// Writes a module's weights after loading them into it, which finds what is missing, unused or of another shape.
fn save<M>(
    path: &Path,
    state: StateDict,
    checkpoint: &Checkpoint,
    config: &str,
    origin: &Origin,
    load: impl FnOnce(&Pack, &Device) -> shared_model::error::Result<M>,
) -> anyhow::Result<()> {
    let digest = checkpoint.sha256()?;
    let metadata = [&[("config", config)][..], &origin.metadata(&digest)].concat();
    let entries = state
        .into_iter()
        .map(|(name, tensor)| layout::burn_entry(name, tensor))
        .collect();
    let bytes = write(entries, &metadata, Precision::F32)?;
    load(
        &Pack::read(&checkpoint.name(), bytes.clone())?,
        &Device::flex(),
    )?;
    files::write(path, &bytes)
}
