//! Bad input: one line that says what and where, exit status 1, nothing half-written.

use std::fs;
use std::path::Path;

use image::GrayImage;
use shared_model::hash::sha256;
use shared_model::manifest::Manifest;
use shared_model::pack::{Entry, Pack, Precision, write};
use tests::{Dir, picture, run, weights};

use super::{
    Answer, DATASET, ENTITIES, TEST, TIMELINE, dataset, imn, link, link_with, prototypes, shared,
    tree,
};

/// File names of bad pictures with what must be said of each.
const BAD_PICTURES: [(&str, &str); 7] = [
    ("truncated.png", "incomplete"),
    ("truncated.jpg", "incomplete"),
    ("text.jpg", "not a JPEG, PNG or WebP"),
    (
        "photo.heic",
        "HEIC pictures cannot be read; save it as JPEG",
    ),
    ("empty.png", "empty"),
    ("huge.png", "70.0 megapixels"),
    ("absent.png", "absent.png"),
];

/// Picture paths, as JSON writes them, with what must be said of each.
const BAD_PATHS: [(&str, &str); 9] = [
    ("../huge.png", "may leave its folder"),
    ("a/../../huge.png", "may leave its folder"),
    (r"images\\..\\..\\huge.png", "may leave its folder"),
    ("/huge.png", "is absolute"),
    (r"\\huge.png", "is absolute"),
    ("C:huge.png", "has a colon"),
    (r"C:\\huge.png", "has a colon"),
    ("images/12:30.png", "has a colon"),
    ("./", "names no file"),
];

fn bad_pictures(folder: &Path) {
    let good = picture([300, 200, 5]);
    for name in ["truncated.png", "truncated.jpg"] {
        let path = folder.join(name);
        good.save(&path).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
    }
    fs::write(folder.join("text.jpg"), "This is no picture.").unwrap();
    let heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic\0\0\0\x10meta";
    fs::write(folder.join("photo.heic"), heic).unwrap();
    fs::write(folder.join("empty.png"), "").unwrap();
    GrayImage::new(10_000, 7_000)
        .save(folder.join("huge.png"))
        .unwrap();
}

/// A post with one picture.
fn pictured(name: &str) -> String {
    format!(r#"{{"id":"p","text":"Mercury","images":["{name}"]}}"#)
}

/// Links a good post and then a bad one; asserts that neither got an answer and that the post is named.
#[track_caller]
fn check_link(dir: &Dir, post: &str, said: &[&str]) {
    dir.create(
        "posts.jsonl",
        format!("{{\"id\":\"good\",\"text\":\"Mercury\"}}\n{post}\n"),
    );
    let bundle = shared().join("bundle");
    let run = run(
        dir.root(),
        &[
            "link",
            "--bundle",
            bundle.to_str().unwrap(),
            "--input",
            "posts.jsonl",
            "--output",
            "answers.jsonl",
        ],
    );
    assert_eq!(run.stdout, "");
    run.refused(&[&["posts.jsonl", "2"], said].concat());
    assert!(!dir.path("answers.jsonl").exists(), "answers were written");
}

#[test]
fn bad_pictures_are_named() {
    let dir = Dir::new();
    bad_pictures(dir.root());
    for (name, said) in BAD_PICTURES {
        check_link(&dir, &pictured(name), &[name, said]);
    }
    for (path, said) in BAD_PATHS {
        check_link(&dir, &pictured(path), &[path, said]);
    }
}

#[test]
fn bad_posts_are_named() {
    let dir = Dir::new();
    let long = "Mercury ".repeat(12_500);
    let silent = "nothing ".repeat(12_500);
    check_link(
        &dir,
        &format!(r#"{{"text":"{long}"}}"#),
        &["100000 characters"],
    );
    check_link(
        &dir,
        &format!(r#"{{"text":"{silent}"}}"#),
        &["100000 characters"],
    );
    check_link(
        &dir,
        r#"{"text":"Mercury","mention":{"start":3,"end":8}}"#,
        &["3..8", "7 characters"],
    );
    check_link(
        &dir,
        r#"{"text":"Mercury","mention":{"start":3,"end":3}}"#,
        &["3..3"],
    );
    check_link(&dir, r#"{"text":"","images":[]}"#, &["empty"]);
    check_link(&dir, r#"{"text":"  \n "}"#, &["empty"]);
    check_link(
        &dir,
        r#"{"text":"Mercury","candidates":["planet","nobody"]}"#,
        &["nobody"],
    );
    check_link(&dir, r#"{"text":"Mercury","images":"a.png"}"#, &["line 2"]);
    check_link(&dir, r#"{"text":"Mercury""#, &["line 2"]);
    check_link(&dir, "[1", &["line 2"]);
}

#[test]
fn embed_refuses_what_link_refuses() {
    let dir = Dir::new();
    bad_pictures(dir.root());
    let bundle = shared().join("bundle");
    let embed = |arguments: &[&str], said: &[&str]| {
        let fixed = [
            "embed",
            "--bundle",
            bundle.to_str().unwrap(),
            "--out",
            "out.safetensors",
        ];
        run(dir.root(), &[&fixed, arguments].concat()).refused(said);
        assert!(
            !dir.path("out.safetensors").exists(),
            "{arguments:?} left a file"
        );
    };
    for (name, said) in BAD_PICTURES {
        embed(&["--text", "Mercury", "--image", name], &[name, said]);
    }
    embed(
        &["--text", "Mercury", "--span", "3..8"],
        &["3..8", "7 characters"],
    );
    embed(
        &["--text", &"Mercury ".repeat(12_500)],
        &["100000 characters"],
    );
    embed(&["--text", ""], &["empty"]);
}

/// Changes the dataset, and asserts that the check fails and names the defect.
#[track_caller]
fn check_data(change: impl FnOnce(&Dir), said: &[&str]) {
    let dir = Dir::new();
    dataset(dir.root());
    change(&dir);
    let run = dir.imn("data check .");
    assert_eq!(run.status, Some(1), "{run:?}");
    assert_eq!(run.stderr.trim_end().lines().count(), 1, "{run:?}");
    for said in said {
        assert!(
            run.stdout.contains(said) || run.stderr.contains(said),
            "{said:?} is not said: {run:?}"
        );
    }
}

/// Adds a mention to the dataset.
fn mention(row: &str) -> impl FnOnce(&Dir) + use<> {
    let rows = format!("{TEST}{row}\n");
    move |dir| drop(dir.create("test.jsonl", rows))
}

#[test]
fn the_check_names_every_defect() {
    bad_rows();
    bad_files();
}

fn bad_rows() {
    let row = |fields: &str| {
        mention(&format!(
            r#"{{"id":"5","text":"Mercury","mention":{{"start":0,"end":7}},{fields}}}"#
        ))
    };
    check_data(
        row(r#""candidates":["planet","nobody"]"#),
        &["test.jsonl", "\"5\"", "nobody"],
    );
    check_data(
        row(r#""entity":"nobody""#),
        &["test.jsonl", "\"5\"", "nobody"],
    );
    for (path, said) in BAD_PATHS {
        check_data(
            row(&format!(r#""images":["{path}"]"#)),
            &["test.jsonl, line 5, \"5\"", path, said],
        );
    }
    for (candidates, twice) in [
        (r#"["planet","element","planet"]"#, "planet"),
        (r#"["singer","singer","singer"]"#, "singer"),
        (
            r#"["planet","element","singer","venus","element"]"#,
            "element",
        ),
    ] {
        check_data(
            row(&format!(r#""candidates":{candidates}"#)),
            &[
                "test.jsonl, line 5",
                twice,
                "is named twice and counts once",
            ],
        );
    }
    check_data(
        row(r#""images":["images/absent.png"]"#),
        &["missing", "images/absent.png"],
    );
    check_data(
        mention(r#"{"id":"1","text":"Mercury","mention":{"start":0,"end":7}}"#),
        &["test.jsonl", "\"1\"", "twice"],
    );
    check_data(
        mention(r#"{"id":"5","text":"Mercury","mention":{"start":0,"end":8}}"#),
        &["\"5\"", "0..8"],
    );
    check_data(mention(r#"{"id":"5","text":""}"#), &["\"5\"", "empty"]);
    let long = "Mercury ".repeat(12_500);
    check_data(
        mention(&format!(r#"{{"id":"5","text":"{long}"}}"#)),
        &["\"5\"", "100000 characters"],
    );
    check_data(mention(r#"{"id":"5","#), &["test.jsonl", "line 5"]);
}

fn bad_files() {
    check_data(
        |dir| {
            let files: [(&str, &[u8]); 5] = [
                ("images/photo.avif", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1"),
                ("images/dance.gif", b"GIF89a\x01\0\x01\0"),
                ("images/logo.svg", b"<?xml version=\"1.0\"?>\n<svg/>"),
                ("images/saved.jpg", b"<!DOCTYPE html><html>"),
                ("images/clip.jpg", b"\0\0\0\x18ftypmp42\0\0\0\0isom"),
            ];
            let mut rows = String::new();
            for (name, bytes) in files {
                dir.create(name, bytes);
                rows += &format!("{{\"entity\":\"planet\",\"images\":[\"{name}\"]}}\n");
            }
            dir.create("timeline.jsonl", rows);
        },
        &[
            "photo.avif: picture: AVIF pictures cannot be read; save it as JPEG",
            "dance.gif: picture: GIF pictures cannot be read; save it as PNG",
            "logo.svg: picture: SVG pictures cannot be read; save it as PNG",
            "saved.jpg: picture: web pages (HTML) cannot be read; download the picture itself",
            "clip.jpg: picture: videos cannot be read; save a frame of it as JPEG",
            "5 problems",
        ],
    );
    let replaced = |file: &'static str, text: String| move |dir: &Dir| drop(dir.create(file, text));
    check_data(
        |dir| {
            bad_pictures(&dir.path("images"));
            let rows = BAD_PICTURES
                .map(|(name, _)| format!(r#"{{"entity":"planet","images":["images/{name}"]}}"#));
            dir.create("timeline.jsonl", rows.join("\n"));
        },
        &BAD_PICTURES.map(|(name, said)| [name, said]).concat(),
    );
    let stranger = format!("{TIMELINE}{}\n", r#"{"entity":"nobody","text":"Who?"}"#);
    check_data(
        replaced("timeline.jsonl", stranger),
        &["timeline.jsonl", "7", "nobody"],
    );
    let outside = r#"{"entity":"planet","images":["../a.png"]}"#.to_owned();
    check_data(
        replaced("timeline.jsonl", outside),
        &["timeline.jsonl", "1", "../a.png"],
    );
    let twice = format!("{ENTITIES}{}\n", r#"{"id":"venus","name":"Venus"}"#);
    check_data(
        replaced("entities.jsonl", twice),
        &["entities.jsonl", "venus", "twice"],
    );
    let newer = DATASET.replace("\"format\":1", "\"format\":2");
    check_data(replaced("dataset.json", newer), &["format 2", "newer"]);
    check_data(replaced("dataset.json", "{}".to_owned()), &["dataset.json"]);
}

#[test]
fn rows_as_windows_and_other_programs_write_them_are_read() {
    let dir = Dir::new();
    dataset(dir.root());
    // A byte order mark in every file, and lines that end as on Windows.
    for (file, text) in [
        ("dataset.json", DATASET.to_owned()),
        (
            "entities.jsonl",
            format!(
                "{ENTITIES}{{\"id\":\"x\",\"name\":\"X\",\"aliases\":null,\"description\":null}}\n"
            ),
        ),
        (
            "timeline.jsonl",
            format!(
                "{TIMELINE}{{\"entity\":\"venus\",\"text\":\"Clouds\",\"images\":null,\"id\":null}}\n"
            ),
        ),
        (
            "test.jsonl",
            format!(
                "{TEST}{{\"id\":\"5\",\"text\":\"Mercury\",\"mention\":{{\"start\":0,\"end\":7}},\"images\":null,\"candidates\":null}}\n"
            ),
        ),
    ] {
        dir.create(file, format!("\u{FEFF}{}", text.replace('\n', "\r\n")));
    }
    // Four spellings of one path, and names that an address must escape.
    let mut rows = String::new();
    for (i, path) in [
        "./images/planet.png",
        "images//planet.png",
        r"images\\planet.png",
        "images/./planet.png",
        "images/50% off #1?.png",
        "images/a b&c=d+e.png",
        "images/\u{e9}t\u{e9}'s [best].png",
    ]
    .iter()
    .enumerate()
    {
        let file = dir.path(path);
        if i > 3 {
            picture([20, 20, i as u32]).save(file).unwrap();
        }
        rows += &format!(
            "{{\"id\":\"{i}\",\"text\":\"Mercury\",\"mention\":{{\"start\":0,\"end\":7}},\"images\":[\"{path}\"]}}\n"
        );
    }
    dir.create("dev.jsonl", rows);
    let report: serde_json::Value =
        serde_json::from_str(&dir.imn("data check . --json").ok()).unwrap();
    assert_eq!(report["entities"], 5);
    assert_eq!(report["mentions"]["dev.jsonl"], 7);
    assert_eq!(report["pictures"], 6, "three of the dataset and three more");
}

#[test]
fn a_photo_with_a_video_behind_it_and_a_doubled_candidate_change_no_answer() {
    let images = shared().join("data/images");
    let mut photo = std::io::Cursor::new(Vec::new());
    picture([90, 60, 7])
        .write_to(&mut photo, image::ImageFormat::Jpeg)
        .unwrap();
    let photo = photo.into_inner();
    let video = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42\xFF\xDA\x01\x02";
    fs::write(images.join("photo 1.jpg"), &photo).unwrap();
    fs::write(images.join("motion #1?.jpg"), [&photo[..], video].concat()).unwrap();
    let post = |path: &str, candidates: &str| {
        format!("{{\"text\":\"Mercury\",\"images\":[\"{path}\"],\"candidates\":[{candidates}]}}\n")
    };
    let plain = r#""planet","element","singer""#;
    let answers = link(
        &[
            post("images/photo 1.jpg", plain),
            post("images/motion #1?.jpg", plain),
            post(
                r".\\images\\photo 1.jpg",
                r#""planet","element","singer","planet""#,
            ),
            post(
                "images//photo 1.jpg",
                r#""planet","planet","element","element","singer""#,
            ),
            post(
                "./images/photo 1.jpg",
                r#""planet","element","element","element","singer""#,
            ),
        ]
        .concat(),
    );
    for answer in &answers[1..] {
        assert_eq!(answer, &answers[0]);
    }
    assert_eq!(answers[0].ranking.len(), 3);
}

#[test]
fn example_pictures_of_one_name_come_into_the_bundle() {
    let dir = Dir::new_in(shared());
    let data = dir.path("data");
    dataset(&data);
    let originals = ["sea/1.png", "sky/1.png", "sea/50% #1?.png"];
    let mut examples = String::new();
    let mut credits = String::new();
    for (seed, path) in (50..).zip(originals) {
        fs::create_dir_all(data.join(path).parent().unwrap()).unwrap();
        picture([30, 20, seed]).save(data.join(path)).unwrap();
        examples += &format!(
            "{{\"title\":\"{path}\",\"text\":\"Mercury\",\"start\":0,\"end\":7,\"images\":[\"./{path}\"]}}\n"
        );
        credits += &format!(
            "{{\"file\":\"{path}\",\"title\":\"t\",\"author\":\"by {path}\",\"licence\":\"CC0-1.0\",\"source\":\"s\"}}\n"
        );
    }
    examples +=
        "{\"title\":\"no picture\",\"text\":\"Mercury\",\"start\":0,\"end\":7,\"images\":null}\n";
    dir.create("data/examples.jsonl", format!("\u{FEFF}{examples}"));
    dir.create("data/credits.jsonl", credits);
    prototypes(dir.root(), "data", "run").ok();
    dir.imn("export run bundle").ok();

    let bundle = dir.path("bundle");
    let text = fs::read_to_string(bundle.join("examples.json")).unwrap();
    let examples: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let manifest = Manifest::parse(&fs::read(bundle.join("bundle.json")).unwrap()).unwrap();
    for (example, original) in examples.iter().zip(originals) {
        let copy = example["images"][0].as_str().unwrap();
        assert_eq!(
            fs::read(bundle.join(copy)).unwrap(),
            fs::read(data.join(original)).unwrap(),
            "{copy} is not {original}"
        );
        assert!(!copy.contains(['%', '#', '?', ' ']), "{copy}");
        let mut credits = manifest.licences.iter();
        let credit = credits.find(|licence| licence.file == copy).unwrap();
        assert!(credit.source.contains(original), "{credit:?}");
    }
    assert_eq!(examples.len(), 4);
    assert_eq!(examples[3]["images"], serde_json::json!([]));
}

#[test]
fn prototypes_of_a_bad_timeline_leave_no_run() {
    let timelines = [
        (r#"{"entity":"nobody","text":"Who?"}"#.to_owned(), "nobody"),
        (
            r#"{"entity":"planet","images":["images/truncated.png"]}"#.to_owned(),
            "truncated.png",
        ),
        (
            format!(
                r#"{{"entity":"planet","text":"{}"}}"#,
                "long ".repeat(20_000)
            ),
            "100000 characters",
        ),
        (r#"{"entity":"planet","text":"#.to_owned(), "line 7"),
    ];
    for (row, said) in timelines {
        let dir = Dir::new_in(shared());
        dataset(&dir.path("data"));
        bad_pictures(&dir.path("data/images"));
        dir.create("data/timeline.jsonl", format!("{TIMELINE}{row}\n"));
        prototypes(dir.root(), "data", "run").refused(&[said]);
        assert!(!dir.path("run").exists(), "{said}: half a run was left");
    }
    let dir = Dir::new_in(shared());
    dataset(&dir.path("data"));
    dir.create(
        "data/timeline.jsonl",
        format!(
            r#"{{"entity":"planet","text":"{}"}}"#,
            "long ".repeat(20_000)
        ),
    );
    prototypes(dir.root(), "data", "run").refused(&["timeline.jsonl", "1"]);
}

/// A copy of the shared bundle (hard links) that may be changed.
fn copied_bundle() -> Dir {
    let dir = Dir::new_in(shared());
    let bundle = shared().join("bundle");
    for name in tree(&bundle).keys() {
        let copy = dir.path(name);
        fs::create_dir_all(copy.parent().unwrap()).unwrap();
        fs::hard_link(bundle.join(name), copy).unwrap();
    }
    dir
}

/// Puts a file in the place of a link.
fn replace(dir: &Dir, name: &str, bytes: &[u8]) {
    fs::remove_file(dir.path(name)).unwrap();
    dir.create(name, bytes);
}

/// Changes the manifest and signs it again.
fn resign(dir: &Dir, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::parse(&fs::read(dir.path("bundle.json")).unwrap()).unwrap();
    change(&mut manifest);
    replace(dir, "bundle.json", &manifest.to_bytes());
}

/// Asserts that linking against a changed bundle fails and names the file.
#[track_caller]
fn check_bundle(change: impl FnOnce(&Dir), said: &[&str]) {
    let dir = copied_bundle();
    change(&dir);
    let run = run(
        shared(),
        &[
            "link",
            "--input",
            "data/test.jsonl",
            "--bundle",
            dir.root().to_str().unwrap(),
        ],
    );
    assert_eq!(run.stdout, "");
    run.refused(said);
}

#[test]
fn a_flipped_byte_in_any_file_is_noticed() {
    let files = tree(&shared().join("bundle"));
    for part in [
        "text.bpk",
        "vision.bpk",
        "classes.bpk",
        "kb.bpk",
        "golden.bpk",
        "tokenizer.json",
        "kb.json",
        "bundle.json",
        "thumbs/0001.jpg",
    ] {
        assert!(files.contains_key(part), "the bundle has no {part}");
    }
    for (name, mut bytes) in files {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        check_bundle(|dir| replace(dir, &name, &bytes), &[&name]);
    }
}

#[test]
fn a_missing_cut_or_unnamed_part_is_noticed() {
    for part in ["text.bpk", "kb.json", "thumbs/0001.jpg", "bundle.json"] {
        check_bundle(|dir| fs::remove_file(dir.path(part)).unwrap(), &[part]);
    }
    let bytes = fs::read(shared().join("bundle/kb.bpk")).unwrap();
    check_bundle(
        |dir| replace(dir, "kb.bpk", &bytes[..bytes.len() / 2]),
        &["kb.bpk", "incomplete"],
    );
    check_bundle(
        |dir| {
            resign(dir, |manifest| {
                manifest.files.retain(|file| file.path != "kb.bpk")
            })
        },
        &["kb.bpk"],
    );
    check_bundle(
        |dir| {
            resign(dir, |manifest| {
                manifest.files[0].path = "../kb.bpk".to_owned()
            })
        },
        &["bundle.json", "../kb.bpk"],
    );
}

#[test]
fn a_newer_or_older_bundle_is_refused() {
    check_bundle(
        |dir| resign(dir, |manifest| manifest.format = 3),
        &["bundle.json", "format 3", "newer"],
    );
    check_bundle(
        |dir| resign(dir, |manifest| manifest.format = 1),
        &["bundle.json", "format 1", "export its run again"],
    );
}

#[test]
fn a_wrong_shape_is_noticed() {
    check_bundle(
        |dir| resign(dir, |manifest| manifest.models.text.d_model = 192),
        &["text.bpk"],
    );
    check_bundle(
        |dir| resign(dir, |manifest| manifest.models.text.n_layers = 7),
        &["text.bpk"],
    );
    check_bundle(
        |dir| resign(dir, |manifest| manifest.models.text.n_layers = 5),
        &["text.bpk"],
    );
    check_bundle(
        |dir| resign(dir, |manifest| manifest.models.text.n_heads = 7),
        &["heads"],
    );
    check_bundle(
        |dir| narrow(dir, &["text", "profile", "text_mean"]),
        &["kb.bpk"],
    );
    check_bundle(|dir| narrow(dir, &["profile"]), &["kb.bpk", "profile"]);
    check_bundle(|dir| narrow(dir, &["image_std"]), &["kb.bpk", "image_std"]);
}

#[test]
fn a_bundle_of_before_contexts_and_class_embeddings_is_read() {
    let dir = copied_bundle();
    // It writes the tensors of before, without that of the contexts.
    narrow(&dir, &[]);
    fs::remove_file(dir.path("classes.bpk")).unwrap();
    resign(&dir, |manifest| {
        manifest.models.classes = false;
        manifest.files.retain(|file| file.path != "classes.bpk");
    });
    let answers = link_with(dir.root(), TEST);
    let best: Vec<&str> = answers.iter().take(3).map(Answer::best).collect();
    assert_eq!(best, ["planet", "element", "singer"]);
}

#[test]
fn class_embeddings_of_another_text_encoder_are_refused() {
    let dir = Dir::new();
    for file in ["tokenizer.json", "efficientnet.bpk", "classes.bpk"] {
        fs::create_dir_all(dir.path("weights")).unwrap();
        fs::copy(weights().join(file), dir.path(&format!("weights/{file}"))).unwrap();
    }
    let text = Pack::read("text.bpk", fs::read(weights().join("text.bpk")).unwrap()).unwrap();
    let sizes = text.metadata("config").unwrap();
    let bytes = write(text.entries(), &[("config", sizes)], Precision::F32).unwrap();
    dir.create("weights/text.bpk", bytes);
    let folder = dir.path("weights").display().to_string();
    let arguments = [
        "prototypes",
        "data",
        "--run",
        "refused",
        "--weights",
        &folder,
    ];
    run(shared(), &arguments).refused(&["classes.bpk", "imn weights fetch"]);
}

/// Halves the width of some of the knowledge base's tensors.
fn narrow(dir: &Dir, names: &[&str]) {
    let pack = Pack::read("kb.bpk", fs::read(dir.path("kb.bpk")).unwrap()).unwrap();
    let tensors = [
        "text",
        "image",
        "classes",
        "profile",
        "text_mean",
        "image_mean",
        "image_std",
    ];
    let entries = tensors.map(|name| {
        let (mut shape, mut values) = pack.floats(name).unwrap();
        let width = shape[shape.len() - 1];
        if names.contains(&name) {
            values = values
                .chunks(width)
                .flat_map(|row| &row[..width / 2])
                .copied()
                .collect();
            *shape.last_mut().unwrap() /= 2;
        }
        Entry::floats(name, shape, values)
    });
    let bytes = write(entries.to_vec(), &[], Precision::F32).unwrap();
    replace(dir, "kb.bpk", &bytes);
    resign(dir, |manifest| {
        let entry = manifest
            .files
            .iter_mut()
            .find(|file| file.path == "kb.bpk")
            .unwrap();
        (entry.bytes, entry.sha256) = (bytes.len() as u64, sha256(&bytes));
    });
}

#[test]
fn a_refused_export_leaves_what_was_there() {
    let dir = Dir::new_in(shared());
    dir.create("taken/notes.txt", "mine");
    dir.imn("export ../run taken").refused(&["taken"]);
    assert_eq!(
        fs::read_to_string(dir.path("taken/notes.txt")).unwrap(),
        "mine"
    );
    dir.imn("export nowhere bundle").refused(&["nowhere"]);
    assert!(!dir.path("bundle").exists());
}

#[test]
fn wrong_usage_exits_with_2() {
    for command in [
        "",
        "fly",
        "link",
        "link --bundle",
        "embed --text a --out b",
        "--device abacus data check .",
        "embed --bundle b --text abc --span 2..1 --out c",
    ] {
        assert_eq!(imn(shared(), command).status, Some(2), "{command:?}");
    }
    let absent = imn(shared(), "data check nowhere");
    absent.refused(&["nowhere"]);
}
