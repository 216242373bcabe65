//! A trained network beside a knowledge base: its term in the score of a candidate.

use std::collections::HashSet;

use burn::prelude::*;
use serde::{Deserialize, Serialize};

use super::{CentredEntity, EntityIndex, Imn, ImnConfig, MentionVectors, mention_sequences, side};
use crate::error::Result;
use crate::kb::KnowledgeBase;
use crate::vectors::{PooledVectors, PostVectors};

/// Entities encoded at once.
const BATCH: usize = 128;

/// What is known of a trained network beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedImn {
    /// Shape of the network.
    pub config: ImnConfig,
    /// Its term in the score of a candidate that it was trained on.
    pub seen: NetworkTerm,
    /// Its term in the score of a candidate that is new to it.
    pub new: NetworkTerm,
}

/// How the network's cosine enters the score of a candidate: `weight * (cosine - background)`.
///
/// It is a property of the candidate, not of the list, so that adding a candidate changes no other score;
/// the background centres it, so that a candidate without the term is neither favoured nor penalised.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct NetworkTerm {
    /// Weight of the cosine; 0 where no gain over the training-free scorer was proven.
    pub weight: f32,
    /// Mean cosine between a post and entities of this kind that it does not mean.
    pub background: f32,
}

impl NetworkTerm {
    /// The term of a cosine.
    pub fn of(self, cosine: f32) -> f32 {
        self.weight * (cosine - self.background)
    }
}

/// A trained network with the entities of one knowledge base encoded.
#[derive(Debug, Clone)]
pub struct ImnScorer {
    network: Imn,
    trained: TrainedImn,
    index: EntityIndex,
    /// Whether each entity was trained on, by position in the knowledge base.
    seen: Vec<bool>,
    device: Device,
}

impl ImnScorer {
    /// Encodes all entities.
    ///
    /// # Arguments
    ///
    /// - entities: ids of the entities that the network was trained on.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn new(
        network: Imn,
        trained: TrainedImn,
        entities: &HashSet<&str>,
        kb: &KnowledgeBase,
        device: &Device,
    ) -> Result<Self> {
        let seen = kb.text.entities.iter();
        let mut scorer = Self {
            seen: seen
                .map(|entity| entities.contains(entity.id.as_str()))
                .collect(),
            index: EntityIndex::new(trained.config.d_aux),
            network,
            trained,
            device: device.clone(),
        };
        scorer.index(kb).await?;
        Ok(scorer)
    }

    /// Encodes all entities anew; those that were not there before are new to the network.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub(crate) async fn index(&mut self, kb: &KnowledgeBase) -> Result<()> {
        let inputs = &self.trained.config.inputs;
        let mut index = EntityIndex::new(self.trained.config.d_aux);
        let positions: Vec<usize> = (0..kb.text.entities.len()).collect();
        for batch in positions.chunks(BATCH) {
            let rows: Vec<_> = batch
                .iter()
                .map(|&entity| CentredEntity::new(inputs, kb, entity).sequences(|_| true))
                .collect();
            let aux = self
                .network
                .encode_entities(&side(inputs, &rows, &self.device));
            index.extend(self.network.prepare_entities(aux)).await?;
        }
        self.index = index;
        self.seen.resize(positions.len(), false);
        Ok(())
    }

    /// Encodes posts, given with their pooled vectors.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn mentions(
        &self,
        kb: &KnowledgeBase,
        posts: &[(PooledVectors, PostVectors)],
    ) -> Result<Vec<MentionVectors>> {
        let inputs = &self.trained.config.inputs;
        let rows: Vec<_> = posts
            .iter()
            .map(|(pooled, post)| mention_sequences(inputs, post, pooled, &kb.statistics))
            .collect();
        let aux = self
            .network
            .encode_mentions(&side(inputs, &rows, &self.device));
        MentionVectors::of(self.network.prepare_mentions(aux)).await
    }

    /// Cosine of the network and its term in the score, for each of `candidates`; `None` for a candidate whose term has no weight.
    pub fn score(&self, mention: &MentionVectors, candidates: &[usize]) -> Vec<Option<(f32, f32)>> {
        let has_weight = |&candidate: &usize| self.term(candidate).weight != 0.0;
        let weighted = candidates.iter().copied().filter(has_weight);
        let cosines = self.index.scores(mention, &weighted.collect::<Vec<_>>());
        let mut cosines = cosines.into_iter();
        let scores = candidates.iter().map(|candidate| {
            let cosine = has_weight(candidate).then(|| cosines.next()).flatten()?;
            Some((cosine, self.term(*candidate).of(cosine)))
        });
        scores.collect()
    }

    /// Whether the network was trained on an entity.
    pub fn is_seen(&self, entity: usize) -> bool {
        self.seen[entity]
    }

    fn term(&self, entity: usize) -> NetworkTerm {
        if self.seen[entity] {
            self.trained.seen
        } else {
            self.trained.new
        }
    }
}
