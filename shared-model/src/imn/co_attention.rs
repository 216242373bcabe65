//! The co-attention network (paper §3.4.2, eq. 9-12), in both directions.

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};

use super::LEVELS;

/// Hyper-parameters of [`CoAttention`].
pub(super) struct CoAttentionConfig {
    /// Width of the auxiliary spaces.
    pub(super) width: usize,
    /// One set of weights for both directions.
    pub(super) share_directions: bool,
}

/// Mixes the entity's vectors for a post, and the post's for an entity.
#[derive(Module, Debug)]
pub(super) struct CoAttention {
    to_mention: Direction,
    to_entity: Option<Direction>,
}

/// Eq. 9: who asks goes through `own`, who answers through `other`.
#[derive(Module, Debug)]
struct Direction {
    own: Linear,
    other: Linear,
}

/// A side's vectors with their products, all `[n, 3, aux]`.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The auxiliary spaces.
    pub aux: Tensor<3>,
    /// As the one who asks.
    pub asking: Tensor<3>,
    /// As the one who answers.
    pub answering: Tensor<3>,
}

impl CoAttentionConfig {
    pub(super) fn init(&self, device: &Device) -> CoAttention {
        let direction = || Direction {
            own: LinearConfig::new(self.width, self.width)
                .with_bias(false)
                .init(device),
            other: LinearConfig::new(self.width, self.width).init(device),
        };
        CoAttention {
            to_mention: direction(),
            to_entity: (!self.share_directions).then(direction),
        }
    }
}

impl CoAttention {
    pub(super) fn prepare_mentions(&self, aux: Tensor<3>) -> Prepared {
        Prepared {
            asking: self.to_mention.own.forward(aux.clone()),
            answering: self.to_entity().other.forward(aux.clone()),
            aux,
        }
    }

    pub(super) fn prepare_entities(&self, aux: Tensor<3>) -> Prepared {
        Prepared {
            asking: self.to_entity().own.forward(aux.clone()),
            answering: self.to_mention.other.forward(aux.clone()),
            aux,
        }
    }

    fn to_entity(&self) -> &Direction {
        self.to_entity.as_ref().unwrap_or(&self.to_mention)
    }

    /// # Shapes
    ///
    /// - candidates: `[batch, n_candidates]`
    /// - output: u_m and u_e, `[batch, n_candidates, aux]`
    pub(super) fn forward(
        &self,
        mentions: &Prepared,
        entities: &Prepared,
        candidates: Tensor<2, Int>,
    ) -> [Tensor<3>; 2] {
        let [batch, n_candidates] = candidates.dims();
        let width = mentions.aux.dims()[2];
        let rows = candidates.reshape([batch * n_candidates]);
        let entity = |x: &Tensor<3>| {
            x.clone()
                .select(0, rows.clone())
                .reshape([batch, n_candidates, LEVELS, width])
        };
        let mention = |x: &Tensor<3>| {
            x.clone()
                .unsqueeze_dim::<4>(1)
                .expand([batch, n_candidates, LEVELS, width])
        };
        let (mention_aux, entity_aux) = (mention(&mentions.aux), entity(&entities.aux));
        [
            attend(
                mention_aux.clone(),
                mention(&mentions.asking),
                entity(&entities.answering),
                entity_aux.clone(),
            ),
            attend(
                entity_aux,
                entity(&entities.asking),
                mention(&mentions.answering),
                mention_aux,
            ),
        ]
    }
}

/// Eq. 9-12: `b_ij = query_i · ReLU(asking_i + answering_j) / sqrt(width)`, softmax over j, mean over i.
///
/// # Shapes
///
/// - all inputs: `[batch, n_candidates, 3, width]`
/// - output: `[batch, n_candidates, width]`
fn attend(
    query: Tensor<4>,
    asking: Tensor<4>,
    answering: Tensor<4>,
    values: Tensor<4>,
) -> Tensor<3> {
    let scale = (query.dims()[3] as f64).sqrt();
    let hidden = relu(asking.unsqueeze_dim::<5>(3) + answering.unsqueeze_dim::<5>(2)); // [batch, n_candidates, i, j, width]
    let logits = (query.unsqueeze_dim::<5>(3) * hidden)
        .sum_dim(4)
        .squeeze_dim::<4>(4)
        / scale;
    let shares = softmax(logits, 3).mean_dim(2); // [batch, n_candidates, 1, j]
    shares.matmul(values).squeeze_dim(2)
}
