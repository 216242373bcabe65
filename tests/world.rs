//! `imn data world`: worlds of generated photographs and of invented posts, and what must not give their answers away.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::{Dir, picture};

/// The rows of a file.
fn rows(dir: &Dir, file: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.path(file)).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn texts(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(text).collect()
}

/// All files below a folder with their bytes.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let inner = tree(&path).into_iter();
            files.extend(inner.map(|(path, bytes)| (format!("{name}/{path}"), bytes)));
        } else {
            files.insert(name, fs::read(&path).unwrap());
        }
    }
    files
}

/// Asserts that neither the length of a timeline nor a name tells the gold.
#[track_caller]
fn check_lengths_tell_nothing(dir: &Dir, data: &str) {
    let audit = dir.imn(&format!("data audit {data} --json")).ok();
    let audit: Value = serde_json::from_str(&audit).unwrap();
    for (file, baselines) in audit["baselines"].as_object().unwrap() {
        for blind in ["timeline_length", "name_only"] {
            assert_eq!(
                baselines[blind], baselines["chance"],
                "{data}, {file}: {blind}"
            );
        }
    }
    assert_eq!(audit["pictures_of_gold"], 0);
}

const CLASSES: usize = 12;
const PHOTOS: usize = 10;

/// A folder with `photos`, a folder a class, and `senses.jsonl`.
fn photographs() -> Dir {
    let dir = Dir::new();
    let mut senses = String::new();
    for class in 0..CLASSES {
        for photo in 0..PHOTOS {
            let seed = (class * PHOTOS + photo) as u32;
            let path = dir.create(&format!("photos/c{class}/{photo}.png"), "");
            picture([40 + seed % 7, 30 + seed % 11, seed])
                .save(path)
                .unwrap();
        }
        let words: Vec<String> = (0..6).map(|word| format!("hint{class}x{word}")).collect();
        let sense = json!({
            "id": format!("sense-{class}"),
            "name": format!("thing {class}"),
            "aliases": [format!("other {class}")],
            "gloss": format!("a large {} of the sea", words.join(" ")),
            "photos": format!("c{class}"),
        });
        senses.push_str(&format!("{sense}\n"));
    }
    dir.create("senses.jsonl", senses);
    dir
}

const PHOTO_WORLD: &str = "data world --photos photos --senses senses.jsonl --ambiguity 4 --mentions 96 --posts 2..4 --nil 0.2";

/// The class whose word a text holds, for every such word.
fn told(row: &Value) -> BTreeSet<String> {
    let words = text(&row["text"]).split(|c: char| !c.is_alphanumeric());
    words
        .filter_map(|word| word.strip_prefix("hint")?.split_once('x'))
        .map(|(class, _)| format!("sense-{class}"))
        .collect()
}

#[test]
fn a_world_of_photographs_is_what_it_says() {
    let dir = photographs();
    let summary = dir.imn(&format!("{PHOTO_WORLD} data --json")).ok();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    dir.imn("data check data").ok();
    check_lengths_tell_nothing(&dir, "data");

    let entities = rows(&dir, "data/entities.jsonl");
    assert_eq!(entities.len(), CLASSES);
    let mut groups: HashMap<&str, Vec<&str>> = HashMap::new();
    for entity in &entities {
        let name = texts(&entity["aliases"])[0];
        groups.entry(name).or_default().push(text(&entity["id"]));
    }
    assert_eq!(groups.len(), CLASSES / 4);

    // All timelines of a name are of one length.
    let mut lengths: HashMap<String, usize> = HashMap::new();
    for post in rows(&dir, "data/timeline.jsonl") {
        *lengths.entry(text(&post["entity"]).to_owned()).or_default() += 1;
    }
    for members in groups.values() {
        let lengths: BTreeSet<usize> = members.iter().map(|&id| lengths[id]).collect();
        assert_eq!(lengths.len(), 1, "{members:?}: {lengths:?}");
    }

    let trained: BTreeSet<String> = rows(&dir, "data/train.jsonl")
        .iter()
        .flat_map(|row| {
            texts(&row["candidates"])
                .into_iter()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(trained.len(), 8, "one name of three never trains");
    assert_eq!(
        summary["mentions"]["train.jsonl"],
        json!({"rows": 120, "seen": 96, "unseen": 0, "nil": 24})
    );
    assert_eq!(summary["mentions"]["dev.jsonl"]["unseen"], 12);
    assert_eq!(summary["mentions"]["test.jsonl"]["seen"], 48);
    assert_eq!(summary["mentions"]["test.jsonl"]["unseen"], 48);

    let mut pictures = HashMap::new();
    for part in ["train", "dev", "test"] {
        for row in rows(&dir, &format!("data/{part}.jsonl")) {
            let candidates = texts(&row["candidates"]);
            assert_eq!(
                candidates.len(),
                3,
                "one of four is left out, of NIL rows and of others"
            );
            let gold = row["entity"].as_str();
            assert!(gold.is_none_or(|gold| candidates.contains(&gold)));
            let told = told(&row);
            let is_told = |gold: Option<&str>| gold.is_none_or(|gold| told.contains(gold));
            let id = text(&row["id"]);
            let shown = texts(&row["images"]);
            match id.split('-').nth(1).unwrap() {
                "text" => assert!(told.len() <= 1 && is_told(gold), "{row}"),
                "picture" => assert!(told.is_empty() && shown.len() == 1, "{row}"),
                "both" => assert!(
                    told.len() == 2 && is_told(gold) && shown.len() == 1,
                    "{row}"
                ),
                other => panic!("{other}"),
            }
            for path in shown {
                let bytes = fs::read(dir.path(&format!("data/{path}"))).unwrap();
                assert_eq!(*pictures.entry(bytes).or_insert(part), part, "{row}");
            }
        }
    }
    for post in rows(&dir, "data/timeline.jsonl") {
        for path in texts(&post["images"]) {
            let bytes = fs::read(dir.path(&format!("data/{path}"))).unwrap();
            assert!(!pictures.contains_key(&bytes), "{post}");
        }
    }
}

#[test]
fn the_same_seed_makes_the_same_bytes() {
    let dir = photographs();
    for (data, seed) in [("a", 1), ("b", 1), ("c", 2)] {
        dir.imn(&format!("{PHOTO_WORLD} {data} --seed {seed}")).ok();
    }
    // The name of a dataset is its folder's.
    let of = |data: &str| {
        let mut files = tree(&dir.path(data));
        files.remove("dataset.json");
        files
    };
    assert!(of("a") == of("b"), "the same seed, other bytes");
    assert!(of("a") != of("c"), "another seed, the same bytes");
}

#[test]
fn sliders_turn_what_they_say() {
    let dir = photographs();
    let flags =
        "--ambiguity 4 --mentions 96 --posts 2 --nil 0 --noise 1 --missing 0 --images 3 --text 1";
    let source = "--photos photos --senses senses.jsonl";
    dir.imn(&format!("data world {source} {flags} data")).ok();
    let candidates = |row: &Value| texts(&row["candidates"]).len();
    let test = rows(&dir, "data/test.jsonl");
    assert!(
        test.iter()
            .all(|row| candidates(row) == 4 && row["entity"].is_string())
    );
    let most = test.iter().map(|row| texts(&row["images"]).len()).max();
    assert_eq!(most, Some(3));
    let timeline = rows(&dir, "data/timeline.jsonl");
    assert_eq!(timeline.len(), CLASSES * 2);
    for post in timeline {
        assert!(!told(&post).contains(text(&post["entity"])), "{post}");
    }
}

#[test]
fn damaged_and_repeated_photographs_are_left_out_and_named() {
    let dir = photographs();
    dir.create("photos/c0/broken.jpg", "no picture");
    fs::copy(dir.path("photos/c1/0.png"), dir.path("photos/c1/again.png")).unwrap();
    let run = dir.imn(&format!("{PHOTO_WORLD} data"));
    for said in [
        "1 x corrupt picture",
        "broken.jpg",
        "1 x nearly the same",
        "again.png",
    ] {
        assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
    }
    assert_eq!(run.ok(), "");
    dir.imn("data check data").ok();
}

/// Runs a command that must fail with one line and leave nothing at its destination.
#[track_caller]
fn refused(dir: &Dir, command: &str, said: &[&str]) {
    let before = fs::read_dir(dir.root()).unwrap().count();
    dir.imn(command).refused(said);
    assert_eq!(
        fs::read_dir(dir.root()).unwrap().count(),
        before,
        "something is left"
    );
}

#[test]
fn bad_senses_are_named() {
    let sense = |line: &str| {
        let dir = photographs();
        let senses = fs::read_to_string(dir.path("senses.jsonl")).unwrap();
        dir.create("senses.jsonl", format!("{senses}{line}\n"));
        for photo in fs::read_dir(dir.path("photos/c0")).unwrap() {
            let photo = photo.unwrap();
            let name = photo.file_name().into_string().unwrap();
            dir.create(&format!("photos/x/{name}"), fs::read(photo.path()).unwrap());
        }
        dir
    };
    let command = format!("{PHOTO_WORLD} data");
    for (line, said) in [
        (
            r#"{"id":"x","gloss":"big fish","photos":"c0"}"#,
            ["line 13", "name"],
        ),
        (
            r#"{"id":"x","name":" ","gloss":"big fish","photos":"c0"}"#,
            ["\"x\"", "no name"],
        ),
        (
            r#"{"id":"sense-1","name":"x","gloss":"big fish","photos":"c0"}"#,
            ["sense-1", "twice"],
        ),
        (
            r#"{"id":"x","name":"x","gloss":"of the","photos":"x"}"#,
            ["\"x\"", "gloss"],
        ),
        (
            r#"{"id":"x","name":"x","gloss":"big fish","photos":"c0"}"#,
            ["\"x\"", "another"],
        ),
        (
            r#"{"id":"x","name":"x","gloss":"big fish","photos":"../c0"}"#,
            ["\"x\"", "leave"],
        ),
        (
            r#"{"id":"x","name":"x","gloss":"big fish","photos":"absent"}"#,
            ["\"x\"", "absent"],
        ),
    ] {
        refused(&sense(line), &command, &said);
    }

    let line = r#"{"id":"x","name":"x","gloss":"big fish","photos":"empty"}"#;
    let dir = sense(line);
    fs::create_dir(dir.path("photos/empty")).unwrap();
    refused(&dir, &command, &["empty", "no pictures"]);
    dir.create("photos/empty/1.png", "no picture");
    refused(&dir, &command, &["empty", "0 of 1"]);
    refused(
        &dir,
        &command.replace("senses.jsonl", "none.jsonl"),
        &["none.jsonl"],
    );

    let dir = photographs();
    refused(
        &dir,
        &format!("{command} --ambiguity 13").replace("--ambiguity 4 ", ""),
        &["12 senses", "13"],
    );
}

#[test]
fn wrong_usage_is_status_2() {
    let dir = photographs();
    for flags in [
        "--photos photos data",
        "--photos photos --senses senses.jsonl --by hashtag --posts x data",
        "--photos photos --senses senses.jsonl --posts none data",
        "--photos photos --senses senses.jsonl --images 9 data",
        "--photos photos --senses senses.jsonl --text 2 data",
        "--photos photos --senses senses.jsonl --ambiguity 3 --nil 0.1 data",
        "--by hashtag data",
        "--by hashtag --posts x --noise 0.1 data",
        "--by hashtag --posts x --alias head data",
        "--by hashtag --posts x --candidates 5 data",
        "data",
    ] {
        let run = dir.imn(&format!("data world {flags}"));
        assert_eq!(run.status, Some(2), "{flags}: {}", run.stderr);
    }
}

/// The folder of [`photographs`] with `classes.jsonl`: a heron name of five classes, a tern name of four, and three classes with names of their own, the first without a sentence.
fn described_photographs() -> Dir {
    let dir = photographs();
    let mut classes = String::new();
    for class in 0..CLASSES {
        let head = match class {
            0..5 => "Heron",
            5..9 => "Tern",
            _ => ["Grey Owl", "Snow Goose", "Swift"][class - 9],
        };
        let said = |i: usize| {
            let words: Vec<String> = (0..4)
                .map(|word| format!("say{class}x{i}x{word}"))
                .collect();
            format!("A Kind-{class} {head} has {}.", words.join(" "))
        };
        let mut row = json!({
            "id": format!("c{class}"),
            "name": format!("Kind {class} {head}"),
            "head": head,
            "photos": PHOTOS,
        });
        match class {
            8 => row["description"] = json!(format!("{} {}", said(0), said(1))),
            9 => row["sentences"] = json!([]),
            _ => row["sentences"] = (0..14).map(said).collect(),
        }
        classes.push_str(&format!("{row}\n"));
    }
    dir.create("classes.jsonl", classes);
    dir
}

const SENTENCES: &str = "data world --photos photos --senses classes.jsonl --alias head";

#[test]
fn a_world_of_sentences_is_what_it_says() {
    let dir = described_photographs();
    let flags = "--mentions 48 --posts 3 --noise 0 --seed 2";
    let run = dir.imn(&format!("{SENTENCES} {flags} data"));
    assert!(
        run.stderr.contains("fewer sentences than posts"),
        "{}",
        run.stderr
    );
    assert_eq!(run.ok(), "");
    dir.imn("data check data").ok();
    let audit = dir.imn("data audit data --json").ok();
    let audit: Value = serde_json::from_str(&audit).unwrap();
    assert_eq!(audit["pictures_of_gold"], 0);

    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    let mut names = HashMap::new();
    for entity in rows(&dir, "data/entities.jsonl") {
        let name = texts(&entity["aliases"])[0].to_owned();
        *groups.entry(name.clone()).or_default() += 1;
        names.insert(text(&entity["id"]).to_owned(), name);
        assert_eq!(entity["description"], "");
    }
    assert_eq!(
        (groups.remove("heron"), groups.remove("tern")),
        (Some(5), Some(4))
    );
    assert_eq!(groups.into_values().collect::<Vec<_>>(), [3]);

    // The class of the sentence in a text, and the sentence.
    let said = |row: &Value| {
        let mark = text(&row["text"]).split_once("say")?.1;
        let mut numbers = mark.split('x');
        let class = format!("c{}", numbers.next()?);
        Some((class, numbers.next()?.to_owned()))
    };
    let mut met = BTreeSet::new();
    for post in rows(&dir, "data/timeline.jsonl") {
        if let Some((class, sentence)) = said(&post) {
            assert_eq!(class, text(&post["entity"]));
            assert!(met.insert((class, sentence)), "{post}");
        }
    }
    let mut deciders = BTreeSet::new();
    for part in ["train", "dev", "test"] {
        for row in rows(&dir, &format!("data/{part}.jsonl")) {
            let content = text(&row["text"]);
            let number = |field: &str| row["mention"][field].as_u64().unwrap() as usize;
            let surface: String = content
                .chars()
                .skip(number("start"))
                .take(number("end") - number("start"))
                .collect();
            let candidates = texts(&row["candidates"]);
            let of_name = candidates
                .iter()
                .filter(|&&id| names[id] == surface)
                .count();
            let members = names.values().filter(|name| **name == surface).count();
            assert_eq!(of_name, members - 1, "one is left out: {row}");
            assert!(!content.contains("Kind"), "{row}");
            let decider = text(&row["id"]).split('-').nth(1).unwrap();
            assert_eq!(texts(&row["images"]).is_empty(), decider == "text", "{row}");
            let said = said(&row);
            assert_eq!(said.is_none(), decider == "picture", "{row}");
            if let Some((class, sentence)) = said {
                assert_eq!(names[&class], surface);
                let gold = row["entity"].as_str();
                assert!(gold.is_none_or(|gold| gold == class), "{row}");
                assert!(met.insert((class, sentence)), "{row}");
            }
            deciders.insert(decider.to_owned());
        }
    }
    assert_eq!(deciders.len(), 3, "{deciders:?}");
}

#[test]
fn names_are_invented_for_sentences_without_an_alias_column() {
    let dir = described_photographs();
    let command = SENTENCES.replace("--alias head", "--ambiguity 4 --candidates 5 --nil 0");
    dir.imn(&format!("{command} --mentions 24 data")).ok();
    let entities = rows(&dir, "data/entities.jsonl");
    let names: BTreeSet<&str> = entities
        .iter()
        .map(|entity| texts(&entity["aliases"])[0])
        .collect();
    assert_eq!((entities.len(), names.len()), (CLASSES, 3));
    for row in rows(&dir, "data/train.jsonl") {
        assert_eq!(texts(&row["candidates"]).len(), 5, "{row}");
    }
}

#[test]
fn bad_sentences_are_named() {
    let command = format!("{SENTENCES} data");
    for (row, said) in [
        (json!({"sentences": "One."}), ["line 1", "sequence"]),
        (json!({"sentences": ["One.", 2]}), ["line 1", "string"]),
        (json!({"sentences": ["One.", " "]}), ["\"c0\"", "empty"]),
        (
            json!({"head": "Heron"}),
            ["\"c0\"", "neither a gloss nor sentences"],
        ),
        (json!({"sentences": [], "head": 1}), ["\"c0\"", "\"head\""]),
        (
            json!({"sentences": [], "head": " "}),
            ["\"c0\"", "\"head\""],
        ),
    ] {
        let dir = described_photographs();
        let classes = fs::read_to_string(dir.path("classes.jsonl")).unwrap();
        let (_, others) = classes.split_once('\n').unwrap();
        let mut first = json!({"id": "c0", "name": "Kind", "head": "Heron"});
        first
            .as_object_mut()
            .unwrap()
            .extend(row.as_object().unwrap().clone());
        dir.create("classes.jsonl", format!("{first}\n{others}"));
        refused(&dir, &command, &said);
    }
    let dir = described_photographs();
    let command = command.replace("head", "heads");
    refused(
        &dir,
        &command,
        &["classes.jsonl", "\"heads\"", "\"description\", \"head\""],
    );
}

/// A folder with `posts.jsonl`: 40 tags in 5 posts each, each post with a second tag of its own and a picture for every third.
fn posts() -> Dir {
    let dir = Dir::new();
    let mut lines = String::new();
    for tag in 0..40 {
        for post in 0..5 {
            let n = tag * 5 + post;
            let images = if n % 3 == 0 {
                let path = dir.create(&format!("pictures/{n}.png"), "");
                picture([40 + n % 5, 30 + n % 13, n]).save(path).unwrap();
                vec![format!("pictures/{n}.png")]
            } else {
                Vec::new()
            };
            let tag = format!(
                "topic{}",
                char::from(b'a' + (tag / 26) as u8).to_string()
                    + &char::from(b'a' + (tag % 26) as u8).to_string()
            );
            let text = format!(
                "Post {n} on {tag} says word{n} #{} #once{n}a",
                tag.to_uppercase()
            );
            lines.push_str(&format!(
                "{}\n",
                json!({"id": format!("p{n}"), "text": text, "images": images})
            ));
        }
    }
    // A copy, a retweet, a picture that is not there, and a tag that shares half its posts with another.
    lines.push_str(
        "{\"id\":\"copy\",\"text\":\"RT @user: post 0 on topicaa says WORD0 #topicaa #once0a\"}\n",
    );
    lines.push_str(
        "{\"id\":\"bare\",\"text\":\"#topicaa at last\",\"images\":[\"pictures/none.png\"]}\n",
    );
    for n in 0..4 {
        lines.push_str(&format!(
            "{{\"id\":\"twin{n}\",\"text\":\"Twin {n} #topicab #twin\"}}\n"
        ));
    }
    dir.create("posts.jsonl", lines);
    dir
}

#[test]
fn over_the_folds_every_post_is_a_mention_once() {
    let dir = posts();
    let summary = dir
        .imn("data world --posts posts.jsonl --by hashtag --folds 3 data --json")
        .ok();
    let summary: Value = serde_json::from_str(&summary).unwrap();
    assert_eq!(summary["entities"], 41);
    let mut asked: HashMap<String, usize> = HashMap::new();
    for fold in 1..=3 {
        let data = format!("data/fold-{fold}");
        dir.imn(&format!("data check {data}")).ok();
        check_lengths_tell_nothing(&dir, &data);
        let names: HashMap<String, String> = rows(&dir, &format!("{data}/entities.jsonl"))
            .iter()
            .map(|entity| {
                assert_eq!(entity["aliases"], json!(["@someone"]));
                (
                    text(&entity["id"]).to_owned(),
                    text(&entity["name"]).to_lowercase(),
                )
            })
            .collect();
        let timeline = rows(&dir, &format!("{data}/timeline.jsonl"));
        let mut lengths: HashMap<&str, usize> = HashMap::new();
        let mut told = BTreeSet::new();
        for post in &timeline {
            let entity = text(&post["entity"]);
            *lengths.entry(entity).or_default() += 1;
            assert!(
                !text(&post["text"]).to_lowercase().contains(&names[entity]),
                "{post}"
            );
            told.extend(number(text(&post["text"])));
        }
        let mut golds: HashMap<&str, BTreeSet<String>> = HashMap::new();
        for part in ["train", "dev", "test"] {
            for row in rows(&dir, &format!("{data}/{part}.jsonl")) {
                *asked.entry(text(&row["id"]).to_owned()).or_default() += 1;
                let gold = text(&row["entity"]).to_owned();
                let said = text(&row["text"]);
                assert!(!said.to_lowercase().contains(&names[&gold]), "{row}");
                let start = row["mention"]["start"].as_u64().unwrap() as usize;
                assert!(
                    said.chars()
                        .skip(start)
                        .collect::<String>()
                        .starts_with("@someone")
                );
                let candidates = texts(&row["candidates"]);
                assert_eq!(
                    candidates.iter().collect::<BTreeSet<_>>().len(),
                    candidates.len()
                );
                assert!(candidates.contains(&gold.as_str()));
                assert!(candidates.iter().all(|id| lengths[id] == 2), "{row}");
                let is_twin = |id: &str| ["topicab", "twin"].contains(&names[id].as_str());
                let twins = candidates.iter().filter(|id| is_twin(id)).count();
                assert!(!is_twin(&gold) || twins == 1, "{row}");
                if let Some(number) = number(said) {
                    assert!(!told.contains(&number), "{row} stands in a timeline");
                }
                golds.entry(part).or_default().insert(gold);
            }
        }
        for (a, b) in [("train", "test"), ("train", "dev"), ("dev", "test")] {
            let of = |part: &str| golds.get(part).cloned().unwrap_or_default();
            assert!(of(a).is_disjoint(&of(b)), "{a} and {b}");
        }
    }
    assert_eq!(asked.len(), 40 * 5 + 1 + 4);
    assert!(asked.values().all(|&n| n == 1), "{asked:?}");
    assert_eq!(summary["matters"]["picture is not there, left out"]["n"], 1);
    assert_eq!(
        summary["matters"]["text or picture nearly that of an earlier post, left out"]["examples"],
        json!(["copy"])
    );
}

/// The number after `word` in an invented post.
fn number(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("word")?;
    Some(rest.chars().take_while(char::is_ascii_digit).collect())
}

#[test]
fn without_folds_there_is_one_folder() {
    let dir = posts();
    for data in ["a", "b"] {
        dir.imn(&format!(
            "data world --posts posts.jsonl --by hashtag --timeline 3 {data} --seed 5"
        ))
        .ok();
    }
    dir.imn("data check a").ok();
    check_lengths_tell_nothing(&dir, "a");
    let test = rows(&dir, "a/test.jsonl");
    assert!(test.len() >= 30, "{}", test.len());
    assert!(test.iter().all(|row| texts(&row["candidates"]).len() == 17));
    let entities = rows(&dir, "a/entities.jsonl").len();
    assert_eq!(rows(&dir, "a/timeline.jsonl").len(), 3 * entities);
    for file in [
        "entities.jsonl",
        "timeline.jsonl",
        "train.jsonl",
        "dev.jsonl",
        "test.jsonl",
    ] {
        let bytes = |data: &str| fs::read(dir.path(&format!("{data}/{file}"))).unwrap();
        assert_eq!(bytes("a"), bytes("b"), "{file}");
    }
}

#[test]
fn pictures_of_one_flattened_name_stay_apart() {
    for paths in [
        &["a/b.png", "a_b.png"][..],
        &["x/y/z.png", "x_y/z.png", "x/y_z.png"],
        &["p/Q.png", "p_q.png"],
    ] {
        let dir = Dir::new();
        let mut lines = String::new();
        for n in 0..16_u32 {
            let path = match paths.get(n as usize) {
                Some(path) => (*path).to_owned(),
                None => format!("other{n}.png"),
            };
            let file = dir.create(&path, "");
            picture([40 + n % 5, 30 + n % 13, n]).save(file).unwrap();
            let tag = ["one", "two", "three", "four"][n as usize / 4];
            let post = json!({"text": format!("word{n} #{tag}"), "images": [path]});
            lines.push_str(&format!("{post}\n"));
        }
        dir.create("posts.jsonl", lines);
        dir.imn("data world --posts posts.jsonl --by hashtag --folds 2 data")
            .ok();
        for fold in ["data/fold-1", "data/fold-2"] {
            let files = ["timeline", "train", "dev", "test"];
            let posts = files.map(|file| rows(&dir, &format!("{fold}/{file}.jsonl")));
            let mut shown = BTreeSet::new();
            for post in posts.iter().flatten() {
                let n: usize = number(text(&post["text"])).unwrap().parse().unwrap();
                let [copy] = texts(&post["images"])[..] else {
                    panic!("{post}")
                };
                let path = paths
                    .get(n)
                    .map_or(format!("other{n}.png"), ToString::to_string);
                let bytes = |path: &str| fs::read(dir.path(path)).unwrap();
                assert!(bytes(&format!("{fold}/{copy}")) == bytes(&path), "{post}");
                shown.insert(n);
            }
            assert!((0..paths.len()).all(|n| shown.contains(&n)), "{shown:?}");
        }
    }
}

#[test]
fn posts_in_which_nothing_recurs_are_refused() {
    let dir = Dir::new();
    dir.create(
        "posts.jsonl",
        "{\"text\":\"one #tag\"}\n{\"text\":\"two #tag\"}\n",
    );
    let command = "data world --posts posts.jsonl --by hashtag data";
    refused(&dir, command, &["posts.jsonl", "hashtag", "recur"]);
    refused(
        &dir,
        &command.replace("hashtag", "handle --folds 2"),
        &["posts.jsonl", "handle"],
    );
    refused(
        &dir,
        &command.replace("posts.jsonl", "none.jsonl"),
        &["none.jsonl"],
    );
    dir.create("posts.jsonl", "{\"text\":\"one\"}\n{\"text\":2}\n");
    refused(&dir, command, &["posts.jsonl", "line 2"]);
    dir.create(
        "posts.jsonl",
        "{\"text\":\"one\",\"images\":[\"../x.png\"]}\n",
    );
    refused(&dir, command, &["posts.jsonl", "post-1", "leave"]);
}
