//! The IMN, the joint encoder and their losses against PyTorch in double precision, gradients included.
//!
//! `fixtures/make_imn_reference.py` wrote the expected values.

use std::collections::BTreeMap;

use burn::module::{ModuleMapper, ModuleVisitor, Param};
use burn::prelude::*;
use burn::tensor::Gradients;
use serde::Deserialize;
use shared_model::imn::{ImnConfig, Input, LEVELS, Modality, Sequence, Side};
use shared_model::joint::{JointConfig, JointHeads, JointInput};
use shared_model::loss::{FusionLoss, Targets, adaptive, info_nce, triplet};
use tests::{close, device, fixture, fnv1a32, hash32};

use crate::values;

/// Largest difference to the reference. On an NVIDIA H200 by Vulkan the first gradients that missed 1e-4 were 1.1e-4 apart.
fn tolerance() -> f32 {
    if device() == Device::flex() {
        1e-4
    } else {
        3e-4
    }
}

/// Nested JSON arrays of numbers, or one number, flattened.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
enum Numbers {
    One(f32),
    Many(Vec<Numbers>),
}

impl Numbers {
    fn flat(&self) -> Vec<f32> {
        match self {
            Self::One(value) => vec![*value],
            Self::Many(values) => values.iter().flat_map(Self::flat).collect(),
        }
    }
}

/// A weight of the reference with its gradient.
#[derive(Deserialize)]
struct Parameter {
    name: String,
    gradient: Numbers,
}

/// The numbers of a stream, as the fixtures' README has them.
fn stream(name: &str, n: usize, offset: f64, gain: f64) -> Vec<f32> {
    let seed = fnv1a32(name);
    (0..n as u32)
        .map(|i| f64::from(hash32(seed, i)) / 4_294_967_296.0 * 2.0 - 1.0)
        .map(|u| (offset + gain * u) as f32)
        .collect()
}

/// Whether a tensor of the reference is a table of learned vectors.
fn is_table(name: &str) -> bool {
    let tables = [
        "types",
        "absent",
        "image_index",
        "position_embeddings",
        "patch_positions",
        "picture_index",
    ];
    tables.iter().any(|table| name.contains(table))
}

/// The weights of the reference, in its layout.
fn weights(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, gain) = if is_table(name) {
        (0.0, 0.5)
    } else if name == "gates" {
        (0.5, 0.3)
    } else if name.ends_with(".gamma") {
        (1.0, 0.2)
    } else if shape.len() == 1 {
        (0.0, 0.1)
    } else {
        let fan_in: usize = shape[1..].iter().product();
        (0.0, 1.5 / (fan_in as f64).sqrt())
    };
    stream(name, shape.iter().product(), offset, gain)
}

/// Whether our tensor is the transpose of the reference's: Burn's linear weights are `[in, out]`.
fn is_transposed(name: &str, rank: usize) -> bool {
    rank == 2 && name.ends_with(".weight") && !is_table(name)
}

fn transpose(values: &[f32], [rows, columns]: [usize; 2]) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}

/// Gives every parameter the reference's values; `name` turns our paths into its names.
struct Fill<'a> {
    path: Vec<String>,
    name: &'a dyn Fn(&str) -> String,
    device: &'a Device,
}

impl ModuleMapper for Fill<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let path = self.path.join(".");
        if path.contains("running_") {
            return param;
        }
        let name = (self.name)(&path);
        param.map(|tensor| {
            let dims = tensor.dims();
            let filled = if is_transposed(&name, D) {
                let flipped = [dims[1], dims[0]];
                transpose(&weights(&name, &flipped), flipped)
            } else {
                weights(&name, &dims)
            };
            Tensor::from_data(TensorData::new(filled, dims), self.device).require_grad()
        })
    }
}

fn filled<M: Module>(module: M, name: &dyn Fn(&str) -> String, device: &Device) -> M {
    module.map(&mut Fill {
        path: Vec::new(),
        name,
        device,
    })
}

/// Sums the gradients under the reference's names, in its layout.
struct Collect<'a> {
    path: Vec<String>,
    name: &'a dyn Fn(&str) -> String,
    gradients: &'a Gradients,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Collect<'_> {
    fn enter_module(&mut self, name: &str, _container_type: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let path = self.path.join(".");
        if path.contains("running_") {
            return;
        }
        let name = (self.name)(&path);
        let dims = param.val().dims();
        let n = dims.iter().product();
        let gradient = param.val().grad(self.gradients).map(values);
        let mut gradient = gradient.unwrap_or_else(|| vec![0.0; n]);
        if is_transposed(&name, D) {
            gradient = transpose(&gradient, [dims[0], dims[1]]);
        }
        let sum = self.found.entry(name).or_insert_with(|| vec![0.0; n]);
        for (sum, gradient) in sum.iter_mut().zip(gradient) {
            *sum += gradient;
        }
    }
}

/// Asserts that all gradients of `modules` are the reference's; nothing may lack on either side.
fn check_gradients(case: &str, found: &BTreeMap<String, Vec<f32>>, expected: &[Parameter]) {
    assert_eq!(
        found.keys().collect::<Vec<_>>(),
        expected
            .iter()
            .map(|parameter| (&parameter.name, ()))
            .collect::<BTreeMap<_, _>>()
            .into_keys()
            .collect::<Vec<_>>(),
        "{case}: the names of the weights differ"
    );
    for Parameter { name, gradient } in expected {
        let want = gradient.flat();
        // Ours may have more rows, for more pictures; nothing reaches them.
        let (got, rest) = found[name].split_at(want.len());
        assert!(rest.iter().all(|value| *value == 0.0), "{name}");
        close(
            &format!("{case}, gradient of {name}"),
            got,
            &want,
            tolerance(),
        );
    }
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

fn booleans(rows: &[Vec<bool>], device: &Device) -> Tensor<2, Bool> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

fn integers(rows: &[Vec<i64>], device: &Device) -> Tensor<2, Int> {
    let shape = [rows.len(), rows[0].len()];
    Tensor::from_data(TensorData::new(rows.concat(), shape), device)
}

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

#[derive(Deserialize)]
struct ReferenceSequence {
    shape: [usize; 3],
    mask: Vec<Vec<bool>>,
    image_index: Option<Vec<Vec<i64>>>,
}

impl ReferenceConfig {
    fn ours(&self) -> ImnConfig {
        ImnConfig {
            inputs: self
                .modalities
                .iter()
                .zip(&self.widths)
                .map(|(&modality, &width)| Input { modality, width })
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
            let ReferenceSequence {
                shape: shape @ [n, _, width],
                mask,
                image_index,
            } = &sequences[modality];
            let kind = serde_json::to_value(modality).unwrap();
            let input = |what: &str, n| {
                let name = format!("{stem}/{}/{what}", kind.as_str().unwrap());
                stream(&name, n, 0.0, 1.0)
            };
            Sequence {
                vectors: tensor(input("seq", shape.iter().product()), *shape, device),
                mask: booleans(mask, device),
                pooled: tensor(input("pooled", n * width), [*n, *width], device),
                picture: image_index.as_ref().map(|rows| integers(rows, device)),
            }
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
        let mut collect = Collect {
            path: Vec::new(),
            name: &name,
            gradients: &gradients,
            found: BTreeMap::new(),
        };
        model.visit(&mut collect);
        let mut found = collect.found;
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
        let mut collect = Collect {
            path: Vec::new(),
            name: &name,
            gradients: &gradients,
            found: BTreeMap::new(),
        };
        encoder.visit(&mut collect);
        heads.visit(&mut collect);
        let of_words = values(words.grad(&gradients).unwrap());
        collect.found.insert(table.to_owned(), of_words);
        check_gradients(&case.name, &collect.found, &case.parameters);
    }
}
