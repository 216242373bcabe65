//! A running worker: requests go in, events come out.

use js_sys::{Array, ArrayBuffer, Object, Reflect};
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use web::protocol::{Event, Request};
use web_sys::{MessageEvent, Worker, WorkerOptions, WorkerType};

/// Trunk's loader shim of the binary `worker`.
const SCRIPT: &str = "./worker_loader.js";

/// A worker; dropping it ends the worker at once.
pub(crate) struct Connection {
    worker: Worker,
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
        on_event: impl Fn(Event, Option<ArrayBuffer>) + 'static,
        on_crash: impl Fn(String) + 'static,
    ) -> Result<Self, String> {
        let options = WorkerOptions::new();
        options.set_type(WorkerType::Module);
        let worker =
            Worker::new_with_options(SCRIPT, &options).map_err(|error| format!("{error:?}"))?;
        let on_message = Closure::new(move |message: MessageEvent| match unwrap(&message.data()) {
            Some((event, buffer)) => on_event(event, buffer),
            None => leptos::logging::error!("the worker sent something else than an event"),
        });
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
            _on_message: on_message,
            _on_error: on_error,
        })
    }

    /// Sends a request; `buffer` moves into the worker.
    pub(crate) fn send(&self, request: &Request, buffer: Option<&ArrayBuffer>) {
        let sent = wrap(request, buffer).and_then(|message| {
            let transfer: Array = buffer.into_iter().collect();
            self.worker.post_message_with_transfer(&message, &transfer)
        });
        if let Err(error) = sent {
            leptos::logging::error!("a request could not be sent: {error:?}");
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

fn wrap(request: &Request, buffer: Option<&ArrayBuffer>) -> Result<JsValue, JsValue> {
    let json = serde_json::to_string(request).map_err(|error| JsValue::from(error.to_string()))?;
    let message = Object::new();
    Reflect::set(&message, &"message".into(), &json.into())?;
    if let Some(buffer) = buffer {
        Reflect::set(&message, &"buffer".into(), buffer)?;
    }
    Ok(message.into())
}

fn unwrap(data: &JsValue) -> Option<(Event, Option<ArrayBuffer>)> {
    let json = Reflect::get(data, &"message".into()).ok()?.as_string()?;
    let event = serde_json::from_str(&json).ok()?;
    let buffer = Reflect::get(data, &"buffer".into()).ok()?.dyn_into().ok();
    Some((event, buffer))
}
