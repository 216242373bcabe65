use rand::RngExt as _;

use super::*;
use crate::dataset::Split;
use crate::learn::rng;

fn entities(n: usize) -> Vec<Entity> {
    let entity = |i: usize| Entity {
        id: format!("Q{i}"),
        name: format!("Name {i}"),
        aliases: Vec::new(),
        description: String::new(),
    };
    (0..n).map(entity).collect()
}

fn post(id: &str, text: &str, images: &[&str], entity: Option<usize>) -> Post {
    Post {
        id: id.to_owned(),
        text: text.to_owned(),
        mention: None,
        images: images.iter().map(|image| (*image).to_owned()).collect(),
        candidates: None,
        entity: entity.map(|entity| format!("Q{entity}")),
    }
}

/// Parts of posts whose mentions have no candidates; pictures are files in a new folder, their content in `pictures`.
fn parts(posts: &[Post], pictures: &[(&str, &str)]) -> Vec<Part> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in pictures {
        files::write(&folder.path().join(name), content.as_bytes()).unwrap();
    }
    let hold_out = HoldOut::new(&[Mentions {
        folder: folder.path(),
        entities: &entities(200),
        rows: posts.iter().map(|post| (post, &[][..])).collect(),
        n_dev: None,
    }]);
    hold_out.unwrap().parts(0).to_vec()
}

/// An entity that is not held out by itself.
fn fit_entity() -> usize {
    (0..).find(|i| !is_held(&format!("Q{i}"))).unwrap()
}

#[test]
fn rows_of_dev_are_held_out_and_all_others_trained_on() {
    let posts: Vec<Post> = (0..200)
        .map(|i| post(&format!("{i}"), &format!("text {i}"), &[], Some(i)))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let hold_out = HoldOut::new(&[Mentions {
        folder: folder.path(),
        entities: &entities(200),
        rows: posts.iter().map(|post| (post, &[][..])).collect(),
        n_dev: Some(30),
    }]);
    let parts = hold_out.unwrap().parts(0).to_vec();
    assert!(parts[..170].iter().all(|part| *part == Part::Fit));
    assert!(parts[170..].iter().all(|part| *part == Part::HeldMention));
}

#[test]
fn a_tenth_is_kept_of_a_train_part_that_was_cut_by_entity() {
    let ids = (0..10_000).map(|i| format!("Q{i}"));
    let train: Vec<String> = ids
        .filter(|id| Split::of_entity(id) == Split::Train)
        .collect();
    let kept = train.iter().filter(|id| is_held(id)).count();
    let share = kept as f64 / train.len() as f64;
    assert!((0.08..0.12).contains(&share), "{share}");
}

#[test]
fn mentions_with_a_picture_in_common_are_held_out_together() {
    let entity = Some(fit_entity());
    // The first, the second, and one of other name but the same content.
    let shared: [(&[&str], &[&str]); 3] = [
        (&["a.jpg"], &["a.jpg", "b.jpg"]),
        (&["c.jpg", "a.jpg"], &["d.jpg", "a.jpg"]),
        (&["e.jpg"], &["copy.jpg"]),
    ];
    let pictures = ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg", "copy.jpg"];
    for (first, second) in shared {
        let mut held = 0;
        for n in 0..200 {
            let named = |image: &&str| format!("{n}-{image}");
            let mut posts = [post("x", "one", &[], entity), post("y", "two", &[], entity)];
            posts[0].images = first.iter().map(named).collect();
            posts[1].images = second.iter().map(named).collect();
            let files: Vec<(String, String)> = pictures
                .iter()
                .map(|name| {
                    let content = if *name == "copy.jpg" { "e.jpg" } else { name };
                    (format!("{n}-{name}"), format!("{n} {content}"))
                })
                .collect();
            let files: Vec<(&str, &str)> = files
                .iter()
                .map(|(name, content)| (name.as_str(), content.as_str()))
                .collect();
            let parts = parts(&posts, &files);
            assert_eq!(parts[0], parts[1], "{first:?} {second:?}");
            held += usize::from(parts[0] == Part::HeldMention);
        }
        assert!((5..50).contains(&held), "{held} of 200");
    }
}

#[test]
fn mentions_that_repeat_a_text_of_their_entity_are_held_out_together() {
    let entity = Some(fit_entity());
    let repeats = [
        ("Saw a jaguar today", "Saw a jaguar today"),
        ("Saw a jaguar today", "saw a JAGUAR, today!"),
        ("The Crane: at 5", "the crane at 5"),
    ];
    for (first, second) in repeats {
        let mut held = 0;
        for n in 0..200 {
            let posts = [
                post(&format!("m{n}"), first, &[], entity),
                post(&format!("n{n}"), second, &[], entity),
            ];
            let parts = parts(&posts, &[]);
            assert_eq!(parts[0], parts[1], "{first} {second} {n}");
            held += usize::from(parts[0] == Part::HeldMention);
        }
        assert!((5..80).contains(&held), "{held} of 200");
    }
    // Under another entity it is another question.
    let other = (fit_entity() + 1..).find(|i| !is_held(&format!("Q{i}")));
    let apart = (0..200).any(|n| {
        let parts = parts(
            &[
                post(&format!("m{n}"), "same", &[], entity),
                post(&format!("n{n}"), "same", &[], other),
            ],
            &[],
        );
        parts[0] != parts[1]
    });
    assert!(apart);
}

#[test]
fn entities_of_one_list_are_held_out_together_unless_they_are_many() {
    let entities = entities(1000);
    let held = |lists: &[Vec<usize>]| {
        let post = post("m", "text", &[], None);
        let mentions = Mentions {
            folder: Path::new(""),
            entities: &entities,
            rows: lists.iter().map(|list| (&post, list.as_slice())).collect(),
            n_dev: None,
        };
        let held = held_entities(&[mentions]);
        (0..1000)
            .map(|i| held.contains(format!("Q{i}").as_str()))
            .collect::<Vec<bool>>()
    };
    // Pairs, chains of three lists, and groups of exactly 20.
    let pairs: Vec<Vec<usize>> = (0..500).map(|i| vec![2 * i, 2 * i + 1]).collect();
    let chains = (0..250).flat_map(|i| {
        let first = 4 * i;
        [
            [first, first + 2],
            [first + 3, first + 1],
            [first + 2, first + 1],
        ]
        .map(Vec::from)
    });
    let twenties = (0..50).map(|i| (20 * i..20 * (i + 1)).collect());
    for (lists, size) in [
        (pairs, 2),
        (chains.collect(), 4),
        (twenties.collect::<Vec<Vec<usize>>>(), 20),
    ] {
        let held = held(&lists);
        assert!(held.iter().any(|held| *held) && !held.iter().all(|held| *held));
        for group in held.chunks(size) {
            assert!(group.iter().all(|held| *held == group[0]), "of {size}");
        }
    }
    let many: Vec<Vec<usize>> = vec![(0..1000).collect()];
    assert_eq!(held(&many), held(&[]), "one by one");
}

#[test]
fn no_order_matters() {
    let folder = tempfile::tempdir().unwrap();
    let n = 240;
    let (a, b) = (entities(n), entities(n + 60).split_off(n - 20));
    let posts: Vec<Post> = (0..2 * n)
        .map(|i| {
            post(
                &format!("m{i}"),
                &format!("text {}", i % 90),
                &[],
                Some(i % n),
            )
        })
        .collect();
    let list = |i: usize| vec![i % n, (i * 7 + 1) % n];
    let lists: Vec<Vec<usize>> = (0..2 * n).map(list).collect();
    let by_id = |turned: bool, swapped: bool| -> BTreeMap<String, Part> {
        let mut entities = a.clone();
        let mut rows: Vec<(&Post, Vec<usize>)> = posts.iter().zip(lists.clone()).collect();
        if turned {
            entities.reverse();
            rows.reverse();
            let candidates = rows.iter_mut().flat_map(|(_, list)| list);
            candidates.for_each(|candidate| *candidate = n - 1 - *candidate);
        }
        let of = |entities, rows| Mentions {
            folder: folder.path(),
            entities,
            rows,
            n_dev: None,
        };
        let slices = rows.iter().map(|(post, list)| (*post, list.as_slice()));
        let mut datasets = [of(&entities[..], slices.collect()), of(&b[..], Vec::new())];
        if swapped {
            datasets.reverse();
        }
        let hold_out = HoldOut::new(&datasets).unwrap();
        let parts = hold_out.parts(usize::from(swapped)).to_vec();
        let ids = rows.iter().map(|(post, _)| post.id.clone());
        ids.zip(parts).collect()
    };
    let straight = by_id(false, false);
    for part in [Part::Fit, Part::HeldMention, Part::HeldEntity] {
        assert!(straight.values().any(|found| *found == part), "{part:?}");
    }
    assert_eq!(by_id(true, false), straight);
    assert_eq!(by_id(false, true), straight);
    assert_eq!(by_id(true, true), straight);
}

/// A dataset folder of 300 train rows: some pictures and texts occur several times, under one entity or several.
fn dataset(folder: &Path, seed: u64) -> Dataset {
    let mut rng = rng(seed, "dataset", 0);
    let info = r#"{"format":1,"name":"n","licence":"l","source":"s","candidate_policy":"given"}"#;
    files::write(&folder.join("dataset.json"), info.as_bytes()).unwrap();
    let lines = |values: Vec<serde_json::Value>| {
        let lines: Vec<String> = values.iter().map(ToString::to_string).collect();
        lines.join("\n")
    };
    let entity = |i| serde_json::json!({"id": format!("Q{i}"), "name": format!("Name {i}")});
    let entities = lines((0..60).map(entity).collect());
    files::write(&folder.join("entities.jsonl"), entities.as_bytes()).unwrap();
    let mut rows = Vec::new();
    for i in 0..300 {
        let gold = rng.random_range(0..60);
        let other = (gold + rng.random_range(1..60)) % 60;
        // Two names in three are a copy of another picture.
        let picture = format!("{i}.jpg");
        let content = format!("picture {}", rng.random_range(0..200));
        files::write(&folder.join(&picture), content.as_bytes()).unwrap();
        let images: Vec<String> = (0..rng.random_range(0..2))
            .map(|_| picture.clone())
            .collect();
        rows.push(serde_json::json!({
            "id": format!("m{i}"),
            "text": format!("Name {gold} said {}", rng.random_range(0..8)),
            "mention": {"start": 0, "end": 4},
            "images": images,
            "candidates": [format!("Q{gold}"), format!("Q{other}")],
            "entity": if rng.random_bool(0.9) { Some(format!("Q{gold}")) } else { None },
        }));
    }
    files::write(&folder.join("train.jsonl"), lines(rows).as_bytes()).unwrap();
    Dataset::open(folder).unwrap()
}

#[test]
fn an_encoder_and_the_network_on_it_are_measured_on_what_neither_saw() {
    for seed in 1..=3 {
        let folder = tempfile::tempdir().unwrap();
        let datasets = [dataset(folder.path(), seed)];
        let rows = [datasets[0].posts_if_any(Split::Train).unwrap()];
        let (of_encoder, lists) = HoldOut::of_rows(&datasets, &rows).unwrap();
        // The network has its candidates from the encoded mentions.
        let of_network = HoldOut::new(&[Mentions {
            folder: folder.path(),
            entities: &datasets[0].entities,
            rows: rows[0]
                .iter()
                .zip(lists[0].iter().map(Vec::as_slice))
                .collect(),
            n_dev: None,
        }])
        .unwrap();
        assert_eq!(of_encoder.parts(0), of_network.parts(0));

        let content = |post: &Post| {
            let images = post.images.iter();
            let pictures = images.map(|image| files::read(&folder.path().join(image)).unwrap());
            (text_key(&post.text), pictures.collect::<Vec<_>>())
        };
        let (mut fit, mut held) = (Vec::new(), Vec::new());
        let mut held_entities = HashSet::new();
        for (post, part) in rows[0].iter().zip(of_network.parts(0)) {
            let repeats = of_encoder.repeats(folder.path(), &post.text, &post.images);
            match part {
                Part::Fit if !repeats.unwrap() => fit.push(post),
                Part::Fit => {}
                Part::HeldMention => held.push(post),
                Part::HeldEntity => {
                    held_entities.insert(post.entity.clone());
                    held.push(post);
                }
            }
        }
        assert!(
            fit.len() > 100 && held.len() > 20,
            "{} {}",
            fit.len(),
            held.len()
        );
        assert!(!held_entities.is_empty());
        for post in fit {
            let (text, pictures) = content(post);
            assert!(!held_entities.contains(&post.entity));
            for other in &held {
                let (other_text, other_pictures) = content(other);
                assert!(
                    post.id != other.id && text != other_text,
                    "{post:?} {other:?}"
                );
                assert!(
                    pictures
                        .iter()
                        .all(|picture| !other_pictures.contains(picture))
                );
            }
        }
    }
}

#[test]
fn a_post_that_repeats_a_mention_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..100 {
        let path = folder.path().join(format!("{n}.jpg"));
        files::write(&path, &[n]).unwrap();
        let path = folder.path().join(format!("again-{n}.jpg"));
        files::write(&path, &[n]).unwrap();
    }
    let entities = entities(50);
    let posts: Vec<Post> = (0..100)
        .map(|n| {
            post(
                &format!("m{n}"),
                &format!("Text {n}"),
                &[&format!("{n}.jpg")],
                Some(n % 50),
            )
        })
        .collect();
    let hold_out = HoldOut::new(&[Mentions {
        folder: folder.path(),
        entities: &entities,
        rows: posts.iter().map(|post| (post, &[][..])).collect(),
        n_dev: None,
    }])
    .unwrap();
    let parts = hold_out.parts(0);
    assert!(parts.contains(&Part::Fit) && parts.contains(&Part::HeldMention));
    for (n, part) in parts.iter().enumerate() {
        let is_held = *part != Part::Fit;
        let copies = [
            (format!("text: {n}!"), Vec::new()),
            ("another".to_owned(), vec![format!("{n}.jpg")]),
            (String::new(), vec![format!("again-{n}.jpg")]),
        ];
        for (text, images) in copies {
            assert_eq!(
                hold_out.repeats(folder.path(), &text, &images).unwrap(),
                is_held
            );
            assert_eq!(
                hold_out.holds(folder.path(), &text, &images).unwrap(),
                is_held
            );
        }
    }
    // Others go by their words.
    let held = (0..2000).filter(|n| {
        let text = format!("Post {n}");
        let held = hold_out.holds(folder.path(), &text, &[]).unwrap();
        let loud = format!("POST: {n}!");
        assert_eq!(hold_out.holds(folder.path(), &loud, &[]).unwrap(), held);
        held
    });
    let held = held.count();
    assert!((150..250).contains(&held), "{held} of 2000");
    let error = hold_out.repeats(folder.path(), "", &["none.jpg".to_owned()]);
    assert!(format!("{:#}", error.unwrap_err()).contains("none.jpg"));
}
