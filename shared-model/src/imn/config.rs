//! Hyper-parameters of the network.

use serde::{Deserialize, Serialize};

use super::Input;

/// Hyper-parameters of [`super::Imn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImnConfig {
    /// The modalities, in the order of every [`super::Side`].
    pub inputs: Vec<Input>,
    /// Width inside the encoder.
    #[serde(rename = "hidden")]
    pub d_model: usize,
    /// Width of an auxiliary space.
    #[serde(rename = "aux")]
    pub d_aux: usize,
    /// Number of attention heads of the second level.
    #[serde(rename = "heads")]
    pub n_heads: usize,
    /// Dilations of the first level's convolutions.
    pub dilations: Vec<usize>,
    /// Kernels of the third level's convolutions; each has `d_model / kernels` channels.
    pub kernels: Vec<usize>,
    /// Dropout of the encoder in training.
    pub dropout: f64,
    /// Ours: `aux = projection of the pooled vectors + gate * encoder`, the gates starting at 0. Without it, the paper's form.
    #[serde(rename = "readout")]
    pub pooled_projection: bool,
}

impl ImnConfig {
    /// Our form: a pooled projection, and gates at 0.
    pub fn ours(inputs: Vec<Input>) -> Self {
        Self {
            inputs,
            d_model: 112,
            d_aux: 112,
            n_heads: 4,
            dilations: vec![1, 2, 4],
            kernels: vec![2, 3, 4, 5],
            dropout: 0.2,
            pooled_projection: true,
        }
    }

    /// The paper's form.
    pub fn paper(inputs: Vec<Input>) -> Self {
        Self {
            pooled_projection: false,
            ..Self::ours(inputs)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the first bundles state it.
    fn stated(more: &str) -> Result<ImnConfig, serde_json::Error> {
        serde_json::from_str(&format!(
            r#"{{"inputs":[{{"modality":"text","width":384}}],"hidden":112,"aux":112,"heads":4,
                "dilations":[1,2,4],"kernels":[2,3,4,5],"dropout":0.2,"readout":true{more}}}"#
        ))
    }

    #[test]
    fn what_older_files_state_beside_the_sizes_is_passed_over() {
        let plain = stated("").unwrap();
        assert!(plain.pooled_projection);
        let older = r#","norm":"batch","share_sides":true,"share_directions":false"#;
        assert_eq!(stated(older).unwrap(), plain);
        let written = serde_json::to_string(&plain).unwrap();
        assert_eq!(serde_json::from_str::<ImnConfig>(&written).unwrap(), plain);
        assert!(!written.contains("norm"), "{written}");
    }
}
