//! `cargo bench --bench memory`: peak memory of `imn features` and `imn prototypes` on datasets of growing size (Linux).

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tests::{Dir, hash32, imn, picture, weights};

/// Posts of an entity.
const TIMELINE: usize = 10;
/// One post in this many has a picture.
const PICTURED: usize = 10;
const WORDS: [&str; 16] = [
    "river", "engine", "market", "choir", "harbour", "violin", "desert", "printer", "garden",
    "comet", "bakery", "glacier", "tunnel", "falcon", "library", "lantern",
];

fn main() -> Result<(), Box<dyn Error>> {
    for n_posts in [1_000, 10_000] {
        let dir = dataset(n_posts, true)?;
        report("features", n_posts, measured(&dir, "features data")?);
    }
    for n_posts in [10_000, 100_000] {
        let dir = dataset(n_posts, false)?;
        measured(&dir, "features data")?;
        report(
            "prototypes",
            n_posts,
            measured(&dir, "prototypes data --run run")?,
        );
    }
    Ok(())
}

fn report(command: &str, n_posts: usize, (megabytes, took): (f64, Duration)) {
    let seconds = took.as_secs_f64();
    println!("{command}, {n_posts} posts: {megabytes:.0} MB, {seconds:.0} s");
}

/// Posts of six words each; with pictures, a tenth of them shows a picture of its own.
fn dataset(n_posts: usize, with_pictures: bool) -> Result<Dir, Box<dyn Error>> {
    let dir = Dir::new();
    let data = dir.path("data");
    fs::create_dir_all(data.join("images"))?;
    fs::write(
        data.join("dataset.json"),
        r#"{"format":1,"name":"generated","licence":"CC0-1.0","source":"bench","candidate_policy":"given"}"#,
    )?;
    let mut entities = String::new();
    for i in 0..n_posts / TIMELINE {
        writeln!(
            entities,
            r#"{{"id":"e{i}","name":"Name {i}","aliases":[],"description":"number {i}"}}"#
        )?;
    }
    fs::write(data.join("entities.jsonl"), entities)?;
    let mut timeline = String::new();
    for i in 0..n_posts {
        let word = |k: u32| WORDS[(hash32(i as u32, k) % 16) as usize];
        let text: Vec<&str> = (0..6).map(word).collect();
        let (owner, text) = (i / TIMELINE, text.join(" "));
        let image = if with_pictures && i % PICTURED == 0 {
            picture([64, 64, i as u32]).save(data.join(format!("images/{i}.png")))?;
            format!(r#""images/{i}.png""#)
        } else {
            String::new()
        };
        writeln!(
            timeline,
            r#"{{"entity":"e{owner}","text":"{text} {i}","images":[{image}]}}"#
        )?;
    }
    fs::write(data.join("timeline.jsonl"), timeline)?;
    Ok(dir)
}

/// The most memory that `imn` held at once, in MB, and how long it took.
fn measured(dir: &Dir, command: &str) -> Result<(f64, Duration), Box<dyn Error>> {
    let started = Instant::now();
    let mut child = Command::new(imn())
        .args(["--device", "flex"])
        .args(command.split_whitespace())
        .arg("--weights")
        .arg(weights())
        .current_dir(dir.root())
        .stderr(Stdio::null())
        .spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    let exit = loop {
        peak = peak.max(high_water(Path::new(&status)).unwrap_or_default());
        if let Some(exit) = child.try_wait()? {
            break exit;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    if !exit.success() {
        return Err(format!("imn {command}: {exit}").into());
    }
    Ok((peak, started.elapsed()))
}

/// `VmHWM`, in MB.
fn high_water(status: &Path) -> Option<f64> {
    let status = fs::read_to_string(status).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}
