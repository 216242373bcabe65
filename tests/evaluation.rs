//! Figures: `imn eval` and its subsets, baselines and outcomes; `imn experiments`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::{Dir, Run, run, trainable, weights};

const SHARES: [&str; 7] = ["p@1", "r@3", "r@5", "r@10", "r@20", "mrr", "recall"];
const SUBSETS: [&str; 5] = ["seen", "unseen", "ambiguous", "renamed", "distinct"];

fn asset(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../assets")
        .join(name);
    path.to_str().unwrap().to_owned()
}

/// A dataset without pictures.
fn dataset(entities: &[Value], rows: &[Value]) -> Dir {
    let lines =
        |values: &[Value]| -> String { values.iter().map(|value| format!("{value}\n")).collect() };
    let dir = Dir::new();
    let info = json!({"format": 1, "name": "Invented", "licence": "CC0-1.0", "source": "made by a test", "candidate_policy": "full-kb"});
    dir.create("dataset.json", info.to_string());
    dir.create("entities.jsonl", lines(entities));
    dir.create("test.jsonl", lines(rows));
    dir
}

fn entity(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "description": format!("what is called {id}")})
}

/// A row whose text begins with its mention.
fn row(id: &str, mention: &str, entity: Option<&str>) -> Value {
    json!({
        "id": id, "text": format!("{mention} was in the news."),
        "mention": {"start": 0, "end": mention.chars().count()}, "entity": entity,
    })
}

/// Evaluates with the training-free scorer.
fn eval(dir: &Dir, more: &[&str]) -> Run {
    let folder = dir.path("run");
    if !folder.exists() {
        let weights = weights().display().to_string();
        let words = ["prototypes", ".", "--run", "run", "--weights", &weights];
        run(dir.root(), &words).ok();
    }
    run(dir.root(), &[&["eval", ".", "--run", "run"], more].concat())
}

#[track_caller]
fn report(run: Run) -> Value {
    serde_json::from_str(&run.ok()).unwrap()
}

/// Asserts that figures are shares and that P@1 lies in its interval.
#[track_caller]
fn check_figures(figures: &Value) {
    for key in SHARES {
        let share = figures[key]
            .as_f64()
            .unwrap_or_else(|| panic!("no {key}: {figures}"));
        assert!((0.0..=1.0).contains(&share), "{key}: {figures}");
    }
    let [p, low, high] = [
        &figures["p@1"],
        &figures["p@1_interval"][0],
        &figures["p@1_interval"][1],
    ]
    .map(Value::as_f64);
    if figures["n"] == 0 {
        assert_eq!((p, low), (Some(0.0), None), "{figures}");
    } else {
        assert!(low <= p && p <= high && low.is_some(), "{figures}");
    }
}

/// The share of the orders of equal scores in which the gold is among the first `k`, from a line of outcomes.
fn recall_at(line: &Value, system: &str, k: u64) -> f64 {
    let answers = line["systems"].as_array().unwrap();
    let answer = answers.iter().find(|answer| answer["name"] == system);
    let rank = &answer.unwrap()["rank"];
    let count = |key: &str| rank[key].as_u64();
    let (Some(better), Some(equal)) = (count("better"), count("equal")) else {
        return 0.0;
    };
    assert!(
        better + equal < answer.unwrap()["n"].as_u64().unwrap(),
        "{line}"
    );
    k.saturating_sub(better).min(equal + 1) as f64 / (equal + 1) as f64
}

#[test]
fn every_system_has_every_subset_and_outcomes_repeat_the_figures() {
    let dir = Dir::new();
    let (kb, weights) = (asset("kb"), weights());
    let weights = weights.to_str().unwrap();
    let prototypes = ["prototypes", &kb, "--run", "run", "--weights", weights];
    run(dir.root(), &prototypes).ok();
    let eval = [
        "--json",
        "eval",
        &kb,
        "--run",
        "run",
        "--outcomes",
        "o/kb.jsonl",
    ];
    let figures = report(run(dir.root(), &eval));

    assert_eq!(figures["system"], "prototype");
    assert!(figures["ece"].is_f64() && figures["tie_rule"].is_string());
    assert_eq!(figures["candidate_policy"], "given");
    assert_eq!(
        figures["nil"],
        json!({"n": 44, "accuracy": null, "false_alarms": null}),
        "nothing is calibrated"
    );
    let baselines = &figures["baselines"];
    for system in [&figures, &baselines["popularity"], &baselines["name-only"]] {
        check_figures(system);
        SUBSETS
            .iter()
            .for_each(|subset| check_figures(&system[subset]));
        let n = |subset: &str| system[subset]["n"].as_u64().unwrap();
        assert_eq!(n("seen") + n("unseen"), figures["n"].as_u64().unwrap());
        assert!(n("seen") > 0, "golds of train.jsonl count as seen");
        assert!(n("ambiguous") > 0 && n("renamed") > 0, "{system}");
    }
    assert!(baselines["popularity"]["ece"].is_null());

    let outcomes = fs::read_to_string(dir.path("o/kb.jsonl")).unwrap();
    let outcomes: Vec<Value> = outcomes
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(figures["n"], outcomes.len());
    for (system, figures) in [
        ("prototype", &figures),
        ("name-only", &baselines["name-only"]),
    ] {
        for (key, k) in [("p@1", 1), ("r@3", 3), ("r@20", 20)] {
            let shares = outcomes.iter().map(|line| recall_at(line, system, k));
            let mean = shares.sum::<f64>() / outcomes.len() as f64;
            let difference = mean - figures[key].as_f64().unwrap();
            assert!(difference.abs() < 1e-9, "{system}, {key}");
        }
    }
}

#[test]
fn subsets_without_mentions_are_rows_of_zeros() {
    let entities = [entity("planet", "Saturn"), entity("god", "Neptune")];
    let rows = [
        row("1", "Saturn", Some("planet")),
        row("2", "SATURN", Some("planet")),
        row("3", "Saturn", Some("planet")),
    ];
    let dir = dataset(&entities, &rows);
    let figures = report(eval(&dir, &["--json"]));
    for (subset, n) in [
        ("ambiguous", 0),
        ("renamed", 0),
        ("seen", 0),
        ("distinct", 1),
    ] {
        assert_eq!(figures[subset]["n"], n, "{subset}: {figures}");
        check_figures(&figures[subset]);
    }
    let table = eval(&dir, &[]).ok();
    for row in [
        "prototype   ambiguous       0",
        "name-only   all             3 1.000",
    ] {
        assert!(table.contains(row), "{table}");
    }
}

#[test]
fn the_golds_of_train_are_seen() {
    let dir = dataset(
        &[entity("planet", "Mercury"), entity("element", "Mercury")],
        &[
            row("1", "Mercury", Some("planet")),
            row("2", "Quicksilver", Some("element")),
        ],
    );
    let train = format!("{}\n", row("t", "Mercury", Some("planet")));
    dir.create("train.jsonl", train);
    let figures = report(eval(&dir, &["--json"]));
    for subset in ["seen", "unseen", "ambiguous", "renamed"] {
        assert_eq!(figures[subset]["n"], 1, "{subset}: {figures}");
    }
    let popularity = &figures["baselines"]["popularity"];
    assert_eq!(
        (&popularity["seen"]["p@1"], &popularity["unseen"]["p@1"]),
        (&1.0.into(), &0.0.into())
    );
    let name_only = &figures["baselines"]["name-only"];
    assert_eq!(
        name_only["seen"]["p@1"], 0.5,
        "two equal names share the first place"
    );
}

/// A run that trusts names alone ranks by names alone, whatever its encoders came with.
#[test]
fn a_run_is_evaluated_with_the_weights_that_it_has_fitted() {
    let dir = dataset(
        &[
            entity("planet", "Mercury"),
            entity("element", "Quicksilver"),
        ],
        &[
            row("1", "Mercury", Some("planet")),
            row("2", "Mercury", Some("element")),
        ],
    );
    let bundle = asset("demo");
    run(
        dir.root(),
        &["prototypes", ".", "--run", "run", "--bundle", &bundle],
    )
    .ok();
    let path = dir.path("run/run.json");
    let mut run_json: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    run_json["scorer"] = json!({"text": 0.0, "image": 0.0, "classes": 0.0, "lexical": 1.0, "lexical_parts": [0.0, 1.0, 0.0, 0.0, 0.0, 0.0]});
    run_json["calibration"] =
        json!({"policy": "full-kb", "temperature": 0.001, "nil_logit": 500.0});
    fs::write(&path, run_json.to_string()).unwrap();
    let figures = report(dir.imn("--json eval . --run run"));
    assert_eq!(
        (&figures["p@1"], &figures["ece"]),
        (&0.5.into(), &0.5.into())
    );
    assert_eq!(figures["nil"]["false_alarms"], 0.0, "NIL is calibrated");
}

#[test]
fn of_one_entity_every_answer_is_right() {
    let dir = dataset(
        &[entity("planet", "Saturn")],
        &[
            row("1", "Saturn", Some("planet")),
            row("2", "He", Some("planet")),
        ],
    );
    for policy in ["given", "fuzzy-100", "full-kb"] {
        let figures = report(eval(&dir, &["--json", "--candidates", policy]));
        check_figures(&figures);
        // By name alone, no entity is called He.
        let right = if policy == "given" { 0.5 } else { 1.0 };
        assert_eq!(
            (&figures["p@1"], &figures["recall"]),
            (&right.into(), &right.into()),
            "{policy}"
        );
        assert_eq!(
            figures["p@1_interval"],
            json!([right, right]),
            "one entity, no spread"
        );
    }
}

#[test]
fn a_gold_that_is_no_candidate_is_a_miss_of_every_system() {
    let entities = [entity("planet", "Saturn"), entity("god", "Saturn")];
    let mut missed = row("1", "Saturn", Some("planet"));
    missed["candidates"] = json!(["god"]);
    let mut found = row("2", "Saturn", Some("god"));
    found["candidates"] = json!(["god"]);
    let nothing = json!({"id": "3", "text": "Saturn", "mention": {"start": 0, "end": 6}, "candidates": [], "entity": "god"});
    let dir = dataset(
        &entities,
        &[missed, found, nothing, row("4", "Saturn", None)],
    );
    let figures = report(eval(&dir, &["--json", "--candidates", "given"]));
    assert_eq!(
        figures["nil"],
        json!({"n": 1, "accuracy": null, "false_alarms": null})
    );
    let baselines = &figures["baselines"];
    for system in [&figures, &baselines["popularity"], &baselines["name-only"]] {
        for key in SHARES {
            let share = system[key].as_f64().unwrap();
            assert!((share - 1.0 / 3.0).abs() < 1e-9, "{key}: {system}");
        }
    }
}

/// A line of outcomes: whether the model and the prototype ranked the gold first; otherwise it is not a candidate.
fn outcome(id: usize, model: bool, prototype: bool) -> String {
    let answer = |name: &str, is_first: bool| {
        let rank = is_first.then(|| json!({"better": 0, "equal": 0}));
        json!({"name": name, "rank": rank, "n": 17})
    };
    let line = json!({
        "id": id.to_string(), "entity": format!("e{}", id / 2), "seen": id < 10,
        "ambiguous": false, "renamed": false, "repeated": false,
        "systems": [answer("imn", model), answer("prototype", prototype)],
    });
    format!("{line}\n")
}

/// Two seeds over 40 mentions: the first is right on all, the second on the even ones; the prototype on none of the first 20.
fn seeds() -> Dir {
    let dir = dataset(
        &[entity("planet", "Saturn")],
        &[row("1", "Saturn", Some("planet"))],
    );
    let prototype = |id: usize| id >= 20;
    let first: String = (0..40).map(|id| outcome(id, true, prototype(id))).collect();
    // In another order: mentions are matched by id.
    let second: String = (0..40)
        .rev()
        .map(|id| outcome(id, id % 2 == 0, prototype(id)))
        .collect();
    dir.create("seeds/1.jsonl", first);
    dir.create("seeds/2.jsonl", second);
    dir
}

const PLAN: &str = r#"title = "Of a test"

[[tables]]
title = "Invented mentions"
dataset = "."
candidates = "fuzzy-100"
primary = ["IMN", "prototype"]
orders = [["IMN", "prototype"], ["prototype", "IMN"], ["IMN, one seed", "prototype"]]
figure = "bars"
systems = [
  { name = "IMN", runs = ["seeds/1.jsonl", "seeds/2.jsonl"] },
  { name = "IMN, one seed", runs = ["seeds/2.jsonl"], row = "imn" },
]

[[tables]]
title = "Over k"
dataset = "."
subset = "unseen"
primary = ["k = 2", "k = 1"]
figure = "k"
systems = [
  { name = "k = 1", runs = ["seeds/1.jsonl"], row = "prototype", at = 1, line = "a" },
  { name = "k = 2", runs = ["seeds/1.jsonl"], at = 2, line = "a" },
]
"#;

#[test]
fn tables_average_seeds_and_compare_with_the_reference() {
    let dir = seeds();
    dir.create("plan.toml", PLAN);
    let command = "experiments plan.toml --date 2026-11-24 --out result";
    dir.imn(command).ok();
    let result = fs::read_to_string(dir.path("result/RESULT.md")).unwrap();
    for line in [
        "# Of a test",
        "## Invented mentions",
        "| system | seeds | P@1, all (40) | s.d. | P@1, seen (10) | P@1, unseen (30) | R@3 | R@10 | MRR |",
        "| IMN | 2 | 75.0 [75.0, 75.0] | 35.4 | 75.0 [75.0, 75.0] | 75.0 [75.0, 75.0] | 75.0 | 75.0 | 75.0 |",
        "| IMN, one seed | 1 | 50.0 ",
        "| prototype | 2 | 50.0 [",
        "| 0.0 [0.0, 0.0] |",
        "| P@1 against prototype, all | difference, points | p |",
        "| IMN | +25.0 [",
        "(primary) |",
        "| IMN, one seed | +0.0 [",
        "(Holm) |",
        "| published as better | than | P@1 here, points | order, by the interval |",
        "| IMN | prototype | +25.0 [",
        "] | same |",
        "| prototype | IMN | -25.0 [",
        "] | opposite |",
        "| IMN, one seed | prototype | +0.0 [",
        "] | not told apart |",
        "`imn experiments plan.toml --date 2026-11-24`; Invented, test; candidates: fuzzy-100; n = 40 mentions of 20 entities; seeds averaged: 1 to 2;",
        "![Invented mentions](figure-1.svg)",
        "| P@1 against k = 1, unseen | difference, points | p |",
        "| k = 2 | +33.3 [",
        "candidates: those of the files of outcomes;",
    ] {
        assert!(result.contains(line), "no {line:?} in\n{result}");
    }
    for (figure, said) in [
        ("figure-1.svg", "IMN, one seed"),
        ("figure-2.svg", "prototypes per modality"),
    ] {
        let svg = fs::read_to_string(dir.path("result").join(figure)).unwrap();
        for said in [said, "mentions of 20 entities", "2026-11-24", "Invented"] {
            assert!(svg.contains(said), "{figure} does not say {said:?}");
        }
    }
    let results = fs::read(dir.path("result/results.json")).unwrap();
    let results: Value = serde_json::from_slice(&results).unwrap();
    let table = &results["tables"][0];
    assert_eq!(table["mentions"]["seen"], 10);
    let row = &table["rows"][0];
    assert_eq!((&row["name"], &row["r@3"]), (&json!("IMN"), &json!(0.75)));
    assert_eq!(row["p@1"]["all"]["value"], 0.75);
    let compared = &table["comparisons"][0];
    assert_eq!(compared["difference"], 0.25);
    assert_eq!(table["orders"][1]["verdict"], "opposite");
    assert!(compared["primary"] == true && compared["p"].as_f64().unwrap() < 0.05);
    let first = fs::read(dir.path("result/RESULT.md")).unwrap();
    dir.imn(command).ok();
    assert!(
        first == fs::read(dir.path("result/RESULT.md")).unwrap(),
        "two results differ"
    );
}

const CUES: &str =
    r#""text", "context", "image", "classes", "image-text", "text-image", "lexical""#;

#[test]
fn a_run_folder_in_a_plan_is_evaluated() {
    let dir = dataset(
        &[entity("planet", "Saturn"), entity("god", "Neptune")],
        &[
            row("1", "Saturn", Some("planet")),
            row("2", "Neptune", Some("god")),
        ],
    );
    let bundle = asset("demo");
    dir.create("plan.toml", format!(
        "title = \"t\"\n[[tables]]\ntitle = \"t\"\ndataset = \".\"\nprimary = [\"prototype\", \"popularity\"]\n\
         systems = [{{ name = \"prototype\", runs = [{bundle:?}] }},\n\
         {{ name = \"no cue\", runs = [{bundle:?}], row = \"prototype\", without = [{CUES}] }},\n\
         {{ name = \"names\", runs = [{bundle:?}], row = \"prototype\", entity_modalities = \"none\", mention_modalities = \"none\" }}]\n"
    ));
    dir.imn("experiments plan.toml").ok();
    let result = fs::read_to_string(dir.path("RESULT.md")).unwrap();
    assert!(
        result.contains("| prototype | 1 | 100.0 [100.0, 100.0] | - | - |"),
        "{result}"
    );
    assert!(result.contains("| name-only | 1 | 100.0 "), "{result}");
    let no_cue = "| no cue | 1 | ";
    assert!(result.contains(no_cue), "{result}");
    assert!(!result.contains(&format!("{no_cue}100.0 ")), "{result}");
    assert!(result.contains("| names | 1 | 100.0 "), "{result}");
}

/// Earlier versions wrote shares in place of ranks.
#[test]
fn outcomes_of_an_older_version_are_refused_with_the_remedy() {
    let dir = seeds();
    let first = |p: f64| json!({"p@1": p, "r@3": 1.0, "r@5": 1.0, "r@10": 1.0, "r@20": 1.0, "reciprocal_rank": p, "recall": 1.0});
    for systems in [
        json!({"imn": first(1.0)}),
        json!({"imn": first(0.5), "prototype": first(1.0), "name-only": first(0.25)}),
        json!({}),
    ] {
        let line = json!({
            "id": "1", "entity": "planet", "seen": false, "ambiguous": false,
            "renamed": false, "repeated": false, "systems": systems,
        });
        dir.create("seeds/1.jsonl", format!("{line}\n"));
        dir.create("plan.toml", PLAN);
        dir.imn("experiments plan.toml").refused(&[
            "seeds/1.jsonl, line 1",
            "older version",
            "imn eval --outcomes",
        ]);
        assert!(!dir.path("RESULT.md").exists(), "a result was left");
    }
}

#[test]
fn a_networks_calibration_is_told_by_what_it_was_trained_on() {
    let home = Dir::new();
    trainable(home.root());
    let steps = "--metric-steps 1 --knowledge-steps 0 --steps 1 --evaluate-every 1 --batch 8";
    let weights = weights().display().to_string();
    home.imn(&format!("train data --run run {steps} --weights {weights}"))
        .ok();
    home.imn("export run bundle").ok();
    let bundle = home.path("bundle").display().to_string();
    let manifest = fs::read(Path::new(&bundle).join("bundle.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let trained = &manifest["training"]["entities"];
    let [a, b] = [0, 1].map(|i| trained[i].as_str().unwrap());
    let with = |id: &str, candidates: &[&str], gold: &str| {
        let mut row = row(id, "Mercury", Some(gold));
        row["candidates"] = json!(candidates);
        row
    };
    let entities = [a, b, "new-1", "new-2"].map(|id| entity(id, "Mercury"));
    let dir = dataset(
        &entities,
        &[
            with("1", &[a, b], a),
            with("2", &[a], a),
            with("3", &[a, "new-1"], "new-1"),
            with("4", &["new-2", b, a], b),
            with("5", &["new-1", a], a),
            with("6", &["new-2", "new-1"], "new-2"),
            with("7", &[], a),
        ],
    );
    let eval = [
        "--json",
        "eval",
        ".",
        "--candidates",
        "given",
        "--bundle",
        &bundle,
    ];
    let with_outcomes = [&eval[..], &["--outcomes", "outcomes.jsonl"]].concat();
    let figures = report(run(dir.root(), &with_outcomes));
    assert_eq!(figures["system"], "imn");
    let outcomes = fs::read_to_string(dir.path("outcomes.jsonl")).unwrap();
    let outcomes = outcomes.lines();
    let outcomes: Vec<Value> = outcomes
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (kind, n) in [("known", 2), ("mixed", 3), ("new", 1)] {
        let calibration = &figures["calibration"][kind];
        assert_eq!(calibration["n"], n, "{kind}: {figures}");
        // Ten bins by confidence, each with the distance of mean confidence and share of right answers, weighted by its size.
        let mut gaps = [0.0; 10];
        let of_kind = outcomes.iter().filter(|outcome| outcome["list"] == kind);
        for outcome in of_kind {
            let system = &outcome["systems"][0];
            let confidence = system["confidence"].as_f64().unwrap();
            let is_right = system["rank"]["better"] == 0;
            gaps[((confidence * 10.0) as usize).min(9)] +=
                confidence - f64::from(u8::from(is_right));
        }
        let expected = gaps.iter().map(|gap: &f64| gap.abs()).sum::<f64>() / f64::from(n);
        let ece = calibration["ece"].as_f64().unwrap();
        assert!((ece - expected).abs() < 1e-6, "{kind}: {ece}, {expected}");
    }
    assert!(figures["ece"].is_f64() && figures["nil"].is_object());
    let prototype = &figures["baselines"]["prototype"];
    for key in ["ece", "nil", "calibration"] {
        assert!(prototype[key].is_null(), "{key}: {prototype}");
    }
    let table = run(dir.root(), &eval[1..]).ok();
    for line in [
        "on 2 mentions with known candidates",
        "on 3 mentions with mixed candidates",
        "on 1 mentions with new candidates",
    ] {
        assert!(table.contains(line), "{table}");
    }
}

#[test]
fn a_plan_that_cannot_be_followed_is_refused() {
    let dir = seeds();
    let half: String = (0..20).map(|id| outcome(id, true, false)).collect();
    dir.create("seeds/half.jsonl", half);
    dir.create("seeds/empty.jsonl", "");
    let refused = |from: &str, to: &str, said: &[&str]| {
        assert!(PLAN.contains(from));
        dir.create("plan.toml", PLAN.replacen(from, to, 1));
        dir.imn("experiments plan.toml")
            .refused(&[&["plan.toml"], said].concat());
        assert!(!dir.path("RESULT.md").exists(), "a result was left");
    };
    refused(
        "seeds/2",
        "seeds/half",
        &["Invented mentions", "seeds/half", "20 mentions", "40"],
    );
    refused("seeds/1", "seeds/empty", &["seeds/empty", "empty"]);
    refused("seeds/1", "seeds/none", &["seeds/none"]);
    refused("row = \"imn\"", "row = \"abacus\"", &["abacus"]);
    refused(
        "row = \"imn\"",
        "without = [\"classes\"]",
        &["seeds/2", "runs and bundles"],
    );
    refused(
        "row = \"imn\"",
        "mention_modalities = \"text\"",
        &["seeds/2", "runs and bundles"],
    );
    refused(
        "\"IMN\", \"prototype\"",
        "\"IMN\", \"nobody\"",
        &["primary", "nobody"],
    );
    refused("\"IMN\", \"prototype\"", "\"IMN\", \"IMN\"", &["itself"]);
    refused(
        "[\"prototype\", \"IMN\"]",
        "[\"prototype\", \"nobody\"]",
        &["orders", "nobody"],
    );
    refused("dataset = \".\"", "dataset = \"nowhere\"", &["nowhere"]);
    refused(
        "systems = [\n  { name = \"IMN\"",
        "sistems = [\n  { name = \"IMN\"",
        &["line 10", "sistems"],
    );
    refused(
        ", at = 1, line = \"a\" },\n  { name = \"k = 2\", runs = [\"seeds/1.jsonl\"], at = 2",
        " },\n  { name = \"k = 2\", runs = [\"seeds/1.jsonl\"]",
        &["Over k", "at"],
    );
}
