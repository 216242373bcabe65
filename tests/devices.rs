//! `imn serve-device` and `--device` with several devices: two servers on this machine train as one process does that accumulates.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use shared_model::pack::Pack;
use tests::{Dir, Run, close, finish, imn, pack, trainable, weights};

/// An `imn serve-device` on a free port; it ends with this.
struct Server {
    child: Child,
    address: String,
    /// Open, so that the server can write to it.
    _stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Self {
        let mut child = Command::new(imn())
            .args("--device flex serve-device --listen 127.0.0.1:0".split(' '))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        Self {
            child,
            address: address.trim_end().to_owned(),
            _stdout: stdout,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Runs `imn` on devices.
fn imn_on(device: &str, folder: &Path, arguments: &str) -> Run {
    let mut command = Command::new(imn());
    command.args(["--device", device]).current_dir(folder);
    finish(command.args(arguments.split_whitespace()))
}

fn train(device: &str, folder: &Path, to: &str, more: &str) -> PathBuf {
    let settings = "train data --metric-steps 0 --knowledge-steps 2 --steps 3 --evaluate-every 2 --batch 16 --seed 5 --dropout 0";
    let weights = weights().display().to_string();
    let arguments = format!("{settings} --run {to} --weights {weights} {more}");
    imn_on(device, folder, &arguments).ok();
    folder.join(to)
}

/// Every figure of a stage.
fn figures(run: &Path, stage: &str) -> Vec<f32> {
    let lines = fs::read_to_string(run.join(format!("metrics-{stage}.jsonl"))).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let figures = lines.flat_map(|line: Value| {
        let figures = line.as_object().unwrap().clone().into_iter();
        figures.filter_map(|(_, figure)| Some(figure.as_f64()? as f32))
    });
    figures.collect()
}

/// All weights of the network after the last step, the best or not.
fn network(run: &Path) -> Vec<f32> {
    let inside = |pack: &Pack, name: &str| Pack::read(name, pack.bytes(name).unwrap()).unwrap();
    let state = inside(&pack(&run.join("checkpoint-task.bpk")), "state");
    let pack = inside(&state, "model");
    let names: Vec<&str> = pack.names().collect();
    let weights = names.iter().map(|name| pack.floats(name).unwrap().1);
    weights.collect::<Vec<_>>().concat()
}

#[test]
fn two_servers_train_as_one_process_that_accumulates() {
    let dir = Dir::new();
    let folder = dir.root();
    trainable(folder);
    let servers = [Server::start(), Server::start()];
    let [first, second] = servers.each_ref().map(|server| server.address.as_str());

    let two = format!("flex,{second}");
    let weights = weights().display().to_string();
    let odd = format!("train data --run odd --weights {weights} --batch 17");
    imn_on(&two, folder, &odd).refused(&["--batch 17", "2 equal parts"]);

    let accumulated = train("flex", folder, "accumulated", "--accumulate 2");
    for (devices, to) in [(format!("{first},{second}"), "servers"), (two, "mixed")] {
        let run = train(&devices, folder, to, "");
        for stage in ["knowledge", "task"] {
            let (figures, expected) = (figures(&run, stage), figures(&accumulated, stage));
            close(&format!("{to}, {stage}"), &figures, &expected, 1e-4);
        }
        close(to, &network(&run), &network(&accumulated), 1e-4);
        let settings = |run: &Path| fs::read(run.join("train.toml")).unwrap();
        assert_eq!(settings(&run), settings(&accumulated));
    }

    // The parts are not without effect: a batch in one part is another normalisation.
    let whole = network(&train("flex", folder, "whole", ""));
    let accumulated = network(&accumulated);
    let apart = whole
        .iter()
        .zip(&accumulated)
        .any(|(a, b)| (a - b).abs() > 1e-3);
    assert!(apart, "the comparison tells nothing");
}

#[test]
fn what_is_no_server_is_refused_in_one_line() {
    let dir = Dir::new();
    let server = Server::start();
    let port = server.address.trim_start_matches("ws://");
    for listen in [port, "nowhere"] {
        let serve = format!("serve-device --listen {listen}");
        let said = format!("cannot listen on {listen}");
        imn_on("flex", dir.root(), &serve).refused(&[&said]);
    }

    dir.create("posts.jsonl", "");
    let link = |device: &str| {
        imn_on(
            device,
            dir.root(),
            "link --bundle bundle --input posts.jsonl",
        )
    };
    let started = Instant::now();
    link("ws://127.0.0.1:1").refused(&["ws://127.0.0.1:1", "no `imn serve-device`"]);
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ws://{}", silent.local_addr().unwrap());
    link(&address).refused(&[&address, "no answer"]);
    assert!(started.elapsed() < Duration::from_secs(60));
    link(&format!("flex,{}", server.address)).refused(&["--device", "name one"]);
}
