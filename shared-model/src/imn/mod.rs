//! The IMN, an interactive multimodal learning network (paper §3.4): posts and entities are compared in three auxiliary spaces.

mod co_attention;
mod config;
mod hierarchy;
mod index;
mod scorer;
mod side;

use burn::module::Param;
use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::pack::Pack;

use co_attention::CoAttention;
pub use co_attention::Prepared;
pub use config::ImnConfig;
use hierarchy::{HierarchicalEncoder, LevelNorms};
pub use index::{EntityIndex, MentionVectors};
pub use scorer::{ImnScorer, NetworkTerm, TrainedImn};
pub use side::{CentredEntity, PlainSequence, mention_sequences, side};

/// A network wider than this is refused before it is allocated.
pub(crate) const MAX_WIDTH: usize = 4096;

/// Number of auxiliary spaces.
pub const LEVELS: usize = 3;

/// Source of the vectors of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Modality {
    /// Tokens of the text encoder.
    Text,
    /// Tokens of the image encoder.
    Image,
    /// Tokens of the joint encoder.
    Joint,
}

/// A modality that the network reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// The modality.
    pub modality: Modality,
    /// Width of its vectors.
    pub width: usize,
    /// The sides of which it is read; on the other it is missing.
    #[serde(default, skip_serializing_if = "ReadOn::is_default")]
    pub read_on: ReadOn,
}

/// Sides of which a modality is read (the rows of the paper's Table 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReadOn {
    /// Mentions and entities.
    #[default]
    Both,
    /// Mentions alone.
    Mentions,
    /// Entities alone.
    Entities,
}

impl ReadOn {
    fn is_default(&self) -> bool {
        *self == Self::Both
    }
}

impl Input {
    /// A modality that is read on both sides.
    pub fn new(modality: Modality, width: usize) -> Self {
        Self {
            modality,
            width,
            read_on: ReadOn::Both,
        }
    }
}

impl ImnConfig {
    /// The network with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) for sizes that no network has or that this program refuses, and as [`Pack::load`].
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Imn> {
        let sizes = self.inputs.iter().map(|input| input.width);
        let sizes = sizes.chain([self.d_model, self.d_aux]);
        let lengths = self.kernels.iter().chain(&self.dilations);
        let bounded = self.inputs.len() <= 3
            && lengths.clone().count() <= 16
            && lengths
                .chain([&self.n_heads])
                .all(|&length| (1..=64).contains(&length))
            && sizes.clone().all(|size| (1..=MAX_WIDTH).contains(&size));
        if !(self.is_whole() && bounded && (0.0..1.0).contains(&self.dropout)) {
            return Err(pack.refuse(format!("a network cannot be {self:?}")));
        }
        pack.load(self.init(device))
    }

    /// Whether there is an input, and heads and kernels divide `d_model`.
    fn is_whole(&self) -> bool {
        !self.inputs.is_empty()
            && !self.kernels.is_empty()
            && self.n_heads > 0
            && self.d_model.is_multiple_of(self.n_heads)
            && self.d_model.is_multiple_of(self.kernels.len())
    }

    /// The network with random weights; the gates are 0.
    ///
    /// # Panics
    ///
    /// If there is no input, or heads or kernels do not divide `d_model`.
    pub fn init(&self, device: &Device) -> Imn {
        assert!(self.is_whole(), "{self:?}");
        let projection = |input: &Input| {
            LinearConfig::new(input.width, self.d_aux)
                .with_bias(false)
                .init(device)
        };
        Imn {
            mention: HierarchicalEncoder::new(self, device),
            mention_norms: LevelNorms::new(self, device),
            entity_norms: LevelNorms::new(self, device),
            readout: self
                .pooled_projection
                .then(|| self.inputs.iter().map(projection).collect()),
            gates: self
                .pooled_projection
                .then(|| Param::from_tensor(Tensor::zeros([LEVELS], device))),
            co_attention: CoAttention::new(self.d_aux, device),
        }
    }
}

/// Encodes posts and entities into the auxiliary spaces and compares them there.
///
/// Should be created with [`ImnConfig`].
#[derive(Module, Debug)]
pub struct Imn {
    /// Encoder of both sides.
    mention: HierarchicalEncoder,
    mention_norms: LevelNorms,
    entity_norms: LevelNorms,
    /// The pooled projection; its tensors keep this name in files.
    readout: Option<Vec<Linear>>,
    gates: Option<Param<Tensor<1>>>,
    co_attention: CoAttention,
}

/// One side of a batch: a sequence for each of [`ImnConfig::inputs`].
#[derive(Debug, Clone)]
pub struct Side {
    /// In the order of the config.
    pub sequences: Vec<Sequence>,
}

/// A modality of a batch of posts (their tokens) or entities (their prototypes).
#[derive(Debug, Clone)]
pub struct Sequence {
    /// `[n, length, width]`, at least one position.
    pub vectors: Tensor<3>,
    /// `[n, length]`, true = padding; a row of padding alone lacks the modality.
    pub mask: Tensor<2, Bool>,
    /// `[n, width]`: input of the pooled projection; any finite values in rows that lack the modality.
    pub pooled: Tensor<2>,
    /// `[n, length]`: the picture that a token belongs to, from 1; 0 for none.
    pub picture: Option<Tensor<2, Int>>,
}

impl Sequence {
    /// Which rows have the modality, 1 or 0.
    ///
    /// # Shapes
    ///
    /// - output: `[n, 1]`
    pub(crate) fn present(&self) -> Tensor<2> {
        self.mask.clone().bool_not().float().max_dim(1)
    }
}

/// Cosines between posts and their candidates, all `[batch, n_candidates]`.
#[derive(Debug, Clone)]
pub struct Similarities {
    /// Cosines in each auxiliary space.
    pub levels: [Tensor<2>; LEVELS],
    /// Cosines of u_m and u_e, the paper's score.
    pub fusion: Tensor<2>,
}

impl Imn {
    /// Encodes posts.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, 3, d_aux]`
    pub fn encode_mentions(&self, side: &Side) -> Tensor<3> {
        self.encode(&self.mention_norms, side)
    }

    /// Encodes entities, each once: padding entities would enter the batch statistics.
    ///
    /// # Shapes
    ///
    /// - output: `[n_entities, 3, d_aux]`
    pub fn encode_entities(&self, side: &Side) -> Tensor<3> {
        self.encode(&self.entity_norms, side)
    }

    fn encode(&self, norms: &LevelNorms, side: &Side) -> Tensor<3> {
        let encoded = norms.forward(self.mention.forward(side)); // [n, 3, d_aux]
        let pooled = side.sequences.iter();
        let pooled = pooled.map(|sequence| sequence.pooled.clone() * sequence.present()); // [n, width]
        let (Some(projected), Some(gates)) = (self.project_pooled(pooled.collect()), &self.gates)
        else {
            return encoded;
        };
        projected.unsqueeze_dim(1) + gates.val().reshape([1, LEVELS, 1]) * encoded // [n, 3, d_aux]
    }

    /// The pooled projection of one vector per input, zero where a row lacks it; `None` in the paper's form.
    ///
    /// # Shapes
    ///
    /// - pooled: `[n, width]` per input
    /// - output: `[n, d_aux]`
    pub fn project_pooled(&self, pooled: Vec<Tensor<2>>) -> Option<Tensor<2>> {
        let projection = self.readout.as_ref()?;
        let projected = pooled.into_iter().zip(projection);
        projected
            .map(|(pooled, linear)| linear.forward(pooled))
            .reduce(|sum, projected| sum + projected)
    }

    /// The cosines of every pair.
    ///
    /// # Shapes
    ///
    /// - mentions: `[batch, 3, d_aux]`
    /// - entities: `[n_entities, 3, d_aux]`
    /// - candidates: `[batch, n_candidates]`, rows of `entities`
    /// - output: `[batch, n_candidates]` each
    pub fn compare(
        &self,
        mentions: &Prepared,
        entities: &Prepared,
        candidates: Tensor<2, Int>,
    ) -> Similarities {
        let [batch, n_candidates] = candidates.dims();
        let flat = candidates.clone().reshape([batch * n_candidates]);
        let level = |level: usize| {
            let of = |aux: &Tensor<3>| aux.clone().narrow(1, level, 1).squeeze_dim::<2>(1); // [n, d_aux]
            let entity = of(&entities.aux)
                .select(0, flat.clone()) // [batch * n_candidates, d_aux]
                .reshape([batch as i32, n_candidates as i32, -1]);
            cosine(of(&mentions.aux).unsqueeze_dim(1), entity) // [batch, n_candidates]
        };
        let levels = [level(0), level(1), level(2)];
        let [u_m, u_e] = self.fuse(mentions, entities, candidates);
        Similarities {
            levels,
            fusion: cosine(u_m, u_e),
        }
    }

    /// Replaces the pooled projection by one matrix per input; a network without one stays as it is.
    ///
    /// # Shapes
    ///
    /// - matrices: `[width, d_aux]` per input
    pub fn with_pooled_projection(mut self, matrices: Vec<Tensor<2>>) -> Self {
        if let Some(projection) = &mut self.readout {
            for (linear, matrix) in projection.iter_mut().zip(matrices) {
                linear.weight = Param::from_tensor(matrix);
            }
        }
        self
    }

    /// Sets the share of the newest batch in the running statistics of the normalisation.
    pub fn set_momentum(&mut self, momentum: f64) {
        self.mention_norms.set_momentum(momentum);
        self.entity_norms.set_momentum(momentum);
    }
}

/// Cosine over the last dimension; products of norms below 1e-8 count as that.
///
/// # Shapes
///
/// - a, b: `[batch, n, width]`, broadcast
/// - output: `[batch, n]`
pub(crate) fn cosine(a: Tensor<3>, b: Tensor<3>) -> Tensor<2> {
    let square = |x: Tensor<3>| (x.clone() * x).sum_dim(2);
    // The gradient of a root at 0 is infinite.
    let norms = (square(a.clone()) * square(b.clone()))
        .clamp_min(1e-16)
        .sqrt();
    ((a * b).sum_dim(2) / norms).squeeze_dim(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Distribution;

    const WIDTHS: [usize; 2] = [6, 5];

    fn config() -> ImnConfig {
        let inputs = vec![
            Input::new(Modality::Text, WIDTHS[0]),
            Input::new(Modality::Image, WIDTHS[1]),
        ];
        ImnConfig {
            d_model: 8,
            d_aux: 4,
            n_heads: 2,
            ..ImnConfig::paper(inputs)
        }
    }

    /// `lengths[row][modality]` of `length` positions are real.
    fn side(lengths: &[[usize; 2]], length: usize) -> Side {
        let device = Device::flex();
        let n = lengths.len();
        let sequence = |modality: usize| {
            let mask: Vec<bool> = lengths
                .iter()
                .flat_map(|row| (0..length).map(move |t| t >= row[modality]))
                .collect();
            let width = WIDTHS[modality];
            let random = Distribution::Normal(0.0, 1.0);
            Sequence {
                vectors: Tensor::random([n, length, width], random, &device),
                mask: Tensor::from_data(TensorData::new(mask, [n, length]), &device),
                pooled: Tensor::random([n, width], random, &device),
                picture: None,
            }
        };
        Side {
            sequences: vec![sequence(0), sequence(1)],
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_into_vec().unwrap()
    }

    #[track_caller]
    fn close(a: &[f32], b: &[f32]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    fn row(side: &Side, row: usize, length: usize) -> Side {
        let cut = |sequence: &Sequence| Sequence {
            vectors: sequence.vectors.clone().slice([row..row + 1, 0..length]),
            mask: sequence.mask.clone().slice([row..row + 1, 0..length]),
            pooled: sequence.pooled.clone().narrow(0, row, 1),
            picture: None,
        };
        Side {
            sequences: side.sequences.iter().map(cut).collect(),
        }
    }

    #[test]
    fn a_batch_equals_its_rows_without_their_padding() {
        let model = config().init(&Device::flex());
        let batch = side(&[[4, 2], [1, 0], [3, 4]], 7);
        let encoded = model.encode_mentions(&batch);
        for (i, length) in [4, 1, 4].into_iter().enumerate() {
            close(
                &values(encoded.clone().narrow(0, i, 1)),
                &values(model.encode_mentions(&row(&batch, i, length))),
            );
        }
    }

    #[test]
    fn permuted_candidates_permute_the_scores() {
        let device = Device::flex();
        let model = config().init(&device);
        let mentions = model.prepare_mentions(model.encode_mentions(&side(&[[3, 2]], 3)));
        let entities =
            model.prepare_entities(model.encode_entities(&side(&[[2, 1], [3, 0], [1, 3]], 3)));
        let scores = |candidates: [[i32; 3]; 1]| {
            let candidates = Tensor::from_data(candidates, &device);
            values(model.compare(&mentions, &entities, candidates).fusion)
        };
        let straight = scores([[0, 1, 2]]);
        let permuted = scores([[2, 0, 1]]);
        close(&permuted, &[straight[2], straight[0], straight[1]]);
    }

    #[test]
    fn each_side_is_a_mixture_of_the_other() {
        let device = Device::flex();
        let model = config().init(&device);
        let mentions = model.prepare_mentions(Tensor::ones([1, LEVELS, 4], &device));
        let entities = model.prepare_entities(Tensor::ones([1, LEVELS, 4], &device) * 2.0);
        let [u_m, u_e] = model.fuse(&mentions, &entities, Tensor::from_data([[0]], &device));
        close(&values(u_m), &[2.0; 4]);
        close(&values(u_e), &[1.0; 4]);
    }

    #[test]
    fn with_closed_gates_only_the_pooled_projection_counts() {
        let config = ImnConfig {
            pooled_projection: true,
            ..config()
        };
        let model = config.init(&Device::flex());
        let batch = side(&[[3, 2], [1, 0]], 3);
        let encoded = model.encode_mentions(&batch);
        let other = Side {
            sequences: batch
                .sequences
                .iter()
                .map(|sequence| Sequence {
                    vectors: sequence.vectors.clone() * 3.0,
                    ..sequence.clone()
                })
                .collect(),
        };
        close(&values(encoded), &values(model.encode_mentions(&other)));
    }
}
