//! Serves a folder on this machine. The demo and the browser tests use it alike.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow};
use tiny_http::{Header, Method, Request, Response};

const THREADS: usize = 4;

/// A running server; dropping it stops it.
pub struct Server {
    inner: Arc<tiny_http::Server>,
    port: u16,
    sent: Arc<AtomicU64>,
    requests: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves `folder` on 127.0.0.1; port 0 takes a free one.
    ///
    /// # Errors
    ///
    /// If the folder does not exist or the port is taken.
    pub fn start(folder: &Path, port: u16) -> anyhow::Result<Self> {
        let folder = folder
            .canonicalize()
            .with_context(|| format!("serve {folder:?}"))?;
        let inner = tiny_http::Server::http(("127.0.0.1", port))
            .map_err(|error| anyhow!("port {port} of 127.0.0.1 cannot be used: {error}"))?;
        let inner = Arc::new(inner);
        let address = inner.server_addr().to_ip().context("no IP address")?;
        let sent = Arc::new(AtomicU64::new(0));
        let requests = Arc::new(AtomicU64::new(0));
        let threads = (0..THREADS)
            .map(|_| {
                let (inner, folder) = (inner.clone(), folder.clone());
                let (sent, requests) = (sent.clone(), requests.clone());
                std::thread::spawn(move || {
                    while let Ok(request) = inner.recv() {
                        requests.fetch_add(1, Ordering::Relaxed);
                        // A visitor who leaves early is no error.
                        let bytes = answer(request, &folder).unwrap_or(0);
                        sent.fetch_add(bytes, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        Ok(Self {
            inner,
            port: address.port(),
            sent,
            requests,
            threads,
        })
    }

    /// The page's address, `/` at its end.
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Bytes of all files sent so far.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Number of requests so far, those that were refused included.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Serves until the process ends.
    pub fn wait(mut self) {
        for thread in self.threads.drain(..) {
            // It ends by a panic only, which has been printed.
            thread.join().ok();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for _ in &self.threads {
            self.inner.unblock();
        }
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}

/// Answers a request; the bytes of the file that was sent.
fn answer(request: Request, folder: &Path) -> std::io::Result<u64> {
    if !matches!(request.method(), Method::Get | Method::Head) {
        request.respond(Response::empty(405))?;
        return Ok(0);
    }
    let file =
        resolve(folder, request.url()).and_then(|path| Some((File::open(&path).ok()?, path)));
    let Some((file, path)) = file else {
        request.respond(Response::from_string("not found").with_status_code(404))?;
        return Ok(0);
    };
    let bytes = file.metadata()?.len();
    let response = Response::from_file(file)
        .with_header(header("Content-Type", content_type(&path)))
        .with_header(header("Cache-Control", "no-cache"));
    request.respond(response)?;
    Ok(bytes)
}

/// The file that an address means; `None` if it is no plain path below `folder`.
fn resolve(folder: &Path, url: &str) -> Option<PathBuf> {
    let path = url.split(['?', '#']).next()?;
    let mut file = folder.to_path_buf();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = percent_decoded(part)?;
        if part == "." || part == ".." || part.contains(['/', '\\', ':', '\0']) {
            return None;
        }
        file.push(part);
    }
    if file.is_dir() {
        file.push("index.html");
    }
    Some(file)
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first == b'%' {
            let (hex, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

/// Browsers compile `application/wasm` while it arrives, and refuse modules that are not called JavaScript.
fn content_type(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("json" | "webmanifest") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt" | "md") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn header(name: &str, value: &str) -> Header {
    Header::from_bytes(name, value).expect("both are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let folder = Path::new("page");
        assert_eq!(
            resolve(folder, url),
            expected.map(|path| folder.join(path)),
            "{url}"
        );
    }

    #[test]
    fn addresses_are_files_below_the_folder() {
        check("/app.js?v=1#top", Some("app.js"));
        check("/demo//thumbs/a%20b.jpg", Some("demo/thumbs/a b.jpg"));
        check("/", Some(""));
    }

    #[test]
    fn no_address_leaves_the_folder() {
        for url in [
            "/../secret",
            "/a/%2e%2e/b",
            "/a%2fb",
            "/..%5csecret",
            "/c:/secret",
            "/%00",
            "/%zz",
            "/%4",
            "/%ff",
        ] {
            check(url, None);
        }
    }

    #[test]
    fn wasm_and_scripts_have_the_types_that_browsers_ask_for() {
        assert_eq!(
            content_type(Path::new("worker_bg.wasm")),
            "application/wasm"
        );
        assert_eq!(
            content_type(Path::new("worker.js")),
            "text/javascript; charset=utf-8"
        );
        assert_eq!(
            content_type(Path::new("text.bpk")),
            "application/octet-stream"
        );
    }
}
