//! Chromium, driven over the DevTools protocol. Every failure here panics: it fails the test.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

/// The longest that one call of the protocol may take.
const CALL: Duration = Duration::from_secs(120);

/// A browser with a profile of its own; it ends when this is dropped.
pub struct Browser {
    process: Child,
    socket: RefCell<Socket>,
    _profile: tempfile::TempDir,
}

struct Socket {
    stream: WebSocket<TcpStream>,
    last_id: u64,
    /// What pages and their workers complained of last.
    complaints: VecDeque<String>,
}

impl Browser {
    /// Starts the Chromium that the variable `CHROMIUM` names, else Debian's. WebGPU works without a GPU, simulated.
    pub fn launch() -> Self {
        Self::launch_with(&[])
    }

    /// The same, with more arguments.
    pub fn launch_with(arguments: &[&str]) -> Self {
        let program = std::env::var_os("CHROMIUM")
            .map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from);
        let profile = tempfile::tempdir().expect("a folder for the profile");
        let process = Command::new(&program)
            .args([
                "--headless",
                "--no-sandbox",
                "--enable-unsafe-webgpu",
                "--remote-debugging-port=0",
            ])
            // Without these it waits for a network that may not be there.
            .args([
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
            ])
            .args([
                "--disable-sync",
                "--disable-quic",
                "--disable-dev-shm-usage",
                "--hide-scrollbars",
            ])
            // A test may lose the GPU more than once.
            .args([
                "--disable-domain-blocking-for-3d-apis",
                "--disable-gpu-process-crash-limit",
            ])
            .args(arguments)
            .arg(format!("--user-data-dir={}", profile.path().display()))
            // It leaves folders behind when it is killed.
            .env("TMPDIR", profile.path())
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!(
                    "{program:?} cannot be started ({error}): `cargo xtask test` installs Chromium"
                )
            });
        let address = until("Chromium to listen", Duration::from_secs(60), || {
            address(profile.path())
        });
        Self {
            process,
            socket: RefCell::new(Socket::connect(&address)),
            _profile: profile,
        }
    }

    /// Opens a tab.
    pub fn tab(&self) -> Tab<'_> {
        let target =
            self.call("Target.createTarget", json!({ "url": "about:blank" }))["targetId"].take();
        let attached = self.call(
            "Target.attachToTarget",
            json!({ "targetId": target, "flatten": true }),
        );
        let session = attached["sessionId"]
            .as_str()
            .expect("a session")
            .to_owned();
        let tab = Tab {
            browser: self,
            target,
            session,
        };
        for domain in ["Page", "Runtime", "Log"] {
            tab.call(&format!("{domain}.enable"), json!({}));
        }
        tab
    }

    /// Calls a method of the browser itself.
    #[track_caller]
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.socket.borrow_mut().call(None, method, &parameters)
    }

    /// Ends the GPU's process, as a driver's crash would. A new one is started by the browser.
    pub fn crash_gpu(&self) {
        let sent = self
            .socket
            .borrow_mut()
            .try_send(None, "Browser.crashGpuProcess", &json!({}));
        sent.expect("Chromium listens");
    }

    /// What pages and their workers complained of.
    fn complaints(&self) -> String {
        let complaints = &self.socket.borrow().complaints;
        complaints.iter().cloned().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// `127.0.0.1:PORT` and the path that the browser wrote into its profile.
fn address(profile: &Path) -> Option<(String, String)> {
    let written = std::fs::read_to_string(profile.join("DevToolsActivePort")).ok()?;
    let (port, path) = written.split_once('\n')?;
    path.starts_with("/devtools/")
        .then(|| (format!("127.0.0.1:{port}"), path.trim().to_owned()))
}

impl Socket {
    fn connect((host, path): &(String, String)) -> Self {
        let stream = TcpStream::connect(host).expect("Chromium listens");
        stream.set_read_timeout(Some(CALL)).expect("a timeout");
        let (stream, _) =
            tungstenite::client(format!("ws://{host}{path}"), stream).expect("a web socket");
        Self {
            stream,
            last_id: 0,
            complaints: VecDeque::new(),
        }
    }

    /// Sends a call without waiting for its answer.
    fn try_send(
        &mut self,
        session: Option<&str>,
        method: &str,
        parameters: &Value,
    ) -> tungstenite::Result<()> {
        self.last_id += 1;
        let mut call = json!({ "id": self.last_id, "method": method, "params": parameters });
        if let Some(session) = session {
            call["sessionId"] = session.into();
        }
        self.stream.send(Message::text(call.to_string()))
    }

    #[track_caller]
    fn call(&mut self, session: Option<&str>, method: &str, parameters: &Value) -> Value {
        let sent = self.try_send(session, method, parameters);
        sent.unwrap_or_else(|error| panic!("{method} cannot be sent: {error}"));
        loop {
            let message = self
                .stream
                .read()
                .unwrap_or_else(|error| panic!("no answer to {method}: {error}"));
            let Message::Text(text) = message else {
                continue;
            };
            let mut message: Value = serde_json::from_str(&text).expect("the protocol is JSON");
            if message["id"] == self.last_id {
                assert!(
                    message["error"].is_null(),
                    "{method}: {}",
                    message["error"]["message"]
                );
                return message["result"].take();
            }
            self.complaints.extend(complaint(&message));
            while self.complaints.len() > 20 {
                self.complaints.pop_front();
            }
        }
    }
}

/// The text of an event that a person would look for in the console.
fn complaint(event: &Value) -> Option<String> {
    let parameters = &event["params"];
    match event["method"].as_str()? {
        "Runtime.exceptionThrown" => Some(parameters["exceptionDetails"].to_string()),
        "Log.entryAdded" => Some(parameters["entry"]["text"].to_string()),
        "Runtime.consoleAPICalled" => Some(parameters["args"].to_string()),
        _ => None,
    }
}

/// A tab of a browser; it closes when this is dropped.
pub struct Tab<'browser> {
    browser: &'browser Browser,
    target: Value,
    session: String,
}

impl Drop for Tab<'_> {
    fn drop(&mut self) {
        // The browser may be gone already.
        let close = json!({ "targetId": self.target });
        self.browser
            .socket
            .borrow_mut()
            .try_send(None, "Target.closeTarget", &close)
            .ok();
    }
}

impl Tab<'_> {
    /// The browser that it belongs to.
    pub fn browser(&self) -> &Browser {
        self.browser
    }

    /// Calls a method of the protocol.
    #[track_caller]
    pub fn call(&self, method: &str, parameters: Value) -> Value {
        self.browser
            .socket
            .borrow_mut()
            .call(Some(&self.session), method, &parameters)
    }

    /// Opens an address.
    #[track_caller]
    pub fn open(&self, address: &str) {
        let opened = self.call("Page.navigate", json!({ "url": address }));
        assert!(
            opened["errorText"].is_null(),
            "{address}: {}",
            opened["errorText"]
        );
        self.wait("the document", CALL, |tab| {
            (tab.evaluate("document.readyState") == "complete"
                && tab.evaluate("location.href") != "about:blank")
                .then_some(())
        });
    }

    /// The value of a JavaScript expression; a promise is awaited.
    #[track_caller]
    pub fn evaluate(&self, expression: &str) -> Value {
        let parameters =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut evaluated = self.call("Runtime.evaluate", parameters);
        assert!(
            evaluated["exceptionDetails"].is_null(),
            "{expression}: {}",
            evaluated["exceptionDetails"]
        );
        evaluated["result"]["value"].take()
    }

    /// Waits until `probe` finds something; a failure shows the page.
    #[track_caller]
    pub fn wait<T>(
        &self,
        what: &str,
        timeout: Duration,
        mut probe: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            if start.elapsed() > timeout {
                let shown = self.evaluate("document.body.innerText");
                let shown = shown.as_str().unwrap_or_default();
                let complaints = self.browser.complaints();
                panic!(
                    "waited {timeout:?} for {what}\nThe page shows:\n{shown}\nIts console:\n{complaints}"
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Types into the element that has the focus.
    pub fn insert_text(&self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a key, named as in `KeyboardEvent.key`.
    pub fn press(&self, key: &str, code: u32, text: &str) {
        let event = |kind: &str, text: &str| json!({ "type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": text });
        self.call("Input.dispatchKeyEvent", event("keyDown", text));
        self.call("Input.dispatchKeyEvent", event("keyUp", ""));
    }

    /// Gives files to a file input.
    #[track_caller]
    pub fn give_files(&self, selector: &str, files: &[PathBuf]) {
        let expression = format!("document.querySelector({})", json!(selector));
        let input = self.call("Runtime.evaluate", json!({ "expression": expression }));
        let object = &input["result"]["objectId"];
        assert!(object.is_string(), "there is no {selector}");
        self.call(
            "DOM.setFileInputFiles",
            json!({ "files": files, "objectId": object }),
        );
    }

    /// Sets the window's width in pixels, and dark or light.
    pub fn look(&self, width: u32, dark: bool) {
        let size =
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
        let value = if dark { "dark" } else { "light" };
        let scheme = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.call("Emulation.setEmulatedMedia", scheme);
    }

    /// A PNG of the whole page.
    pub fn screenshot(&self) -> Vec<u8> {
        let size = &self.call("Page.getLayoutMetrics", json!({}))["cssContentSize"];
        let clip =
            json!({ "x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1 });
        let shot = self.call(
            "Page.captureScreenshot",
            json!({ "format": "png", "captureBeyondViewport": true, "clip": clip }),
        );
        BASE64
            .decode(shot["data"].as_str().expect("a picture"))
            .expect("base64")
    }
}

/// Waits until `probe` finds something.
#[track_caller]
fn until<T>(what: &str, timeout: Duration, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(start.elapsed() < timeout, "waited {timeout:?} for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
