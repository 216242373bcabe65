//! A trained network beside a knowledge base: what it adds to the training-free score.

use std::collections::HashSet;

use burn::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    EntityIndex, Imn, ImnConfig, MentionVectors, entity_sequences, mention_sequences, side,
};
use crate::error::Result;
use crate::kb::KnowledgeBase;
use crate::linker::PostVectors;
use crate::scorer::Calibration;

/// Entities encoded at once.
const BATCH: usize = 128;

/// What is known of a trained network beside its weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainedImn {
    /// Its shape.
    pub config: ImnConfig,
    /// What its cosine weighs where it has trained on all candidates.
    pub seen: f32,
    /// What its cosine weighs where a candidate is new to it; 0 where nothing better than the training-free scorer was proven.
    pub new: f32,
    /// Of scores where it has trained on all candidates; the run's own calibration is of the others.
    pub calibration: Option<Calibration>,
}

/// The network's share of a score, ready for one knowledge base.
#[derive(Debug, Clone)]
pub struct ImnScorer {
    network: Imn,
    trained: TrainedImn,
    index: EntityIndex,
    /// By position in the knowledge base.
    seen: Vec<bool>,
    device: Device,
}

impl ImnScorer {
    /// Encodes all entities.
    ///
    /// # Arguments
    ///
    /// - entities: ids of those that the network trained on.
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
        let inputs = &trained.config.inputs;
        let mut index = EntityIndex::new(trained.config.aux);
        let positions: Vec<usize> = (0..kb.text.entities.len()).collect();
        for batch in positions.chunks(BATCH) {
            let rows: Vec<_> = batch
                .iter()
                .map(|&entity| entity_sequences(inputs, kb, entity, |_| true))
                .collect();
            let aux = network.encode_entities(&side(inputs, &rows, device));
            index.extend(network.prepare_entities(aux)).await?;
        }
        let seen = kb.text.entities.iter();
        Ok(Self {
            seen: seen
                .map(|entity| entities.contains(entity.id.as_str()))
                .collect(),
            network,
            trained,
            index,
            device: device.clone(),
        })
    }

    /// Encodes posts.
    ///
    /// # Errors
    ///
    /// [`Error::Device`](crate::error::Error::Device) if the device fails.
    pub async fn mentions(
        &self,
        kb: &KnowledgeBase,
        posts: &[PostVectors],
    ) -> Result<Vec<MentionVectors>> {
        let inputs = &self.trained.config.inputs;
        let rows: Vec<_> = posts
            .iter()
            .map(|post| mention_sequences(inputs, post, &kb.statistics))
            .collect();
        let aux = self
            .network
            .encode_mentions(&side(inputs, &rows, &self.device));
        MentionVectors::of(self.network.prepare_mentions(aux)).await
    }

    /// The cosine of each candidate.
    pub fn scores(&self, mention: &MentionVectors, candidates: &[usize]) -> Vec<f32> {
        self.index.scores(mention, candidates)
    }

    /// What the cosine weighs among `candidates`.
    pub fn weight(&self, candidates: &[usize]) -> f32 {
        if self.all_seen(candidates) {
            self.trained.seen
        } else {
            self.trained.new
        }
    }

    /// Of scores where the network has trained on all candidates.
    pub fn calibration(&self) -> Option<&Calibration> {
        self.trained.calibration.as_ref()
    }

    /// Whether the network trained on all of `candidates`.
    pub fn all_seen(&self, candidates: &[usize]) -> bool {
        candidates.iter().all(|&candidate| self.seen[candidate])
    }

    /// The entities' vectors.
    pub fn index(&self) -> &EntityIndex {
        &self.index
    }
}
