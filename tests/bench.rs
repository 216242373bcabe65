//! `cargo xtask bench`: the page's first and warm answers on the CPU, a step at a time.

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

fn main() {
    let kb = knowledge_base();
    let rows = std::fs::read_to_string(kb.join("dev.jsonl")).expect("its dev rows");
    let rows: Vec<Post> = rows
        .lines()
        .map(|line| serde_json::from_str(line).expect("a row"))
        .collect();

    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let opening = Instant::now();
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    println!(
        "page stands after     {:>8.0} ms, {:>10} bytes",
        opening.elapsed().as_secs_f64() * 1e3,
        server.bytes_sent()
    );
    let loading = Instant::now();
    page.load();
    println!(
        "model is ready after  {:>8.0} ms, {:>10} bytes in all",
        loading.elapsed().as_secs_f64() * 1e3,
        server.bytes_sent()
    );
    print_peak_memory();

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
            println!("{id:14} first: {}", steps(&page));
            continue;
        }
        // A changed picture is answered at once, so text and picture are asked one after the other.
        page.give_pictures(&[]);
        page.settle();
        page.write(&row.text);
        assert_eq!(page.run(), "done");
        let text = steps(&page);
        page.give_pictures(&pictures);
        page.settle();
        println!("{id:14} warm: {text}; with its picture: {}", steps(&page));
    }
}

/// Peak memory of the page's process, worker included, where `/proc` tells it.
fn print_peak_memory() {
    let peaks = std::fs::read_dir("/proc").into_iter().flatten();
    let peaks = peaks.filter_map(|entry| {
        let process = entry.ok()?.path();
        let command = std::fs::read_to_string(process.join("cmdline")).ok()?;
        if !command.contains("--type=renderer") {
            return None;
        }
        let status = std::fs::read_to_string(process.join("status")).ok()?;
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))?;
        peak.split_whitespace().next()?.parse::<f64>().ok()
    });
    if let Some(peak) = peaks.reduce(f64::max) {
        println!("peak memory           {:>8.0} MB", peak / 1e3);
    }
}

/// The steps that took time.
fn steps(page: &Page) -> String {
    let steps = page.times().into_iter().filter(|(_, time)| time != "–");
    steps
        .map(|(label, time)| format!("{label} {time}"))
        .collect::<Vec<_>>()
        .join(", ")
}
