//! `imn pretrain` on a part of the demo knowledge base: twice the same, the same after a kill, and a modality of the network.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tests::{Dir, Run, imn, pack, run, weights};

/// A line of `metrics-pretrain.jsonl`.
#[derive(Debug, Deserialize)]
struct Line {
    step: usize,
    part: String,
    #[serde(flatten)]
    figures: BTreeMap<String, Value>,
}

/// Two dataset folders with the demo's entities: `data` has three of four posts with pictures and every ninth of all, `rest` the other posts with pictures.
fn datasets(folder: &Path) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/kb");
    let timeline = fs::read_to_string(demo.join("timeline.jsonl")).unwrap();
    let pictured = || timeline.lines().filter(|line| line.contains("images/"));
    let rest: Vec<&str> = pictured().step_by(4).collect();
    let others = pictured().chain(timeline.lines().step_by(9));
    let data: Vec<&str> = others.filter(|line| !rest.contains(line)).collect();
    for (name, posts) in [("data", data), ("rest", rest)] {
        let to = folder.join(name);
        fs::create_dir_all(to.join("images")).unwrap();
        for (from, file) in [
            ("dataset.json", "dataset.json"),
            ("entities.jsonl", "entities.jsonl"),
            ("dev.jsonl", "test.jsonl"),
        ] {
            fs::copy(demo.join(from), to.join(file)).unwrap();
        }
        fs::write(to.join("timeline.jsonl"), posts.join("\n")).unwrap();
        for entry in fs::read_dir(demo.join("images")).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join("images").join(path.file_name().unwrap())).unwrap();
        }
    }
}

fn arguments(run: &str, more: &str) -> Vec<String> {
    let settings = "--device flex --json pretrain data --retrieve rest --steps 6 --evaluate-every 2 \
         --batch 8 --layers 1 --seed 5";
    let mut words: Vec<String> = settings.split_whitespace().map(str::to_owned).collect();
    words.extend(["--run".to_owned(), run.to_owned()]);
    words.extend(["--weights".to_owned(), weights().display().to_string()]);
    words.extend(more.split_whitespace().map(str::to_owned));
    words
}

fn pretrain(folder: &Path, to: &str, more: &str) -> Run {
    run(folder, &arguments(to, more)[2..])
}

/// Everything that a run leaves and that must be the same each time: the checkpoint names parameters at random.
fn files(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    [
        "metrics-pretrain.jsonl",
        "curves-pretrain.svg",
        "joint.bpk",
        "pretrain.toml",
    ]
    .into_iter()
    .map(|file| (file, fs::read(folder.join(file)).unwrap()))
    .collect()
}

#[track_caller]
fn check_same(folder: &Path, run: &str, other: &str) {
    for ((file, ours), (_, theirs)) in files(&folder.join(run))
        .iter()
        .zip(files(&folder.join(other)))
    {
        assert!(*ours == theirs, "{file} differs between {run} and {other}");
    }
}

#[test]
fn a_run_repeats_itself_and_survives_a_kill() {
    let dir = Dir::new();
    datasets(dir.root());
    let report = pretrain(dir.root(), "first", "").ok();
    pretrain(dir.root(), "second", "").ok();
    check_same(dir.root(), "first", "second");

    let checkpoint = dir.path("killed/checkpoint-pretrain.bpk");
    let mut child = Command::new(imn())
        .args(arguments("killed", ""))
        .current_dir(dir.root())
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
    assert!(!dir.path("killed/joint.bpk").exists(), "it was too late");
    pretrain(dir.root(), "killed", "--resume").ok();
    check_same(dir.root(), "first", "killed");

    // Done is done, and other settings are another run.
    assert_eq!(pretrain(dir.root(), "killed", "--resume").ok(), report);
    check_same(dir.root(), "first", "killed");
    pretrain(dir.root(), "killed", "--resume --plain")
        .refused(&["pretrain.toml", "plain is false"]);

    check_figures(&dir.path("first"), &report);
    check_weights(&dir.path("first"));
    check_use(&dir);

    // The ablation sees the same held-out posts, and draws at random.
    let plain = pretrain(dir.root(), "plain", "--plain").ok();
    let [plain, guided]: [Value; 2] =
        [plain, report].map(|report| serde_json::from_str(&report).unwrap());
    assert_eq!(plain["start"], guided["start"]);
    assert_ne!(plain["best"], guided["best"]);
    let plain = lines(&dir.path("plain"));
    let shares = plain.iter().filter(|line| line.part == "train");
    let shares: Vec<&Value> = shares
        .filter_map(|line| line.figures.get("random_share"))
        .collect();
    assert!(!shares.is_empty() && shares.iter().all(|share| **share == 1.0));
}

fn lines(run: &Path) -> Vec<Line> {
    lines_of(&run.join("metrics-pretrain.jsonl"))
}

fn lines_of(path: &Path) -> Vec<Line> {
    let metrics = fs::read_to_string(path).unwrap();
    metrics
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn check_figures(run: &Path, report: &str) {
    let lines = lines(run);
    let steps = |part: &str| -> Vec<usize> {
        let of_part = lines.iter().filter(|line| line.part == part);
        of_part.map(|line| line.step).collect()
    };
    assert_eq!(steps("train"), [1, 2, 3, 4, 5, 6]);
    assert_eq!(steps("dev"), [0, 2, 4, 6]);
    let first = &lines[0].figures;
    for name in [
        "mention_accuracy",
        "other_accuracy",
        "alignment_accuracy",
        "patch_loss",
        "patch_entropy",
        "rival_refused",
    ] {
        assert!(first[name].as_f64().unwrap().is_finite(), "{name}");
    }
    // No prior knowledge of 30,522 word pieces, of two classes, and of 1,280 channels.
    let close = |name: &str, want: f64, by: f64| {
        let got = first[name].as_f64().unwrap();
        assert!((got - want).abs() < by, "{name} is {got}");
    };
    close("mention_loss", 30522f64.ln(), 2.0);
    close("alignment_loss", 2f64.ln(), 0.3);

    let report: Value = serde_json::from_str(report).unwrap();
    assert_eq!(report["steps"], 6);
    assert!(report["best"]["score"].as_f64() > report["start"]["score"].as_f64());
    assert!(report["train"]["with_rival"].as_u64().unwrap() > 0);
    check_retrieval(&report["retrieval"]);
    check_retrieval(&report["retrieval_apart"]["rest"]);
}

/// After six steps the joint encoder knows nothing of pictures; the classes of the image encoder do.
fn check_retrieval(found: &Value) {
    let n = found["n"].as_u64().unwrap();
    assert!((5..=100).contains(&n), "{found}");
    for direction in ["text_to_picture", "picture_to_text"] {
        let recall = |score: &str, rank: &str| found[score][direction][rank].as_f64().unwrap();
        let chance = 1.0 / n as f64;
        assert!(recall("classes", "at_1") > 1.5 * chance, "{found}");
        assert!(
            recall("classes", "at_10") >= recall("classes", "at_1"),
            "{found}"
        );
        assert!((0.0..=1.0).contains(&recall("joint", "at_10")), "{found}");
    }
}

/// The run's encoder from the cache to the bundle: a modality that the network reads, and that a reader of the bundle has, too.
fn check_use(dir: &Dir) {
    let demo = fs::read_to_string(dir.path("data/test.jsonl")).unwrap();
    fs::write(dir.path("data/train.jsonl"), &demo).unwrap();
    let weights = weights().display().to_string();
    let with_joint = format!("--joint first --weights {weights}");
    let train = |run: &str| {
        let steps = "--metric-steps 1 --knowledge-steps 0 --steps 1 --evaluate-every 1 --batch 8";
        let report = dir.imn(&format!(
            "--json train data --run {run} {steps} {with_joint}"
        ));
        report.ok();
        let lines = lines_of(&dir.path(run).join("metrics-task.jsonl"));
        let step = lines.iter().find(|line| line.part == "train");
        step.unwrap().figures["loss"].as_f64().unwrap()
    };
    let without_cache = train("without-cache");
    dir.imn(&format!("features data {with_joint}")).ok();
    // Posts are batched otherwise there, and sums rounded otherwise.
    let change = (train("with-cache") - without_cache).abs();
    assert!(change < 1e-4, "the cache changes the loss by {change}");
    let settings = fs::read_to_string(dir.path("with-cache/train.toml")).unwrap();
    assert!(settings.contains("modality = \"joint\""), "{settings}");

    dir.imn("export with-cache bundle --precision f32").ok();
    let embed = |source: &str, to: &str| {
        let picture = any_picture(dir);
        let post = format!("--text swift --span 0..5 --image data/images/{picture}");
        dir.imn(&format!("embed {source} {post} --out {to}")).ok();
        let bytes = fs::read(dir.path(to)).unwrap();
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let joint = file.tensor("joint").unwrap();
        // [CLS] swift [SEP], the mention's word, 49 patches.
        assert_eq!(joint.shape(), [3 + 1 + 49, 384]);
        joint.data().to_vec()
    };
    assert_eq!(
        embed(&with_joint, "weights.safetensors"),
        embed("--bundle bundle", "bundle.safetensors")
    );
    let first = demo.lines().next().unwrap();
    dir.create("data/post.jsonl", first);
    let answer = dir.imn("link --bundle bundle --input data/post.jsonl");
    let answer: Value = serde_json::from_str(&answer.ok()).unwrap();
    assert!(answer["ms"]["joint"].as_f64().unwrap() > 0.0, "{answer}");

    dir.imn(&format!(
        "train data --run no --joint nothing --weights {weights}"
    ))
    .refused(&["nothing/joint.bpk", "imn pretrain"]);
}

fn any_picture(dir: &Dir) -> String {
    let mut names = fs::read_dir(dir.path("data/images")).unwrap();
    let entry = names.next().unwrap().unwrap();
    entry.file_name().into_string().unwrap()
}

fn check_weights(run: &Path) {
    let joint = pack(&run.join("joint.bpk"));
    joint.expect("image_project.weight", &[1280, 384]).unwrap();
    assert_eq!(joint.count("encoder.layers", "norm_1.gamma"), 1);
    let config: shared_model::joint::JointConfig = tests::config(&joint);
    assert_eq!(config.n_layers, 1);
}
