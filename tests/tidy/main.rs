//! What the repository promises about itself: directions, names, licences, tidiness.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod map;
mod modules;
mod style;
mod syntax;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// The crates whose modules ARCHITECTURE.md lists.
const CRATES: [&str; 4] = ["shared-model", "synth", "trainer", "web"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Standard output of a command run in the repository.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// All files that git tracks, or would if they were added.
fn files() -> Vec<String> {
    output(
        "git",
        &["ls-files", "--cached", "--others", "--exclude-standard"],
    )
    .lines()
    .filter(|file| root().join(file).is_file())
    .map(str::to_owned)
    .collect()
}

/// Those files below a folder that end in `.rs`, with their text.
fn sources(folder: &str) -> Vec<(String, String)> {
    let sources: Vec<_> = files()
        .into_iter()
        .filter(|file| file.starts_with(folder) && file.ends_with(".rs"))
        .map(|file| (fs::read_to_string(root().join(&file)).unwrap(), file))
        .map(|(text, file)| (file, text))
        .collect();
    assert!(!sources.is_empty(), "no Rust in {folder:?}");
    sources
}

/// Panics with every place where a source holds one of the words.
#[track_caller]
fn check_absent(sources: &[(String, String)], words: &[impl AsRef<str>], why: &str) {
    let mut found = Vec::new();
    for (file, text) in sources {
        for (number, line) in text.lines().enumerate() {
            for word in words
                .iter()
                .map(AsRef::as_ref)
                .filter(|word| line.contains(word))
            {
                found.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

#[test]
fn crates_depend_in_one_direction() {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        dependencies: Vec<Dependency>,
    }
    #[derive(Deserialize)]
    struct Dependency {
        name: String,
    }

    let metadata = output(
        env!("CARGO"),
        &["metadata", "--no-deps", "--format-version", "1"],
    );
    let metadata: Metadata = serde_json::from_str(&metadata).unwrap();
    let depends = |package: &str, on: &str| {
        let package = metadata
            .packages
            .iter()
            .find(|found| found.name == package)
            .unwrap();
        package
            .dependencies
            .iter()
            .any(|dependency| dependency.name == on)
    };
    assert!(depends("trainer", "shared-model") && depends("web", "shared-model"));
    assert!(depends("trainer", "synth") && depends("synth", "shared-model"));
    for (package, on) in [
        ("shared-model", "synth"),
        ("synth", "trainer"),
        ("web", "synth"),
        ("shared-model", "trainer"),
        ("shared-model", "web"),
        ("trainer", "web"),
        ("web", "trainer"),
    ] {
        assert!(!depends(package, on), "{package} must not depend on {on}");
    }
    for package in metadata
        .packages
        .iter()
        .filter(|package| package.name != "web")
    {
        assert!(
            !depends(&package.name, "web-sys"),
            "only web may name web-sys, not {}",
            package.name
        );
    }
}

#[test]
fn the_page_links_no_autodiff() {
    const WASM: &str = "wasm32-unknown-unknown";
    let tree = output(
        env!("CARGO"),
        &[
            "tree",
            "-p",
            "web",
            "--all-features",
            "--target",
            WASM,
            "-e",
            "normal",
            "--prefix",
            "none",
        ],
    );
    let linked: HashSet<&str> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert!(linked.contains("burn-core"), "{tree}");
    for package in ["burn-autodiff", "burn-optim", "burn-train", "trainer"] {
        assert!(!linked.contains(package), "the page links {package}");
    }
}

#[test]
fn the_model_is_pure() {
    for folder in ["shared-model/src/", "synth/src/"] {
        let sources = sources(folder);
        let found: Vec<String> = sources
            .iter()
            .flat_map(|(file, text)| style::impurities(file, text))
            .collect();
        assert!(
            found.is_empty(),
            "{folder} takes bytes and values only:\n{}",
            found.join("\n")
        );
        let outputs = ["print!(", "println!(", "log::", "tracing::"];
        check_absent(&sources, &outputs, "only a program prints");
    }
    let backends = [
        "Device::flex",
        "Device::wgpu",
        "Device::cuda",
        "Device::default",
    ];
    let mut outside_tests = sources("shared-model/src/");
    for (_, text) in &mut outside_tests {
        text.truncate(text.find("#[cfg(test)]").unwrap_or(text.len()));
    }
    check_absent(&outside_tests, &backends, "shared-model picks no backend");
}

#[test]
fn only_the_engine_names_burn_on_the_page() {
    let others: Vec<_> = sources("web/src/")
        .into_iter()
        .filter(|(file, _)| !file.ends_with("/engine.rs") && !file.ends_with("/webgpu.rs"))
        .collect();
    check_absent(
        &others,
        &["burn::", "use burn"],
        "in web only engine.rs and webgpu.rs name burn",
    );
    let plain: Vec<_> = sources("web/src/protocol.rs")
        .into_iter()
        .chain(sources("shared-model/src/data.rs"))
        .collect();
    check_absent(&plain, &["Tensor"], "no tensor crosses this border");
}

#[test]
fn the_page_says_nothing_outside_its_wording() {
    let found: Vec<String> = ["client", "components", "worker"]
        .iter()
        .flat_map(|part| sources(&format!("web/src/{part}/")))
        .flat_map(|(file, text)| style::texts(&file, &text))
        .collect();
    assert!(
        found.is_empty(),
        "texts that belong to `web::wording`:\n{}",
        found.join("\n")
    );
}

#[test]
fn every_module_is_on_the_map() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let mut absent = Vec::new();
    for name in CRATES {
        let folder = format!("{name}/src/");
        let files: Vec<String> = sources(&folder)
            .iter()
            .filter_map(|(file, _)| Some(file.strip_prefix(&folder)?.to_owned()))
            .collect();
        let unmapped = map::unmapped(&text, name, &files);
        absent.extend(unmapped.iter().map(|file| format!("{folder}{file}")));
    }
    assert!(
        absent.is_empty(),
        "ARCHITECTURE.md has no row for:\n{}",
        absent.join("\n")
    );
}

#[test]
fn no_modules_depend_on_each_other() {
    let mut circles = Vec::new();
    for name in CRATES {
        let folder = format!("{name}/src/");
        let files = sources(&folder);
        for root in ["lib.rs", "main.rs", "app.rs"] {
            let root = format!("{folder}{root}");
            if files.iter().any(|(file, _)| *file == root) {
                let found = modules::circles(&root, &files);
                circles.extend(found.iter().map(|circle| format!("{root}: {circle}")));
            }
        }
    }
    assert!(circles.is_empty(), "circles:\n{}", circles.join("\n"));
}

#[test]
fn documentation_is_in_whole_phrases() {
    let found: Vec<String> = sources("")
        .iter()
        .flat_map(|(file, text)| style::genitives(file, text))
        .collect();
    assert!(found.is_empty(), "bare genitives:\n{}", found.join("\n"));
}

#[test]
fn every_forward_lists_its_shapes() {
    let found: Vec<String> = sources("shared-model/src/")
        .iter()
        .flat_map(|(file, text)| style::forwards_without_shapes(file, text))
        .collect();
    assert!(found.is_empty(), "no `# Shapes`:\n{}", found.join("\n"));
}

#[test]
fn files_are_short() {
    let mut faults = Vec::new();
    for (file, text) in CRATES
        .iter()
        .chain(&["xtask"])
        .flat_map(|name| sources(&format!("{name}/src/")))
    {
        faults.extend(style::length_fault(&file, &text));
    }
    assert!(faults.is_empty(), "lengths:\n{}", faults.join("\n"));
}

#[test]
fn nothing_is_left_undone() {
    let macros = ["todo", "unimplemented", "dbg"].map(|name| format!("{name}!("));
    let attributes = ["ignore", "should_panic"].map(|name| format!("#[{name}"));
    check_absent(&sources(""), &macros, "unfinished");
    check_absent(
        &sources(""),
        &attributes,
        "a test runs, and fails by an assertion",
    );
}

#[test]
fn every_picture_is_credited() {
    const LICENCES: [&str; 10] = [
        "CC0-1.0",
        "Public domain",
        "MIT",
        "CC BY 2.0",
        "CC BY 3.0",
        "CC BY 4.0",
        "CC BY-SA 2.0",
        "CC BY-SA 2.5",
        "CC BY-SA 3.0",
        "CC BY-SA 4.0",
    ];
    #[derive(Deserialize)]
    struct Credit {
        file: String,
        author: String,
        licence: String,
        source: String,
    }

    let folder = root().join("assets/kb");
    let credits: Vec<Credit> = fs::read_to_string(folder.join("credits.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let pictures: Vec<PathBuf> = fs::read_dir(folder.join("images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert!(!pictures.is_empty());
    for picture in &pictures {
        let file = format!("images/{}", picture.file_name().unwrap().to_str().unwrap());
        let credit = credits
            .iter()
            .filter(|credit| credit.file == file)
            .collect::<Vec<_>>();
        let [credit] = credit[..] else {
            panic!("{file} has {} credits", credit.len())
        };
        assert!(
            LICENCES.contains(&credit.licence.as_str()),
            "{file}: {} is no allowed licence",
            credit.licence
        );
        assert!(
            !credit.author.is_empty() && !credit.source.is_empty(),
            "{file}: no author or no source"
        );
        let (width, height) = image::image_dimensions(picture).unwrap();
        assert!(
            width.max(height) <= 512,
            "{file} is {width} x {height}; at most 512 pixels a side"
        );
    }
    assert_eq!(credits.len(), pictures.len(), "a credit has no picture");
}

#[test]
fn the_top_level_is_as_agreed() {
    const AGREED: [&str; 21] = [
        ".cargo",
        ".ci",
        ".github",
        ".gitignore",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "README.md",
        "Trunk.toml",
        "assets",
        "docs",
        "index.html",
        "shared-model",
        "synth",
        "tests",
        "trainer",
        "web",
        "xtask",
    ];
    let stray: HashSet<String> = files()
        .iter()
        .map(|file| file.split('/').next().unwrap().to_owned())
        .filter(|entry| !AGREED.contains(&entry.as_str()))
        .collect();
    assert!(stray.is_empty(), "at the top level: {stray:?}");
}

#[test]
fn no_file_names_a_machine() {
    let homes = ["root", "work", "home"].map(|folder| format!("/{folder}/"));
    let texts: Vec<(String, String)> = files()
        .into_iter()
        .filter_map(|file| Some((fs::read_to_string(root().join(&file)).ok()?, file)))
        .map(|(text, file)| (file, text))
        .collect();
    check_absent(&texts, &homes, "a path of one machine");

    // A mirror would bind the build to one network.
    let mirrors = ["index", "extra-index"].map(|name| format!("--{name}-url"));
    check_absent(&texts, &mirrors, "a package index of one network");
    check_absent(
        &texts,
        &[["replace", "with"].join("-")],
        "a registry of one network",
    );
    let (_, lock) = texts.iter().find(|(file, _)| file == "Cargo.lock").unwrap();
    for source in lock
        .lines()
        .filter_map(|line| line.strip_prefix("source = "))
    {
        assert_eq!(
            source,
            "\"registry+https://github.com/rust-lang/crates.io-index\""
        );
    }
}
