//! The cues that compare vectors, of the contexts and of pictures against words, against NumPy; `fixtures/make_cues_reference.py` wrote the expected values.

use serde::Deserialize;
use shared_model::classes::ClassTable;
use shared_model::cues::{CueIndex, CueQuery};
use shared_model::data::Entity;
use shared_model::kb::{KbPost, KbText, KnowledgeBase};
use shared_model::prototype::Selection;
use shared_model::vectors::PooledVectors;
use tests::{close, fixture, fnv1a32, hash32};

const WIDTH: usize = 6;
const IMAGE: usize = 5;
const CLASSES: usize = 12;
/// Owner of each post, and whether it has a text and a picture.
const POSTS: [(usize, bool, bool); 4] = [
    (0, true, true),
    (0, true, true),
    (1, true, false),
    (3, false, true),
];
const DESCRIBED: [bool; 4] = [true, false, true, false];
/// Whether each query has a context and a picture.
const QUERIES: [(bool, bool); 4] = [(true, true), (true, false), (false, true), (false, false)];

#[derive(Deserialize)]
struct Expected {
    carried: Vec<f32>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    cues: [Option<f32>; 7],
    above: [Option<f32>; 7],
}

fn values(name: &str, n: usize) -> Vec<f32> {
    let uniform = |x: u32| f64::from(x) / 2f64.powi(32) * 2.0 - 1.0;
    (0..n)
        .map(|i| uniform(hash32(fnv1a32(name), i as u32)) as f32)
        .collect()
}

fn probabilities(name: &str) -> Vec<f32> {
    let powers: Vec<f32> = values(name, CLASSES)
        .iter()
        .map(|x| (3.0 * x).exp())
        .collect();
    let total: f32 = powers.iter().sum();
    powers.iter().map(|power| power / total).collect()
}

fn kb() -> KnowledgeBase {
    let entity = |e: usize| Entity {
        id: e.to_string(),
        name: "Jaguar".to_owned(),
        aliases: Vec::new(),
        description: if DESCRIBED[e] { "big" } else { "" }.to_owned(),
    };
    let posts = POSTS.iter().enumerate();
    let text = KbText {
        entities: (0..4).map(entity).collect(),
        posts: posts
            .clone()
            .map(|(i, &(entity, text, image))| KbPost {
                entity,
                text: if text {
                    format!("post {i}")
                } else {
                    String::new()
                },
                images: if image {
                    vec![format!("{i}.jpg")]
                } else {
                    Vec::new()
                },
            })
            .collect(),
        prototypes: Vec::new(),
        k: 10,
        selection: Selection::Pagerank,
    };
    let pooled = posts.map(|(i, &(_, text, image))| PooledVectors {
        text: text.then(|| values(&format!("text.{i}"), WIDTH)),
        tuned: text.then(|| values(&format!("tuned.{i}"), WIDTH)),
        image: image.then(|| values(&format!("image.{i}"), IMAGE)),
        classes: image.then(|| probabilities(&format!("p.{i}"))),
        ..PooledVectors::default()
    });
    let profiles = (0..4).map(|e| PooledVectors {
        text: Some(values(&format!("profile.{e}"), WIDTH)),
        context: DESCRIBED[e].then(|| values(&format!("context.{e}"), WIDTH)),
        tuned: DESCRIBED[e].then(|| values(&format!("tuned_profile.{e}"), WIDTH)),
        ..PooledVectors::default()
    });
    KnowledgeBase::new(text, pooled.collect(), profiles.collect())
}

#[test]
fn cues_are_the_references() {
    let expected: Expected = fixture("cues.json");
    let texts: Vec<Vec<f32>> = (0..CLASSES)
        .map(|c| values(&format!("class.{c}"), WIDTH))
        .collect();
    let table = ClassTable::new(vec![String::new(); CLASSES], &texts);
    close(
        "carried",
        &table.carry(&probabilities("p.0")),
        &expected.carried,
        1e-4,
    );
    let kb = kb();
    let index = CueIndex::new(&kb, Some(table), false);
    let mut rows = expected.rows.iter();
    for (q, (has_context, has_image)) in QUERIES.into_iter().enumerate() {
        let post = PooledVectors {
            text: Some(values(&format!("q.text.{q}"), WIDTH)),
            context: has_context.then(|| values(&format!("q.context.{q}"), WIDTH)),
            tuned: has_context.then(|| values(&format!("q.tuned.{q}"), WIDTH)),
            image: has_image.then(|| values(&format!("q.image.{q}"), IMAGE)),
            classes: has_image.then(|| probabilities(&format!("q.p.{q}"))),
            joint: None,
        };
        let query = CueQuery {
            post: &post,
            text: "a jaguar",
            mention: "jaguar",
        };
        for (entity, cues) in index.observe(&kb, &query, &[0, 1, 2, 3]).iter().enumerate() {
            let row = rows.next().unwrap();
            let name = format!("query {q}, entity {entity}");
            let found = cues.vectors;
            let found = [
                found.text,
                found.context,
                found.tuned,
                found.image,
                found.classes,
                found.image_text,
                found.text_image,
            ];
            assert_eq!(
                found.map(|cue| cue.is_some()),
                row.cues.map(|cue| cue.is_some()),
                "{name}"
            );
            let plain = |cues: [Option<f32>; 7]| cues.map(Option::unwrap_or_default);
            close(&name, &plain(found), &plain(row.cues), 1e-4);
            close(&name, &cues.observed.values()[..7], &plain(row.above), 1e-4);
        }
    }
}
