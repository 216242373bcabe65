//! Hyper-parameters of the network.

use serde::{Deserialize, Serialize};

use super::Input;

/// Hyper-parameters of [`super::Imn`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stated")]
pub struct ImnConfig {
    /// The modalities, in the order of every [`super::Side`].
    pub inputs: Vec<Input>,
    /// Width inside the encoder.
    pub hidden: usize,
    /// Width of an auxiliary space.
    pub aux: usize,
    /// Attention heads of the second level.
    pub heads: usize,
    /// Dilations of the first level's convolutions.
    pub dilations: Vec<usize>,
    /// Kernels of the third level's convolutions; each has `hidden / kernels` channels.
    pub kernels: Vec<usize>,
    /// Dropout of the encoder in training.
    pub dropout: f64,
    /// Ours: `aux = projection of the pooled vectors + gate * encoder`, the gates starting at 0. Without it, the paper's form.
    #[serde(rename = "readout")]
    pub pooled_projection: bool,
}

/// A config as it is written, with the choices that older files state.
#[derive(Deserialize)]
struct Stated {
    inputs: Vec<Input>,
    hidden: usize,
    aux: usize,
    heads: usize,
    dilations: Vec<usize>,
    kernels: Vec<usize>,
    dropout: f64,
    readout: bool,
    /// Normalisation of the auxiliary spaces.
    norm: Option<String>,
    /// Whether posts and entities have one encoder.
    share_sides: Option<bool>,
    /// Whether both directions of the attention have one set of weights.
    share_directions: Option<bool>,
}

impl TryFrom<Stated> for ImnConfig {
    type Error = String;

    fn try_from(stated: Stated) -> Result<Self, String> {
        let refuse = |name: &str, found: &dyn std::fmt::Display, read: &str| {
            Err(format!(
                "a network with {name} {found} is not supported, only {read}"
            ))
        };
        match (
            stated.norm.as_deref(),
            stated.share_sides,
            stated.share_directions,
        ) {
            (Some(norm), _, _) if norm != "batch" => return refuse("norm", &norm, "batch"),
            (_, Some(false), _) => return refuse("share_sides", &false, "true"),
            (_, _, Some(true)) => return refuse("share_directions", &true, "false"),
            _ => {}
        }
        Ok(Self {
            inputs: stated.inputs,
            hidden: stated.hidden,
            aux: stated.aux,
            heads: stated.heads,
            dilations: stated.dilations,
            kernels: stated.kernels,
            dropout: stated.dropout,
            pooled_projection: stated.readout,
        })
    }
}

impl ImnConfig {
    /// Our form: a pooled projection, and gates at 0.
    pub fn ours(inputs: Vec<Input>) -> Self {
        Self {
            inputs,
            hidden: 112,
            aux: 112,
            heads: 4,
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
    fn what_older_files_state_is_read_where_it_is_supported_and_refused_by_name() {
        let plain = stated("").unwrap();
        assert!(plain.pooled_projection);
        let older = r#","norm":"batch","share_sides":true,"share_directions":false"#;
        assert_eq!(stated(older).unwrap(), plain);
        for (choice, said) in [
            (r#","norm":"layer""#, "norm layer"),
            (r#","share_sides":false"#, "share_sides false"),
            (
                r#","norm":"batch","share_directions":true"#,
                "share_directions true",
            ),
        ] {
            let error = stated(choice).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        let written = serde_json::to_string(&plain).unwrap();
        assert_eq!(serde_json::from_str::<ImnConfig>(&written).unwrap(), plain);
        assert!(!written.contains("norm"), "{written}");
    }
}
