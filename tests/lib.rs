//! What the tests share: the `imn` binary, a folder of their own, the fixtures and their formulas.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

pub mod chromium;
pub mod page;
pub mod site;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use burn::tensor::{Device, DeviceKind};
use image::{Rgb, RgbImage};
use serde::de::DeserializeOwned;
use serde_json::Value;
use shared_model::data::Post;
use shared_model::pack::Pack;

/// The `imn` that was built beside the running test.
pub fn imn() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(Path::parent).unwrap();
    let imn = profile.join(format!("imn{}", std::env::consts::EXE_SUFFIX));
    assert!(
        imn.exists(),
        "there is no {imn:?}: run `cargo build -p trainer` first (`cargo xtask test` does)"
    );
    imn
}

/// The folder with the encoders' weights.
pub fn weights() -> PathBuf {
    let default = || dirs::data_dir().map(|data| data.join("imn").join("weights"));
    let folder = std::env::var_os("IMN_WEIGHTS")
        .map(PathBuf::from)
        .or_else(default)
        .unwrap();
    assert!(
        folder.join("text.bpk").exists(),
        "there are no weights in {folder:?}: run `imn weights fetch`"
    );
    folder
}

/// The device of the parity tests and of the training benchmark: the CPU, or the device that the variable IMN_DEVICE names.
pub fn device() -> Device {
    match std::env::var("IMN_DEVICE").as_deref() {
        Err(_) | Ok("flex") => Device::flex(),
        Ok("wgpu") => Device::wgpu(DeviceKind::DefaultDevice),
        #[cfg(feature = "cuda")]
        Ok("cuda") => Device::cuda(0),
        #[cfg(feature = "libtorch")]
        Ok(name @ ("libtorch" | "libtorch:0")) => libtorch(name.ends_with(":0")),
        Ok(other) => {
            panic!(
                "IMN_DEVICE={other}: expected flex, wgpu or, with the feature of this name, cuda, libtorch or libtorch:0"
            )
        }
    }
}

#[cfg(feature = "libtorch")]
#[expect(
    deprecated,
    reason = "Burn keeps its LibTorch backend until CubeCL replaces it"
)]
fn libtorch(gpu: bool) -> Device {
    if gpu {
        Device::libtorch_cuda(0)
    } else {
        Device::libtorch()
    }
}

/// Reads a `.bpk` file.
pub fn pack(path: &Path) -> Pack {
    let file = path.file_name().unwrap().to_string_lossy();
    Pack::read(
        &file,
        fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}")),
    )
    .unwrap()
}

/// The sizes that a weight file states.
pub fn config<T: DeserializeOwned>(pack: &Pack) -> T {
    serde_json::from_str(
        pack.metadata("config")
            .expect("weight files state their sizes"),
    )
    .unwrap()
}

/// Runs `imn` on the CPU, from the folder `cwd`.
pub fn run(cwd: &Path, arguments: &[impl AsRef<OsStr>]) -> Run {
    finish(
        Command::new(imn())
            .args(["--device", "flex"])
            .args(arguments)
            .current_dir(cwd),
    )
}

/// Runs a command to its end.
pub fn finish(command: &mut Command) -> Run {
    let shown = format!("{command:?}");
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Run {
        command: shown,
        status: status.code(),
        stdout: String::from_utf8(stdout).unwrap(),
        stderr: String::from_utf8(stderr).unwrap(),
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    command: String,
    /// `None` after a signal.
    pub status: Option<i32>,
    /// All of it.
    pub stdout: String,
    /// All of it.
    pub stderr: String,
}

impl Run {
    /// The standard output of a command that had to succeed.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(
            self.status,
            Some(0),
            "{}\n{}{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self.stdout
    }

    /// The one line with which a command had to fail; it must hold all of `said`.
    #[track_caller]
    pub fn refused(self, said: &[&str]) -> String {
        let line = self.stderr.trim_end();
        assert_eq!(
            self.status,
            Some(1),
            "{}\n{}{line}",
            self.command,
            self.stdout
        );
        assert_eq!(
            line.lines().count(),
            1,
            "{}\nmust fail with one line, not\n{line}",
            self.command
        );
        for said in said {
            assert!(
                line.contains(said),
                "{}\nfails with {line:?}, which does not say {said:?}",
                self.command
            );
        }
        line.to_owned()
    }
}

/// An empty folder of a whole test binary, which the next run of it empties again: a static value is never dropped, so a [`Dir`] would stay.
#[derive(Debug)]
pub struct SharedDir {
    root: PathBuf,
    /// Held until the process ends: a second run waits for the folder.
    _lock: File,
}

impl SharedDir {
    /// # Arguments
    ///
    /// - parent: `CARGO_TARGET_TMPDIR`, which cargo tells the test's own crate alone.
    pub fn new(parent: &str, name: &str) -> Self {
        let root = Path::new(parent).join(name);
        let lock = File::create(root.with_extension("lock")).unwrap();
        lock.lock().unwrap();
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        Self { root, _lock: lock }
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A folder that goes when the test ends.
#[derive(Debug)]
pub struct Dir(tempfile::TempDir);

impl Dir {
    /// An empty folder.
    #[expect(clippy::new_without_default, reason = "it makes a folder")]
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// An empty folder in another, on the same disk.
    pub fn new_in(folder: &Path) -> Self {
        Self(tempfile::tempdir_in(folder).unwrap())
    }

    /// Where it lies.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// A path inside.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    /// Writes a file and the folders above it.
    pub fn create(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs `imn` with the words of `command`, from this folder.
    pub fn imn(&self, command: &str) -> Run {
        let words: Vec<&str> = command.split_whitespace().collect();
        run(self.root(), &words)
    }
}

/// The entities of the demo that its dev rows name, in `folder`, these rows as train mentions, and their features.
pub fn trainable(folder: &Path) {
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/kb");
    let data = folder.join("data");
    fs::create_dir_all(data.join("images")).unwrap();
    fs::copy(demo.join("dataset.json"), data.join("dataset.json")).unwrap();
    let read = |file: &str| fs::read_to_string(demo.join(file)).unwrap();
    let rows = read("dev.jsonl");
    for file in ["train.jsonl", "test.jsonl"] {
        fs::write(data.join(file), &rows).unwrap();
    }
    let posts = rows.lines().map(serde_json::from_str::<Post>);
    let named: HashSet<String> = posts
        .flat_map(|post| post.unwrap().candidates.unwrap_or_default())
        .collect();
    for (file, key) in [("entities.jsonl", "id"), ("timeline.jsonl", "entity")] {
        let lines = read(file);
        let kept = lines.lines().filter(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            named.contains(line[key].as_str().unwrap())
        });
        fs::write(data.join(file), kept.collect::<Vec<_>>().join("\n")).unwrap();
    }
    for entry in fs::read_dir(demo.join("images")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, data.join("images").join(path.file_name().unwrap())).unwrap();
    }
    let weights = weights().display().to_string();
    run(folder, &["features", "data", "--weights", &weights]).ok();
}

/// A file of `tests/fixtures`.
pub fn fixture_path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// A JSON file of `tests/fixtures`.
pub fn fixture<T: DeserializeOwned>(name: &str) -> T {
    let bytes = fs::read(fixture_path(name)).unwrap();
    serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares value by value; prints the largest difference.
#[track_caller]
pub fn close(name: &str, got: &[f32], want: &[f32], tolerance: f32) {
    assert_eq!(
        got.len(),
        want.len(),
        "{name}: the numbers of values differ"
    );
    let differences = got.iter().zip(want).map(|(got, want)| (got - want).abs());
    let (at, largest) = differences
        .enumerate()
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or((0, 0.0));
    println!("{name}: {largest:.2e} over {} values", got.len());
    assert!(
        largest <= tolerance,
        "{name}: value {at} is {} instead of {}, {largest:e} apart; {tolerance:e} is allowed",
        got[at],
        want[at]
    );
}

/// Seed of a stream: FNV-1a.
pub fn fnv1a32(name: &str) -> u32 {
    name.bytes().fold(0x811C_9DC5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

/// A number of a stream: Murmur3's finaliser.
pub fn hash32(seed: u32, index: u32) -> u32 {
    let mut x = seed.wrapping_add(index.wrapping_mul(0x9E37_79B9));
    x ^= x >> 16;
    x = x.wrapping_mul(0x85EB_CA6B);
    x ^= x >> 13;
    x = x.wrapping_mul(0xC2B2_AE35);
    x ^ (x >> 16)
}

const GAINS: [(&str, f64); 6] = [
    ("q_proj", 3.0),
    ("k_proj", 3.0),
    ("encoder_attn", 3.0),
    ("bbox_predictor", 2.0),
    ("class_labels_classifier", 1.0),
    ("input_projection", 0.05),
];

/// The weights that a canonical name and a shape stand for.
pub fn fill(name: &str, shape: &[usize]) -> Vec<f32> {
    let (offset, scale) = if name.ends_with(".running_var") {
        (1.0, 0.5)
    } else if name.ends_with(".running_mean") || name.ends_with(".bias") {
        (0.0, 0.1)
    } else if shape.len() == 1 {
        (1.0, 0.1)
    } else if name.ends_with("query_position_embeddings.weight") {
        (0.0, 2.0)
    } else {
        let named = GAINS
            .iter()
            .find(|(part, _)| name.contains(part))
            .map(|(_, gain)| *gain);
        let gain = named.unwrap_or(if shape.len() == 4 { 1.2 } else { 0.4 });
        let fan_in: usize = shape[1..].iter().product();
        (0.0, gain * (3.0 / fan_in as f64).sqrt())
    };
    let seed = fnv1a32(name);
    (0..shape.iter().product::<usize>() as u32)
        .map(|index| f64::from(hash32(seed, index)) / 4_294_967_296.0 * 2.0 - 1.0)
        .map(|u| (offset + scale * u) as f32)
        .collect()
}

/// The test picture of a width, a height and a seed.
pub fn picture([width, height, seed]: [u32; 3]) -> RgbImage {
    let triangle = |t: u32| (t % 512).abs_diff(256);
    let stream = fnv1a32(&format!("picture{seed}"));
    RgbImage::from_fn(width, height, |x, y| {
        let squares = (x / 24 + y / 16 + seed) % 2;
        Rgb([0, 1, 2].map(|c| {
            let waves = triangle((3 + c) * x + 2 * y + 37 * seed)
                + triangle(x + (5 - c) * y + 90 * c + 71 * seed);
            let noise = hash32(stream, (y * width + x) * 3 + c) >> 27;
            (waves * 5 / 16 + 64 * squares + noise) as u8
        }))
    })
}
