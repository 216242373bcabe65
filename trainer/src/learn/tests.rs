//! The training loop on a stage that fits a line through noise.

use std::fs;
use std::path::Path;

use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamWConfig;
use burn::prelude::*;
use rand::RngExt as _;

use super::*;

struct Line {
    /// The step at which the process dies, and the one whose batch is damaged.
    dies: Option<usize>,
    damaged: Option<usize>,
    rate: f64,
}

impl Line {
    const WELL: Self = Self {
        dies: None,
        damaged: None,
        rate: 0.05,
    };

    fn loss(model: &Optimised<Linear>, step: usize, damage: f32) -> Tensor<1> {
        let mut rng = rng(7, "line", step);
        let x: Vec<f32> = (0..24).map(|_| rng.random_range(-1.0..1.0)).collect();
        let y: Vec<f32> = x
            .chunks(3)
            .map(|x| x[0] - 2.0 * x[1] + 0.5 + damage + rng.random_range(-0.1..0.1f32))
            .collect();
        let tensor = |values, width| {
            Tensor::<2>::from_data(TensorData::new(values, [8, width]), &model.device)
        };
        let error = model.model.forward(tensor(x, 3)) - tensor(y, 1);
        error.square().mean()
    }
}

impl Stage<Linear> for Line {
    const WATCHED: &'static str = "fit";

    fn step(&mut self, model: &mut Optimised<Linear>, step: usize) -> anyhow::Result<Metrics> {
        ensure!(self.dies != Some(step), "killed");
        let damage = if self.damaged == Some(step) {
            f32::NAN
        } else {
            0.0
        };
        let loss = Self::loss(model, step, damage);
        let value = model.descend(self.rate, loss);
        Ok(vec![(LOSS, value), ("rate", self.rate)])
    }

    fn batch(&self, step: usize) -> String {
        format!("the points of {step}")
    }

    fn evaluate(&mut self, model: &mut Optimised<Linear>, _: usize) -> anyhow::Result<Metrics> {
        let loss: f32 = Self::loss(model, usize::MAX, 0.0).into_scalar();
        Ok(vec![("fit", -f64::from(loss))])
    }
}

fn start() -> Optimised<Linear> {
    let device = Device::flex().autodiff();
    let model = LinearConfig::new(3, 1).init(&device);
    let weight = Tensor::from_data([[0.1f32], [-0.2], [0.3]], &device);
    let zeros = Tensor::zeros([1], &device);
    let model = Linear {
        weight: model.weight.map(|_| weight.require_grad()),
        bias: model.bias.map(|bias| bias.map(|_| zeros.require_grad())),
    };
    Optimised::new(model, AdamWConfig::new().build(), &device)
}

fn weights(model: &Optimised<Linear>) -> Vec<f32> {
    model.model.weight.val().into_data().try_to_vec().unwrap()
}

fn plan() -> Plan {
    Plan {
        name: "line".to_owned(),
        seed: 7,
        steps: 25,
        evaluate_every: 10,
        patience: 3,
    }
}

fn metrics(folder: &Path) -> String {
    fs::read_to_string(folder.join("metrics-line.jsonl")).unwrap()
}

fn run(
    mut line: Line,
    model: &mut Optimised<Linear>,
    folder: &Path,
    resume: bool,
) -> anyhow::Result<Outcome> {
    learn(&mut line, model, &plan(), folder, resume)
}

/// An uninterrupted run: its figures, curves and weights.
fn whole() -> (String, String, Vec<f32>, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let mut model = start();
    let outcome = run(Line::WELL, &mut model, folder.path(), false).unwrap();
    let curves = fs::read_to_string(folder.path().join("curves-line.svg")).unwrap();
    (metrics(folder.path()), curves, weights(&model), outcome)
}

#[test]
fn the_same_seed_leaves_the_same_files() {
    let (figures, curves, trained, outcome) = whole();
    assert_eq!((figures.clone(), curves.clone(), trained, outcome), whole());
    let lines: Vec<&str> = figures.lines().collect();
    assert_eq!(
        lines.len(),
        25 + 4,
        "every step, and steps 0, 10, 20 and 25"
    );
    assert!(
        lines[0].starts_with(r#"{"stage":"line","step":0,"part":"dev","fit":-"#),
        "{}",
        lines[0]
    );
    assert!(
        lines[1].starts_with(r#"{"stage":"line","step":1,"part":"train","loss":"#)
            && lines[1].ends_with(r#","rate":0.05}"#),
        "{}",
        lines[1]
    );
    assert!(curves.contains("fit, held out") && curves.contains("step"));
}

#[test]
fn training_fits_the_line() {
    let (_, _, trained, outcome) = whole();
    assert!(outcome.best["fit"] > outcome.start["fit"], "{outcome:?}");
    assert!(trained[0] > 0.1 && trained[1] < -0.2, "{trained:?}");
}

#[test]
fn a_resumed_run_is_the_run() {
    let (figures, curves, trained, outcome) = whole();
    for dies in [1, 10, 14, 25] {
        let folder = tempfile::tempdir().unwrap();
        let killed = Line {
            dies: Some(dies),
            ..Line::WELL
        };
        run(killed, &mut start(), folder.path(), false).unwrap_err();
        let half = metrics(folder.path()) + r#"{"stage":"line","st"#;
        fs::write(folder.path().join("metrics-line.jsonl"), half).unwrap();

        let mut model = start();
        let resumed = run(Line::WELL, &mut model, folder.path(), true).unwrap();
        assert_eq!(metrics(folder.path()), figures, "killed in step {dies}");
        assert_eq!(weights(&model), trained, "killed in step {dies}");
        assert_eq!(resumed, outcome);
        let drawn = fs::read_to_string(folder.path().join("curves-line.svg")).unwrap();
        assert_eq!(drawn, curves);
        // A run that is done stays as it is.
        run(Line::WELL, &mut start(), folder.path(), true).unwrap();
        assert_eq!(metrics(folder.path()), figures);
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_and_the_checkpoint_stays() {
    let folder = tempfile::tempdir().unwrap();
    let damaged = Line {
        damaged: Some(13),
        ..Line::WELL
    };
    let error = run(damaged, &mut start(), folder.path(), false).unwrap_err();
    assert_eq!(
        format!("{error:#}"),
        "line, step 13: the loss is NaN on the points of 13"
    );
    let at = Checkpoint::read(&folder.path().join("checkpoint-line.bpk"), &plan()).unwrap();
    assert_eq!(at.step, 10);
    // With the batch mended it goes on.
    run(Line::WELL, &mut start(), folder.path(), true).unwrap();
    assert_eq!(metrics(folder.path()), whole().0);
}

#[test]
fn weights_that_are_not_finite_are_no_checkpoint() {
    let mut model = start();
    model.model.weight = model.model.weight.map(|weight| weight / 0.0);
    let error = model.state().unwrap_err();
    assert_eq!(format!("{error:#}"), "the weight weight is not finite");
}

#[test]
fn without_gain_it_stops_at_the_best() {
    let folder = tempfile::tempdir().unwrap();
    // Each step leads away.
    let mut line = Line {
        rate: -0.05,
        ..Line::WELL
    };
    let plan = Plan {
        steps: 1000,
        ..plan()
    };
    let mut model = start();
    let outcome = learn(&mut line, &mut model, &plan, folder.path(), false).unwrap();
    assert_eq!((outcome.steps, outcome.best_step), (30, 0));
    assert_eq!(weights(&model), [0.1, -0.2, 0.3]);
}

#[test]
fn a_checkpoint_of_another_plan_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    run(Line::WELL, &mut start(), folder.path(), false).unwrap();
    let other = Plan { seed: 8, ..plan() };
    let (mut line, mut model) = (Line::WELL, start());
    let error = learn(&mut line, &mut model, &other, folder.path(), true).unwrap_err();
    assert!(
        format!("{error:#}").contains("is of another plan"),
        "{error:#}"
    );
}
