//! `cargo xtask bench`.

use std::process::Command;

use crate::check::{BROWSER, NATIVE};
use crate::command::{cargo, imn, root, run};
use crate::{page, setup};

/// Node prints `name, bytes, bytes after brotli`.
const SIZES: &str = r#"
const { readdirSync, readFileSync } = require("node:fs");
const { join } = require("node:path");
const zlib = require("node:zlib");
const page = process.argv[1];
const every = readdirSync(page, { recursive: true, withFileTypes: true })
  .filter(entry => entry.isFile())
  .map(entry => join(entry.parentPath ?? entry.path, entry.name));
const packed = quality => bytes => zlib.brotliCompressSync(bytes, { params: {
  [zlib.constants.BROTLI_PARAM_QUALITY]: quality,
  [zlib.constants.BROTLI_PARAM_LGWIN]: 24,
  [zlib.constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
} }).length;
const row = (name, files, quality) => {
  const contents = files.map(file => readFileSync(file));
  const sum = of => contents.reduce((total, bytes) => total + of(bytes), 0);
  console.log(name.padEnd(28), String(sum(bytes => bytes.length)).padStart(12), String(sum(packed(quality))).padStart(12));
};
const bundle = every.filter(file => file.startsWith(join(page, "demo")));
const wasm = every.filter(file => file.endsWith(".wasm"));
console.log("bytes".padEnd(28), "raw".padStart(12), "brotli".padStart(12));
for (const file of wasm) row(file.split(/[\\/]/).pop(), [file], 11);
row("all wasm of the CPU", wasm.filter(file => !file.includes("webgpu")), 11);
// Weights hardly shrink: the best quality would take minutes.
row("bundle", bundle, 5);
"#;

/// Measures the page in Chromium, ONNX Runtime Web beside it, then sizes.
///
/// # Errors
///
/// If a tool is missing, or the page does not answer.
pub(crate) fn bench() -> anyhow::Result<()> {
    let page = page::build(&setup::page_tools()?)?;
    let chromium = setup::chromium()?;
    // The encoders in f32, for the peer.
    run(cargo().arg("build").args(NATIVE).args(["--bin", "imn"]))?;
    run(Command::new(imn("debug")).args(["weights", "fetch"]))?;
    // The profile of the tests: one native build serves both, and what is measured runs in the browser.
    let mut bench = cargo();
    bench
        .arg("bench")
        .args(NATIVE)
        .args(BROWSER)
        .args(["--profile", "dev", "--bench", "page"]);
    run(bench
        .env("IMN_PAGE", &page)
        .env("IMN_ONNX", setup::onnx_runtime()?)
        .env("CHROMIUM", &chromium))?;
    println!();
    run(Command::new("node")
        .args(["-e", SIZES])
        .arg(&page)
        .current_dir(root()))
}
