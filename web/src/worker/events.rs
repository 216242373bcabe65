//! What the worker hears and says: its inbox, events to the page, the clock.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use crate::message::Message;
use crate::protocol::{DeviceKind, Event, Request};
use js_sys::{ArrayBuffer, Uint8Array};
use shared_model::error::Error;
use wasm_bindgen::JsCast as _;
use web_sys::DedicatedWorkerGlobalScope;

pub(crate) type Queue = Rc<RefCell<Inbox>>;

/// Requests that wait, and whether [`work`] is running.
#[derive(Default)]
pub(crate) struct Inbox {
    pub(crate) waiting: VecDeque<(Request, Option<ArrayBuffer>)>,
    pub(crate) busy: bool,
}

thread_local! {
    /// The device in use, or about to be.
    pub(crate) static DEVICE: Cell<Option<DeviceKind>> = const { Cell::new(None) };
}

pub(crate) fn fail_or_fall_back(id: Option<u32>, error: &Error) {
    match error {
        Error::Device(_) if DEVICE.get() == Some(DeviceKind::Webgpu) => {
            send(&Event::DeviceLost, None);
        }
        error => fail(id, error.to_string(), false),
    }
}

/// Sends an event; bytes go along as a buffer that is moved.
pub(crate) fn send(event: &Event, bytes: Option<&[u8]>) {
    let buffer = bytes.map(|bytes| Uint8Array::from(bytes).buffer());
    let message = Message::new(event, buffer.as_ref()).expect("events are plain values");
    scope()
        .post_message_with_transfer(&message.data, &message.transfer)
        .expect("the message can be cloned");
}

pub(crate) fn fail(id: Option<u32>, message: String, fatal: bool) {
    send(&Event::Error { id, message, fatal }, None);
}

pub(crate) fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

pub(crate) fn now() -> f64 {
    let scope: web_sys::WorkerGlobalScope = scope().unchecked_into();
    scope
        .performance()
        .map_or(0.0, |performance| performance.now())
}
