//! The IMN, the joint encoder and their losses against PyTorch in double precision, gradients included.
//!
//! `fixtures/make_imn_reference.py` wrote the expected values.

use std::collections::BTreeMap;

use burn::prelude::*;
use serde::Deserialize;
use shared_model::imn::{ImnConfig, Input, LEVELS, Modality, Side};
use shared_model::joint::{JointConfig, JointHeads, JointInput};
use shared_model::loss::{FusionLoss, Targets, adaptive, info_nce, triplet};
use tests::{close, device, fixture};

use crate::reference::{
    Numbers, Parameter, ReferenceSequence, booleans, check_gradients, filled, gradients_of,
    integers, stream, tensor, tolerance, weights,
};
use crate::values;

#[derive(Deserialize)]
struct ImnFixture {
    gamma: f64,
    tau: [f64; LEVELS + 1],
    temperature: f32,
    cases: Vec<ImnCase>,
}

#[derive(Deserialize)]
struct ImnCase {
    name: String,
    config: ReferenceConfig,
    mention: BTreeMap<Modality, ReferenceSequence>,
    entity: BTreeMap<Modality, ReferenceSequence>,
    candidates: Vec<Vec<i64>>,
    candidate_mask: Vec<Vec<bool>>,
    gold: Vec<i64>,
    expected: BTreeMap<String, Numbers>,
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct ReferenceConfig {
    modalities: Vec<Modality>,
    widths: Vec<usize>,
    d: usize,
    aux: usize,
    heads: usize,
    dilations: Vec<usize>,
    kernels: Vec<usize>,
    readout: bool,
}

impl ReferenceConfig {
    fn ours(&self) -> ImnConfig {
        ImnConfig {
            inputs: self
                .modalities
                .iter()
                .zip(&self.widths)
                .map(|(&modality, &width)| Input::new(modality, width))
                .collect(),
            d_model: self.d,
            d_aux: self.aux,
            n_heads: self.heads,
            dilations: self.dilations.clone(),
            kernels: self.kernels.clone(),
            dropout: 0.0,
            pooled_projection: self.readout,
        }
    }

    /// The reference's name of one of our tensors.
    fn name(&self, path: &str) -> String {
        let parts: Vec<&str> = path.split('.').collect();
        match parts[..] {
            [_, "batch", level, part] => format!("mention.levels.{level}.norm.{part}"),
            [side, "levels", level, part] => format!("{side}.levels.{level}.fc.{part}"),
            [side, "picture", part] => {
                let image = self.modalities.iter().position(|m| *m == Modality::Image);
                format!("{side}.modalities.{}.image_index.{part}", image.unwrap())
            }
            _ => path.to_owned(),
        }
    }

    fn side(
        &self,
        stem: &str,
        sequences: &BTreeMap<Modality, ReferenceSequence>,
        device: &Device,
    ) -> Side {
        let sequence = |modality: &Modality| {
            let kind = serde_json::to_value(modality).unwrap();
            sequences[modality].read(&format!("{stem}/{}", kind.as_str().unwrap()), device)
        };
        Side {
            sequences: self.modalities.iter().map(sequence).collect(),
        }
    }
}

#[test]
fn imn_and_its_losses_are_the_references() {
    let reference: ImnFixture = fixture("imn.json");
    let device = device().autodiff();
    let [tau_1, tau_2, tau_3, tau] = reference.tau;
    let loss = FusionLoss {
        margin: reference.gamma,
        levels: [tau_1, tau_2, tau_3],
        fusion: tau,
    };
    for case in &reference.cases {
        let name = |path: &str| case.config.name(path);
        let model = filled(case.config.ours().init(&device), &name, &device);
        let side = |kind: &str, sequences| {
            let stem = format!("{}/{kind}", case.name);
            case.config.side(&stem, sequences, &device)
        };
        let aux_m = model.encode_mentions(&side("mention", &case.mention));
        let aux_e = model.encode_entities(&side("entity", &case.entity));
        let mentions = model.prepare_mentions(aux_m.clone());
        let entities = model.prepare_entities(aux_e.clone());
        let candidates = integers(&case.candidates, &device);
        let [u_m, u_e] = model.fuse(&mentions, &entities, candidates.clone());
        let similarities = model.compare(&mentions, &entities, candidates);
        let targets = Targets {
            mask: booleans(&case.candidate_mask, &device),
            gold: Tensor::from_data(case.gold.as_slice(), &device),
        };

        let check = |what: &str, got: Vec<f32>| {
            let what_of = format!("{}, {what}", case.name);
            close(&what_of, &got, &case.expected[what].flat(), tolerance());
        };
        check("aux_m", values(aux_m));
        check("aux_e", values(aux_e));
        check("u_m", values(u_m));
        check("u_e", values(u_e));
        check("f", values(similarities.fusion.clone()));
        for (level, f) in similarities.levels.iter().enumerate() {
            check(&format!("f_{}", level + 1), values(f.clone()));
        }
        let first = |x: &Tensor<3>| values(x.clone().narrow(0, 0, 1));
        check("first_entity_other", first(&entities.key));
        check("first_entity_own", first(&entities.query));
        let triplets = similarities
            .levels
            .iter()
            .chain([&similarities.fusion])
            .flat_map(|f| values(triplet(f.clone(), &targets, reference.gamma)))
            .collect();
        check("triplet", triplets);
        let logits = similarities.fusion.clone() / reference.temperature;
        check("info_nce", values(info_nce(logits, &targets)));

        let fusion = loss.forward(&similarities, &targets);
        check("fusion", values(fusion.clone()));
        let gradients = fusion.backward();
        let mut found = gradients_of(&model, &name, &gradients);
        // A network that reads no image has the table of pictures all the same.
        found.retain(|name, _| case.parameters.iter().any(|known| known.name == *name));
        check_gradients(&case.name, &found, &case.parameters);
    }
}

#[derive(Deserialize)]
struct JointFixture {
    config: JointReference,
    adaptive: Vec<Adaptive>,
    cases: Vec<JointCase>,
}

#[derive(Deserialize)]
struct JointReference {
    vocab: usize,
    d: usize,
    layers: usize,
    heads: usize,
    ffn: usize,
    word_width: usize,
    image_width: usize,
    max_text: usize,
    patches: usize,
}

#[derive(Deserialize)]
struct Adaptive {
    losses: Vec<f32>,
    weights: Vec<f32>,
    total: f32,
    gradient: Vec<f32>,
}

#[derive(Deserialize)]
struct JointCase {
    name: String,
    hashed: BTreeMap<String, (String, Vec<usize>)>,
    inputs: JointInputs,
    expected: JointExpected,
    parameters: Vec<Parameter>,
}

#[derive(Deserialize)]
struct JointInputs {
    ids: Vec<Vec<i64>>,
    token_mask: Vec<Vec<bool>>,
    word_present: Vec<bool>,
    image_mask: Vec<Vec<bool>>,
    image_index: Vec<Vec<i64>>,
    patch_position: Vec<Vec<i64>>,
    labels: Vec<Vec<i64>>,
    patch_masked: Vec<Vec<bool>>,
    matched: Vec<bool>,
}

#[derive(Deserialize)]
struct JointExpected {
    h: Numbers,
    pooled: Numbers,
    mlm_logit_sums: Numbers,
    alignment_logits: Numbers,
    losses: BTreeMap<String, Option<f32>>,
    weights: BTreeMap<String, Option<f32>>,
    total: f32,
}

/// Mean cross-entropy: InfoNCE without padding.
fn cross_entropy(logits: Tensor<2>, labels: Tensor<1, Int>) -> Tensor<1> {
    let targets = Targets {
        mask: logits.zeros_like().bool(),
        gold: labels,
    };
    info_nce(logits, &targets)
}

/// Where a flattened table is true.
fn places(rows: impl IntoIterator<Item = bool>) -> Vec<i64> {
    rows.into_iter()
        .enumerate()
        .filter_map(|(i, here)| here.then_some(i as i64))
        .collect()
}

#[test]
fn adaptive_weights_are_the_references() {
    let reference: JointFixture = fixture("joint.json");
    let device = device().autodiff();
    for case in reference.adaptive {
        let losses: Vec<Tensor<1>> = case
            .losses
            .iter()
            .map(|&loss| Tensor::from_data([loss], &device).require_grad())
            .collect();
        let (total, weights) = adaptive(losses.clone());
        close("weights", &values(weights), &case.weights, 1e-6);
        close("total", &values(total.clone()), &[case.total], 1e-6);
        let gradients = total.backward();
        let gradient: Vec<f32> = losses
            .iter()
            .flat_map(|loss| values(loss.grad(&gradients).unwrap()))
            .collect();
        close("gradient", &gradient, &case.gradient, 1e-5);
    }
}

#[test]
fn joint_encoder_and_its_tasks_are_the_references() {
    let reference: JointFixture = fixture("joint.json");
    let device = device().autodiff();
    let size = &reference.config;
    let config = JointConfig {
        d_model: size.d,
        n_layers: size.layers,
        n_heads: size.heads,
        d_ff: size.ffn,
        max_text: size.max_text,
        word_width: size.word_width,
        image_width: size.image_width,
        patches: size.patches,
        layer_norm_eps: 1e-12,
        dropout: 0.0,
    };
    let name = |path: &str| match path {
        "types" => "types.weight".to_owned(),
        other => other.to_owned(),
    };
    for case in &reference.cases {
        let encoder = filled(config.init(&device), &name, &device);
        let heads = filled(
            JointHeads::new(&config, size.vocab, &device),
            &name,
            &device,
        );
        let table = "word_embeddings.weight";
        let words = tensor(
            weights(table, &[size.vocab, size.d]),
            [size.vocab, size.d],
            &device,
        )
        .require_grad();

        let inputs = &case.inputs;
        let hashed = |what: &str| {
            let (name, shape) = &case.hashed[what];
            stream(name, shape.iter().product(), 0.0, 1.0)
        };
        let [batch, patches] = [inputs.ids.len(), inputs.image_mask[0].len()];
        let absent = inputs.word_present.iter().map(|&here| vec![!here]);
        let image = [batch, patches, size.image_width];
        let output = encoder.forward(
            &JointInput {
                ids: integers(&inputs.ids, &device),
                ids_mask: booleans(&inputs.token_mask, &device),
                word: tensor(hashed("word"), [batch, size.word_width], &device),
                word_mask: booleans(&absent.collect::<Vec<_>>(), &device),
                image: tensor(hashed("image"), image, &device),
                image_mask: booleans(&inputs.image_mask, &device),
                patch: integers(&inputs.patch_position, &device),
                picture: integers(&inputs.image_index, &device),
            },
            &words,
        );
        let check = |what: &str, got: Vec<f32>, want: &[f32]| {
            close(&format!("{}, {what}", case.name), &got, want, tolerance());
        };
        let expected = &case.expected;
        check("h", values(output.hidden.clone()), &expected.h.flat());
        check("pooled", values(output.pooled()), &expected.pooled.flat());
        let all = Tensor::arange(0..(batch * inputs.ids[0].len()) as i64, &device);
        let sums = heads.words(&output, all, &words).sum_dim(1);
        check("mlm", values(sums), &expected.mlm_logit_sums.flat());
        let alignment = heads.alignment(&output);
        let logits = expected.alignment_logits.flat();
        check("alignment", values(alignment.clone()), &logits);

        let matched = |row: usize| inputs.matched[row];
        let labels = inputs.labels.iter().enumerate();
        let asked: Vec<i64> = labels
            .flat_map(|(row, labels)| {
                labels
                    .iter()
                    .map(move |l| if matched(row) { *l } else { -1 })
            })
            .collect();
        let positions = places(asked.iter().map(|&label| label >= 0));
        let known: Vec<i64> = asked.into_iter().filter(|&label| label >= 0).collect();
        let index = |places: &[i64]| Tensor::<1, Int>::from_data(places, &device);
        let mlm = cross_entropy(
            heads.words(&output, index(&positions), &words),
            index(&known),
        );
        let belongs: Vec<i64> = inputs.matched.iter().map(|&here| i64::from(here)).collect();
        let tia = cross_entropy(alignment, index(&belongs));
        let masked = inputs.patch_masked.iter().enumerate();
        let masked =
            places(masked.flat_map(|(row, masked)| {
                masked.iter().map(move |&masked| masked && matched(row))
            }));
        let mut losses = vec![("mlm", mlm), ("alignment", tia)];
        if !masked.is_empty() {
            let targets = tensor(hashed("target"), image, &device).flatten::<2>(0, 1);
            let targets = targets.select(0, index(&masked));
            losses.push(("patch", heads.patch_loss(&output, index(&masked), targets)));
        }
        let present = expected.losses.iter().filter(|(_, loss)| loss.is_some());
        assert_eq!(present.count(), losses.len(), "{:?}", expected.losses);
        for (what, loss) in &losses {
            check(
                what,
                values(loss.clone()),
                &[expected.losses[*what].unwrap()],
            );
        }
        let names: Vec<&str> = losses.iter().map(|(name, _)| *name).collect();
        let (total, shares) = adaptive(losses.into_iter().map(|(_, loss)| loss).collect());
        for (what, share) in names.iter().zip(values(shares)) {
            check(what, vec![share], &[expected.weights[*what].unwrap()]);
        }
        check("total", values(total.clone()), &[expected.total]);

        let gradients = total.backward();
        let mut found = gradients_of(&encoder, &name, &gradients);
        found.extend(gradients_of(&heads, &name, &gradients));
        let of_words = values(words.grad(&gradients).unwrap());
        found.insert(table.to_owned(), of_words);
        check_gradients(&case.name, &found, &case.parameters);
    }
}
