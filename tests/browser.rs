//! The built page in Chromium: answers, agreement with `imn`, what happens when something goes away.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;
use shared_model::data::{Candidate, Mention, Post};
use tests::chromium::Browser;
use tests::page::{Page, Shown, folder, knowledge_base};
use tests::{finish, imn};
use xtask::serve::Server;

/// Rows of the demo knowledge base whose sentence fits every sense and whose photograph no model has seen.
const PHOTOGRAPHS: [&str; 13] = [
    "n-china-1",
    "n-china-2",
    "n-opera-1",
    "n-cat-1",
    "n-windmill-1",
    "n-windmill-2",
    "n-hammer-1",
    "n-hammer-2",
    "n-screwdriver-1",
    "n-eiffel-1",
    "n-taj-mahal-1",
    "n-pyramid-1",
    "n-pyramid-2",
];

/// Rows with one sentence and two pictures of different things.
const SWAPS: [(&str, &str); 4] = [
    ("n-china-1", "n-china-2"),
    ("n-opera-1", "n-opera-2"),
    ("n-safari-1", "n-safari-2"),
    ("n-cat-1", "n-cat-2"),
];

/// Rows with text and picture, or text alone, that every device must answer alike.
const PARITY: [&str; 3] = ["n-china-1", "b-cat-1", "t-python-2"];

/// A row of the knowledge base's `dev.jsonl`.
struct Row {
    post: Post,
    mention: Mention,
    gold: String,
}

impl Row {
    fn read(id: &str) -> Self {
        let rows = fs::read_to_string(knowledge_base().join("dev.jsonl"))
            .expect("the knowledge base's dev rows");
        let mut posts = rows
            .lines()
            .map(|line| serde_json::from_str::<Post>(line).expect("a row"));
        let post = posts
            .find(|post| post.id == id)
            .unwrap_or_else(|| panic!("there is no row {id}"));
        Self {
            mention: post.mention.expect("a mention"),
            gold: post.entity.clone().expect("an entity"),
            post,
        }
    }

    fn pictures(&self) -> Vec<PathBuf> {
        let absolute = |image: &String| knowledge_base().join(image);
        self.post.images.iter().map(absolute).collect()
    }

    #[track_caller]
    fn link(&self, page: &Page) -> Vec<Shown> {
        page.link(&self.post.text, self.mention, &self.pictures())
    }
}

fn serve() -> Server {
    Server::start(&folder(), 0).expect("a server")
}

#[test]
fn photographs_decide_where_the_words_cannot() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let mut wrong = Vec::new();
    let mut golds = Vec::new();
    for id in PHOTOGRAPHS {
        let row = Row::read(id);
        let candidates = row.link(&page);
        assert!(candidates.len() >= 2, "{id}: {candidates:?}");
        if candidates[0].entity != row.gold {
            wrong.push((id, candidates));
        }
        golds.push(row.gold);
    }
    golds.sort();
    golds.dedup();
    assert!(golds.len() >= 6, "{golds:?}");
    assert!(wrong.is_empty(), "{wrong:#?}");
    page.screenshots("answer");
}

#[test]
fn another_picture_changes_the_winner() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let mut wrong = Vec::new();
    for (one, other) in SWAPS {
        let (one, other) = (Row::read(one), Row::read(other));
        assert_eq!(one.post.text, other.post.text);
        let winner = one.link(&page)[0].entity.clone();
        page.give_pictures(&other.pictures());
        assert_eq!(page.run(), "done");
        let swapped = page.candidates()[0].entity.clone();
        if (&winner, &swapped) != (&one.gold, &other.gold) {
            wrong.push((one.post.text, winner, swapped));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What `imn link` answers to every row, on Flex, from the page's own bundle.
fn native() -> Vec<(String, Vec<Candidate>)> {
    #[derive(Deserialize)]
    struct Line {
        id: String,
        ranking: Vec<Scored>,
    }
    #[derive(Deserialize)]
    struct Scored {
        entity: String,
        score: f32,
        probability: f32,
    }
    let mut link = Command::new(imn());
    link.args(["--device", "flex", "link", "--bundle"])
        .arg(folder().join("demo"));
    let answers = finish(link.arg("--input").arg(knowledge_base().join("dev.jsonl"))).ok();
    let parse = |line: &str| {
        let Line { id, ranking } = serde_json::from_str(line).expect("an answer");
        let candidate = |Scored {
                             entity,
                             score,
                             probability,
                         }| Candidate {
            entity,
            score,
            probability,
            cues: Default::default(),
            parts: Default::default(),
        };
        (id, ranking.into_iter().map(candidate).collect())
    };
    answers.lines().map(parse).collect()
}

/// Checks that the page gives the scores of `imn link`, in its order where they differ.
#[track_caller]
fn check_parity(device: &str) {
    const TOLERANCE: f32 = 1e-3;
    let native = native();
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device={device}", server.address()));
    for id in PARITY {
        let row = Row::read(id);
        page.load();
        assert_eq!(page.device().as_deref(), Some(device), "{id}, before");
        let shown = row.link(&page);
        assert_eq!(page.device().as_deref(), Some(device), "{id}, after");

        let (_, native) = native
            .iter()
            .find(|(other, _)| other == id)
            .expect("a line for every row");
        assert_eq!(shown.len(), native.len(), "{id}");
        let position = |entity: &str| {
            shown
                .iter()
                .position(|shown| shown.entity == entity)
                .expect("the same candidates")
        };
        for (rank, candidate) in native.iter().enumerate() {
            let here = position(&candidate.entity);
            let difference = (shown[here].score - candidate.score).abs();
            println!(
                "{id}, {device}: {} differs by {difference:.1e}",
                candidate.entity
            );
            assert!(
                difference <= TOLERANCE,
                "{id}: {candidate:?} is {:?} on {device}",
                shown[here]
            );
            for worse in &native[rank + 1..] {
                let apart = candidate.score - worse.score > TOLERANCE;
                assert!(
                    !apart || here < position(&worse.entity),
                    "{id}: {} before {}",
                    worse.entity,
                    candidate.entity
                );
            }
        }
    }
}

#[test]
fn the_cpu_agrees_with_imn() {
    check_parity("cpu");
}

#[test]
fn webgpu_agrees_with_imn() {
    check_parity("webgpu");
}

#[test]
fn a_lost_gpu_is_replaced_by_the_cpu() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=webgpu", server.address()));
    let row = Row::read("b-cat-1");
    page.load();
    assert_eq!(page.device().as_deref(), Some("webgpu"));
    page.write(&row.post.text);
    page.give_pictures(&row.pictures());
    page.choose(row.mention);
    page.start();
    page.wait_for_states(&["running"]);
    browser.crash_gpu();
    assert_eq!(page.finish(), "done", "{:?}", page.errors());
    assert_eq!(page.device().as_deref(), Some("cpu"));
    assert_eq!(page.candidates()[0].entity, row.gold);
    page.wait_for_words("now runs on the CPU");
}

#[test]
fn the_open_page_needs_no_network() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    Row::read("n-china-1").link(&page);
    drop(server);
    let row = Row::read("b-windmill-1");
    assert_eq!(row.link(&page)[0].entity, row.gold);
}

#[test]
fn an_example_is_answered_before_the_model_is_there_and_the_same_by_it() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let examples: Vec<serde_json::Value> =
        serde_json::from_slice(&fs::read(folder().join("demo/examples.json")).expect("a file"))
            .expect("examples");
    page.wait("the examples", |page| {
        let n = page
            .tab()
            .evaluate("document.querySelectorAll('[data-testid=example]').length");
        (n == examples.len()).then_some(())
    });
    let before = server.bytes_sent();
    let mut shown = Vec::new();
    for (i, example) in examples.iter().enumerate() {
        page.tab().evaluate(&format!(
            "document.querySelectorAll('[data-testid=example]')[{i}].click()"
        ));
        let text = example["text"].as_str().expect("a text");
        page.wait("the answer to the example", |page| {
            (page.state() == "done" && page.shown().contains("Answered in advance")).then_some(())
        });
        let is_shown = format!("document.querySelector('#post-text').value === {text:?}");
        assert_eq!(page.tab().evaluate(&is_shown), true, "{text}");
        let best = &example["answer"]["ranking"]["candidates"][0]["entity"];
        shown.push(page.candidates());
        assert_eq!(shown[i][0].entity, best.as_str().expect("an id"));
    }
    assert_eq!(page.device(), None);
    // The worker's program comes meanwhile, no encoder.
    let sent = server.bytes_sent() - before;
    let encoder = fs::metadata(folder().join("demo/text.bpk")).expect("the text part");
    assert!(sent < encoder.len(), "{sent} bytes");
    page.screenshots("example");

    // The model answers the example that is shown, once it is there.
    page.load();
    page.wait("the model's answer", |page| {
        (page.state() == "done" && page.shown().contains("Answered in ")).then_some(())
    });
    assert!(!page.shown().contains("Answered in advance"));
    for (i, prepared) in shown.iter().enumerate() {
        page.start_with(&format!(
            "document.querySelectorAll('[data-testid=example]')[{i}].click()"
        ));
        assert_eq!(page.finish(), "done");
        let here = page.candidates();
        assert_eq!(here.len(), prepared.len());
        for (here, prepared) in here.iter().zip(prepared) {
            assert_eq!(here.entity, prepared.entity);
            let gap = (here.probability - prepared.probability).abs();
            assert!(gap < 1e-3, "{here:?} {prepared:?}");
        }
    }
}

#[test]
fn the_parts_of_the_difference_add_up_to_it() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    for (i, id) in PARITY.into_iter().enumerate() {
        let candidates = Row::read(id).link(&page);
        let numbers = |test_id: &str| -> Vec<f32> {
            let found = page.tab().evaluate(&format!(
                "[...document.querySelectorAll('[data-testid={test_id}]')].map(row => Number(row.dataset.difference))"
            ));
            serde_json::from_value(found).expect("numbers")
        };
        let (parts, total) = (numbers("part"), numbers("difference"));
        let expected = candidates[0].score - candidates[1].score;
        assert!(
            (total[0] - expected).abs() < 1e-4,
            "{id}: {total:?} {expected}"
        );
        // Parts that are rounding are not shown.
        let sum: f32 = parts.iter().sum();
        assert!((sum - expected).abs() < 5e-3, "{id}: {parts:?} {expected}");
        assert!(parts.len() > 2, "{id}: {parts:?}");
        page.tab()
            .evaluate("document.querySelector('[data-testid=why]').open = true");
        page.screenshots(&format!("why-{i}"));
    }
}

#[test]
fn a_second_visit_downloads_nothing() {
    let (server, browser) = (serve(), Browser::launch());
    let address = format!("{}?device=cpu", server.address());
    let page = Page::open(&browser, &address);
    page.load();
    // The service worker checks the page's files after the page has loaded.
    let is_kept = "navigator.serviceWorker.ready.then(() => true)";
    assert_eq!(page.tab().evaluate(is_kept), true);
    let first = server.bytes_sent();
    let bundle = fs::metadata(folder().join("demo/text.bpk"))
        .expect("the text part")
        .len();
    assert!(first > bundle, "{first} bytes");

    let again = Page::open(&browser, &address);
    again.wait_for_states(&["ready"]);
    assert!(
        server.bytes_sent() - first < bundle,
        "{} bytes more",
        server.bytes_sent() - first
    );
    again.unfold("about");
    again.wait_for_words("It came from this browser's storage");
}

#[test]
fn a_full_storage_costs_the_cache_only() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let quota = serde_json::json!({ "origin": server.address().trim_end_matches('/'), "quotaSize": 100_000 });
    page.tab().call("Storage.overrideQuotaForOrigin", quota);
    let row = Row::read("b-cat-1");
    assert_eq!(row.link(&page)[0].entity, row.gold);
    page.wait_for_words("Downloads cannot be kept here, so every visit downloads the model again: the browser's storage is full");
}
