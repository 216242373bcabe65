//! The demo's model, natively: what its explanations name matters, and a visitor's own entities come and go.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use burn::prelude::Device;
use shared_model::aliases::NameMatch;
use shared_model::bundle::Bundle;
use shared_model::data::{Entity, Mention, Post, Ranking};
use shared_model::evidence::{Conditions, Sides};
use shared_model::explain::{GRID, Occlusion};
use shared_model::image::decode;
use shared_model::linker::{Linker, Picture, Query, TextCache};
use shared_model::manifest::Manifest;
use shared_model::own::{OwnEntity, OwnPost};
use shared_model::prototype::Selection;
use tests::hash32;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets")
}

fn linker() -> Linker {
    let demo = assets().join("demo");
    let read = |file: &str| Ok(fs::read(demo.join(file)).unwrap());
    let manifest = Manifest::parse(&read("bundle.json").unwrap()).unwrap();
    let bundle = pollster::block_on(Bundle::open(manifest, read, &Device::flex()));
    bundle.unwrap().linker
}

/// The dev rows, with their pictures.
fn rows() -> Vec<(Post, Vec<Picture>)> {
    let rows = fs::read_to_string(assets().join("kb/dev.jsonl")).unwrap();
    let row = |line: &str| {
        let post: Post = serde_json::from_str(line).unwrap();
        let paths = post
            .images
            .iter()
            .map(|path| assets().join("kb").join(path));
        let pictures = paths.map(|path| Picture::new(decode(&fs::read(path).unwrap()).unwrap()));
        let pictures = pictures.collect();
        (post, pictures)
    };
    rows.lines().map(row).collect()
}

fn link(linker: &Linker, text: &str, name: &str, conditions: Conditions) -> Ranking {
    let byte = text.find(name).unwrap();
    let start = text[..byte].chars().count();
    let mention = Mention {
        start,
        end: start + name.chars().count(),
    };
    let candidates = linker.aliases.candidates(name, NameMatch::Similar);
    let query = Query {
        text,
        mention,
        pictures: &[],
        candidates: &candidates,
        conditions,
    };
    pollster::block_on(linker.link(&query, &mut TextCache::default(), |_| ())).unwrap()
}

/// The best `n` of `effects`, and `n` others.
fn best_and_random(effects: &[f32], n: usize, seed: u32) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..effects.len()).collect();
    order.sort_by(|&a, &b| effects[b].total_cmp(&effects[a]));
    let best = order[..n].to_vec();
    order.sort_by_key(|&i| hash32(seed, i as u32));
    (best, order[..n].to_vec())
}

#[test]
fn what_an_explanation_names_matters_more_than_as_much_at_random() {
    let linker = linker();
    let (mut of_words, mut of_regions) = (Vec::new(), Vec::new());
    for (at, (post, pictures)) in rows().iter().enumerate() {
        let (Some(mention), Some(ids)) = (post.mention, &post.candidates) else {
            continue;
        };
        let candidates = ids.iter().filter_map(|id| linker.kb.position(id));
        let candidates: Vec<usize> = candidates.collect();
        let pictures: Vec<&Picture> = pictures.iter().collect();
        let query = Query {
            text: &post.text,
            mention,
            pictures: &pictures,
            candidates: &candidates,
            conditions: Conditions::default(),
        };
        // Pictures are slow: a few of them are enough.
        if !pictures.is_empty() && of_regions.len() >= 8 {
            continue;
        }
        pollster::block_on(async {
            let mut texts = TextCache::default();
            let ranking = linker.link(&query, &mut texts, |_| ()).await.unwrap();
            let ranked = ranking.candidates.iter();
            let first_two = ranked.filter_map(|found| linker.kb.position(&found.entity));
            let first_two: Vec<usize> = first_two.take(2).collect();
            let query = Query {
                candidates: &first_two,
                ..query
            };
            let occlusion = Occlusion::new(&linker, query, &mut texts).await.unwrap();
            let effects = occlusion.effects(async || true).await.unwrap().unwrap();
            if pictures.is_empty() && effects.words.len() > 4 {
                let strengths: Vec<f32> = effects.words.iter().map(|word| word.effect).collect();
                let (best, random) = best_and_random(&strengths, 2, at as u32);
                let mut without = Vec::new();
                for chosen in [best, random] {
                    let words: Vec<Mention> = chosen
                        .iter()
                        .map(|&word| effects.words[word].word)
                        .collect();
                    without.push(occlusion.without_words(&words).await.unwrap());
                }
                of_words.push((without[0], without[1]));
            }
            for (picture, regions) in effects.pictures.iter().enumerate() {
                assert_eq!(regions.len(), GRID * GRID);
                let (best, random) = best_and_random(regions, 4, at as u32);
                let left_out: [&[usize]; 2] = [&best, &random];
                let without = occlusion.without_regions(picture, &left_out);
                let without = without.await.unwrap();
                of_regions.push((without[0], without[1]));
            }
        });
    }
    for (what, effects) in [("words", of_words), ("regions", of_regions)] {
        let n = effects.len() as f32;
        let named = effects.iter().map(|(named, _)| named).sum::<f32>() / n;
        let random = effects.iter().map(|(_, random)| random).sum::<f32>() / n;
        println!("{what}, n = {n}: {named:.4} named, {random:.4} at random");
        assert!(n >= 8.0, "{what}: {n}");
        assert!(
            named > 0.0 && named > 1.5 * random,
            "{what}: {named} {random}"
        );
    }
}

#[test]
fn an_own_entity_competes_with_its_namesakes_and_leaves_nothing_behind() {
    let mut linker = linker();
    let text = "Ordered a jaguar at the bar, far too much mint and rum in it";
    let scores = |ranking: &Ranking| -> HashMap<String, f32> {
        let candidates = ranking.candidates.iter();
        candidates
            .map(|candidate| (candidate.entity.clone(), candidate.score))
            .collect()
    };
    let before = link(&linker, text, "jaguar", Conditions::default());
    let own = OwnEntity {
        entity: Entity {
            id: "own-1".to_owned(),
            name: "Jaguar".to_owned(),
            aliases: vec!["El Jaguar".to_owned()],
            description: "cocktail of rum, lime and mint that our bar mixes".to_owned(),
        },
        posts: vec![OwnPost {
            text: "two El Jaguar and a beer, the bar is full tonight".to_owned(),
            images: Vec::new(),
            files: Vec::new(),
        }],
    };
    pollster::block_on(linker.add(&[own], async || ())).unwrap();
    let with = link(&linker, text, "jaguar", Conditions::default());
    assert_eq!(with.candidates[0].entity, "own-1", "{with:?}");
    assert_eq!(with.candidates.len(), before.candidates.len() + 1);
    let found = linker.aliases.mentions("an el jaguar, please");
    assert_eq!(found, [Mention { start: 3, end: 12 }]);

    pollster::block_on(linker.remove(&["own-1"])).unwrap();
    let after = link(&linker, text, "jaguar", Conditions::default());
    assert_eq!(scores(&after), scores(&before));
    assert_eq!(linker.kb.text.posts.len(), linker.kb.pooled.len());
}

#[test]
fn conditions_and_prototypes_can_be_changed_and_put_back() {
    let mut linker = linker();
    let text = "My python bit me at the reptile expo";
    let all = link(&linker, text, "python", Conditions::default());
    let nothing = Conditions {
        candidate: Sides {
            text: false,
            image: false,
        },
        ..Conditions::default()
    };
    let by_names = link(&linker, text, "python", nothing);
    for candidate in &by_names.candidates {
        assert_eq!(candidate.cues.text, None, "{candidate:?}");
        assert!((candidate.parts.sum() - candidate.score).abs() < 1e-5);
    }
    assert!(by_names.candidates[0].probability < all.candidates[0].probability);

    for selection in [Selection::Pagerank, Selection::Random { seed: 0 }] {
        pollster::block_on(linker.choose_prototypes(1, selection)).unwrap();
        let fewer = link(&linker, text, "python", Conditions::default());
        assert_ne!(fewer, all);
        let chosen = linker.kb.text.prototypes.iter();
        assert!(chosen.into_iter().all(|chosen| chosen.text.len() <= 1));
    }
    pollster::block_on(linker.choose_prototypes(10, Selection::Pagerank)).unwrap();
    assert_eq!(link(&linker, text, "python", Conditions::default()), all);
}
