//! `cargo xtask test`.

use std::process::Command;

use anyhow::{Context as _, ensure};

use crate::command::{cargo, imn, run, run_tests};
use crate::{page, setup};

/// One selection for every native build, so that cargo unifies the features of their dependencies once.
pub(crate) const NATIVE: [&str; 4] = [
    "--workspace",
    "--locked",
    "--features",
    "trainer/remote,tests/remote",
];
/// What needs the built page is behind this feature.
pub(crate) const BROWSER: [&str; 2] = ["--features", "tests/browser"];
const WASM: [&str; 3] = ["--target", "wasm32-unknown-unknown", "--locked"];
const STEPS: usize = 10;

/// Runs every check, in the order of what fails fastest; stops at the first that fails.
///
/// # Errors
///
/// Naming the check that failed.
pub(crate) fn test() -> anyhow::Result<()> {
    let mut step = 0;
    let mut announce = |what: &str| {
        step += 1;
        println!("\n[{step}/{STEPS}] {what}");
    };
    let mut n_passed = 0;
    let mut tests = |what: &str, command: &mut Command| {
        let counts = run_tests(command).with_context(|| format!("{what} tests"))?;
        n_passed += counts.passed;
        if counts.failed > 0 {
            println!("{n_passed} passed, {} failed", counts.failed);
        }
        ensure!(
            counts.failed == 0,
            "{} of the {what} tests failed",
            counts.failed
        );
        ensure!(counts.passed > 0, "no {what} test ran");
        Ok(())
    };

    announce("Set-up: tools, Chromium, Vulkan's loader");
    let tools = setup::page_tools()?;
    let chromium = setup::chromium()?;
    setup::vulkan()?;

    announce("Formatting");
    run(cargo().args(["fmt", "--all", "--check"]))?;

    announce("Clippy, native");
    run(cargo().arg("clippy").args(NATIVE).args(BROWSER).args([
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;

    announce("Clippy, wasm32");
    // One after the other, as the page is built: together they would have the features of each other's dependencies.
    for features in ["web/page", "web/engine", "web/webgpu"] {
        let packages = [
            "--package",
            "web",
            "--package",
            "shared-model",
            "--features",
        ];
        run(cargo()
            .arg("clippy")
            .args(packages)
            .arg(features)
            .args(WASM)
            .args(["--", "-D", "warnings"]))?;
    }

    announce("Build of imn and of the tests, which share the features of their dependencies");
    run(cargo()
        .arg("build")
        .args(NATIVE)
        .args(["--bin", "imn", "--tests"]))?;

    announce("Weights, once, into the user's data folder");
    run(Command::new(imn("debug")).args(["weights", "fetch"]))?;

    announce("Native tests: units, parity, pipeline, tidiness, documentation");
    tests(
        "native",
        cargo().arg("test").args(NATIVE).arg("--no-fail-fast"),
    )?;

    announce("Token ids on wasm32, on Node");
    tests(
        "wasm32",
        tools
            .on_path(cargo().get_program())
            .args([
                "test",
                "--package",
                "shared-model",
                "--test",
                "token_ids",
                "--profile",
                "wasm-test",
            ])
            .args(WASM),
    )?;

    announce("The page");
    let page = page::build(&tools)?;

    announce("The page in Chromium");
    let mut browser = cargo();
    browser.arg("test").args(NATIVE).args(BROWSER).args([
        "--no-fail-fast",
        "--test",
        "browser",
        "--test",
        "browser_play",
        "--test",
        "browser_access",
        "--test",
        "browser_bad_input",
        "--test",
        "browser_environment",
    ]);
    tests(
        "browser",
        browser
            .env("IMN_PAGE", &page)
            .env("IMN_AXE", setup::axe()?)
            .env("CHROMIUM", &chromium),
    )?;

    println!("\n{n_passed} passed, 0 failed");
    Ok(())
}
