//! The built page in Chromium: what decided, what if, and a visitor's own entities.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use shared_model::archive::Archive;
use shared_model::data::Mention;
use tests::chromium::Browser;
use tests::finish;
use tests::page::{Page, folder, knowledge_base};
use xtask::serve::Server;

const CHINA: (&str, Mention, &str) = (
    "China. Isn't it beautiful?",
    Mention { start: 0, end: 5 },
    "images/test-china-porcelain.jpg",
);
const PYTHON: (&str, Mention) = (
    "My python bit me at the reptile expo",
    Mention { start: 3, end: 9 },
);

fn serve() -> Server {
    Server::start(&folder(), 0).expect("a server")
}

fn picture(path: &str) -> PathBuf {
    knowledge_base().join(path)
}

fn effects(page: &Page, selector: &str) -> Vec<f64> {
    let found = page.tab().evaluate(&format!(
        "[...document.querySelectorAll('{selector} [data-effect]')].map(part => Number(part.dataset.effect))"
    ));
    serde_json::from_value(found).expect("numbers")
}

/// Sets a checkbox, and waits for the new answer.
fn set(page: &Page, test_id: &str, checked: bool) {
    page.start_with(&format!(
        "(box => box.checked === {checked} || box.click())(by('{test_id}'))"
    ));
    assert_eq!(page.finish(), "done", "{test_id}: {:?}", page.errors());
}

#[test]
fn words_and_regions_that_decided_are_shown() {
    for device in ["cpu", "webgpu"] {
        let (server, browser) = (serve(), Browser::launch());
        let page = Page::open(&browser, &format!("{}?device={device}", server.address()));
        let (text, mention, image) = CHINA;
        page.link(text, mention, &[picture(image)]);
        page.tab()
            .evaluate("document.querySelector('[data-testid=explain]').click()");
        page.wait("the heat map", |page| {
            (effects(page, "[data-testid=heat]").len() == 49).then_some(())
        });
        let regions = effects(&page, "[data-testid=heat]");
        let strongest = regions.iter().copied().fold(0.0, f64::max);
        assert!(strongest > 0.0, "{regions:?}");
        assert_eq!(effects(&page, "[data-testid=shaded]").len(), 3);
        page.unfold("known");
        page.screenshots(&format!("decided-{device}"));

        // Words alone: the reptile decides.
        if device == "cpu" {
            let (text, mention) = PYTHON;
            page.link(text, mention, &[]);
            page.tab()
                .evaluate("document.querySelector('[data-testid=explain]').click()");
            page.wait("the shaded words", |page| {
                (!effects(page, "[data-testid=shaded]").is_empty()).then_some(())
            });
            page.wait_for_words("Words that mattered most: “");
            let shown = page.tab().evaluate(
                "[...document.querySelectorAll('[data-testid=shaded] [data-effect]')].sort((a, b) => b.dataset.effect - a.dataset.effect)[0].innerText",
            );
            assert_eq!(shown, "reptile");
        }
    }
}

#[test]
fn an_answer_changes_with_what_it_may_use() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let (text, mention, image) = CHINA;
    let all = page.link(text, mention, &[picture(image)]);
    page.unfold("what-if");

    set(&page, "post-has-image", false);
    let by_text = page.candidates();
    assert_ne!(by_text[0].entity, all[0].entity);
    page.screenshots("what-if");
    set(&page, "post-has-image", true);
    set(&page, "candidate-has-image", false);
    assert_ne!(page.candidates(), all);
    set(&page, "candidate-has-image", true);
    assert_eq!(page.candidates(), all);

    for k in [1, 10] {
        page.start_with(&format!(
            "(range => {{ range.value = {k}; range.dispatchEvent(new Event('change')) }})(by('k'))"
        ));
        assert_eq!(page.finish(), "done");
        assert_eq!(page.candidates() == all, k == 10);
    }
    set(&page, "by-pagerank", false);
    page.start_with("by('reset').click()");
    assert_eq!(page.finish(), "done");
    assert_eq!(page.candidates(), all);
}

/// Fills the form and presses "Add".
fn add(page: &Page, name: &str, description: &str, posts: &str, pictures: &[PathBuf]) {
    page.unfold("own");
    for (field, value) in [
        ("name", name),
        ("description", description),
        ("posts", posts),
    ] {
        page.tab().evaluate(&format!(
            "(field => {{ field.value = {}; field.dispatchEvent(new Event('input')) }})(document.querySelector('[data-testid=own-{field}]'))",
            json!(value)
        ));
    }
    if !pictures.is_empty() {
        page.tab()
            .give_files("[data-testid=own-pictures]", pictures);
    }
    page.tab()
        .evaluate("document.querySelector('[data-testid=own-add]').click()");
}

fn wait_for_own(page: &Page, n: usize) -> Vec<String> {
    page.wait("the list of own entities", |page| {
        let ids = page.tab().evaluate(
            "[...document.querySelectorAll('[data-testid=own-entity]')].map(item => item.dataset.entity)",
        );
        let ids: Vec<String> = serde_json::from_value(ids).expect("ids");
        (ids.len() == n).then_some(ids)
    })
}

#[test]
fn an_own_entity_competes_stays_and_goes() {
    let (server, browser) = (serve(), Browser::launch());
    let address = format!("{}?device=cpu", server.address());
    let page = Page::open(&browser, &address);
    page.load();
    add(&page, "", "nothing", "", &[]);
    page.wait_for_words("Nothing was added. It needs a name.");
    add(
        &page,
        "Jaguar",
        "cocktail of rum, lime and mint that our bar mixes",
        "two Jaguar and a beer, the bar is full tonight\nwho drank my jaguar",
        &[
            picture("images/test-china-porcelain.jpg"),
            picture("images/test-hammer-tool.jpg"),
        ],
    );
    let own = wait_for_own(&page, 1).remove(0);
    let text = "Ordered a jaguar at the bar, far too much mint and rum in it";
    let mention = Mention { start: 10, end: 16 };
    let with = page.link(text, mention, &[]);
    assert_eq!(with[0].entity, own, "{with:?}");
    page.screenshots("own");

    // What cannot be read adds nothing.
    add(
        &page,
        "Broken",
        "",
        "",
        &[knowledge_base().join("README.md")],
    );
    page.wait_for_words("Nothing was added. images/own-");
    wait_for_own(&page, 1);

    // It is there on the next visit.
    drop(page);
    let page = Page::open(&browser, &address);
    page.wait_for_states(&["ready"]);
    assert_eq!(wait_for_own(&page, 1)[0], own);
    assert_eq!(page.link(text, mention, &[])[0].entity, own);

    // The zip that the page saves is read by `imn link`, which gives the same scores.
    let zip = page.tab().evaluate(
        "new Promise(resolve => {
            const create = URL.createObjectURL;
            URL.createObjectURL = blob => { blob.arrayBuffer().then(bytes => resolve([...new Uint8Array(bytes)])); return create(blob) };
            document.querySelector('[data-testid=own-export]').click();
        })",
    );
    let zip: Vec<u8> = serde_json::from_value(zip).expect("bytes");
    let archive = Archive::read(&zip).expect("a dataset folder in a zip");
    assert_eq!((archive.timeline.len(), archive.pictures.len()), (4, 2));
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("own.zip"), &zip).expect("written");
    let post = json!({ "id": "a", "text": text, "mention": { "start": 10, "end": 16 } });
    fs::write(dir.path().join("posts.jsonl"), post.to_string()).expect("written");
    let mut link = std::process::Command::new(tests::imn());
    link.args(["--device", "flex", "link", "--bundle"])
        .arg(folder().join("demo"))
        .arg("--input")
        .arg(dir.path().join("posts.jsonl"))
        .arg("--with")
        .arg(dir.path().join("own.zip"));
    let answer: Value = serde_json::from_str(&finish(&mut link).ok()).expect("an answer");
    let ranking = answer["ranking"].as_array().expect("candidates");
    assert_eq!(ranking.len(), with.len());
    for (native, shown) in ranking.iter().zip(&with) {
        assert_eq!(native["entity"], shown.entity.as_str());
        let gap = native["score"].as_f64().expect("a score") - f64::from(shown.score);
        assert!(gap.abs() < 1e-3, "{native} {shown:?}");
    }

    // Taken out, and brought back by the zip.
    page.tab()
        .evaluate("document.querySelector('[data-testid=own-entity] button').click()");
    wait_for_own(&page, 0);
    page.tab()
        .give_files("[data-testid=own-import]", &[dir.path().join("own.zip")]);
    assert_eq!(wait_for_own(&page, 1)[0], own);
    assert_eq!(page.link(text, mention, &[])[0].entity, own);
}
