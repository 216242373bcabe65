//! The worker: handles requests one after the other, so that the page never waits for the model.

#![recursion_limit = "256"]

mod engine;
mod own;
mod storage;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use futures_util::{StreamExt as _, stream};
use gloo_timers::future::TimeoutFuture;
use js_sys::{ArrayBuffer, Uint8Array};
use shared_model::archive::Archive;
use shared_model::data::Mention;
use shared_model::error::{Error, Result};
use shared_model::manifest::Manifest;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;
use web::cache::{FileCache, Store};
use web::message::Message;
use web::protocol::{Answer, DeviceChoice, DeviceKind, Event, Loaded, Meaning, Question, Request};
use web_sys::{DedicatedWorkerGlobalScope, MessageEvent};

use crate::engine::{Engine, Files};
use crate::own::Own;
use crate::storage::Storage;

/// As many as browsers open to one server.
const PARALLEL_DOWNLOADS: usize = 6;

type Queue = Rc<RefCell<Inbox>>;

/// Requests that wait, and whether [`work`] is running.
#[derive(Default)]
struct Inbox {
    waiting: VecDeque<(Request, Option<ArrayBuffer>)>,
    busy: bool,
}

thread_local! {
    /// The device in use, or about to be.
    static DEVICE: Cell<Option<DeviceKind>> = const { Cell::new(None) };
}

fn main() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        // A panic inside a promise reaches no error handler of the page: it is reported from here.
        match DEVICE.get() {
            Some(DeviceKind::Webgpu) => send(&Event::DeviceLost, None),
            _ => fail(None, format!("The model stopped: {info}"), true),
        }
    }));
    let inbox = Queue::default();
    let engine = Rc::new(RefCell::new(None));
    let receive = Closure::<dyn Fn(MessageEvent)>::new(move |message: MessageEvent| {
        match Message::parse(&message.data()) {
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
        // A link is skipped if a newer one waits.
        let is_link = |newer: &(Request, _)| matches!(newer.0, Request::Link { .. });
        if matches!(request, Request::Link { .. }) && inbox.borrow().waiting.iter().any(is_link) {
            continue;
        }
        let mut taken = engine.borrow_mut().take();
        handle(&mut taken, request, buffer, &inbox).await;
        *engine.borrow_mut() = taken;
    }
}

async fn handle(
    engine: &mut Option<Engine>,
    request: Request,
    buffer: Option<ArrayBuffer>,
    inbox: &Queue,
) {
    match (request, engine) {
        (Request::Load { device, base }, engine) => match load(device, base).await {
            Ok(mut loaded) => {
                if let Some(zip) = Own::kept().await {
                    add_own(&mut loaded, Archive::read(&zip)).await;
                }
                *engine = Some(loaded);
            }
            Err(error) => fail(None, error, true),
        },
        (Request::ClearCache, _) => match FileCache::delete(Store::Bundle).await {
            Ok(()) => send(&Event::CacheCleared, None),
            Err(reason) => {
                let message = format!("The model cannot be deleted: {reason}.");
                fail(None, message, false);
            }
        },
        (Request::Mentions { text }, Some(engine)) => {
            let mentions = engine.mentions(&text);
            send(&Event::Mentions { text, mentions }, None);
        }
        (Request::AddPicture { id }, Some(engine)) => {
            match engine.add_picture(id, &taken(buffer), now) {
                Ok(()) => send(&Event::PictureReady { id }, None),
                Err(error) => {
                    let message = error.to_string();
                    send(&Event::PictureRefused { id, message }, None);
                }
            }
        }
        (Request::DropPicture { id }, Some(engine)) => engine.drop_picture(id),
        (Request::OwnFile { id }, Some(engine)) => engine.own.add_file(id, taken(buffer)),
        (Request::AddOwn(new), Some(engine)) => {
            let archive = engine.own.archive_of(new);
            add_own(engine, Ok(archive)).await;
        }
        (Request::ImportOwn, Some(engine)) => add_own(engine, Archive::read(&taken(buffer))).await,
        (Request::RemoveOwn { id }, Some(engine)) => match engine.remove_own(&id).await {
            Ok(()) => tell_own(&engine.own).await,
            Err(error) => fail(None, error.to_string(), false),
        },
        (Request::ExportOwn, Some(engine)) => match engine.own.archive.write() {
            Ok(zip) => send(&Event::OwnZip, Some(&zip)),
            Err(error) => fail(None, error.to_string(), false),
        },
        (Request::Link { id, question }, Some(engine)) => {
            let on_stage = |stage| send(&Event::Stage { id, stage }, None);
            match engine.link(&question, now, on_stage).await {
                Ok((answer, ms)) => send(&Event::Linked { id, answer, ms }, None),
                Err(error) => fail_or_fall_back(id, &error),
            }
        }
        (Request::LinkAll { question, mentions }, Some(engine)) => {
            match meanings(engine, &question, mentions).await {
                Ok(meanings) => {
                    let text = question.text;
                    send(&Event::LinkedAll { text, meanings }, None);
                }
                Err(error) => fail(None, error.to_string(), false),
            }
        }
        (
            Request::Explain {
                id,
                question,
                candidates,
            },
            Some(engine),
        ) => {
            let done = Cell::new(0);
            let go_on = async || {
                send(
                    &Event::Explaining {
                        id,
                        done: done.get(),
                    },
                    None,
                );
                done.set(done.get() + 1);
                // Messages arrive while the worker pauses.
                TimeoutFuture::new(0).await;
                inbox.borrow().waiting.is_empty()
            };
            match engine.explain(&question, &candidates, go_on).await {
                Ok(Some(effects)) => send(&Event::Explained { id, effects }, None),
                Ok(None) => {}
                Err(error) => fail_or_fall_back(id, &error),
            }
        }
        (Request::Choose { prototypes }, Some(engine)) => match engine.choose(prototypes).await {
            Ok(()) => send(&Event::Chosen { prototypes }, None),
            Err(error) => fail(None, error.to_string(), false),
        },
        (Request::Link { id, .. }, None) => {
            fail(Some(id), "The model is not loaded yet.".to_owned(), false)
        }
        (_, None) => fail(None, "The model is not loaded yet.".to_owned(), false),
    }
}

async fn meanings(
    engine: &mut Engine,
    question: &Question,
    mentions: Vec<Mention>,
) -> Result<Vec<Meaning>> {
    let mut meanings = Vec::new();
    for mention in mentions {
        let question = Question {
            mention,
            ..question.clone()
        };
        let (
            Answer {
                ranking, entities, ..
            },
            _,
        ) = engine.link(&question, now, |_| ()).await?;
        let best = ranking.candidates.first().map(|best| best.probability);
        let is_nil = ranking.nil_probability > best;
        let first = entities.into_iter().next().filter(|_| !is_nil);
        meanings.push(Meaning {
            mention,
            name: first.map(|card| card.name),
            probability: ranking
                .nil_probability
                .filter(|_| is_nil)
                .or(best)
                .unwrap_or_default(),
        });
    }
    Ok(meanings)
}

/// The bytes that came with a request.
fn taken(buffer: Option<ArrayBuffer>) -> Vec<u8> {
    buffer
        .map(|buffer| Uint8Array::new(&buffer).to_vec())
        .unwrap_or_default()
}

/// Adds own entities, all or none.
async fn add_own(engine: &mut Engine, archive: Result<Archive>) {
    let total = archive.as_ref().map_or(0, |archive| archive.timeline.len());
    let done = Cell::new(0);
    let on_post = async || {
        let event = Event::Encoding {
            done: done.get(),
            total,
        };
        send(&event, None);
        done.set(done.get() + 1);
    };
    let added = match archive {
        Ok(archive) => engine.add_own(archive, on_post).await,
        Err(error) => Err(error),
    };
    match added {
        Ok(paths) => {
            for path in paths {
                let bytes = engine.own.archive.pictures[&path].as_slice();
                send(&Event::Thumb { path: path.clone() }, Some(bytes));
            }
            tell_own(&engine.own).await;
        }
        Err(error) => {
            let message = error.to_string();
            send(&Event::OwnRefused { message }, None);
        }
    }
}

/// Keeps the own entities and tells the page of them.
async fn tell_own(own: &Own) {
    let own = Event::Own {
        is_kept: own.keep().await,
        entities: own.cards(),
    };
    send(&own, None);
}

fn fail_or_fall_back(id: u32, error: &Error) {
    match error {
        Error::Device(_) if DEVICE.get() == Some(DeviceKind::Webgpu) => {
            send(&Event::DeviceLost, None);
        }
        error => fail(Some(id), error.to_string(), false),
    }
}

async fn load(device: DeviceChoice, base: String) -> Result<Engine, String> {
    let storage = Storage::open(base).await;
    let manifest = storage.manifest().await?;
    let (files, fetched_bytes) = download(&manifest, &storage).await?;
    send(&Event::Preparing, None);
    let start = now();
    if device != DeviceChoice::Cpu {
        DEVICE.set(Some(DeviceKind::Webgpu));
    }
    let lost = |_message| send(&Event::DeviceLost, None);
    let opened = Engine::open(&manifest, &files, device, lost).await;
    let (engine, mut running) = opened.map_err(|error| error.to_string())?;
    DEVICE.set(Some(running.device));
    running.notices.extend(storage.notice().map(str::to_owned));

    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("thumbs/")) {
        send(&Event::Thumb { path: path.clone() }, Some(bytes));
    }
    let loaded = Loaded {
        running,
        is_kept: storage.notice().is_none(),
        prepare_ms: now() - start,
        fetched_bytes,
        calibrated: manifest.calibration.is_some(),
        name: manifest.name,
        n_entities: engine.n_entities(),
        prototypes: engine.prototypes(),
        has_network: manifest.imn.is_some(),
        licences: manifest.licences,
    };
    send(&Event::Loaded(Box::new(loaded)), None);
    Ok(engine)
}

/// All files of the bundle, and the number of bytes that were downloaded.
async fn download(manifest: &Manifest, storage: &Storage) -> Result<(Files, u64), String> {
    let total_bytes = manifest.total_bytes();
    let loaded_bytes = Cell::new(0);
    let reported = Cell::new(f64::NEG_INFINITY);
    let progress = |bytes: u64| {
        loaded_bytes.set(loaded_bytes.get() + bytes);
        let loaded_bytes = loaded_bytes.get();
        // Ten times per second are enough for a progress bar.
        if now() - reported.get() > 100.0 || loaded_bytes == total_bytes {
            reported.set(now());
            let progress = Event::Progress {
                loaded_bytes,
                total_bytes,
            };
            send(&progress, None);
        }
    };
    progress(0);
    let mut downloads = stream::iter(&manifest.files)
        .map(async |entry| (entry, storage.file(manifest, entry, &progress).await))
        .buffer_unordered(PARALLEL_DOWNLOADS);
    let mut files = Files::new();
    let mut downloaded_bytes = 0;
    while let Some((entry, file)) = downloads.next().await {
        let (bytes, is_downloaded) = file?;
        if is_downloaded {
            downloaded_bytes += entry.bytes;
        }
        files.insert(entry.path.clone(), bytes);
    }
    Ok((files, downloaded_bytes))
}

/// Sends an event; bytes go along as a buffer that is moved.
fn send(event: &Event, bytes: Option<&[u8]>) {
    let buffer = bytes.map(|bytes| Uint8Array::from(bytes).buffer());
    let message = Message::new(event, buffer.as_ref()).expect("events are plain values");
    scope()
        .post_message_with_transfer(&message.data, &message.transfer)
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
