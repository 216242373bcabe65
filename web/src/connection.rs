//! A running worker: requests go in, events come out.

use js_sys::{ArrayBuffer, Reflect};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web::message::Message;
use web::protocol::{Event, Request};
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

use crate::browser;

/// A binary that a worker runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// The model on the CPU.
    Cpu,
    /// The model on WebGPU or the CPU.
    Webgpu,
}

impl Program {
    /// The script that wasm-bindgen wrote for it.
    fn script(self) -> &'static str {
        match self {
            Self::Cpu => "./worker.js",
            Self::Webgpu => "./worker_webgpu.js",
        }
    }
}

/// A worker; dropping it ends the worker at once.
pub(crate) struct Connection {
    worker: Worker,
    script: String,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(JsValue)>,
}

impl Connection {
    /// Starts a worker.
    ///
    /// # Errors
    ///
    /// The browser's message if it refuses.
    pub(crate) fn open(
        program: Program,
        on_event: impl Fn(Event, Option<ArrayBuffer>) + 'static,
        on_crash: impl Fn(String) + 'static,
    ) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        // A script in a blob has the page's content security policy; one of the server would have none.
        let address = browser::address_of(program.script());
        let script = browser::script_address(&format!(
            "import start from {}; await start();",
            serde_json::Value::from(address)
        ));
        let worker =
            Worker::new_with_options(&script, &options).map_err(|error| format!("{error:?}"))?;
        let on_message =
            Closure::new(
                move |message: MessageEvent| match Message::parse(&message.data()) {
                    Ok((event, buffer)) => on_event(event, buffer),
                    Err(error) => leptos::logging::error!("an event cannot be read: {error}"),
                },
            );
        // An event without a message is a script that could not be fetched.
        let on_error = Closure::new(move |error: JsValue| {
            let message = Reflect::get(&error, &"message".into())
                .ok()
                .and_then(|message| message.as_string());
            on_crash(message.unwrap_or_default());
        });
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        Ok(Self {
            worker,
            script,
            _on_message: on_message,
            _on_error: on_error,
        })
    }

    /// Sends a request; `buffer` is moved to the worker.
    pub(crate) fn send(&self, request: &Request, buffer: Option<&ArrayBuffer>) {
        let sent = Message::new(request, buffer).and_then(|message| {
            let posted = self
                .worker
                .post_message_with_transfer(&message.data, &message.transfer);
            posted.map_err(|error| format!("{error:?}"))
        });
        if let Err(error) = sent {
            leptos::logging::error!("a request cannot be sent: {error}");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
        browser::revoke(&self.script);
    }
}
