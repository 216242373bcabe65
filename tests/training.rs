//! `imn train` on the demo knowledge base, its test posts turned into train mentions: twice the same, after a kill, and out into a bundle.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use burn::prelude::Device;
use serde_json::Value;
use shared_model::aliases::NameMatch;
use shared_model::bundle::Bundle;
use shared_model::data::Mention;
use shared_model::evidence::Conditions;
use shared_model::linker::{Query, TextCache};
use shared_model::manifest::{Licence, Manifest};
use shared_model::text::TunedConfig;
use tests::{Run, SharedDir, imn, pack, run, trainable, weights};

/// A dataset folder with features, made once.
fn shared() -> &'static Path {
    static DIR: OnceLock<SharedDir> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = SharedDir::new(env!("CARGO_TARGET_TMPDIR"), "training");
        trainable(dir.root());
        dir
    });
    dir.root()
}

const SHORT: &str = "--metric-steps 4 --knowledge-steps 2 --steps 4";

fn arguments(to: &str, more: &str) -> Vec<String> {
    let settings = "train data --evaluate-every 2 --batch 8 --seed 5";
    let mut words: Vec<String> = settings.split_whitespace().map(str::to_owned).collect();
    words.extend(["--run".to_owned(), to.to_owned()]);
    if !more.contains("--weights") {
        words.extend(["--weights".to_owned(), weights().display().to_string()]);
    }
    words.extend(more.split_whitespace().map(str::to_owned));
    words
}

fn train(to: &str, more: &str) -> Run {
    run(shared(), &arguments(to, more))
}

fn eval(model: &str) -> Value {
    let words = ["--json", "eval", "data"]
        .into_iter()
        .chain(model.split_whitespace());
    let report = run(shared(), &words.collect::<Vec<_>>()).ok();
    serde_json::from_str(&report).unwrap()
}

#[track_caller]
fn check_same(run: &str, other: &str) {
    for file in [
        "metrics-metric.jsonl",
        "metrics-knowledge.jsonl",
        "metrics-task.jsonl",
        "imn.bpk",
        "run.json",
        "train.toml",
    ] {
        let read = |run: &str| fs::read(shared().join(run).join(file)).unwrap();
        assert!(
            read(run) == read(other),
            "{file} differs between {run} and {other}"
        );
    }
}

#[test]
fn a_run_repeats_itself_and_survives_a_kill() {
    train("first", SHORT).ok();
    train("second", SHORT).ok();
    check_same("first", "second");

    let checkpoint = shared().join("killed/checkpoint-task.bpk");
    let mut child = Command::new(imn())
        .args(["--device", "flex"])
        .args(arguments("killed", SHORT))
        .current_dir(shared())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while !checkpoint.exists() {
        assert!(
            started.elapsed() < Duration::from_secs(300),
            "no checkpoint"
        );
        assert_eq!(child.try_wait().unwrap(), None, "it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!shared().join("killed/imn.bpk").exists(), "it was too late");
    train("killed", &format!("{SHORT} --resume")).ok();
    check_same("first", "killed");
}

#[test]
fn an_untrained_network_ranks_as_the_training_free_scorer() {
    train("start", "--metric-steps 0 --knowledge-steps 0 --steps 0").ok();
    train("prototype", "--stage prototype").ok();
    let (start, prototype) = (eval("--run start"), eval("--run prototype"));
    let p = |report: &Value| report["p@1"].as_f64().unwrap();
    assert!(
        (p(&start) - p(&prototype)).abs() < 0.01,
        "{start} {prototype}"
    );
}

#[test]
fn the_report_says_how_well_lists_of_each_kind_are_calibrated() {
    let report = train("report", &format!("{SHORT} --json")).ok();
    let report: Value = serde_json::from_str(&report).unwrap();
    let n = |kind: &str| report["calibration_error"][kind]["n"].as_u64().unwrap();
    let [known, mixed, new] = ["known", "mixed", "new"].map(n);
    // The lists of the demo are known or new as a whole, so mixed ones were made of them.
    assert!(
        known + new >= report["validated_on"].as_u64().unwrap(),
        "{report}"
    );
    assert!(mixed > 0 && mixed <= known + new, "{report}");
    for kind in ["known", "mixed", "new"] {
        let ece = report["calibration_error"][kind]["ece"].as_f64();
        assert_eq!(ece.is_some(), n(kind) > 0, "{kind}: {report}");
        assert!(ece.is_none_or(|ece| (0.0..=1.0).contains(&ece)), "{report}");
    }
    for term in ["seen", "new"] {
        let background = report["imn"][term]["background"].as_f64().unwrap();
        assert!(background.abs() <= 1.0, "{report}");
    }
    let run: Value =
        serde_json::from_slice(&fs::read(shared().join("report/run.json")).unwrap()).unwrap();
    assert_eq!(run["calibration"], report["calibration"]);
}

#[test]
fn a_context_encoder_lies_in_a_weight_folder() {
    const TUNE: &str = "--stage text --steps 2 --tune-layers 1";
    train("text", TUNE).ok();
    let read = |file: &str| fs::read(shared().join(file)).unwrap();
    let trained = read("text/context.bpk");
    let context = pack(&shared().join("text/context.bpk"));
    let source = context.metadata("source").unwrap();
    assert!(source.contains("fine-tuned"), "{source}");
    assert_eq!(context.metadata("config"), Some("{\"tuned_layers\":1}"));
    assert_eq!(context.count("layers", "norm_1.gamma"), 1);
    for file in ["text.bpk", "words.bpk", "tokenizer.json"] {
        let original = fs::read(weights().join(file)).unwrap();
        assert!(read(&format!("text/{file}")) == original, "{file}");
    }

    train("text", &format!("{TUNE} --resume")).ok();
    assert!(read("text/context.bpk") == trained, "a run that is done");
    train("text-again", TUNE).ok();
    for file in ["context.bpk", "metrics-text.jsonl"] {
        let again = read(&format!("text-again/{file}"));
        assert!(read(&format!("text/{file}")) == again, "{file} differs");
    }
    train("text-again", "--stage text --tune-layers 99")
        .refused(&["the text encoder has 6 layers"]);
    train("text-again", "--stage prototype --tune-layers 1").refused(&["--tune-layers is of"]);

    check_context_encoder();
    // Trained on, with as many layers or more.
    let more = |words: &str| {
        train(
            "more",
            &format!("{words} --stage text --steps 1 --weights text"),
        )
    };
    more("--tune-layers 2").ok();
    let context = pack(&shared().join("more/context.bpk"));
    assert_eq!(context.count("layers", "norm_1.gamma"), 2);
    let of_more = "--tune-layers 1 --stage text --weights more --steps 1";
    train("fewer", of_more).refused(&["context.bpk", "has 2 layers of its own"]);

    let other = shared().join("more/text.bpk");
    let text = fs::read(&other).unwrap();
    fs::write(&other, [text.as_slice(), b"x"].concat()).unwrap();
    run(shared(), &["features", "data", "--weights", "more"])
        .refused(&["classes.bpk does not name text.bpk", "imn weights fetch"]);
    fs::remove_file(shared().join("more/classes.bpk")).unwrap();
    run(shared(), &["features", "data", "--weights", "more"])
        .refused(&["context.bpk does not name text.bpk", "--stage text"]);
}

/// The context encoder in the folder `text`, from the fit of the scorer to a bundle.
fn check_context_encoder() {
    let fit = |to: &str| {
        let report = train(to, "--json --stage prototype --weights text").ok();
        let report: Value = serde_json::from_str(&report).unwrap();
        // Too few are held out.
        assert_eq!(report["fitted_on_held_out"], false);
        report
    };
    let without_cache = fit("tuned");
    run(shared(), &["features", "data", "--weights", "text"]).ok();
    let with_cache = fit("tuned-again");
    let tuned = |report: &Value| report["scorer"]["tuned"].as_f64().unwrap();
    let (without, with) = (tuned(&without_cache), tuned(&with_cache));
    assert!(
        without > 0.0 && (without - with).abs() < 0.05 * without,
        "{without} {with}"
    );

    let export = ["export", "tuned", "tuned-bundle", "--precision", "f32"];
    run(shared(), &export).ok();
    let (of_run, of_bundle) = (eval("--run tuned"), eval("--bundle tuned-bundle"));
    assert_eq!(of_run["mrr"], of_bundle["mrr"]);
    let read = |file: &str| Ok(fs::read(shared().join("tuned-bundle").join(file)).unwrap());
    let manifest = Manifest::parse(&read("bundle.json").unwrap()).unwrap();
    let bundle = pollster::block_on(Bundle::open(manifest, read, &Device::flex())).unwrap();
    assert_eq!(
        bundle.manifest.models.context,
        Some(TunedConfig { n_layers: 1 })
    );
    let linker = bundle.linker;
    let query = Query {
        text: "the swift nests under our roof",
        mention: Mention { start: 4, end: 9 },
        pictures: &[],
        candidates: &linker.aliases.candidates("swift", NameMatch::Equal),
        conditions: Conditions::default(),
    };
    let mut texts = TextCache::default();
    let ranking = linker.link(&query, &mut texts, |_| ());
    for candidate in pollster::block_on(ranking).unwrap().candidates {
        assert!(candidate.cues.tuned.is_some(), "{candidate:?}");
    }
}

#[test]
fn the_papers_form_reads_the_modalities_of_its_flags_alone() {
    let flags = "--mention-modalities text --entity-modalities image";
    train("sides", &format!("{SHORT} --paper {flags}")).ok();
    let figures = |more: &str| {
        let report = eval(&format!("--run sides {more}"));
        ["mrr", "p@1", "ece"].map(|name| report[name].as_f64().unwrap())
    };
    let all = figures("");
    assert_eq!(figures("--mention-modalities text"), all);
    assert_ne!(figures("--mention-modalities image"), all);
    // Without texts, a knowledge base has no mean to centre those of mentions by: only pictures can be left out to compare.
    assert_ne!(figures("--entity-modalities text"), all);
}

#[test]
fn an_auxiliary_space_of_weight_0_adds_nothing_to_the_loss() {
    let first_loss = |run: &str, more: &str| -> f64 {
        train(run, &format!("{SHORT} --paper {more}")).ok();
        let log = fs::read_to_string(shared().join(run).join("metrics-task.jsonl")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str(line).unwrap());
        let losses = lines.filter_map(|line: Value| line["loss"].as_f64());
        losses.into_iter().find(|&loss| loss > 0.0).unwrap()
    };
    let all = first_loss("aux-all", "--aux-weights 0.5,0.5,0.5");
    let some = first_loss("aux-some", "--aux-weights 0,0,0.5");
    let none = first_loss("aux-none", "--aux-weights 0,0,0");
    assert!(all > some && some > none, "{all} {some} {none}");
}

#[test]
fn the_papers_form_goes_from_a_run_to_a_bundle() {
    train("paper", &format!("{SHORT} --paper")).ok();
    let of_run = eval("--run paper");
    assert_eq!(of_run["system"], "imn");
    let export = run(shared(), &["export", "paper", "bundle"]);
    assert!(export.stderr.contains("not compared"), "{export:?}");
    export.ok();
    let manifest: Manifest =
        serde_json::from_slice(&fs::read(shared().join("bundle/bundle.json")).unwrap()).unwrap();
    let of_imn = |licence: &&Licence| licence.file == "imn.bpk";
    let licence = manifest.licences.iter().find(of_imn).unwrap();
    assert!(licence.source.contains("train` on "), "{licence:?}");
    let of_bundle = eval("--bundle bundle");
    let mrr = |report: &Value| report["mrr"].as_f64().unwrap();
    // int8 against f32.
    assert!(
        (mrr(&of_run) - mrr(&of_bundle)).abs() < 0.1,
        "{of_run} {of_bundle}"
    );

    let post = r#"{"id":"a","text":"Saw a jaguar today","images":[]}"#;
    fs::write(shared().join("posts.jsonl"), post).unwrap();
    let words = ["link", "--bundle", "bundle", "--input", "posts.jsonl"];
    let answer: Value = serde_json::from_str(&run(shared(), &words).ok()).unwrap();
    assert!(
        answer["scorer"].as_str().unwrap().starts_with("imn"),
        "{answer}"
    );
    let ranking = answer["ranking"].as_array().unwrap();
    assert!(ranking.len() > 1, "{answer}");
    let cosines = ranking
        .iter()
        .map(|candidate| candidate["score"].as_f64().unwrap());
    assert!(
        cosines.into_iter().all(|cosine| cosine.abs() <= 1.001),
        "{answer}"
    );
}
