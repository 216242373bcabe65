//! `imn data import` on invented rows of every format, the awkward ones included, and `imn data audit`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod checkpoints;

use std::fs::File;
use std::io::Write as _;

use serde_json::{Value, json};
use tests::{Dir, picture};

/// Imports the folder `source`, checks what came out, and returns the report.
#[track_caller]
fn import(dir: &Dir, format: &str, flags: &str) -> Value {
    let report = dir
        .imn(&format!("data import {format} source data --json {flags}"))
        .ok();
    dir.imn("data check data").ok();
    serde_json::from_str(&report).unwrap()
}

/// The lines of a file of the imported folder.
fn rows(dir: &Dir, file: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(dir.path(&format!("data/{file}"))).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How often the report names something that holds `what`.
fn matter(report: &Value, what: &str) -> u64 {
    let matters = report["matters"].as_object().unwrap();
    let found: Vec<&Value> = matters
        .iter()
        .filter(|(name, _)| name.contains(what))
        .map(|(_, matter)| &matter["n"])
        .collect();
    assert!(found.len() < 2, "{what:?} is ambiguous in {report}");
    found.first().map_or(0, |n| n.as_u64().unwrap())
}

/// Imports a broken source, which must fail with one line and leave nothing.
#[track_caller]
fn refused(format: &str, files: &[(&str, &[u8])], said: &[&str]) {
    let dir = Dir::new();
    for (name, bytes) in files {
        dir.create(&format!("source/{name}"), bytes);
    }
    dir.imn(&format!("data import {format} source data"))
        .refused(said);
    let left = std::fs::read_dir(dir.root()).unwrap().count();
    assert_eq!(left, 1, "something beside the source is left");
}

const WIKIDATA: &str = r#"{
"11":{"id":"11","sentence":"Ada met Ada Lovelace.","mentions":["Ada Lovelace","Ada"],"entities":["Ada Lovelace","Ada Yonath"],"answer":["Q1","Q2"]},
"12":{"id":"12","sentence":"Nobody is here.","mentions":["Ada"],"entities":["Ada Lovelace"],"answer":["Q1"]},
"13":{"id":"13","sentence":"Überall ada.","mentions":["Ada"],"entities":["Ada (ship)"],"answer":["Q3"]},
"14":{"id":"14","sentence":"Ada once more.","mentions":["Ada"],"entities":["Ada Lovelace"],"answer":["Q1"]},
"15":{"id":"15","sentence":"And Ada again.","mentions":["Ada"],"entities":["Ada Lovelace"],"answer":["Q1"]},
"15":{"id":"15","sentence":"And Ada again.","mentions":["Ada"],"entities":["Ada Lovelace"],"answer":["Q1"]},
"16":{"id":"16","sentence":"Ada alone.","mentions":["Ada"],"entities":[],"answer":["Q1"]},
"17":{"id":"17","sentence":"Ada for dev.","mentions":["Ada"],"entities":["Ada Lovelace"],"answer":["Q1"]},
"18":{"id":"18","sentence":"An Ada of nobody.","mentions":["Ada"],"entities":[""],"answer":["Q9"]},
"19":{"id":"19","sentence":"Ada is not known.","mentions":["Ada"],"entities":["Ada"],"answer":["nil"]}
}"#;

const SPLITS: &str = r#"{"train":["11","12","13","14","15","16","18","19","99"],"dev":["17"]}"#;

fn melbench() -> Dir {
    let dir = Dir::new();
    dir.create("source/Wikidata-MEL.json", WIKIDATA);
    dir.create("source/splits.json", SPLITS);
    dir.create("source/qid2ne.json", r#"{"Q1":"Ada Lovelace"}"#);
    dir.create(
        "source/qid2abs.json",
        r#"{"Q1":"Occupation: mathematician."}"#,
    );
    dir
}

#[test]
fn melbench_rows_are_repaired_dropped_and_counted() {
    let dir = melbench();
    let report = import(&dir, "melbench", "");
    let train = rows(&dir, "train.jsonl");
    let ids: Vec<&str> = train
        .iter()
        .map(|row| row["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["11", "13", "14", "15", "19"]);
    assert_eq!(train[0]["mention"], json!({"start": 8, "end": 20}));
    assert_eq!(train[1]["mention"], json!({"start": 8, "end": 11}));
    assert_eq!(train[4]["entity"], Value::Null);
    assert_eq!(rows(&dir, "dev.jsonl")[0]["id"], "17");
    for (what, n) in [
        ("does not hold the mention", 1),
        ("differ in number", 1),
        ("has no record", 1),
        ("twice), dropped", 1),
        ("further mention", 1),
        ("without a name", 1),
        ("is no entity", 1),
    ] {
        assert_eq!(matter(&report, what), n, "{what}: {report:#}");
    }

    let entities = rows(&dir, "entities.jsonl");
    assert_eq!(entities[0]["description"], "Occupation: mathematician.");
    let ship = entities.iter().find(|entity| entity["id"] == "Q3").unwrap();
    assert_eq!(
        ship["aliases"],
        json!(["Ada"]),
        "the name without its parenthesis"
    );
    // Q1 has three train rows; its dev row is not among its posts.
    let timeline = rows(&dir, "timeline.jsonl");
    let posts: Vec<&Value> = timeline.iter().map(|post| &post["id"]).collect();
    assert_eq!(posts, ["11", "14", "15"]);
}

#[test]
fn all_mentions_of_a_text_are_kept_by_a_flag_and_twice_is_the_same() {
    let dir = melbench();
    import(&dir, "melbench", "--all-mentions");
    let train = rows(&dir, "train.jsonl");
    assert_eq!(train[1]["id"], "11-1");
    assert_eq!(train[1]["mention"], json!({"start": 0, "end": 3}));
    dir.imn("data import melbench source again --all-mentions")
        .ok();
    for file in ["entities.jsonl", "train.jsonl", "timeline.jsonl"] {
        let read = |folder: &str| std::fs::read(dir.path(&format!("{folder}/{file}"))).unwrap();
        assert_eq!(read("data"), read("again"), "{file}");
    }
    dir.imn("data import melbench source data")
        .refused(&["data", "not empty"]);
}

#[test]
fn weibo_takes_names_for_ids_and_says_that_it_was_never_tried() {
    let dir = Dir::new();
    let record = r#"{"1":{"sentence":"李娜赢了","mentions":["李娜"],"entities":["李娜 (网球)"]}}"#;
    dir.create("source/weibo.json", record);
    let report = import(&dir, "weibo-mel", "");
    assert_eq!(matter(&report, "never tried"), 1);
    assert_eq!(rows(&dir, "entities.jsonl")[0]["id"], "李娜 (网球)");
}

#[test]
fn ghmfc_hides_the_label_in_its_ids_and_brings_candidates() {
    let dir = Dir::new();
    let record = |id: &str, name: &str| {
        format!(
            r#""{id}":{{"id":"{id}","sentence":"{name} resigned.","mentions":"{name}","entities":"{name}","answer":"{id}","imgPath":"imgs/{id}.png"}}"#
        )
    };
    let of = |ids: &[(&str, &str)]| {
        let records: Vec<String> = ids.iter().map(|(id, name)| record(id, name)).collect();
        format!("{{{}}}", records.join(","))
    };
    dir.create(
        "source/train.json",
        of(&[("Q23", "George"), ("Q24", "Martha")]),
    );
    dir.create("source/test.json", of(&[("Q25", "Paul")]));
    dir.create(
        "source/search_top100.json",
        r#"{"George":["Q23","Q25","Q77"]}"#,
    );
    std::fs::create_dir_all(dir.path("source/imgs")).unwrap();
    picture([32, 32, 1])
        .save(dir.path("source/imgs/Q23.png"))
        .unwrap();

    let report = import(&dir, "ghmfc", "");
    let train = rows(&dir, "train.jsonl");
    assert_eq!(
        (&train[0]["id"], &train[1]["id"]),
        (&json!("train-1"), &json!("train-2"))
    );
    assert_eq!(train[0]["candidates"], json!(["Q23", "Q25"]));
    assert_eq!(train[0]["images"], json!(["images/imgs_Q23.png"]));
    assert_eq!(train[1]["images"], json!([]));
    for (what, n) in [
        ("id was the answer", 3),
        ("picture is not there", 2),
        ("candidate is no entity", 1),
    ] {
        assert_eq!(matter(&report, what), n, "{what}: {report:#}");
    }
}

#[test]
fn ghmfc_with_one_file_is_cut_by_entity() {
    let dir = Dir::new();
    let records: Vec<String> = (0..60)
        .map(|i| format!(r#""{i}":{{"sentence":"Ann met Bob.","mentions":"Ann","entities":"Ann","answer":"Q{}"}}"#, i % 30))
        .collect();
    dir.create("source/train.json", format!("{{{}}}", records.join(",")));
    let report = import(&dir, "ghmfc", "");
    assert_eq!(matter(&report, "of no part"), 60);
    let entities = |file: &str| -> Vec<String> {
        rows(&dir, file)
            .iter()
            .map(|row| row["entity"].to_string())
            .collect()
    };
    let (train, dev, test) = (
        entities("train.jsonl"),
        entities("dev.jsonl"),
        entities("test.jsonl"),
    );
    assert_eq!(train.len() + dev.len() + test.len(), 60);
    assert!(
        dev.iter()
            .chain(&test)
            .all(|entity| !train.contains(entity))
    );
}

#[test]
fn kgmel_rows_of_two_parts_are_kept_for_evaluation() {
    let dir = Dir::new();
    let record = |id: u64| {
        format!(
            r#"{{"id":{id},"sentence":"Phoenix landed.","imgPath":"mention_{id}.jpg","mention":["Phoenix"],"entity":["Phoenix (spacecraft)"],"answer":["Q5"]}}"#
        )
    };
    let records: Vec<String> = (0..4).map(record).collect();
    dir.create(
        "source/WikiDiverse.json",
        format!("[{}]", records.join(",")),
    );
    dir.create(
        "source/ids_split_mappings.json",
        r#"{"WikiMEL":{"train":[7]},"WikiDiverse":{"train":[0,1,2],"val":[1]}}"#,
    );
    let report = import(&dir, "kgmel", "");
    assert_eq!(rows(&dir, "train.jsonl").len(), 2);
    assert_eq!(rows(&dir, "dev.jsonl")[0]["id"], "1");
    assert_eq!(matter(&report, "in two parts"), 1);
    assert_eq!(matter(&report, "in no part"), 1);
    assert_eq!(
        matter(&report, "picture is not there"),
        3,
        "the unused row's is not looked up"
    );
}

#[test]
fn mimic_names_are_decoded_and_entity_pictures_become_timelines() {
    let dir = Dir::new();
    // qid2id on several lines, which its own reader cannot read.
    dir.create("source/qid2id.json", "{\n\"Q23\": 0,\n\"Q42\": 1\n}");
    dir.create("source/kb_entity.json", r#"[{"id":1,"type":"entity","entity_name":"Douglas%20Adams","desc":"writer"},{"id":0,"entity_name":"George%20Washington","attr":"Sex: male.","image_list":["Q23/1.jpg"]}]"#);
    dir.create("source/WIKIMEL_train.json", r#"[{"id":"a","sentence":"George resigned.","mentions":"George","answer":"Q23","imgPath":"x/5.png"},{"id":"b","sentence":"Nobody knows Zed.","mentions":"Zed","answer":"nil","imgPath":""}]"#);
    for (folder, name) in [("kb_image/Q23", "1.jpg"), ("mention_images", "5.jpg")] {
        let folder = dir.path(&format!("source/{folder}"));
        std::fs::create_dir_all(&folder).unwrap();
        picture([32, 32, 2]).save(folder.join(name)).unwrap();
    }
    let report = import(&dir, "mimic", "");
    let entities = rows(&dir, "entities.jsonl");
    assert_eq!(entities[0]["name"], "George Washington");
    assert_eq!(entities[1]["description"], "writer");
    assert_eq!(
        rows(&dir, "timeline.jsonl")[0]["images"],
        json!(["images/kb_image_Q23_1.jpg"])
    );
    let train = rows(&dir, "train.jsonl");
    assert_eq!(train[0]["images"], json!(["images/mention_images_5.jpg"]));
    assert_eq!(train[1]["entity"], Value::Null);
    assert_eq!(
        (&report["nil_mentions"], &report["pictures"]),
        (&json!(1), &json!(2))
    );
}

#[test]
fn mimic_without_qid2id_takes_the_entities_own_ids() {
    for kb in [
        r#"[{"id":0,"qid":"Q23","entity_name":"George"},{"id":1,"qid":"Q42","entity_name":"Douglas"}]"#,
        r#"[{"qid":"Q23","entity_name":"George","attr":"first"},{"qid":"Q42","entity_name":"Douglas"}]"#,
        r#"[{"id":7,"qid":"Q42","entity_name":"Douglas"},{"id":7,"qid":"Q23","entity_name":"George"}]"#,
    ] {
        let dir = Dir::new();
        dir.create("source/kb_entity.json", kb);
        dir.create("source/WIKIMEL_test.json", r#"[{"id":"a","sentence":"George resigned.","mentions":"George","answer":"Q23","imgPath":"","cands":["Q42","Q23"]}]"#);
        import(&dir, "mimic", "");
        assert_eq!(rows(&dir, "test.jsonl")[0]["entity"], "Q23");
        assert_eq!(rows(&dir, "entities.jsonl").len(), 2);
    }
    // A number that qid2id.json lists goes before the entity's own id.
    let dir = Dir::new();
    dir.create("source/qid2id.json", r#"{"Q23":0}"#);
    dir.create("source/kb_entity.json", r#"[{"id":0,"qid":"Q1","entity_name":"George"},{"id":1,"qid":"Q42","entity_name":"Douglas"}]"#);
    dir.create(
        "source/WIKIMEL_test.json",
        r#"[{"id":"a","sentence":"George resigned.","mentions":"George","answer":"Q23"}]"#,
    );
    import(&dir, "mimic", "");
    assert_eq!(rows(&dir, "entities.jsonl")[0]["id"], "Q23");

    let test: (&str, &[u8]) = ("X_test.json", b"[]");
    for kb in [
        r#"[{"id":0,"entity_name":"George"}]"#,
        r#"[{"entity_name":"George"}]"#,
        r#"[{"id":0,"qid":"Q1","entity_name":"Ann"},{"id":1,"qid":null,"entity_name":"George"}]"#,
    ] {
        refused(
            "mimic",
            &[("kb_entity.json", kb.as_bytes()), test],
            &["George", "qid2id.json"],
        );
    }
}

/// A zip with one file.
fn zipped(name: &str) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file(name, options).unwrap();
    zip.write_all(b"a picture").unwrap();
    zip.finish().unwrap().into_inner()
}

#[test]
fn pictures_that_are_still_packed_are_named_as_such() {
    for (archive, bytes) in [
        ("mention_images.zip", zipped("5.jpg")),
        ("images.zip", zipped("mention_image/5.jpg")),
        ("mention_image/part1.zip", zipped("5.jpg")),
        ("images.tar.gz", b"not listed".to_vec()),
        ("images.tar", b"not listed".to_vec()),
        ("damaged_images.zip", b"not listed".to_vec()),
    ] {
        let dir = Dir::new();
        dir.create(&format!("source/{archive}"), bytes);
        dir.create(
            "source/kb_entity.json",
            r#"[{"id":0,"qid":"Q23","entity_name":"George"}]"#,
        );
        dir.create("source/WIKIMEL_test.json", r#"[{"id":"a","sentence":"George resigned.","mentions":"George","answer":"Q23","imgPath":"5.png"}]"#);
        let report = import(&dir, "mimic", "");
        assert_eq!(matter(&report, "still packed"), 1, "{archive}");
        assert_eq!(matter(&report, "picture is not there"), 0, "{archive}");
        assert!(
            report.to_string().contains(archive),
            "{archive} is not named"
        );
    }

    // An archive of something else.
    let dir = Dir::new();
    dir.create("source/texts.zip", zipped("texts.json"));
    dir.create(
        "source/kb_entity.json",
        r#"[{"id":0,"qid":"Q23","entity_name":"George"}]"#,
    );
    dir.create("source/WIKIMEL_test.json", r#"[{"id":"a","sentence":"George resigned.","mentions":"George","answer":"Q23","imgPath":"5.png"}]"#);
    let report = import(&dir, "mimic", "");
    assert_eq!(matter(&report, "still packed"), 0);
    assert_eq!(matter(&report, "picture is not there"), 1);

    for (source, images) in [
        ("source", "images.zip"),
        ("source", "images.TAR.GZ"),
        ("images.zip", "source"),
    ] {
        File::create(dir.path(if source == "source" { images } else { source })).unwrap();
        dir.imn(&format!(
            "data import mimic {source} other --images {images}"
        ))
        .refused(&["images.", "unpack it first"]);
    }
}

#[test]
fn wikidiverse_takes_both_layouts_and_damaged_addresses() {
    let dir = Dir::new();
    dir.create("source/train.json", r#"[["The Lions versus the Packers (2007).","https://upload.example/a/Lions.SVG","sports",[["Lions","Organization",4,9,"https://en.wikipedia.org/wiki/Detroit_Lions"],["Packers","Organization",0,7,"nhttps://en.wikipedia.org/wiki/Green_Bay_Packers"]]]]"#);
    dir.create("source/test.json", r#"[["Turkey is here.","","Turkey","GPE",[],["is"],"https://en.wikipedia.org/wiki/Turkey",["https://en.wikipedia.org/wiki/Turkey","https://en.wikipedia.org/wiki/Turkey_(bird)"],"politics",0,6],["Zed is here.","","Zed","GPE",[],[],"nil",[],"politics",0,3]]"#);
    let report = import(&dir, "wikidiverse", "--all-mentions");
    let train = rows(&dir, "train.jsonl");
    assert_eq!(train[0]["entity"], "Detroit_Lions");
    assert_eq!(train[1]["entity"], "Green_Bay_Packers");
    assert_eq!(train[1]["mention"], json!({"start": 21, "end": 28}));
    let test = rows(&dir, "test.jsonl");
    assert_eq!(test[0]["candidates"], json!(["Turkey", "Turkey_(bird)"]));
    assert_eq!(test[1]["entity"], Value::Null);
    assert_eq!(matter(&report, "address is damaged"), 1);
    assert_eq!(matter(&report, "elsewhere than stated"), 1);
    let missing = &report["matters"]["picture is not there, left out"]["examples"][0];
    // The MD5 of Lions.SVG; vector pictures were saved as PNG.
    assert_eq!(missing, "15d19d330813ba2eab776ce70d2a12b2.png");
}

#[test]
fn tweets_mel_has_timelines_and_candidates_by_mention() {
    let dir = Dir::new();
    dir.create(
        "source/timelineKB.txt",
        "@annsmith\t1\tmy garden\thttp://pbs.example/media/g.png?x=1\n@bobsmith\t2\tmy boat\t\n",
    );
    dir.create(
        "source/mapSreenNameToMention.txt",
        "@annsmith|Smith\n@bobsmith|Smith\n",
    );
    dir.create(
        "source/Train.txt",
        "9\t4\t9\tSmith\t@annsmith\tMrs Smith digs\t\n10\t0\t5\tSmith\t@nobody\tSmith who\t\n",
    );
    std::fs::create_dir_all(dir.path("pictures")).unwrap();
    picture([32, 32, 3])
        .save(dir.path("pictures/g.png"))
        .unwrap();
    let report = import(&dir, "tweets-mel", "--images pictures");
    let train = rows(&dir, "train.jsonl");
    assert_eq!(train.len(), 1);
    assert_eq!(train[0]["mention"], json!({"start": 4, "end": 9}));
    assert_eq!(train[0]["candidates"], json!(["@annsmith", "@bobsmith"]));
    assert_eq!(
        rows(&dir, "timeline.jsonl")[0]["images"],
        json!(["images/g.png"])
    );
    assert_eq!(matter(&report, "answer is no entity"), 1);
    assert_eq!(matter(&report, "part is not there"), 2);
}

#[test]
fn quotes_in_tweets_are_plain_characters() {
    for text in [
        r#""Smith" digs"#,
        r#"Smith says "dig"#,
        r#"6" of snow, "Smith"","#,
    ] {
        let dir = Dir::new();
        dir.create("source/timelineKB.txt", "@annsmith\t1\tmy garden\t\n");
        dir.create("source/mapSreenNameToMention.txt", "@annsmith|Smith\n");
        dir.create(
            "source/Train.txt",
            format!(
                "9\t0\t5\tSmith\t@annsmith\t{text}\t\n10\t0\t5\tSmith\t@annsmith\tSmith again\t\n"
            ),
        );
        import(&dir, "tweets-mel", "");
        let train = rows(&dir, "train.jsonl");
        assert_eq!(train[0]["text"], text);
        assert_eq!(train.len(), 2);
    }
}

#[test]
fn broken_sources_are_refused_with_one_line() {
    let half = &WIKIDATA.as_bytes()[..200];
    refused(
        "melbench",
        &[("Wikidata-MEL.json", half)],
        &["Wikidata-MEL.json", "malformed"],
    );
    refused("melbench", &[("other.json", b"{}")], &["no *-MEL.json"]);
    refused(
        "melbench",
        &[("X-MEL.json", b"{}")],
        &["no row of it can be used"],
    );
    refused(
        "melbench",
        &[("X-MEL.json", b"{}"), ("splits.json", br#"{"left":["1"]}"#)],
        &["splits.json", "left"],
    );
    refused("ghmfc", &[("readme", b"")], &["train.json", "nel_121.json"]);
    refused("mimic", &[("kb_entity.json", b"[]")], &["NAME_train.json"]);
    refused(
        "mimic",
        &[
            ("qid2id.json", br#"{"Q1":1}"#),
            (
                "kb_entity.json",
                br#"[{"id":1,"entity_name":"A"},{"id":1,"entity_name":"B"}]"#,
            ),
            ("X_train.json", b"[]"),
        ],
        &["kb_entity.json", "Q1 is there twice"],
    );
    refused(
        "wikidiverse",
        &[("train.json", br#"[["a","b"]]"#)],
        &["train.json, row 1", "2 columns"],
    );
    refused(
        "kgmel",
        &[("ids_split_mappings.json", b"{}")],
        &["ids_split_mappings.json"],
    );
    refused(
        "tweets-mel",
        &[("mapSreenNameToMention.txt", b"@a|A\n@b\n")],
        &[
            "mapSreenNameToMention.txt, line 2",
            "1 columns instead of 2",
        ],
    );
    refused(
        "tweets-mel",
        &[("mapSreenNameToMention.txt", b"@a|\xff\n")],
        &["mapSreenNameToMention.txt", "UTF-8"],
    );
    Dir::new()
        .imn("data import mimic nowhere data")
        .refused(&["nowhere", "no"]);
}

#[test]
fn the_audit_finds_what_is_planted_and_nothing_else() {
    let dir = Dir::new();
    let row = |id: &str, text: &str, end: usize, entity: &str, image: &str| {
        json!({"id": id, "text": text, "mention": {"start": 0, "end": end}, "images": [image],
            "candidates": ["a", "b"], "entity": entity})
        .to_string()
    };
    dir.create("data/dataset.json", r#"{"format":1,"name":"x","licence":"CC0-1.0","source":"made by a test","candidate_policy":"given"}"#);
    dir.create(
        "data/entities.jsonl",
        "{\"id\":\"a\",\"name\":\"Phoenix (city)\"}\n{\"id\":\"b\",\"name\":\"Phoenix Lander\"}\n",
    );
    dir.create("data/timeline.jsonl", "{\"entity\":\"b\",\"images\":[\"lander.png\"]}\n{\"entity\":\"b\",\"text\":\"red dust\",\"id\":\"1\",\"images\":[\"own.png\"]}\n");
    dir.create(
        "data/train.jsonl",
        row("1", "Phoenix dug.", 7, "b", "own.png"),
    );
    let test = [
        row("2", "Phoenix  DUG!", 7, "b", "near.png"),
        row("a", "Phoenix is hot.", 7, "a", "other.png"),
    ];
    dir.create("data/test.jsonl", test.join("\n"));
    for (name, seed) in [("lander", 1), ("own", 2), ("other", 3)] {
        picture([160, 120, seed])
            .save(dir.path(&format!("data/{name}.png")))
            .unwrap();
    }
    // The lander again, a little darker.
    let mut near = picture([160, 120, 1]);
    near.pixels_mut()
        .for_each(|pixel| pixel.0 = pixel.0.map(|value| value - value / 16));
    near.save(dir.path("data/near.png")).unwrap();

    let report = dir.imn("data audit data --json").ok();
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["mentions"], &report["pictured"]),
        (&json!(3), &json!(3))
    );
    assert_eq!(report["ids_equal_to_label"], 1, "the row a");
    assert_eq!(
        report["texts_of_train"]["test.jsonl"], 1,
        "but for case and marks"
    );
    assert_eq!(report["pictures_of_train"]["test.jsonl"], 0);
    assert_eq!(
        report["pictures_of_gold"], 1,
        "a row's own post does not count"
    );
    let close = |key: &str, expected: f64| {
        let share = report[key].as_f64().unwrap();
        assert!((share - expected).abs() < 1e-9, "{key}: {share}");
    };
    close("gold_name_in_text", 1.0 / 3.0);
    close("mention_is_name", 1.0 / 3.0);
    close("ambiguous", 1.0);
    let baselines = &report["baselines"]["test.jsonl"];
    let p_at_1 = |name: &str| baselines[name]["p@1"].as_f64().unwrap();
    assert_eq!(baselines["recall"], 1.0);
    assert_eq!(p_at_1("chance"), 0.5);
    assert_eq!(
        p_at_1("name_only"),
        0.5,
        "Phoenix is the city's name, right once"
    );
    assert_eq!(p_at_1("popularity"), 0.5, "train has b alone");
    assert_eq!(p_at_1("timeline_length"), 0.5);
}

#[test]
fn sources_with_a_byte_order_mark_are_read() {
    let plain = melbench();
    let expected = import(&plain, "melbench", "");
    let marked = melbench();
    let files = [
        "Wikidata-MEL.json",
        "splits.json",
        "qid2ne.json",
        "qid2abs.json",
    ];
    for file in files.map(|file| format!("source/{file}")) {
        let text = std::fs::read_to_string(marked.path(&file)).unwrap();
        marked.create(&file, format!("\u{FEFF}{text}"));
    }
    assert_eq!(import(&marked, "melbench", ""), expected);

    let dir = Dir::new();
    for (file, text) in [
        ("mapSreenNameToMention.txt", "@ann|Smith\r\n@bob|Smith\r\n"),
        ("timelineKB.txt", "@ann\t1\tmy garden\t\r\n"),
        ("Train.txt", "9\t4\t9\tSmith\t@ann\tMrs Smith digs\t\r\n"),
    ] {
        dir.create(&format!("source/{file}"), format!("\u{FEFF}{text}"));
    }
    import(&dir, "tweets-mel", "");
    assert_eq!(rows(&dir, "entities.jsonl")[0]["id"], "@ann");
    assert_eq!(rows(&dir, "train.jsonl")[0]["id"], "9");
    assert_eq!(rows(&dir, "timeline.jsonl")[0]["entity"], "@ann");
}

#[test]
fn picture_paths_that_flatten_to_one_name_stay_two_pictures() {
    let dir = Dir::new();
    dir.create("source/qid2id.json", r#"{"Q1":1,"Q2":2,"Q3":3}"#);
    let entities = json!([
        {"id": 1, "entity_name": "Rome", "image_list": ["Q1/1.jpg", "./Q1//1.jpg"]},
        {"id": 2, "entity_name": "Oslo", "image_list": ["Q1_1.jpg", "Q1\\2.jpg"]},
        {"id": 3, "entity_name": "Bern", "image_list": [
            "Q1/2.JPG", "Q1_2.jpg", "../secret.jpg", "../../secret.jpg", "12:30.jpg", "50% #1?.jpg",
        ]},
    ]);
    dir.create("source/kb_entity.json", entities.to_string());
    dir.create(
        "source/WIKIMEL_train.json",
        r#"[{"id":"a","sentence":"Rome fell.","mentions":"Rome","answer":"Q1","imgPath":""}]"#,
    );
    let files = [
        "Q1/1.jpg",
        "Q1_1.jpg",
        "Q1/2.jpg",
        "Q1/2.JPG",
        "Q1_2.jpg",
        "50% #1?.jpg",
    ];
    for (seed, file) in (1..).zip(files) {
        let path = dir.path(&format!("source/kb_image/{file}"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        picture([16, 16, seed]).save(path).unwrap();
    }
    let report = import(&dir, "mimic", "");
    let bytes = |path: &str| std::fs::read(dir.path(path)).unwrap();
    let timeline = rows(&dir, "timeline.jsonl");
    for (post, originals) in timeline.iter().zip([
        &["Q1/1.jpg", "Q1/1.jpg"][..],
        &["Q1_1.jpg", "Q1/2.jpg"],
        &["Q1/2.JPG", "Q1_2.jpg", "50% #1?.jpg"],
    ]) {
        let images = post["images"].as_array().unwrap();
        assert_eq!(images.len(), originals.len(), "{post}");
        for (image, original) in images.iter().zip(originals) {
            let copy = format!("data/{}", image.as_str().unwrap());
            let original = format!("source/kb_image/{original}");
            assert!(bytes(&copy) == bytes(&original), "{copy} is not {original}");
        }
    }
    assert_eq!(report["pictures"], 6);
    let refused = &report["matters"]["picture path is refused, left out"];
    assert_eq!(refused["n"], 3);
    for (example, said) in (0..).zip([
        "may leave its folder",
        "may leave its folder",
        "has a colon",
    ]) {
        let example = refused["examples"][example].as_str().unwrap();
        assert!(example.contains(said), "{example}");
    }
}
