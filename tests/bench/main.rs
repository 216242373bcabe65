//! `cargo xtask bench`: visits and answers of the page on the CPU; ONNX Runtime Web in the same browser, where `IMN_ONNX` names the package.

mod onnx;

use std::path::Path;
use std::time::Instant;

use shared_model::data::Post;
use tests::chromium::Browser;
use tests::page::{Page, folder, knowledge_base};
use xtask::serve::Server;

/// Posts with text and picture. What was encoded before is used again: each is asked once.
const POSTS: [&str; 8] = [
    "b-windmill-1",
    "b-hammer-1",
    "b-opera-1",
    "b-safari-1",
    "b-pyramid-1",
    "b-china-1",
    "b-cat-1",
    "b-firefox-1",
];

/// Number of answers before memory is looked at again.
const ANSWERS: usize = 50;
/// Number of times that it is looked at: a leak grows every time.
const ROUNDS: usize = 4;

fn main() {
    cold_example();
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    drop(visit(
        &browser,
        &server,
        "a first visit that loads the model",
    ));
    let page = visit(&browser, &server, "a second one");
    answers(&page);
    drop(page);
    if let Some(package) = std::env::var_os("IMN_ONNX") {
        onnx::runtime(Path::new(&package));
    }
}

/// A first visit that asks for an example and nothing else.
///
/// Its browser may end in the middle of downloads, which may hold threads of its server for a while: nothing else uses that server.
fn cold_example() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let (start, sent) = (Instant::now(), server.bytes_sent());
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    let click = page.wait("the examples", |page| {
        let click = "(() => {
            const example = document.querySelector('[data-testid=example]');
            if (!example) return null;
            const start = performance.now();
            example.click();
            return new Promise(resolve => {
                const poll = () => document.querySelector('[data-testid=candidate]')
                    ? requestAnimationFrame(() => resolve(performance.now() - start))
                    : setTimeout(poll, 1);
                poll();
            });
        })()";
        page.tab().evaluate(click).as_f64()
    });
    println!("a first visit, an example");
    tell("click to answer", click, "ms");
    tell("opening to answer", elapsed(start), "ms");
    // The worker's program comes meanwhile: it is not what the answer waits for.
    tell(
        "sent by then",
        (server.bytes_sent() - sent) as f64 / 1e6,
        "MB",
    );
}

/// A visit that loads the model.
fn visit<'a>(browser: &'a Browser, server: &Server, name: &str) -> Page<'a> {
    println!("\n{name}");
    let (opening, sent) = (Instant::now(), server.bytes_sent());
    let page = Page::open(browser, &format!("{}?device=cpu", server.address()));
    page.tab().evaluate(
        "window.longest = 0;
        new PerformanceObserver(list => {
            for (const { duration } of list.getEntries()) longest = Math.max(longest, duration);
        }).observe({ type: 'longtask', buffered: true })",
    );
    tell("page stands", elapsed(opening), "ms");
    let loading = Instant::now();
    page.load();
    tell("model is ready", elapsed(loading), "ms");
    tell(
        "sent by then",
        (server.bytes_sent() - sent) as f64 / 1e6,
        "MB",
    );
    tell("peak memory", memory("VmHWM:"), "MB");
    page
}

/// Times of the steps of answers, then memory and tasks over many answers.
fn answers(page: &Page) {
    let kb = knowledge_base();
    let rows = std::fs::read_to_string(kb.join("dev.jsonl")).expect("its dev rows");
    let rows: Vec<Post> = rows
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();
    println!("\nsteps of an answer, as the page tells them");
    for (round, id) in POSTS.into_iter().enumerate() {
        let row = rows
            .iter()
            .find(|row| row.id == id)
            .unwrap_or_else(|| panic!("there is no row {id}"));
        let pictures: Vec<_> = row.images.iter().map(|image| kb.join(image)).collect();
        if round == 0 {
            page.write(&row.text);
            page.give_pictures(&pictures);
            assert_eq!(page.run(), "done");
            println!("{id:14} first: {}", steps(page));
            continue;
        }
        // A changed picture is answered at once, so text and picture are asked one after the other.
        page.give_pictures(&[]);
        page.settle();
        page.write(&row.text);
        assert_eq!(page.run(), "done");
        let text = steps(page);
        page.give_pictures(&pictures);
        page.settle();
        println!("{id:14} warm: {text}; with its picture: {}", steps(page));
    }
    page.give_pictures(&[]);
    page.settle();
    println!();
    tell("memory", memory("VmRSS:"), "MB");
    for answer in 1..=ROUNDS * ANSWERS {
        page.write(&rows[answer % rows.len()].text);
        assert_eq!(page.run(), "done");
        if answer % ANSWERS == 0 {
            tell(&format!("after {answer} answers"), memory("VmRSS:"), "MB");
        }
    }
    encoders(page);
    let longest = page.tab().evaluate("longest").as_f64();
    tell(
        "longest task of the page",
        longest.unwrap_or(0.0),
        "ms (0: none of 50 ms or more)",
    );
}

/// Both encoders alone, as the page's own test of the device times them.
fn encoders(page: &Page) {
    page.unfold("self-test");
    page.click("test-devices");
    let cells = page.wait("the test of the CPU", |page| {
        let cells = "[...document.querySelectorAll('tr[data-device=CPU] [data-ms]')].map(cell => [cell.title, Number(cell.dataset.ms)])";
        let cells: Vec<(String, f64)> = serde_json::from_value(page.tab().evaluate(cells)).ok()?;
        (cells.len() == 2).then_some(cells)
    });
    println!("\nthe page's encoders, one thread");
    tell(&format!("a text of {}", cells[0].0), cells[0].1, "ms");
    tell("a picture", cells[1].1, "ms");
}

fn tell(what: &str, value: f64, unit: &str) {
    println!("{what:28} {value:>8.1} {unit}");
}

/// Milliseconds.
fn elapsed(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

/// Memory in megabytes of the page's process, worker included, where `/proc` tells it; 0 elsewhere.
fn memory(field: &str) -> f64 {
    let processes = std::fs::read_dir("/proc").into_iter().flatten();
    let sizes = processes.filter_map(|entry| {
        let process = entry.ok()?.path();
        let command = std::fs::read_to_string(process.join("cmdline")).ok()?;
        if !command.contains("--type=renderer") {
            return None;
        }
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let size = status.lines().find_map(|line| line.strip_prefix(field))?;
        size.split_whitespace().next()?.parse::<f64>().ok()
    });
    sizes.fold(0.0, f64::max) / 1e3
}

/// The steps that took time.
fn steps(page: &Page) -> String {
    let steps = page.times().into_iter().filter(|(_, time)| time != "–");
    steps
        .map(|(label, time)| format!("{label} {time}"))
        .collect::<Vec<_>>()
        .join(", ")
}
