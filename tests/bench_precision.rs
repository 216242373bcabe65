//! `cargo bench --bench precision`: bundles in f16 and int8 beside f32: bytes, cosines of the tokens, P@1.
//!
//! The variables DATASET and RUN name a dataset folder and a run on it; without them a run of the demo's knowledge base is made.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::Value;
use tests::{Dir, Run, run, weights};

/// Posts whose tokens are compared.
const POSTS: usize = 24;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = Dir::new();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/kb");
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let data = folder("DATASET").unwrap_or(demo).canonicalize()?;
    let trained = match folder("RUN") {
        Some(trained) => trained.canonicalize()?,
        None => {
            let arguments = ["prototypes", &text(&data), "--run", "run", "--weights"];
            let weights = text(&weights());
            imn(&dir, arguments.into_iter().chain([weights.as_str()]));
            dir.path("run")
        }
    };
    println!("{}, run {}", data.display(), trained.display());
    let posts = posts(&data)?;
    let mut reference = Vec::new();
    for precision in ["f32", "f16", "int8"] {
        let bundle = dir.path(precision);
        let arguments = [
            "export",
            &text(&trained),
            precision,
            "--precision",
            precision,
        ];
        imn(&dir, arguments.into_iter());
        let mut tokens = Vec::new();
        for post in &posts {
            tokens.push(embed(&dir, &data, precision, post)?);
        }
        if reference.is_empty() {
            reference.clone_from(&tokens);
        }
        let arguments = ["--json", "eval", &text(&data), "--bundle", precision];
        let report: Value = serde_json::from_str(&imn(&dir, arguments.into_iter()))?;
        println!(
            "{precision}: {:.1} MB, P@1 {:.4} (n {}), MRR {:.4}",
            size(&bundle)? as f64 / 1e6,
            report["p@1"].as_f64().ok_or("no p@1")?,
            report["n"],
            report["mrr"].as_f64().ok_or("no mrr")?,
        );
        for modality in ["text", "image", "joint"] {
            let pairs = tokens.iter().zip(&reference);
            let mut cosines: Vec<f64> = pairs
                .filter_map(|(ours, theirs)| Some((ours.get(modality)?, theirs.get(modality)?)))
                .flat_map(|((width, ours), (_, theirs))| {
                    let pairs = ours.chunks(*width).zip(theirs.chunks(*width));
                    pairs.map(|(a, b)| cosine(a, b)).collect::<Vec<f64>>()
                })
                .collect();
            cosines.sort_by(f64::total_cmp);
            if let [least, ..] = cosines[..] {
                let mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
                let n = cosines.len();
                println!("  {modality}: mean cosine {mean:.5}, least {least:.5} ({n} tokens)");
            }
        }
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn imn<'a>(dir: &Dir, arguments: impl Iterator<Item = &'a str>) -> String {
    let ran: Run = run(dir.root(), &arguments.collect::<Vec<_>>());
    ran.ok()
}

/// Rows of the test part, spread evenly.
fn posts(data: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let test = fs::read_to_string(data.join("test.jsonl"))?;
    let lines: Vec<&str> = test.lines().collect();
    let step = lines.len().div_ceil(POSTS).max(1);
    let rows = lines.into_iter().step_by(step);
    Ok(rows.map(serde_json::from_str).collect::<Result<_, _>>()?)
}

type Tokens = std::collections::BTreeMap<String, (usize, Vec<f32>)>;

/// By modality: their width and values.
fn embed(dir: &Dir, data: &Path, bundle: &str, post: &Value) -> Result<Tokens, Box<dyn Error>> {
    let span = |end: &str| post["mention"][end].as_u64().ok_or("no mention");
    let mut arguments = vec![
        "embed".to_owned(),
        "--bundle".to_owned(),
        bundle.to_owned(),
        "--text".to_owned(),
        post["text"].as_str().unwrap_or_default().to_owned(),
        "--span".to_owned(),
        format!("{}..{}", span("start")?, span("end")?),
        "--out".to_owned(),
        "tokens".to_owned(),
    ];
    for image in post["images"].as_array().into_iter().flatten() {
        let path = data.join(image.as_str().unwrap_or_default());
        arguments.extend(["--image".to_owned(), text(&path)]);
    }
    imn(dir, arguments.iter().map(String::as_str));
    let bytes = fs::read(dir.path("tokens"))?;
    let file = SafeTensors::deserialize(&bytes)?;
    let mut tokens = Tokens::new();
    for (name, tensor) in file.tensors() {
        let values = tensor.data().chunks_exact(4);
        let values = values.map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        tokens.insert(name, (tensor.shape()[1], values.collect()));
    }
    Ok(tokens)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(x, y)| f64::from(*x) * f64::from(*y)).sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Size of the files in a folder, in bytes.
fn size(folder: &Path) -> std::io::Result<u64> {
    let mut sum = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        sum += if entry.file_type()?.is_dir() {
            size(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(sum)
}
