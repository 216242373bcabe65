//! The worker: takes requests one after the other, so that the page never waits for the model.

#![recursion_limit = "256"]

mod engine;
mod storage;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use js_sys::{Array, ArrayBuffer, Object, Reflect, Uint8Array};
use shared_model::manifest::Manifest;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::spawn_local;
use web::protocol::{DeviceChoice, DeviceKind, Event, Loaded, Request};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::engine::{Engine, Files, Opened, PostQuery};
use crate::storage::Storage;

type Queue = Rc<RefCell<Inbox>>;

/// Requests that wait, and whether somebody works through them.
#[derive(Default)]
struct Inbox {
    waiting: VecDeque<(Request, Option<ArrayBuffer>)>,
    busy: bool,
}

thread_local! {
    static DEVICE: Cell<Option<DeviceKind>> = const { Cell::new(None) };
}

fn main() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        // A panic inside a promise reaches no error handler of the page: say it while there is a voice.
        match DEVICE.get() {
            Some(DeviceKind::Webgpu) => send(
                &Event::DeviceLost {
                    message: info.to_string(),
                },
                None,
            ),
            _ => fail(None, format!("The model stopped: {info}"), true),
        }
    }));
    let inbox = Queue::default();
    let engine = Rc::new(RefCell::new(None));
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        match parse(&message.data()) {
            Ok(request) => inbox.borrow_mut().waiting.push_back(request),
            Err(error) => return fail(None, error, false),
        }
        if !std::mem::replace(&mut inbox.borrow_mut().busy, true) {
            spawn_local(work(Rc::clone(&inbox), Rc::clone(&engine)));
        }
    });
    scope().set_onmessage(Some(receive.as_ref().unchecked_ref()));
    receive.forget();
    send(&Event::Hello, None);
}

/// Works through the inbox until it is empty.
async fn work(inbox: Queue, engine: Rc<RefCell<Option<Engine>>>) {
    loop {
        let next = inbox.borrow_mut().waiting.pop_front();
        let Some((request, buffer)) = next else {
            inbox.borrow_mut().busy = false;
            return;
        };
        // A newer post makes the one before it pointless.
        let outdated = |newer: &(Request, _)| matches!(newer.0, Request::Link { .. });
        if matches!(request, Request::Link { .. }) && inbox.borrow().waiting.iter().any(outdated) {
            continue;
        }
        let mut taken = engine.borrow_mut().take();
        handle(&mut taken, request, buffer).await;
        *engine.borrow_mut() = taken;
    }
}

async fn handle(engine: &mut Option<Engine>, request: Request, buffer: Option<ArrayBuffer>) {
    match (request, engine) {
        (Request::Load { device, base }, engine) => match load(device, base).await {
            Ok(loaded) => *engine = Some(loaded),
            Err(error) => fail(None, error, true),
        },
        (Request::ClearCache, _) => match Storage::clear(&scope()).await {
            Ok(()) => send(&Event::CacheCleared, None),
            Err(error) => fail(None, error, false),
        },
        (Request::Mentions { text }, Some(engine)) => {
            let mentions = engine.mentions(&text);
            send(&Event::Mentions { text, mentions }, None);
        }
        (Request::AddPicture { id }, Some(engine)) => {
            let bytes = buffer
                .map(|buffer| Uint8Array::new(&buffer).to_vec())
                .unwrap_or_default();
            match engine.add_picture(id, &bytes, now) {
                Ok((width, height)) => send(&Event::PictureReady { id, width, height }, None),
                Err(error) => {
                    let message = error.to_string();
                    send(&Event::PictureRefused { id, message }, None);
                }
            }
        }
        (Request::DropPicture { id }, Some(engine)) => engine.drop_picture(id),
        (
            Request::Link {
                id,
                text,
                mention,
                by_hand,
                pictures,
            },
            Some(engine),
        ) => {
            let post = PostQuery {
                text,
                mention,
                by_hand,
                pictures,
            };
            match engine
                .link(post, now, |stage| send(&Event::Stage { id, stage }, None))
                .await
            {
                Ok((ranking, ms)) => send(&Event::Linked { id, ranking, ms }, None),
                Err(error) => fail(Some(id), error.to_string(), false),
            }
        }
        (Request::Link { id, .. }, None) => {
            fail(Some(id), "The model is not loaded yet.".to_owned(), false)
        }
        (_, None) => fail(None, "The model is not loaded yet.".to_owned(), false),
    }
}

async fn load(device: DeviceChoice, base: String) -> Result<Engine, String> {
    let mut storage = Storage::open(scope().unchecked_into(), base).await;
    let manifest = storage.manifest().await?;
    let total_bytes = manifest.total_bytes();
    let mut cached_bytes = 0;
    for entry in &manifest.files {
        if storage.has(entry).await {
            cached_bytes += entry.bytes;
        }
    }
    let name = manifest.name.clone();
    send(
        &Event::Manifest {
            name,
            total_bytes,
            cached_bytes,
        },
        None,
    );

    let (files, fetched_bytes) = download(&manifest, &mut storage).await?;
    send(&Event::Preparing, None);
    let start = now();
    let lost = |message: String| send(&Event::DeviceLost { message }, None);
    let Opened {
        engine,
        device,
        adapter,
        software,
        self_test,
        mut notices,
    } = Engine::open(&manifest, &files, device, lost)
        .await
        .map_err(|error| error.to_string())?;
    DEVICE.set(Some(device));
    notices.extend(storage.notice().map(str::to_owned));

    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("thumbs/")) {
        send(&Event::Thumb { path: path.clone() }, Some(bytes));
    }
    let loaded = Loaded {
        device,
        adapter,
        software,
        self_test: Some(self_test),
        notices,
        prepare_ms: now() - start,
        fetched_bytes,
        calibrated: manifest.calibration.is_some(),
        name: manifest.name,
        entities: engine.cards(),
        licences: manifest.licences,
    };
    send(&Event::Loaded(Box::new(loaded)), None);
    Ok(engine)
}

async fn download(manifest: &Manifest, storage: &mut Storage) -> Result<(Files, u64), String> {
    let total_bytes = manifest.total_bytes();
    let mut loaded_bytes = 0;
    let mut fetched_bytes = 0;
    let mut reported = f64::NEG_INFINITY;
    let mut files = Files::new();
    for entry in &manifest.files {
        let mut progress = |bytes: u64| {
            loaded_bytes += bytes;
            // Ten times a second is as much as a bar can show.
            if now() - reported > 100.0 || loaded_bytes == total_bytes {
                reported = now();
                send(
                    &Event::Progress {
                        loaded_bytes,
                        total_bytes,
                    },
                    None,
                );
            }
        };
        let (bytes, fetched) = storage.file(manifest, entry, &mut progress).await?;
        if fetched {
            fetched_bytes += entry.bytes;
        }
        files.insert(entry.path.clone(), bytes);
    }
    Ok((files, fetched_bytes))
}

fn parse(data: &JsValue) -> Result<(Request, Option<ArrayBuffer>), String> {
    let field =
        |name: &str| Reflect::get(data, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
    let message = field("message")
        .as_string()
        .ok_or("a message without text")?;
    let request = serde_json::from_str(&message).map_err(|error| error.to_string())?;
    Ok((request, field("buffer").dyn_into().ok()))
}

/// Sends an event; bytes travel as a transferred buffer.
fn send(event: &Event, bytes: Option<&Vec<u8>>) {
    let message = Object::new();
    let transfer = Array::new();
    let set = |name: &str, value: &JsValue| {
        // Cannot fail on a plain object.
        let _: Result<bool, JsValue> = Reflect::set(&message, &JsValue::from_str(name), value);
    };
    let json = serde_json::to_string(event).expect("events are plain values");
    set("message", &JsValue::from_str(&json));
    if let Some(bytes) = bytes {
        let buffer = Uint8Array::from(bytes.as_slice()).buffer();
        set("buffer", &buffer);
        transfer.push(&buffer);
    }
    scope()
        .post_message_with_transfer(&message, &transfer)
        .expect("the message can be cloned");
}

fn fail(id: Option<u32>, message: String, fatal: bool) {
    send(&Event::Error { id, message, fatal }, None);
}

fn scope() -> DedicatedWorkerGlobalScope {
    js_sys::global().unchecked_into()
}

fn now() -> f64 {
    let scope: web_sys::WorkerGlobalScope = scope().unchecked_into();
    scope
        .performance()
        .map_or(0.0, |performance| performance.now())
}
