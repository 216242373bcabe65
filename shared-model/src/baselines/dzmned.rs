//! DZMNED and its BERT variant: words, letters and picture of a post, weighted against one another.

use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::prelude::*;
use burn::tensor::activation::{sigmoid, softmax};

use super::inputs::LETTERS;
use super::jmel::JointEmbedding;
use super::reader::Reader;
use super::{BaselineConfig, Batch, Letters, MARGIN, Reads, Words, cosines};
use crate::imn::Modality;
use crate::loss::{Targets, triplet};

/// Width of a letter's vector.
const LETTER_WIDTH: usize = 32;
/// Added to the attention logits of a missing picture.
const MASKED: f64 = -1e4;

/// `a = σ(W [words; letters; picture] + b)`, `x = Σ softmax(a)_i x_i`, compared with the entity's embedding by the cosine, and the letters of mention and name by another; both are trained by triplets and added up.
#[derive(Module, Debug)]
pub struct Dzmned {
    readers: Vec<Reader>,
    /// Position of the pictures among the inputs, and their layer.
    image: Option<usize>,
    picture: Option<Linear>,
    table: Embedding,
    spellers: Vec<Reader>,
    attention: Linear,
    entity: JointEmbedding,
}

impl Dzmned {
    pub(super) fn new(config: &BaselineConfig, device: &Device) -> Self {
        let d_model = config.d_model;
        let both = |width| {
            let half = || Reader::lstm(width, d_model / 2, device);
            vec![half(), half()]
        };
        let text = config
            .position(Modality::Text)
            .expect("the config is whole");
        let image = config.position(Modality::Image);
        let n_modalities = 2 + usize::from(image.is_some());
        let picture = |image: usize| LinearConfig::new(config.inputs[image].width, d_model);
        Self {
            readers: match config.kind.reads() {
                Reads::Tokens => vec![Reader::tokens(config.inputs[text].width, d_model, device)],
                _ => both(config.word_width),
            },
            image,
            picture: image.map(|image| picture(image).init(device)),
            table: EmbeddingConfig::new(LETTERS, LETTER_WIDTH).init(device),
            spellers: both(LETTER_WIDTH),
            attention: LinearConfig::new(n_modalities * d_model, n_modalities).init(device),
            entity: JointEmbedding::new(config, device),
        }
    }

    /// Cosines of posts with their candidates, by what is known and by their letters.
    ///
    /// # Shapes
    ///
    /// - output: twice `[batch, n_candidates]`
    pub(super) fn forward(&self, batch: &Batch) -> [Tensor<2>; 2] {
        let readers = self.readers.iter().zip(&batch.contexts);
        let words = readers.map(|(reader, words)| reader.mean(words));
        let spelled = self.spell(&batch.surfaces);
        let mut parts = vec![Tensor::cat(words.collect(), 1), spelled.clone()]; // [batch, d_model] each
        let mut mask = vec![spelled.zeros_like().narrow(1, 0, 1); 2]; // [batch, 1] each
        if let (Some(image), Some(picture)) = (self.image, &self.picture) {
            let sequence = &batch.mentions.sequences[image];
            let present = sequence.present(); // [batch, 1]
            parts.push(picture.forward(sequence.pooled.clone()) * present.clone());
            mask.push((1.0 - present) * MASKED);
        }
        let logits = sigmoid(self.attention.forward(Tensor::cat(parts.clone(), 1))); // [batch, modalities]
        let shares = softmax(logits + Tensor::cat(mask, 1), 1).unsqueeze_dim::<3>(2); // [batch, modalities, 1]
        let mixed = (Tensor::stack::<3>(parts, 1) * shares)
            .sum_dim(1)
            .squeeze_dim(1); // [batch, d_model]
        let entities = self.entity.forward(&batch.entities);
        [
            cosines(mixed, entities, &batch.candidates),
            cosines(spelled, self.spell(&batch.names), &batch.candidates),
        ]
    }

    pub(super) fn loss(&self, batch: &Batch, targets: &Targets) -> Tensor<1> {
        let [knowledge, lexical] = self.forward(batch);
        triplet(knowledge, targets, MARGIN) + triplet(lexical, targets, MARGIN)
    }

    /// # Shapes
    ///
    /// - output: `[n, d_model]`
    fn spell(&self, letters: &Letters) -> Tensor<2> {
        let read = |(speller, ids): (&Reader, &Tensor<2, Int>)| {
            speller.mean(&Words {
                vectors: self.table.forward(ids.clone()),
                mask: letters.mask.clone(),
            })
        };
        let directions = [&letters.forward, &letters.backward];
        let read = self.spellers.iter().zip(directions).map(read);
        Tensor::cat(read.collect(), 1)
    }
}
