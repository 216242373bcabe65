//! The co-attention network (paper §3.4.2, eq. 9-12), in both directions.

use burn::nn::{Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{relu, softmax};

use super::{Imn, LEVELS};

/// Mixes the entity's vectors for a post, and the post's for an entity.
#[derive(Module, Debug)]
pub(super) struct CoAttention {
    to_mention: Direction,
    to_entity: Direction,
}

/// The projections of eq. 9 in one direction: `own` makes queries, `other` makes keys.
#[derive(Module, Debug)]
struct Direction {
    own: Linear,
    other: Linear,
}

/// The auxiliary spaces of one side with their projections, all `[n, 3, d_aux]`.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The auxiliary spaces.
    pub aux: Tensor<3>,
    /// Query projections, `W1 aux`.
    pub query: Tensor<3>,
    /// Key projections for the other direction, `W2 aux + b`.
    pub key: Tensor<3>,
}

impl CoAttention {
    /// A co-attention over auxiliary spaces of `width`, with random weights.
    pub(super) fn new(width: usize, device: &Device) -> Self {
        let direction = || Direction {
            own: LinearConfig::new(width, width)
                .with_bias(false)
                .init(device),
            other: LinearConfig::new(width, width).init(device),
        };
        Self {
            to_mention: direction(),
            to_entity: direction(),
        }
    }
}

impl Imn {
    /// What the attention needs of posts, computed once per post.
    ///
    /// # Shapes
    ///
    /// - aux: `[batch, 3, d_aux]`
    pub fn prepare_mentions(&self, aux: Tensor<3>) -> Prepared {
        Prepared {
            query: self.co_attention.to_mention.own.forward(aux.clone()),
            key: self.co_attention.to_entity.other.forward(aux.clone()),
            aux,
        }
    }

    /// What the attention needs of entities, computed once per entity: nine vectors of width `d_aux`.
    ///
    /// # Shapes
    ///
    /// - aux: `[n_entities, 3, d_aux]`
    pub fn prepare_entities(&self, aux: Tensor<3>) -> Prepared {
        Prepared {
            query: self.co_attention.to_entity.own.forward(aux.clone()),
            key: self.co_attention.to_mention.other.forward(aux.clone()),
            aux,
        }
    }

    /// u_m and u_e of every pair (eq. 9-12).
    ///
    /// # Shapes
    ///
    /// - mentions: `[batch, 3, d_aux]`
    /// - entities: `[n_entities, 3, d_aux]`
    /// - candidates: `[batch, n_candidates]`, rows of `entities`
    /// - output: twice `[batch, n_candidates, d_aux]`
    pub fn fuse(
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
                .select(0, rows.clone()) // [batch * n_candidates, 3, d_aux]
                .reshape([batch, n_candidates, LEVELS, width])
        };
        let mention = |x: &Tensor<3>| {
            x.clone()
                .unsqueeze_dim::<4>(1) // [batch, 1, 3, d_aux]
                .expand([batch, n_candidates, LEVELS, width])
        };
        let (mention_aux, entity_aux) = (mention(&mentions.aux), entity(&entities.aux));
        [
            attend(
                mention_aux.clone(),
                mention(&mentions.query),
                entity(&entities.key),
                entity_aux.clone(),
            ),
            attend(
                entity_aux,
                entity(&entities.query),
                mention(&mentions.key),
                mention_aux,
            ),
        ]
    }
}

/// Eq. 9-12: `b_ij = aux_i · ReLU(query_i + key_j) / sqrt(width)`, softmax over j, mean over i.
///
/// # Shapes
///
/// - all inputs: `[batch, n_candidates, 3, width]`
/// - output: `[batch, n_candidates, width]`
fn attend(aux: Tensor<4>, query: Tensor<4>, key: Tensor<4>, values: Tensor<4>) -> Tensor<3> {
    let scale = (aux.dims()[3] as f64).sqrt();
    let hidden = relu(query.unsqueeze_dim::<5>(3) + key.unsqueeze_dim::<5>(2)); // [batch, n_candidates, i, j, width]
    let logits = (aux.unsqueeze_dim::<5>(3) * hidden)
        .sum_dim(4) // [batch, n_candidates, i, j, 1]
        .squeeze_dim::<4>(4)
        / scale;
    let shares = softmax(logits, 3).mean_dim(2); // [batch, n_candidates, 1, j]
    shares.matmul(values).squeeze_dim(2) // [batch, n_candidates, width]
}
