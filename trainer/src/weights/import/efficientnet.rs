//! EfficientNet-Lite0 under the names of `efficientnet_lite_pytorch`.

use std::path::Path;

use shared_model::vision::VisionConfig;

use super::layout::fold_norms;
use super::rename::renamed;
use super::source::Checkpoint;
use super::{Origin, save};

/// Converts the weights.
pub(in crate::weights) fn efficientnet(
    checkpoint: &Checkpoint,
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    let mut state = renamed(checkpoint.read()?, NAMES)?;
    fold_norms(&mut state, 1e-3)?;
    let config = VisionConfig::Efficientnet;
    let load = |pack: &_, device: &_| config.load(pack, device);
    save(
        &to.join("efficientnet.bpk"),
        state,
        checkpoint,
        &config,
        origin,
        load,
    )
}

const NAMES: &[(&str, &str)] = &[
    ("^_conv_stem.", "stem."),
    ("^_bn0.", "stem.norm."),
    ("^_conv_head.", "head."),
    ("^_bn1.", "head.norm."),
    ("^_fc.", "classifier."),
    ("^_blocks.", "blocks."),
    ("_expand_conv.", "expand."),
    ("_bn0.", "expand.norm."),
    ("_depthwise_conv.", "depthwise."),
    ("_bn1.", "depthwise.norm."),
    ("_project_conv.", "project."),
    ("_bn2.", "project.norm."),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::weights::import::rename::rename;

    #[test]
    fn names_become_ours() {
        for (name, expected) in [
            (
                "_blocks.11._bn0.running_var",
                "blocks.11.expand.norm.running_var",
            ),
            ("_conv_head.weight", "head.weight"),
            ("_bn1.weight", "head.norm.weight"),
        ] {
            assert_eq!(rename(name, NAMES), expected, "{name}");
        }
    }
}
