use burn::nn::transformer::TransformerEncoderLayer;
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use super::Bert;
use crate::error::Result;
use crate::pack::Pack;

/// How much of a text encoder a fine-tuned copy has of its own; as JSON, the `config` of a file of [`TunedLayers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TunedConfig {
    /// Number of Transformer layers, counted from the last.
    #[serde(rename = "tuned_layers")]
    pub n_layers: usize,
}

/// The last Transformer layers of a [`Bert`]: all that a fine-tuned copy does not share with the original.
///
/// Should be created with [`Bert::last_layers`].
#[derive(Module, Debug)]
pub struct TunedLayers {
    layers: Vec<TransformerEncoderLayer>,
}

impl TunedConfig {
    /// Loads the fine-tuned copy of `base` whose own layers are in `pack`; the copy shares all other tensors with `base`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) if `base` does not have so many layers, or the pack's are of another number or size.
    pub fn load(&self, base: &Bert, pack: &Pack) -> Result<Bert> {
        let most = base.n_layers();
        if !(1..=most).contains(&self.n_layers) {
            return Err(pack.refuse(format!(
                "{} fine-tuned layers of a text encoder that has {most}",
                self.n_layers
            )));
        }
        let layers = pack.load(base.last_layers(self.n_layers))?;
        Ok(base.with_last_layers(layers))
    }
}

impl Bert {
    /// Number of Transformer layers.
    pub fn n_layers(&self) -> usize {
        self.encoder.layers.len()
    }

    /// The last `n` Transformer layers, or all if there are fewer. They share their tensors with this encoder.
    pub fn last_layers(&self, n: usize) -> TunedLayers {
        let first = self.n_layers().saturating_sub(n);
        TunedLayers {
            layers: self.encoder.layers[first..].to_vec(),
        }
    }

    /// A copy with these layers in place of its last ones. It shares all other tensors with this encoder.
    #[must_use]
    pub fn with_last_layers(&self, last: TunedLayers) -> Self {
        let mut copy = self.clone();
        let layers = &mut copy.encoder.layers;
        layers.truncate(layers.len().saturating_sub(last.layers.len()));
        layers.extend(last.layers);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pack::{Entry, Precision, write};
    use crate::text::{BertConfig, HiddenAct};

    const CONFIG: BertConfig = BertConfig {
        d_model: 8,
        n_layers: 3,
        n_heads: 2,
        d_ff: 16,
        vocab_size: 20,
        max_tokens: 16,
        type_vocab_size: 1,
        layer_norm_eps: 1e-12,
        hidden_act: HiddenAct::Gelu,
    };

    fn pack(entries: Vec<Entry>) -> Pack {
        Pack::read("context.bpk", write(entries, &[], Precision::F32).unwrap()).unwrap()
    }

    fn floats(module: &impl Module) -> Pack {
        pack(Entry::of_module(module))
    }

    #[test]
    fn a_copy_has_its_own_last_layers_and_the_rest_of_the_original() {
        let device = Device::flex();
        let (base, other) = (CONFIG.init(&device), CONFIG.init(&device));
        for n_layers in 1..=3 {
            let own = floats(&other.last_layers(n_layers));
            assert_eq!(own.count("layers", "norm_1.gamma"), n_layers);
            let copy = TunedConfig { n_layers }.load(&base, &own).unwrap();
            let [copy, base, other] = [&copy, &base, &other].map(floats);
            for name in copy.names() {
                let layer = name.strip_prefix("encoder.layers.");
                let layer: Option<usize> = layer.map(|rest| rest[..1].parse().unwrap());
                let is_tuned = layer.is_some_and(|layer| layer >= 3 - n_layers);
                let from = if is_tuned { &other } else { &base };
                assert_eq!(
                    copy.floats(name).unwrap(),
                    from.floats(name).unwrap(),
                    "{name} of {n_layers}"
                );
            }
            let weight = "encoder.layers.2.mha.query.weight";
            assert_ne!(copy.floats(weight).unwrap(), base.floats(weight).unwrap());
        }
    }

    #[track_caller]
    fn check_refused(n_layers: usize, pack: &Pack, said: &str) {
        let base = CONFIG.init(&Device::flex());
        let error = TunedConfig { n_layers }.load(&base, pack).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("context.bpk: ") && error.contains(said),
            "{error}"
        );
    }

    #[test]
    fn layers_of_another_number_or_size_are_refused() {
        let device = Device::flex();
        let two = CONFIG.init(&device).last_layers(2);
        check_refused(0, &floats(&two), "0 fine-tuned layers");
        check_refused(4, &floats(&two), "4 fine-tuned layers");
        check_refused(3, &floats(&two), "layers.2.");
        check_refused(1, &floats(&two), "has no place");
        let wide = BertConfig { d_ff: 32, ..CONFIG };
        let wide = floats(&wide.init(&device).last_layers(2));
        check_refused(2, &wide, "[32] instead of [16]");
        let damaged = Entry::of_module(&two).into_iter().skip(1).collect();
        check_refused(2, &pack(damaged), "is missing");
    }
}
