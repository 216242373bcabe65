//! The two encoders in ONNX Runtime Web: its wasm provider, one thread, f32.

mod graph;

use std::path::Path;

use burn::prelude::*;
use serde_json::Value;
use shared_model::text::BertConfig;
use shared_model::vision::{EfficientNetLite0, VisionKind};
use tests::chromium::Browser;
use tests::{Dir, config, pack, weights};
use xtask::serve::Server;

use self::graph::{bert, efficientnet};

/// Number of rounds of which the median is told, after as many that are not.
const ROUNDS: usize = 9;
/// Tokens of the text.
const TOKENS: usize = 24;
/// Side of the picture.
const SIDE: usize = 224;

/// The page. What is in the inputs does not matter for the time, but the outputs are compared.
const PAGE: &str = r#"<!doctype html><script type="module">
import * as ort from "./ort.wasm.min.mjs";
ort.env.wasm.numThreads = 1;
const median = times => times.sort((a, b) => a - b)[times.length >> 1];
const ids = BigInt64Array.from({ length: TOKENS }, (_, i) => BigInt(2000 + i));
const pixels = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => (i % 255 - 127) / 128);
const inputs = {
  text: { input: new ort.Tensor("int64", ids, [1, TOKENS]) },
  vision: { input: new ort.Tensor("float32", pixels, [1, 3, SIDE, SIDE]) },
};
const start = performance.now();
const result = {};
const sessions = {};
for (const name of Object.keys(inputs)) {
  const session = await ort.InferenceSession.create(`./${name}.onnx`, { executionProviders: ["wasm"] });
  const { output } = await session.run(inputs[name]);
  sessions[name] = session;
  result[name] = { first: Array.from(output.data.slice(0, 8)) };
}
result.ready = performance.now() - start;
for (const name of Object.keys(inputs)) {
  const times = [];
  for (let round = 0; round < 2 * ROUNDS; round++) {
    const start = performance.now();
    await sessions[name].run(inputs[name]);
    if (round >= ROUNDS) times.push(performance.now() - start);
  }
  result[name].ms = median(times);
}
window.result = result;
</script>"#;

/// Tells how long both encoders take, and panics if they do not compute what ours compute.
///
/// # Arguments
///
/// - package: the folder of npm's `onnxruntime-web`.
pub(crate) fn runtime(package: &Path) {
    let (text, vision) = (
        pack(&weights().join("text.bpk")),
        pack(&weights().join(VisionKind::Efficientnet.file())),
    );
    let text_config: BertConfig = config(&text);
    let dir = Dir::new();
    let page = PAGE.replace("ROUNDS", &ROUNDS.to_string());
    let page = page.replace("TOKENS", &TOKENS.to_string());
    dir.create("index.html", page.replace("SIDE", &SIDE.to_string()));
    dir.create("text.onnx", bert(&text, &text_config, TOKENS));
    dir.create("vision.onnx", efficientnet(&vision, SIDE));
    for file in [
        "ort.wasm.min.mjs",
        "ort-wasm-simd-threaded.mjs",
        "ort-wasm-simd-threaded.wasm",
    ] {
        let from = package.join("dist").join(file);
        std::fs::copy(&from, dir.path(file)).unwrap_or_else(|error| panic!("{from:?}: {error}"));
    }
    let server = Server::start(dir.root(), 0).expect("a server");
    let browser = Browser::launch();
    let tab = browser.tab();
    tab.open(&server.address());
    let result = tab.wait("its times", tests::page::PATIENCE, |tab| {
        let result = tab.evaluate("window.result ?? null");
        (!result.is_null()).then_some(result)
    });

    let device = Device::flex();
    let bert = text_config.load(&text, &device).expect("the text encoder");
    let ids: Vec<i64> = (2000..).take(TOKENS).collect();
    let ids = Tensor::<1, Int>::from_ints(ids.as_slice(), &device).reshape([1, TOKENS]);
    check("text", &result, bert.forward(ids, None));
    let network = vision.load(EfficientNetLite0::init(&device));
    let pixels: Vec<f32> = (0..3 * SIDE * SIDE)
        .map(|i| ((i % 255) as f32 - 127.0) / 128.0)
        .collect();
    let pixels = Tensor::<1>::from_floats(pixels.as_slice(), &device);
    let output = network
        .expect("the image encoder")
        .forward(pixels.reshape([1, 3, SIDE, SIDE]));
    check("vision", &result, output.logits);

    println!("\nONNX Runtime Web, one thread, f32");
    let tell = |what: &str, value: &Value| super::tell(what, value.as_f64().expect("ms"), "ms");
    tell("ready after its start", &result["ready"]);
    tell(&format!("a text of {TOKENS} tokens"), &result["text"]["ms"]);
    tell("a picture", &result["vision"]["ms"]);
}

#[track_caller]
fn check<const D: usize>(name: &str, result: &Value, ours: Tensor<D>) {
    let ours = ours.into_data();
    let ours = &ours.as_slice::<f32>().expect("floats")[..8];
    let theirs: Vec<f32> = serde_json::from_value(result[name]["first"].clone()).expect("numbers");
    tests::close(name, &theirs, ours, 1e-3);
}
