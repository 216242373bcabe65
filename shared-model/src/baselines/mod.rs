//! The systems that the paper compares the IMN with (Table 2), but for ET, which has no network.
//!
//! They read the same vectors as the IMN: pooled posts and entities, tokens of the text encoder, and word vectors.
//! The sources leave sizes open; [`BaselineConfig`] says what was chosen.

mod arnn;
mod dzmned;
mod inputs;
mod jmel;
mod reader;

use burn::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::imn::{Input, MAX_WIDTH, Modality, Side, cosine};
use crate::loss::Targets;
use crate::pack::Pack;

use arnn::Arnn;
use dzmned::Dzmned;
pub use inputs::{Letters, Words};
use jmel::Jmel;

/// Margin of the triplet losses: that of the IMN.
const MARGIN: f64 = 0.2;

/// A system of Table 2 with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineKind {
    /// One joint embedding of text and picture per side (Adjali et al. 2020).
    Jmel,
    /// Recurrent layers over word vectors, attention by the candidate (Eshel et al. 2017).
    Arnn,
    /// As ARNN, over the tokens of BERT.
    Bert,
    /// Recurrent layers over words and letters, attention over the modalities (Moon et al. 2018).
    Dzmned,
    /// As DZMNED, over the tokens of BERT.
    DzmnedBert,
}

impl BaselineKind {
    /// All of them, in the order of Table 2.
    pub const ALL: [Self; 5] = [
        Self::Jmel,
        Self::Arnn,
        Self::Bert,
        Self::Dzmned,
        Self::DzmnedBert,
    ];

    /// The name in flags, files and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Jmel => "jmel",
            Self::Arnn => "arnn",
            Self::Bert => "bert",
            Self::Dzmned => "dzmned",
            Self::DzmnedBert => "dzmned-bert",
        }
    }

    /// How the text around a mention is read.
    pub fn reads(self) -> Reads {
        match self {
            Self::Jmel => Reads::Pooled,
            Self::Arnn => Reads::WordsBesideMention,
            Self::Dzmned => Reads::AllWords,
            Self::Bert | Self::DzmnedBert => Reads::Tokens,
        }
    }
}

/// What a baseline reads of a post's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// The pooled vector.
    Pooled,
    /// Word vectors, in two sequences that end at the mention: what precedes it, and what follows it, reversed.
    WordsBesideMention,
    /// Word vectors, in two sequences: all words, and all words reversed.
    AllWords,
    /// Tokens of the text encoder.
    Tokens,
}

/// Hyper-parameters of a [`Baseline`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineConfig {
    /// Which system.
    pub kind: BaselineKind,
    /// The modalities of both sides, in the order of every [`Side`].
    pub inputs: Vec<Input>,
    /// Width of a word vector.
    pub word_width: usize,
    /// Width of all embeddings and hidden states.
    pub d_model: usize,
    /// Dropout in training.
    pub dropout: f64,
}

impl BaselineConfig {
    /// The system with random weights.
    ///
    /// # Panics
    ///
    /// If a modality that the system reads is not among the inputs, or `d_model` is odd.
    pub fn init(&self, device: &Device) -> Baseline {
        assert!(self.is_whole(), "{self:?}");
        match self.kind {
            BaselineKind::Jmel => Baseline::Jmel(Jmel::new(self, device)),
            BaselineKind::Arnn | BaselineKind::Bert => Baseline::Arnn(Arnn::new(self, device)),
            BaselineKind::Dzmned | BaselineKind::DzmnedBert => {
                Baseline::Dzmned(Dzmned::new(self, device))
            }
        }
    }

    /// The system with the weights of `pack`.
    ///
    /// # Errors
    ///
    /// [`Error::File`](crate::error::Error::File) for sizes that no system has or that this program refuses, and as [`Pack::load`].
    pub fn load(&self, pack: &Pack, device: &Device) -> Result<Baseline> {
        let sizes = self.inputs.iter().map(|input| input.width);
        let mut sizes = sizes.chain([self.word_width, self.d_model]);
        let bounded = self.inputs.len() <= 3
            && sizes.all(|size| (1..=MAX_WIDTH).contains(&size))
            && (0.0..1.0).contains(&self.dropout);
        if !(bounded && self.is_whole()) {
            return Err(pack.refuse(format!("a baseline cannot be {self:?}")));
        }
        pack.load(self.init(device))
    }

    fn is_whole(&self) -> bool {
        let has_text = self.position(Modality::Text).is_some();
        let is_read = match self.kind {
            BaselineKind::Jmel => !self.inputs.is_empty(),
            _ => has_text,
        };
        is_read && self.d_model.is_multiple_of(2)
    }

    /// Position of a modality among the inputs.
    fn position(&self, modality: Modality) -> Option<usize> {
        let mut inputs = self.inputs.iter();
        inputs.position(|input| input.modality == modality)
    }
}

/// A batch of posts with their candidates.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The posts.
    pub mentions: Side,
    /// The text of each post as [`BaselineKind::reads`] says; one or two sequences, none for [`Reads::Pooled`].
    pub contexts: Vec<Words>,
    /// Letters of each mention.
    pub surfaces: Letters,
    /// Entities, each once.
    pub entities: Side,
    /// Letters of each entity's name.
    pub names: Letters,
    /// `[batch, n_candidates]`, rows of `entities`.
    pub candidates: Tensor<2, Int>,
}

/// A trained system of Table 2.
///
/// Should be created with [`BaselineConfig`].
#[derive(Module, Debug)]
pub enum Baseline {
    /// [`BaselineKind::Jmel`].
    Jmel(Jmel),
    /// [`BaselineKind::Arnn`] and [`BaselineKind::Bert`].
    Arnn(Arnn),
    /// [`BaselineKind::Dzmned`] and [`BaselineKind::DzmnedBert`].
    Dzmned(Dzmned),
}

impl Baseline {
    /// The score of every candidate; higher is better.
    ///
    /// # Shapes
    ///
    /// - output: `[batch, n_candidates]`
    pub fn forward(&self, batch: &Batch) -> Tensor<2> {
        match self {
            Self::Jmel(jmel) => jmel.forward(batch),
            Self::Arnn(arnn) => arnn.forward(batch),
            Self::Dzmned(dzmned) => {
                let [knowledge, lexical] = dzmned.forward(batch);
                knowledge + lexical
            }
        }
    }

    /// The loss that the system is trained with.
    ///
    /// # Shapes
    ///
    /// - output: `[1]`
    pub fn loss(&self, batch: &Batch, targets: &Targets) -> Tensor<1> {
        match self {
            Self::Jmel(jmel) => jmel.loss(batch, targets),
            Self::Arnn(arnn) => arnn.loss(batch, targets),
            Self::Dzmned(dzmned) => dzmned.loss(batch, targets),
        }
    }
}

/// The cosine of every post with its candidates.
///
/// # Shapes
///
/// - mentions: `[batch, width]`
/// - entities: `[n_entities, width]`
/// - candidates: `[batch, n_candidates]`, rows of `entities`
/// - output: `[batch, n_candidates]`
fn cosines(mentions: Tensor<2>, entities: Tensor<2>, candidates: &Tensor<2, Int>) -> Tensor<2> {
    cosine(mentions.unsqueeze_dim(1), rows(entities, candidates))
}

/// The rows of `entities` that are candidates.
///
/// # Shapes
///
/// - entities: `[n_entities, width]`
/// - candidates: `[batch, n_candidates]`
/// - output: `[batch, n_candidates, width]`
fn rows(entities: Tensor<2>, candidates: &Tensor<2, Int>) -> Tensor<3> {
    let [batch, n_candidates] = candidates.dims();
    let [_, width] = entities.dims();
    let flat = candidates.clone().reshape([batch * n_candidates]);
    entities
        .select(0, flat)
        .reshape([batch, n_candidates, width])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Mention;
    use crate::imn::{PlainSequence, side};
    use crate::pack::{Precision, write};
    use crate::words::WordTable;

    const TEXTS: [&str; 3] = [
        "An old jaguar sleeps in a tree",
        "jaguar",
        "My jaguar of 1961",
    ];
    const NAMES: [&str; 3] = ["Jaguar", "Jaguar Cars", "Jaguar, the cat of America"];

    fn config(kind: BaselineKind) -> BaselineConfig {
        let input = |modality, width| Input::new(modality, width);
        BaselineConfig {
            kind,
            inputs: vec![input(Modality::Text, 3), input(Modality::Image, 2)],
            word_width: 2,
            d_model: 4,
            dropout: 0.0,
        }
    }

    fn table() -> WordTable {
        let words = ["an", "old", "jaguar", "in", "tree", "my", "of"].map(str::to_owned);
        let vectors = (0..2 * words.len()).map(|i| (i as f32).sin()).collect();
        let bytes = write(WordTable::entries(&words, vectors, 2), &[], Precision::F32).unwrap();
        WordTable::from_pack(&Pack::read("words.bpk", bytes).unwrap()).unwrap()
    }

    /// A post or an entity with `length` vectors; the second row has no picture.
    fn sequences(row: usize) -> Vec<PlainSequence> {
        let sequence = |length: usize, width: usize| PlainSequence {
            vectors: (0..length * width)
                .map(|i| ((7 * row + i) as f32).cos())
                .collect(),
            pictures: vec![0; length],
            pooled: (0..width).map(|i| ((5 * row + i) as f32).sin()).collect(),
        };
        let image = match row {
            1 => PlainSequence::default(),
            _ => sequence(row + 1, 2),
        };
        vec![sequence(2 * row + 1, 3), image]
    }

    /// Scores of some of the posts, each among all entities.
    fn scores(model: &Baseline, config: &BaselineConfig, posts: &[usize]) -> Vec<f32> {
        let device = Device::flex();
        let texts: Vec<(&str, Mention)> = posts
            .iter()
            .map(|&post| {
                let text = TEXTS[post];
                let start = text.find("jaguar").unwrap();
                let end = start + 6;
                (text, Mention { start, end })
            })
            .collect();
        let mentions: Vec<_> = posts.iter().map(|&post| sequences(post)).collect();
        let entities: Vec<_> = (0..NAMES.len()).map(sequences).collect();
        let sides = [
            side(&config.inputs, &mentions, &device),
            side(&config.inputs, &entities, &device),
        ];
        let candidates = Tensor::<1, Int>::arange(0..NAMES.len() as i64, &device);
        let candidates = candidates.unsqueeze::<2>().repeat_dim(0, posts.len());
        let batch = config.batch(&texts, sides, &NAMES, candidates, Some(&table()));
        let scores = model.forward(&batch.unwrap());
        scores.into_data().try_into_vec().unwrap()
    }

    #[test]
    fn a_batch_equals_its_rows_without_their_padding() {
        for kind in BaselineKind::ALL {
            let config = config(kind);
            let model = config.init(&Device::flex());
            let together = scores(&model, &config, &[0, 1, 2]);
            for post in 0..TEXTS.len() {
                let alone = scores(&model, &config, &[post]);
                let row = &together[post * NAMES.len()..][..NAMES.len()];
                for (alone, row) in alone.iter().zip(row) {
                    assert!((alone - row).abs() < 1e-5, "{kind:?}: {alone} {row}");
                }
            }
        }
    }

    #[test]
    fn without_word_vectors_a_system_that_reads_them_says_so() {
        let device = Device::flex();
        for (kind, is_refused) in [(BaselineKind::Arnn, true), (BaselineKind::Bert, false)] {
            let config = config(kind);
            let rows = [sequences(0)];
            let sides = [(); 2].map(|()| side(&config.inputs, &rows, &device));
            let post = ("jaguar", Mention { start: 0, end: 6 });
            let candidates = Tensor::from_data([[0]], &device);
            let batch = config.batch(&[post], sides, &NAMES[..1], candidates, None);
            assert_eq!(batch.is_err(), is_refused, "{kind:?}");
        }
    }
}
