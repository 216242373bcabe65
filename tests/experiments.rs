//! `imn experiments` with trainings: all systems of Table 2 from a dataset to a table, what is there is kept, a failure stops nothing else.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use tests::{Dir, trainable, weights};

const SHORT: &str =
    r#""--steps", "2", "--evaluate-every", "1", "--batch", "8", "--validation", "20""#;

/// The plan of a table of all systems, with 2 steps each.
fn plan(seeds: &str) -> String {
    let weights = weights().display().to_string();
    let mut plan = format!("title = \"All systems\"\nweights = {weights:?}\n");
    let mut systems = String::new();
    for name in ["et", "jmel", "arnn", "bert", "dzmned", "dzmned-bert"] {
        plan += &format!(
            "[[trainings]]\nname = {name:?}\ndatasets = [\"data\"]\nseeds = {seeds}\n\
             flags = [\"--system\", {name:?}, \"--width\", \"16\", {SHORT}]\n"
        );
        systems += &format!("{{ name = {name:?}, training = {name:?} }},");
    }
    plan += &format!(
        "[[trainings]]\nname = \"imn\"\ndatasets = [\"data\"]\nseeds = {seeds}\n\
         flags = [\"--joint\", \"runs/guided-0\", \"--modalities\", \"joint,text\", \"--metric-steps\", \"1\", \"--knowledge-steps\", \"1\", {SHORT}]\n\
         [[trainings]]\nname = \"guided\"\ncommand = \"pretrain\"\ndatasets = [\"data\"]\n\
         flags = [\"--steps\", \"2\", \"--evaluate-every\", \"1\", \"--batch\", \"8\", \"--layers\", \"1\"]\n\
         [[tables]]\ntitle = \"Table 2\"\ndataset = \"data\"\nsplit = \"test\"\nprimary = [\"IMN\", \"dzmned-bert\"]\nfigure = \"confidence\"\n\
         systems = [{{ name = \"IMN\", training = \"imn\" }}, {systems}\
         {{ name = \"JMEL and cues\", training = \"jmel\", row = \"jmel+cues\" }}]\n"
    );
    plan
}

fn written(path: &Path) -> std::time::SystemTime {
    path.metadata().unwrap().modified().unwrap()
}

#[test]
fn a_plan_trains_what_is_missing_and_compares_all_systems() {
    let dir = Dir::new();
    trainable(dir.root());
    dir.create("plan.toml", plan("[0]"));
    let estimate = dir.imn("experiments plan.toml --estimate").ok();
    let guided = estimate.lines().find(|line| line.starts_with("guided"));
    assert!(guided.unwrap().contains("1 run of "), "{estimate}");
    dir.imn("experiments plan.toml --jobs 2").ok();
    assert!(dir.path("runs/guided-0/joint.bpk").exists());
    let result = fs::read_to_string(dir.path("RESULT.md")).unwrap();
    for row in [
        "| IMN | 1 |",
        "| et | 1 |",
        "| jmel | 1 |",
        "| arnn | 1 |",
        "| bert | 1 |",
        "| dzmned | 1 |",
        "| dzmned-bert | 1 |",
        "| JMEL and cues | 1 |",
        "| prototype | 1 |",
        "| IMN | +",
        "\n| probabilities of | ECE | AURC |",
    ] {
        assert!(result.contains(row), "no {row:?} in\n{result}");
    }
    let figure = fs::read_to_string(dir.path("figure-1.svg")).unwrap();
    assert!(figure.contains("coverage") && figure.contains("IMN"));
    for seed in ["arnn-0", "imn-0"] {
        assert!(dir.path("runs").join(seed).join("train.log").exists());
    }

    let run = dir.path("runs/jmel-0/run.json");
    let before = written(&run);
    dir.create("plan.toml", plan("[0]").replace("Table 2", "Again"));
    dir.imn("experiments plan.toml").ok();
    assert_eq!(before, written(&run), "a finished run was trained again");
    let again = fs::read_to_string(dir.path("RESULT.md")).unwrap();
    assert_eq!(again.replace("Again", "Table 2"), result);

    dir.create("plan.toml", plan("[0]").replace("\"16\"", "\"8\""));
    let said = ["other arguments", "et-0"];
    dir.imn("experiments plan.toml").refused(&said);

    dir.create("plan.toml", plan("[0]"));
    dir.create("runs/guided-0/joint.bpk", "pre-trained again");
    let said = ["imn-0", "another joint encoder than runs/guided-0 has now"];
    dir.imn("experiments plan.toml").refused(&said);
}

#[test]
fn the_best_setting_of_a_grid_trains_the_other_seeds() {
    let dir = Dir::new();
    trainable(dir.root());
    let data = dir.path("data");
    fs::copy(data.join("test.jsonl"), data.join("dev.jsonl")).unwrap();
    let weights = weights().display().to_string();
    let plan = format!(
        "title = \"t\"\nweights = {weights:?}\n\
         [[trainings]]\nname = \"jmel\"\ndatasets = [\"data\"]\nseeds = [0, 1]\n\
         flags = [\"--system\", \"jmel\", \"--hold-out\", \"dev\", \"--width\", \"16\", \"--steps\", \"40\", \"--evaluate-every\", \"20\"]\n\
         grid = [[\"--learning-rate\", \"1e-9\"], [\"--learning-rate\", \"1e-2\"]]\n\
         [[tables]]\ntitle = \"t\"\ndataset = \"data\"\nprimary = [\"jmel\", \"prototype\"]\n\
         systems = [{{ name = \"jmel\", training = \"jmel\" }}]\n"
    );
    dir.create("plan.toml", plan);
    let estimate = dir.imn("experiments plan.toml --estimate");
    let said = "jmel: 3 runs of ";
    assert!(estimate.stdout.starts_with(said), "{}", estimate.stdout);
    assert!(!dir.path("runs").exists(), "an estimate leaves no run");

    dir.imn("experiments plan.toml").ok();
    let result = fs::read_to_string(dir.path("RESULT.md")).unwrap();
    let chosen: Vec<&str> = result
        .lines()
        .filter(|line| line.ends_with("| yes |"))
        .collect();
    assert_eq!(chosen.len(), 1, "{result}");
    assert!(
        chosen[0].starts_with("| jmel | --learning-rate 1e-2 |"),
        "{result}"
    );
    assert!(
        result.contains("| jmel | 2 |") && result.contains("(curves.svg)"),
        "{result}"
    );
    assert!(dir.path("curves.svg").exists());
    let results = fs::read(dir.path("results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let tried = results["trainings"].as_array().unwrap();
    let chosen = tried.iter().filter(|tried| tried["chosen"] == true);
    assert_eq!((tried.len(), chosen.count()), (2, 1), "{results}");
    for tried in tried {
        let figure = |name: &str| tried[name].as_f64().unwrap();
        assert!(
            figure("seconds") > 0.0 && figure("held_out_mrr") > 0.0,
            "{tried}"
        );
    }
    let mut runs: Vec<String> = fs::read_dir(dir.path("runs"))
        .unwrap()
        .map(|run| run.unwrap().file_name().into_string().unwrap())
        .collect();
    runs.sort();
    let expected = ["1e-2-0", "1e-2-1", "1e-9-0"].map(|run| format!("jmel-learning-rate-{run}"));
    assert_eq!(runs, expected);
    let estimate = dir.imn("experiments plan.toml --estimate");
    assert!(
        estimate.stdout.starts_with("all: 0.00 hours"),
        "{}",
        estimate.stdout
    );
}

#[test]
fn a_training_that_fails_is_named_and_stops_no_other() {
    let dir = Dir::new();
    trainable(dir.root());
    let weights = weights().display().to_string();
    let training = |name: &str, more: &str| {
        format!(
            "[[trainings]]\nname = {name:?}\ndatasets = [\"data\"]\nflags = [\"--system\", \"jmel\", {more}{SHORT}]\n"
        )
    };
    let table = |name: &str| {
        format!(
            "[[tables]]\ntitle = {name:?}\ndataset = \"data\"\nprimary = [{name:?}, \"prototype\"]\n\
             systems = [{{ name = {name:?}, training = {name:?} }}]\n"
        )
    };
    let plan = [
        format!("title = \"t\"\nweights = {weights:?}\n"),
        training("wrong", "\"--joint\", \"no-such-run\", "),
        training("right", ""),
        table("wrong"),
        table("right"),
    ];
    dir.create("plan.toml", plan.concat());
    let run = dir.imn("experiments plan.toml");
    assert_eq!(run.status, Some(1), "{}", run.stderr);
    let last = run.stderr.lines().last().unwrap();
    let said = ["imn: 1 of the trainings failed", "wrong-0", "no-such-run"];
    assert!(said.iter().all(|said| last.contains(said)), "{last}");
    let result = fs::read_to_string(dir.path("RESULT.md")).unwrap();
    assert!(
        result.contains("Not made: the training of runs/wrong-0 failed."),
        "{result}"
    );
    assert!(result.contains("| right | 1 |"), "{result}");

    dir.create(
        "plan.toml",
        format!("title = \"t\"\ntrainings = []\n{}", table("none")),
    );
    dir.imn("experiments plan.toml")
        .refused(&["no training of a system is called", "none"]);
    let refused = |training: &str, said: &[&str]| {
        let head = format!(
            "title = \"t\"\nweights = {weights:?}\n[[trainings]]\nname = \"a\"\ndatasets = [\"data\"]\n"
        );
        dir.create("plan.toml", format!("{head}{training}\n{}", table("a")));
        dir.imn("experiments plan.toml").refused(said);
    };
    refused("flags = [\"--seed\", \"3\"]", &["a: --seed is no flag"]);
    refused(
        "flags = [\"--system\", \"no-such-system\"]",
        &["a: ", "no-such-system"],
    );
    refused("seeds = [1, 1]", &["run folder runs/a-1"]);
    refused("seeds = []", &["a: no seeds"]);
    refused(
        "[[tables]]\ntitle = \"twice\"\ndataset = \"data\"\nprimary = [\"b\", \"c\"]\n\
         systems = [{ name = \"b\", training = \"a\" }, { name = \"b\", training = \"a\" }]",
        &["twice", "two rows are called \"b\""],
    );
    refused(
        "[[tables]]\ntitle = \"early\"\ndataset = \"data\"\nprimary = [\"b\", \"nobody\"]\n\
         systems = [{ name = \"b\", training = \"a\" }]",
        &["early", "`primary` names \"nobody\""],
    );
    assert!(!dir.path("runs/a-0").exists(), "it was trained first");
    refused("flags = [\"--stage\", \"text\"]", &["a: --stage text"]);
    refused(
        "command = \"pretrain\"\ngrid = [[\"--steps\", \"1\"]]",
        &["a: a pre-training has no grid"],
    );
    refused(
        "command = \"pretrain\"",
        &["no training of a system is called", "\"a\""],
    );
}
