//! The command line on a dataset of four entities: check, prototypes, export, link, eval.
//!
//! All tests share one dataset, run and bundle, made by the commands under test; bad input has a file of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bad_input;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;
use shared_model::data::Mention;
use shared_model::pack::Pack;
use tests::{Dir, Run, SharedDir, close, picture, run, weights};

const DATASET: &str = r#"{"format":1,"name":"Mercuries","licence":"CC0-1.0","source":"made by a test","candidate_policy":"given"}"#;

const ENTITIES: &str = r#"{"id":"planet","name":"Mercury","aliases":["Hermes"],"description":"innermost planet of the Solar System"}
{"id":"element","name":"Mercury","aliases":["quicksilver"],"description":"liquid silvery metal, a chemical element"}
{"id":"singer","name":"Freddie Mercury","aliases":["Mercury"],"description":"singer of the rock band Queen"}
{"id":"venus","name":"Venus","description":"second planet of the Solar System"}
"#;

const TIMELINE: &str = r#"{"entity":"planet","text":"The probe photographed craters on the planet closest to the Sun.","images":["images/planet.png"]}
{"entity":"planet","text":"Its year has 88 days, and its orbit is the most eccentric of all planets."}
{"entity":"element","text":"Old thermometers hold a poisonous metal that is liquid at room temperature."}
{"entity":"element","text":"","images":["images/element.png"]}
{"entity":"singer","text":"He wrote Bohemian Rhapsody and sang it in front of a full stadium.","images":["images/singer.png"]}
{"entity":"singer","text":"The concert at Wembley is still called the best of all."}
"#;

const TEST: &str = r#"{"id":"1","text":"Mercury has no moon and hardly any air.","mention":{"start":0,"end":7},"images":["images/planet.png"],"candidates":["planet","element","singer"],"entity":"planet"}
{"id":"2","text":"Gold dissolves in mercury.","mention":{"start":18,"end":25},"candidates":["planet","element","singer"],"entity":"element"}
{"id":"3","text":"Mercury sang the encore with his band.","mention":{"start":0,"end":7},"entity":"singer"}
{"id":"4","text":"Mercury opened a new insurance office.","mention":{"start":0,"end":7},"candidates":["planet","element"],"entity":null}
"#;

/// A dataset folder.
fn dataset(folder: &Path) {
    fs::create_dir_all(folder.join("images")).unwrap();
    for (file, text) in [
        ("dataset.json", DATASET),
        ("entities.jsonl", ENTITIES),
        ("timeline.jsonl", TIMELINE),
        ("test.jsonl", TEST),
    ] {
        fs::write(folder.join(file), text).unwrap();
    }
    for (entity, seed) in [("planet", 31), ("element", 32), ("singer", 33)] {
        picture([96, 64, seed])
            .save(folder.join(format!("images/{entity}.png")))
            .unwrap();
    }
}

/// A folder with `data`, the run `run` and its int8 bundle `bundle`.
fn shared() -> &'static Path {
    static SHARED: OnceLock<SharedDir> = OnceLock::new();
    let shared = SHARED.get_or_init(|| {
        let shared = SharedDir::new(env!("CARGO_TARGET_TMPDIR"), "pipeline");
        let folder = shared.root();
        dataset(&folder.join("data"));
        prototypes(folder, "data", "run").ok();
        imn(folder, "export run bundle").ok();
        shared
    });
    shared.root()
}

fn imn(folder: &Path, command: &str) -> Run {
    run(folder, &command.split_whitespace().collect::<Vec<_>>())
}

fn prototypes(folder: &Path, data: &str, to: &str) -> Run {
    let weights = weights();
    run(
        folder,
        &[
            "prototypes",
            data,
            "--run",
            to,
            "--weights",
            weights.to_str().unwrap(),
        ],
    )
}

/// A line that `imn link` prints.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Answer {
    id: String,
    mention: Option<Mention>,
    ranking: Vec<Ranked>,
    nil_probability: Option<f32>,
    scorer: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Ranked {
    entity: String,
    score: f32,
    probability: f32,
}

impl Answer {
    fn best(&self) -> &str {
        &self.ranking[0].entity
    }

    fn score(&self, entity: &str) -> f32 {
        self.ranking
            .iter()
            .find(|ranked| ranked.entity == entity)
            .unwrap()
            .score
    }
}

fn answers(jsonl: &str) -> Vec<Answer> {
    jsonl
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Links posts against the shared bundle. Their pictures are those of the dataset.
#[track_caller]
fn link(posts: &str) -> Vec<Answer> {
    link_with(&shared().join("bundle"), posts)
}

#[track_caller]
fn link_with(bundle: &Path, posts: &str) -> Vec<Answer> {
    let input = tempfile::NamedTempFile::new_in(shared().join("data")).unwrap();
    fs::write(input.path(), posts).unwrap();
    let (bundle, input) = (bundle.to_str().unwrap(), input.path().to_str().unwrap());
    answers(&run(shared(), &["link", "--bundle", bundle, "--input", input]).ok())
}

/// All files below a folder, by their paths in it.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            files.extend(
                tree(&path)
                    .into_iter()
                    .map(|(below, bytes)| (format!("{name}/{below}"), bytes)),
            );
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// Asserts that two folders hold the same files, byte for byte.
#[track_caller]
fn check_same(a: &Path, b: &Path) {
    let (a, b) = (tree(a), tree(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    let different: Vec<_> = a
        .iter()
        .filter(|(name, bytes)| b[*name] != **bytes)
        .map(|(name, _)| name)
        .collect();
    assert!(different.is_empty(), "{different:?} differ");
}

#[test]
fn a_good_dataset_passes_the_check() {
    let text = imn(shared(), "data check data").ok();
    for counted in [
        "4 entities, 1 of them without",
        "6 timeline posts",
        "4 mentions in test.jsonl",
        "3 pictures",
    ] {
        assert!(text.contains(counted), "{text}");
    }
    let report: serde_json::Value =
        serde_json::from_str(&imn(shared(), "--json data check data").ok()).unwrap();
    assert_eq!(
        (&report["entities"], &report["nil_mentions"]),
        (&4.into(), &1.into())
    );
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = Dir::new_in(shared());
    prototypes(shared(), "data", dir.path("run").to_str().unwrap()).ok();
    check_same(&shared().join("run"), &dir.path("run"));
    // More than twice: the order of a hash map differs from one process to the next.
    for again in ["first", "second", "third"] {
        dir.imn(&format!("export ../run {again}")).ok();
        check_same(&shared().join("bundle"), &dir.path(again));
    }
}

#[test]
fn features_resume_share_out_and_agree_with_the_prototypes() {
    let (whole, shared_out) = (Dir::new(), Dir::new());
    let weights = weights();
    let features = |dir: &Dir, more: &[&str]| {
        let arguments = ["features", ".", "--weights", weights.to_str().unwrap()];
        run(dir.root(), &[&arguments, more].concat()).ok();
    };
    dataset(whole.root());
    features(&whole, &[]);
    dataset(shared_out.root());
    features(&shared_out, &["--shard", "1/2"]);
    features(&shared_out, &["--shard", "2/2"]);
    let (a, b) = (whole.path("features"), shared_out.path("features"));
    check_same(&a, &b);

    let cache = fs::read_dir(&a).unwrap().next().unwrap().unwrap().path();
    let shard = fs::read_dir(&cache)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with("image-") && name.ends_with(".bpk")
        })
        .unwrap();
    // A batch of four pictures: the mention's, then those of the timelines, which `prototypes` encodes one by one.
    let floats = |path: &Path, name| {
        let pack = Pack::read("pack", fs::read(path).unwrap()).unwrap();
        pack.floats(name).unwrap()
    };
    for (cached, pooled) in [("pooled", "image"), ("classes", "classes")] {
        let (shape, batched) = floats(&shard, cached);
        let (_, single) = floats(&shared().join("run/kb.bpk"), pooled);
        assert_eq!(shape[0], 4);
        close(cached, &batched[shape[1]..], &single, 5e-3);
    }

    fs::remove_file(&shard).unwrap();
    features(&whole, &[]);
    check_same(&a, &b);
}

/// A cached vector differs from a fresh one by the batch that it was encoded in, not by its storage.
#[test]
fn a_cache_changes_no_figure_and_damage_to_it_is_named() {
    let dir = Dir::new_in(shared());
    dataset(&dir.path("data"));
    let eval = || dir.imn("eval data --run ../run --json");
    let metrics = || -> serde_json::Value { serde_json::from_str(&eval().ok()).unwrap() };
    let fresh = metrics();
    let weights = weights();
    let features = format!("features data --weights {}", weights.display());
    dir.imn(&features).ok();
    let cached = metrics();
    for key in ["n", "p@1", "r@3", "mrr"] {
        assert_eq!(fresh[key], cached[key], "{key}");
    }
    let ece = |metrics: &serde_json::Value| metrics["ece"].as_f64().unwrap();
    assert!((ece(&fresh) - ece(&cached)).abs() < 1e-2);

    let folder = fs::read_dir(dir.path("data/features")).unwrap().next();
    for entry in fs::read_dir(folder.unwrap().unwrap().path()).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("text-") && name.ends_with(".bpk") {
            let bytes = fs::read(&path).unwrap();
            fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    eval().refused(&["text-", ".bpk"]);
}

#[test]
fn a_mention_is_linked_by_its_text() {
    let answers = link(TEST);
    let best: Vec<&str> = answers.iter().map(Answer::best).collect();
    assert_eq!(best[..3], ["planet", "element", "singer"]);
    assert_eq!(answers[3].ranking.len(), 2, "the row's own candidates");
    for (i, answer) in answers.iter().enumerate() {
        assert_eq!(answer.id, (i + 1).to_string());
        assert_eq!(
            (answer.scorer.as_str(), answer.nil_probability),
            ("prototype", None)
        );
        assert!(
            answer.ranking.is_sorted_by(|a, b| a.score >= b.score),
            "{answer:?}"
        );
        let total: f32 = answer.ranking.iter().map(|ranked| ranked.probability).sum();
        assert!((total - 1.0).abs() < 1e-5, "{answer:?}");
    }
}

#[test]
fn another_picture_gives_another_winner() {
    for entity in ["planet", "element", "singer"] {
        let post = format!(r#"{{"text":"Look: Mercury.","images":["images/{entity}.png"]}}"#);
        assert_eq!(link(&post)[0].best(), entity);
    }
}

#[test]
fn every_mention_found_gets_a_line() {
    let answers = link(r##"{"id":"a","text":"#Venus and QUICKSILVER, not venuses"}"##);
    let found: Vec<_> = answers
        .iter()
        .map(|answer| (answer.mention.unwrap(), answer.best()))
        .collect();
    let mention = |start, end| Mention { start, end };
    assert_eq!(
        found,
        [(mention(1, 6), "venus"), (mention(11, 22), "element")]
    );
}

#[test]
fn a_name_that_no_entity_has_is_an_answer() {
    let posts = "{\"id\":\"given\",\"text\":\"Jupiter is large.\",\"mention\":{\"start\":0,\"end\":7}}\n\
                 {\"id\":\"none found\",\"text\":\"Nothing to see here.\"}\n";
    let answers = link(posts);
    assert_eq!(answers.len(), 2);
    assert!(
        answers.iter().all(|answer| answer.ranking.is_empty()),
        "{answers:?}"
    );
    assert_eq!(answers[0].mention, Some(Mention { start: 0, end: 7 }));
    assert_eq!(answers[1].mention, None);
}

#[test]
fn similar_names_are_candidates_unless_refused() {
    for (surface, n_equal, has_similar) in [
        ("Mercury", 3, true),
        ("Merkury", 0, true),
        ("Freddy Mercury", 0, true),
        ("Venuss", 0, true),
        ("Jupiter", 0, false),
    ] {
        let dir = Dir::new_in(shared());
        let end = surface.chars().count();
        let mention = format!(r#"{{"start":0,"end":{end}}}"#);
        let post = format!(r#"{{"text":"{surface} again","mention":{mention}}}"#);
        dir.create("posts.jsonl", post);
        let link = |more: &str| {
            let command = format!("link --bundle ../bundle --input posts.jsonl {more}");
            answers(&dir.imn(&command).ok())
        };
        let equal = link("--names equal");
        assert_eq!(equal[0].ranking.len(), n_equal, "{surface}");
        let similar = link("--names similar");
        assert_eq!(link(""), similar, "the default");
        assert_eq!(!similar[0].ranking.is_empty(), has_similar, "{surface}");
    }
}

#[test]
fn the_output_file_holds_what_would_be_printed() {
    let dir = Dir::new_in(shared());
    let command = "link --bundle ../bundle --input ../data/test.jsonl";
    let printed = dir.imn(command).ok();
    assert_eq!(
        dir.imn(&format!("{command} --output out/answers.jsonl"))
            .ok(),
        ""
    );
    let written = fs::read_to_string(dir.path("out/answers.jsonl")).unwrap();
    assert_eq!(answers(&written), answers(&printed));
    assert_eq!(
        fs::read_dir(dir.path("out")).unwrap().count(),
        1,
        "a temporary file was left"
    );
}

#[test]
fn eval_prints_the_agreed_keys() {
    for model in ["--run run", "--bundle bundle"] {
        let report = imn(shared(), &format!("--json eval data {model}")).ok();
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        for part in [&report, &report["seen"], &report["unseen"]] {
            for key in ["p@1", "r@3", "r@10", "mrr", "ece", "recall"] {
                let share = part[key]
                    .as_f64()
                    .unwrap_or_else(|| panic!("no {key}: {report}"));
                assert!((0.0..=1.0).contains(&share), "{key}: {share}");
            }
        }
        assert_eq!(
            (&report["n"], &report["seen"]["n"], &report["unseen"]["n"]),
            (&3.into(), &0.into(), &3.into())
        );
        assert_eq!(
            (&report["recall"], &report["p@1"]),
            (&1.0.into(), &1.0.into()),
            "{report}"
        );
        assert_eq!(report["candidate_policy"], "given");
        assert!(report["tie_rule"].is_string());
    }
    let policy = |name: &str| {
        let report = imn(
            shared(),
            &format!("--json eval data --run run --candidates {name}"),
        )
        .ok();
        serde_json::from_str::<serde_json::Value>(&report).unwrap()["candidate_policy"].clone()
    };
    assert_eq!(
        (policy("fuzzy-100"), policy("full-kb")),
        ("fuzzy-100".into(), "full-kb".into())
    );
}

/// Mentions that only the texts tell apart; one of them occurs in the timeline of its entity.
const TRAIN: &str = r#"{"id":"t1","text":"The probe photographed craters on Mercury.","mention":{"start":34,"end":41},"candidates":["planet","element","singer"],"entity":"planet"}
{"id":"t2","text":"A thermometer broke and Mercury ran over the floor.","mention":{"start":24,"end":31},"candidates":["planet","element","singer"],"entity":"element"}
{"id":"t3","text":"Mercury and his band filled the stadium.","mention":{"start":0,"end":7},"candidates":["planet","element","singer"],"entity":"singer"}
{"id":"t4","text":"Mercury orbits the Sun in 88 days.","mention":{"start":0,"end":7},"candidates":["planet","element","singer"],"entity":"planet"}
{"id":"t5","text":"Mercury is the only shop in town.","mention":{"start":0,"end":7},"candidates":["planet","element","singer"],"entity":null}
{"id":"t6","text":"Mercury is not among these.","mention":{"start":0,"end":7},"candidates":["planet","element"],"entity":"singer"}
"#;

#[test]
fn train_fits_a_scorer_that_eval_and_export_take() {
    let dir = Dir::new_in(shared());
    dataset(&dir.path("data"));
    dir.create("data/train.jsonl", TRAIN);
    let posts = format!(
        "{TIMELINE}{}\n",
        r#"{"entity":"planet","text":"The probe photographed craters on Mercury.","id":"t1"}"#
    );
    dir.create("data/timeline.jsonl", posts);
    let weights = weights();
    let train = format!(
        "train data --run run --stage prototype --json --weights {}",
        weights.display()
    );
    let report: serde_json::Value = serde_json::from_str(&dir.imn(&train).ok()).unwrap();

    assert_eq!(report["left_out"], 1, "t6: {report}");
    assert_eq!(report["nil_mentions"], 1);
    let n = |key: &str| report[key].as_u64().unwrap();
    assert_eq!(n("fitted_on") + n("validated_on"), 4);
    assert_eq!(report["p_at_1"], 1.0);
    let scorer = &report["scorer"];
    assert!(scorer["text"].as_f64().unwrap() > 0.0, "{report}");
    assert_eq!(scorer["image"], 0.0, "no train mention has a picture");
    assert!(report["calibration"]["temperature"].as_f64().unwrap() > 0.0);

    let again = train.replace("--run run", "--run again");
    dir.imn(&again).ok();
    check_same(&dir.path("run"), &dir.path("again"));
    let eval = dir.imn("eval data --run run --json").ok();
    let eval: serde_json::Value = serde_json::from_str(&eval).unwrap();
    assert_eq!(eval["n"], 3);
    dir.imn("export run bundle").ok();
    let manifest = dir.path("bundle/bundle.json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    assert_eq!(&manifest["scorer"], scorer);
    assert_eq!(manifest["calibration"], report["calibration"]);
}

#[test]
fn train_without_anything_to_learn_from_leaves_no_run() {
    let dir = Dir::new_in(shared());
    dataset(&dir.path("data"));
    let weights = weights();
    let train = format!(
        "train data --run run --stage prototype --weights {}",
        weights.display()
    );
    dir.imn(&train).refused(&["train.jsonl"]);
    let only_nil: String = TRAIN.lines().filter(|row| row.contains("null")).collect();
    dir.create("data/train.jsonl", only_nil);
    dir.imn(&train)
        .refused(&["train.jsonl", "no mention", "imn prototypes"]);
    assert!(!dir.path("run").exists());
}

#[test]
fn a_bundle_takes_another_knowledge_base() {
    let dir = Dir::new_in(shared());
    dataset(&dir.path("data"));
    dir.create(
        "data/entities.jsonl",
        r#"{"id":"spider","name":"Jupiter","description":"a spider"}"#,
    );
    dir.create(
        "data/timeline.jsonl",
        r#"{"entity":"spider","text":"It has eight legs.","images":["images/planet.png"]}"#,
    );
    dir.imn("prototypes data --run run --bundle ../bundle").ok();
    dir.imn("export run bundle").ok();

    let answers = link_with(&dir.path("bundle"), r#"{"text":"Mercury and Jupiter"}"#);
    assert_eq!((answers.len(), answers[0].best()), (1, "spider"));
    let (old, new) = (tree(&shared().join("bundle")), tree(&dir.path("bundle")));
    for part in ["text.bpk", "vision.bpk", "classes.bpk", "tokenizer.json"] {
        assert!(old[part] == new[part], "{part} is another model's");
    }
}

/// Three pictures are few to take a scale from, and it magnifies rounding: their row has a bound of its own.
#[test]
fn storage_precision_changes_no_winner() {
    let dir = Dir::new_in(shared());
    let mut by_precision = BTreeMap::new();
    for precision in ["f32", "f16", "int8"] {
        dir.imn(&format!(
            "export ../run {precision} --precision {precision}"
        ))
        .ok();
        let size: usize = tree(&dir.path(precision)).values().map(Vec::len).sum();
        by_precision.insert(precision, (size, link_with(&dir.path(precision), TEST)));
    }
    let (full_size, exact) = &by_precision["f32"];
    for (precision, share, with_picture, without) in
        [("f16", 0.6, 1e-2, 1e-3), ("int8", 0.4, 0.25, 1e-2)]
    {
        let (size, answers) = &by_precision[precision];
        assert!((*size as f64) < *full_size as f64 * share, "{precision}");
        for (answer, exact) in answers.iter().zip(exact) {
            let scores = |from: &Answer| -> Vec<f32> {
                let ranked = exact.ranking.iter();
                ranked.map(|ranked| from.score(&ranked.entity)).collect()
            };
            let allowed = if exact.id == "1" {
                with_picture
            } else {
                without
            };
            let name = format!("{precision}, post {}", exact.id);
            close(&name, &scores(answer), &scores(exact), allowed);
            assert_eq!(answer.best(), exact.best(), "{name}");
        }
    }
}

#[test]
fn a_reader_that_closes_standard_output_ends_the_program_without_a_word() {
    let mut child = Command::new(tests::imn())
        .args(["data", "check", "data"])
        .current_dir(shared())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}
