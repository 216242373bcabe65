//! The systems of Table 2 against PyTorch in double precision, gradients included.
//!
//! `fixtures/make_baselines_reference.py` wrote the expected values.

use std::collections::BTreeMap;

use burn::prelude::*;
use serde::Deserialize;
use shared_model::baselines::{BaselineConfig, BaselineKind, Batch, Letters, Reads, Words};
use shared_model::imn::{Input, Modality, Side};
use shared_model::loss::Targets;
use tests::{close, device, fixture};

use crate::reference::{
    Numbers, Parameter, ReferenceSequence, booleans, check_gradients, filled, gradients_of,
    integers, stream, tensor, tolerance,
};
use crate::values;

#[derive(Deserialize)]
struct Fixture {
    config: Config,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Config {
    modalities: Vec<Modality>,
    widths: Vec<usize>,
    word: usize,
    d: usize,
}

#[derive(Deserialize)]
struct Case {
    kind: BaselineKind,
    mention: BTreeMap<Modality, ReferenceSequence>,
    entity: BTreeMap<Modality, ReferenceSequence>,
    contexts: Vec<Context>,
    surfaces: Names,
    names: Names,
    candidates: Vec<Vec<i64>>,
    candidate_mask: Vec<Vec<bool>>,
    gold: Vec<i64>,
    expected: BTreeMap<String, Numbers>,
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct Context {
    mask: Vec<Vec<bool>>,
}

#[derive(Deserialize)]
struct Names {
    forward: Vec<Vec<i64>>,
    backward: Vec<Vec<i64>>,
    mask: Vec<Vec<bool>>,
}

impl Names {
    fn read(&self, device: &Device) -> Letters {
        Letters {
            forward: integers(&self.forward, device),
            backward: integers(&self.backward, device),
            mask: booleans(&self.mask, device),
        }
    }
}

impl Case {
    fn batch(&self, config: &Config, device: &Device) -> Batch {
        let stem = self.kind.name();
        let side = |name: &str, sequences: &BTreeMap<Modality, ReferenceSequence>| Side {
            sequences: config
                .modalities
                .iter()
                .map(|modality| {
                    let kind = serde_json::to_value(modality).unwrap();
                    let stem = format!("{stem}/{name}/{}", kind.as_str().unwrap());
                    sequences[modality].read(&stem, device)
                })
                .collect(),
        };
        let mentions = side("mention", &self.mention);
        let words = |(i, Context { mask }): (usize, &Context)| {
            let shape = [mask.len(), mask[0].len(), config.word];
            let vectors = stream(
                &format!("{stem}/words/{i}"),
                shape.iter().product(),
                0.0,
                1.0,
            );
            Words {
                vectors: tensor(vectors, shape, device),
                mask: booleans(mask, device),
            }
        };
        let contexts = match self.kind.reads() {
            Reads::Tokens => vec![Words {
                vectors: mentions.sequences[0].vectors.clone(),
                mask: mentions.sequences[0].mask.clone(),
            }],
            _ => self.contexts.iter().enumerate().map(words).collect(),
        };
        Batch {
            contexts,
            surfaces: self.surfaces.read(device),
            entities: side("entity", &self.entity),
            names: self.names.read(device),
            candidates: integers(&self.candidates, device),
            mentions,
        }
    }
}

/// The reference's name of one of our tensors, without the names of enum variants.
fn name(path: &str) -> String {
    let parts = path.split('.');
    let parts = parts.filter(|part| !part.starts_with(char::is_uppercase));
    parts.collect::<Vec<_>>().join(".")
}

#[test]
fn the_baselines_and_their_losses_are_the_references() {
    let reference: Fixture = fixture("baselines.json");
    let device = device().autodiff();
    let widths = reference.config.modalities.iter();
    let inputs: Vec<Input> = widths
        .zip(&reference.config.widths)
        .map(|(&modality, &width)| Input::new(modality, width))
        .collect();
    let kinds: Vec<BaselineKind> = reference.cases.iter().map(|case| case.kind).collect();
    assert_eq!(kinds, BaselineKind::ALL);
    for case in &reference.cases {
        let kind = case.kind.name();
        let config = BaselineConfig {
            kind: case.kind,
            inputs: inputs.clone(),
            word_width: reference.config.word,
            d_model: reference.config.d,
            dropout: 0.0,
        };
        let model = filled(config.init(&device), &name, &device);
        let batch = case.batch(&reference.config, &device);
        let targets = Targets {
            mask: booleans(&case.candidate_mask, &device),
            gold: Tensor::from_data(case.gold.as_slice(), &device),
        };
        let check = |what: &str, got: Vec<f32>| {
            let expected = case.expected[what].flat();
            close(&format!("{kind}, {what}"), &got, &expected, tolerance());
        };
        check("scores", values(model.forward(&batch)));
        let loss = model.loss(&batch, &targets);
        check("loss", values(loss.clone()));
        let gradients = loss.backward();
        let found = gradients_of(&model, &name, &gradients);
        check_gradients(kind, &found, &case.parameters);
    }
}
