//! The context encoder on a world in which all entities have one name, and its mentions with words of their own.

use std::collections::HashSet;
use std::fmt::Write as _;

use serde_json::{Value, json};
use shared_model::pack::Pack;
use shared_model::text::{BertConfig, HiddenAct};
use shared_model::tokenizer::Tokenizer;
use tempfile::TempDir;

use super::pairs::Pair;
use super::*;
use crate::learn::Stage as _;

/// Entities that are one another's candidates.
const GROUP: usize = 4;
const MENTIONS: usize = 8;
const ENTITIES: usize = 40;

/// Words by their pieces' ids.
fn words() -> Vec<String> {
    let words = "[PAD] [UNK] [CLS] [SEP] it jaguar saw near likes in";
    let fixed = words.split(' ').map(str::to_owned);
    let numbered = |kind: &'static str, n: usize| (0..n).map(move |i| format!("{kind}{i}"));
    fixed
        .chain(numbered("food", ENTITIES))
        .chain(numbered("place", ENTITIES))
        .chain(numbered("year", MENTIONS))
        .collect()
}

fn tokenizer() -> Tokenizer {
    let words = words();
    let vocabulary: Value = words
        .iter()
        .zip(0..)
        .map(|(w, id)| (w.as_str(), id))
        .collect();
    let json = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocabulary},
    });
    Tokenizer::from_bytes(json.to_string().as_bytes()).unwrap()
}

/// A dataset: an entity likes a food, and is mentioned near a place.
///
/// # Arguments
///
/// - has_timeline: whether the timelines repeat all mentions, and have a post of their own after them.
fn dataset(n_entities: usize, has_timeline: bool) -> (TempDir, Dataset) {
    let folder = tempfile::tempdir().unwrap();
    let [mut entities, mut timeline, mut rows] = [const { String::new() }; 3];
    for i in 0..n_entities {
        let description = format!("The Jaguar likes food{i}");
        let entity = json!({"id": format!("e{i}"), "name": "Jaguar", "aliases": ["the jaguar"],
            "description": description});
        writeln!(entities, "{entity}").unwrap();
        let first = i / GROUP * GROUP;
        let candidates: Vec<String> = (first..first + GROUP).map(|i| format!("e{i}")).collect();
        for j in 0..MENTIONS {
            let (id, text) = (
                format!("{i}-{j}"),
                format!("saw jaguar near place{i} in year{j}"),
            );
            let row = json!({"id": id, "text": text, "mention": {"start": 4, "end": 10},
                "candidates": candidates, "entity": format!("e{i}")});
            writeln!(rows, "{row}").unwrap();
            // Some are found by their ids, others by their texts.
            let post = if j % 2 == 0 {
                json!({"entity": format!("e{i}"), "text": text, "id": id})
            } else {
                json!({"entity": format!("e{i}"), "text": text.to_uppercase()})
            };
            if has_timeline {
                writeln!(timeline, "{post}").unwrap();
            }
        }
        if has_timeline {
            let post = json!({"entity": format!("e{i}"), "text": format!("Jaguar: food{i}")});
            writeln!(timeline, "{post}").unwrap();
        }
    }
    let info = json!({"format": 1, "name": "world", "licence": "CC0", "source": "test",
        "candidate_policy": "given"});
    for (file, text) in [
        ("dataset.json", info.to_string()),
        ("entities.jsonl", entities),
        ("timeline.jsonl", timeline),
        ("train.jsonl", rows),
    ] {
        fs::write(folder.path().join(file), text).unwrap();
    }
    let dataset = Dataset::open(folder.path()).unwrap();
    (folder, dataset)
}

fn bert(n_layers: usize) -> Bert {
    let config = BertConfig {
        d_model: 16,
        n_layers,
        n_heads: 2,
        d_ff: 32,
        vocab_size: words().len(),
        max_tokens: 64,
        type_vocab_size: 1,
        layer_norm_eps: 1e-12,
        hidden_act: HiddenAct::Gelu,
    };
    let device = Device::flex();
    device.seed(1);
    config.init(&device)
}

fn settings(batch: usize, steps: usize, tuned_layers: usize) -> Settings {
    Settings {
        datasets: Vec::new(),
        encoders: String::new(),
        context: None,
        seed: 1,
        batch,
        steps,
        learning_rate: 5e-3,
        tuned_layers,
        evaluate_every: steps,
        patience: 1,
        validation: 100,
    }
}

fn mrr(stage: &mut TextStage, model: &mut Optimised<TunedLayers>, name: &str) -> f64 {
    let metrics = stage.evaluate(model, 0).unwrap();
    metrics
        .into_iter()
        .find(|(found, _)| *found == name)
        .unwrap()
        .1
}

#[test]
fn mentions_find_their_entities_by_what_is_around_them() {
    let (_folder, dataset) = dataset(ENTITIES, false);
    let pairs = Pairs::read(&[dataset], &tokenizer(), 100).unwrap();
    let settings = settings(32, 300, 1);
    let bert = bert(2);
    let (mut model, mut stage) = prepare(
        bert.clone(),
        None,
        &pairs,
        &settings,
        &Device::flex().autodiff(),
    );
    let before = mrr(&mut stage, &mut model, "seen_mrr");
    for step in 1..=settings.steps {
        stage.step(&mut model, step).unwrap();
    }
    let after = mrr(&mut stage, &mut model, "seen_mrr");
    assert!(before < 0.7 && after > 0.97, "{before} {after}");

    // The file has what was trained, and nothing else.
    let run = tempfile::tempdir().unwrap();
    let from = tempfile::tempdir().unwrap();
    let metadata = [("licence", "MIT"), ("source", "test")];
    let text = write(Entry::of_module(&bert), &metadata, Precision::F32).unwrap();
    let start = Entry::of_module(&bert.last_layers(1));
    let start = write(start, &[("source", "the first data")], Precision::F32).unwrap();
    for (file, bytes) in [
        ("text.bpk", text.as_slice()),
        ("joint.bpk", b"joint"),
        ("tokenizer.json", b"{}"),
        ("checkpoint-text.bpk", b"of another run"),
        ("context.bpk", start.as_slice()),
        ("train.toml", b"of another run"),
    ] {
        fs::write(from.path().join(file), bytes).unwrap();
    }
    save(&model.model, &settings, from.path(), &[], run.path()).unwrap();
    let entries = fs::read_dir(run.path()).unwrap();
    let mut files: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    files.sort();
    assert_eq!(files, [CONTEXT, "joint.bpk", "text.bpk", "tokenizer.json"]);
    assert_eq!(fs::read(run.path().join("text.bpk")).unwrap(), text);
    let context = crate::weights::pack(run.path(), CONTEXT).unwrap().unwrap();
    assert_eq!(context.metadata("licence"), Some("MIT"));
    let source = context.metadata("source").unwrap();
    assert!(source.starts_with("the first data; fine-tuned"), "{source}");
    assert_eq!(context.metadata("text"), Some(sha256(&text).as_str()));
    let config: TunedConfig = crate::weights::config(&context).unwrap();
    assert_eq!(config, TunedConfig { n_layers: 1 });
    assert!(context.names().all(|name| name.starts_with("layers.0.")));
    let loaded = config.load(&bert, &context).unwrap();
    let expected = bert.with_last_layers(model.model.valid());
    let values = |bert: &Bert| {
        let bytes = write(Entry::of_module(bert), &[], Precision::F32).unwrap();
        Pack::read("bert", bytes).unwrap()
    };
    let (loaded, expected) = (values(&loaded), values(&expected));
    for name in expected.names() {
        let [loaded, expected] = [&loaded, &expected].map(|pack| pack.floats(name).unwrap());
        assert_eq!(loaded, expected, "{name}");
    }
}

#[test]
fn texts_have_no_names_and_repeat_neither_the_mention_nor_the_hold_out() {
    let (_folder, dataset) = dataset(ENTITIES, true);
    let pairs = Pairs::read(&[dataset], &tokenizer(), 100).unwrap();
    let words = words();
    let text = |text: usize| -> String {
        let ids = pairs.texts[text].ids.iter();
        ids.map(|&id| format!("{} ", words[id as usize])).collect()
    };
    assert!(!pairs.seen.is_empty() && !pairs.new.is_empty());
    let held: HashSet<usize> = pairs
        .seen
        .iter()
        .chain(&pairs.new)
        .map(|pair| pair.masked)
        .collect();
    let fit: Vec<&Pair> = pairs.fit.iter().flatten().collect();
    for pair in &fit {
        assert!(text(pair.masked).starts_with("[CLS] saw it near"));
        assert!(text(pair.whole).starts_with("[CLS] saw jaguar near"));
        let trained = pairs.trained(pair.gold, pair);
        assert!(text(trained[0]).starts_with("[CLS] it likes food"));
        assert!(text(*trained.last().unwrap()).starts_with("[CLS] it [UNK] food"));
        assert!(trained.iter().all(|&other| !text(other).contains("jaguar")));
        assert!(!trained.contains(&pair.masked) && trained.iter().all(|text| !held.contains(text)));
        // The other mentions of the entity are not left out, but for the held-out ones.
        let others = fit.iter().filter(|other| other.gold == pair.gold);
        assert_eq!(trained.len(), 2 + others.count() - 1);
        assert_eq!(pair.negatives.len(), GROUP - 1);
        for &other in &pair.negatives {
            assert!(!pairs.is_same(other, pair.gold));
            assert!(!pairs.trained(other, pair).is_empty());
        }
    }
    for pair in pairs.seen.iter().chain(&pairs.new) {
        let shown = pairs.shown(pair.gold, pair);
        assert_eq!(shown.len(), 1 + 4, "the description and four posts");
        assert!(!shown.contains(&pair.masked));
    }
}

#[test]
fn a_batch_is_divided_by_the_square_roots_of_the_sizes() {
    for (sizes, batch, expected) in [
        (&[100, 400][..], 32, &[11, 21][..]),
        (&[9, 9, 9], 9, &[3, 3, 3]),
        (&[1, 1_000_000], 2, &[1, 1]),
        (&[12_010, 8_000, 4_000, 437, 185], 32, &[11, 9, 7, 3, 2]),
    ] {
        assert_eq!(places(sizes, batch), expected, "{sizes:?}");
    }
}

#[test]
fn every_batch_has_mentions_of_each_dataset() {
    let (_one, small) = dataset(12, false);
    let (_other, large) = dataset(ENTITIES, false);
    let pairs = Pairs::read(&[small, large], &tokenizer(), 5).unwrap();
    assert_eq!(pairs.fit.len(), 2);
    assert!(2 * pairs.fit[0].len() < pairs.fit[1].len());
    assert!(pairs.seen.len() <= 2 * 5, "5 of each dataset");
    let settings = settings(9, 40, 1);
    let device = Device::flex().autodiff();
    let (_, stage) = prepare(bert(1), None, &pairs, &settings, &device);
    for step in 1..=settings.steps {
        let drawn = stage.rows(step);
        let of_small = drawn.iter().filter(|pair| pair.gold < 12).count();
        assert_eq!((of_small, drawn.len()), (stage.places[0], 9));
        assert!((1..5).contains(&of_small));
    }
}

#[test]
fn an_entity_and_a_text_are_no_negatives_of_themselves() {
    let (_one, first) = dataset(12, true);
    let (_other, second) = dataset(12, true);
    let pairs = Pairs::read(&[first, second], &tokenizer(), 5).unwrap();
    let settings = settings(64, 3, 1);
    let device = Device::flex().autodiff();
    let (_, stage) = prepare(bert(1), None, &pairs, &settings, &device);
    let mut n_excluded = 0;
    for step in 1..=settings.steps {
        let drawn = stage.draw(step);
        let (n, m) = (drawn.pairs.len(), drawn.columns.len());
        let mask: Vec<bool> = stage
            .excluded(&drawn, &device)
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(mask.len(), n * m);
        for row in 0..n {
            assert_eq!(drawn.columns[row].entity, drawn.pairs[row].gold);
            for column in 0..m {
                // Both datasets have the entity e0.
                let alike = drawn.columns[row].entity % 12 == drawn.columns[column].entity % 12;
                let is_excluded = alike && row != column;
                assert_eq!(mask[row * m + column], is_excluded, "{row} {column}");
                n_excluded += usize::from(is_excluded);
            }
        }
    }
    assert!(n_excluded > 0);
}
