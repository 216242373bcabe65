//! The built page in Chromium: what decided, what if, and a visitor's own entities.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use shared_model::archive::Archive;
use shared_model::data::{Mention, Post};
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

    // A surface of one colour is left, which speaks less for the answer; uncovered, everything is as before.
    let toggle = |part: usize| {
        page.start_with(&format!("all('cover')[{part}].click()"));
        assert_eq!(page.finish(), "done");
    };
    (0..9).for_each(toggle);
    let hidden = page.candidates();
    let same = hidden.iter().find(|shown| shown.entity == all[0].entity);
    let weaker = same.is_some_and(|shown| shown.probability < all[0].probability - 0.05);
    assert!(weaker, "{hidden:?} {all:?}");
    page.screenshots("covered");
    (1..9).for_each(toggle);
    assert_ne!(page.candidates(), all);
    toggle(0);
    assert_eq!(page.candidates(), all);

    for k in [1, 10] {
        page.start_with(&format!(
            "(range => {{ range.value = {k}; range.dispatchEvent(new Event('change')) }})(by('k'))"
        ));
        assert_eq!(page.finish(), "done");
        assert_eq!(page.candidates() == all, k == 10);
    }
    toggle(4);
    set(&page, "by-pagerank", false);
    page.start_with("by('reset').click()");
    assert_eq!(page.finish(), "done");
    assert_eq!(page.candidates(), all);
}

/// Presses a button that saves a file, and takes the file.
fn saved(page: &Page, test_id: &str) -> Vec<u8> {
    let bytes = page.tab().evaluate(&format!(
        "new Promise(resolve => {{
            const create = URL.createObjectURL;
            URL.createObjectURL = blob => {{ blob.arrayBuffer().then(bytes => resolve([...new Uint8Array(bytes)])); return create(blob) }};
            document.querySelector('[data-testid={test_id}]').click();
        }})"
    ));
    serde_json::from_value(bytes).expect("bytes")
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
    let zip = saved(&page, "own-export");
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

    // Deleted where the page lists what it keeps, now and for the next visit.
    page.unfold("stored");
    page.wait("their size", |page| {
        let can_delete = "document.querySelector('[data-testid=clear-own]')?.disabled === false";
        (page.tab().evaluate(can_delete) == true).then_some(())
    });
    page.click("clear-own");
    wait_for_own(&page, 0);
    drop(page);
    let page = Page::open(&browser, &address);
    page.wait_for_states(&["ready"]);
    wait_for_own(&page, 0);
}

#[test]
fn many_posts_give_the_lines_of_imn_link() {
    // All held-out posts, so that the page's figures are those of `imn eval`.
    let rows = fs::read_to_string(knowledge_base().join("test.jsonl")).expect("test rows");
    let rows: Vec<&str> = rows.lines().collect();
    let posts: Vec<Post> = rows
        .iter()
        .map(|row| serde_json::from_str(row).expect("a row"))
        .collect();
    let dir = tempfile::tempdir().expect("a folder");
    let input = dir.path().join("posts.jsonl");
    fs::write(&input, rows.join("\n")).expect("written");
    std::os::unix::fs::symlink(knowledge_base().join("images"), dir.path().join("images"))
        .expect("a link");
    let mut link = std::process::Command::new(tests::imn());
    link.args(["--device", "flex", "link", "--bundle"])
        .arg(folder().join("demo"))
        .arg("--input")
        .arg(&input);
    let native = finish(&mut link).ok();
    let parse = |lines: &str| -> Vec<Value> {
        let lines = lines.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line"))
            .collect()
    };
    let native = parse(&native);

    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.load();
    page.unfold("batch");
    let mut files: Vec<PathBuf> = posts
        .iter()
        .flat_map(|post| &post.images)
        .map(|path| picture(path))
        .collect();
    files.sort();
    files.dedup();
    let pictures = files.len();
    assert!(pictures > 3, "{pictures}");
    files.push(input.clone());
    page.tab()
        .give_files("[data-testid=batch-files]", &files[1..]);
    page.wait_for_words("the picture was not given");
    page.tab().give_files("[data-testid=batch-files]", &files);
    let with_entity = posts.iter().filter(|post| post.entity.is_some()).count();
    page.wait_for_words(&format!("Of {with_entity} with an entity: P@1 "));
    page.screenshots("batch");
    let lines = saved(&page, "batch-save");
    let shown = parse(std::str::from_utf8(&lines).expect("UTF-8"));
    assert_eq!(shown.len(), native.len());
    let mut right = 0.0;
    for ((shown, native), post) in shown.iter().zip(&native).zip(&posts) {
        assert_eq!(shown["id"], native["id"]);
        let ranking = |line: &Value| line["ranking"].as_array().expect("a list").clone();
        let (shown, native) = (ranking(shown), ranking(native));
        assert_eq!(shown.len(), native.len());
        for (shown, native) in shown.iter().zip(&native) {
            assert_eq!(shown["entity"], native["entity"]);
            let number = |value: &Value| value["score"].as_f64().expect("a score");
            assert!(
                (number(shown) - number(native)).abs() < 1e-3,
                "{shown} {native}"
            );
        }
        if post.entity.is_some() && shown[0]["entity"].as_str() == post.entity.as_deref() {
            right += 1.0;
        }
    }
    page.wait_for_words(&format!("P@1 {:.3}", right / with_entity as f64));
}

/// The first candidate of each case, as the lesson's words say; in the sixth, none of them is meant.
const PROMISED: [&str; 8] = [
    "cat-animal",
    "china-porcelain",
    "chess-queen",
    "queen-band",
    "python-snake",
    "jaguar-cars",
    "eagle-lander",
    "turkey-country",
];

#[test]
fn a_lesson_is_predicted_then_shown() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &server.address());
    page.wait("the examples", |page| {
        let n = "document.querySelectorAll('[data-testid=example]').length > 5";
        (page.tab().evaluate(n) == true).then_some(())
    });
    page.tab()
        .evaluate("document.querySelector('[data-testid=start-lesson]').click()");
    for (at, promised) in PROMISED.into_iter().enumerate() {
        page.wait_for_words(&format!("Lesson, case {} of {}", at + 1, PROMISED.len()));
        let hash = page.tab().evaluate("location.hash");
        assert_eq!(hash, format!("#lesson={}", at + 1));
        let click = |what: &str| {
            page.tab().evaluate(&format!(
                "(part => part.click())(document.querySelectorAll('[data-testid={what}]')[0])"
            ))
        };
        click("prediction");
        click("reveal");
        page.wait("the answer", |page| {
            let shown = page.shown();
            let is_marked =
                shown.contains("— as predicted") || shown.contains("— the model's answer");
            is_marked.then_some(())
        });
        assert_eq!(page.candidates()[0].entity, promised);
        let is_none = page.shown().contains("is probably none of these");
        assert_eq!(is_none, at == 5, "{promised}");
        if at == 0 {
            page.screenshots("lesson");
        }
        if at + 1 < PROMISED.len() {
            click("next");
        }
    }
    // A link opens the page at its case, and with its text.
    let address = format!("{}#text=Saw%20a%20jaguar&lesson=6", server.address());
    let page = Page::open(&browser, &address);
    page.wait_for_words("Lesson, case 6 of 8");
    let text = page
        .tab()
        .evaluate("document.querySelector('#post-text').value");
    assert_eq!(text, "Saw a jaguar");
}

#[test]
fn all_names_of_a_post_are_answered_at_once() {
    let (server, browser) = (serve(), Browser::launch());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.load();
    page.write("The python at the zoo hid from the jaguar, says my safari guide");
    page.choose(Mention { start: 4, end: 10 });
    page.tab()
        .evaluate("document.querySelector('[data-testid=link-all]').click()");
    let meanings = page.wait("the meanings", |page| {
        let shown = page.tab().evaluate(
            "[...document.querySelectorAll('.meaning')].map(meaning => meaning.innerText)",
        );
        let shown: Vec<String> = serde_json::from_value(shown).expect("texts");
        (shown.len() > 1).then_some(shown)
    });
    assert!(
        meanings.iter().all(|meaning| meaning.contains('%')),
        "{meanings:?}"
    );
    page.screenshots("all-names");
}
