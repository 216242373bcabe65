//! The worker: handles requests one after the other, so that the page never waits for the model.

mod batch;
mod device;
mod engine;
mod events;
mod jobs;
mod own;
mod storage;
#[cfg(feature = "webgpu")]
mod webgpu;

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::message::Message;
use crate::protocol::{DeviceChoice, DeviceKind, Event, Loaded, Request, Tested};
use crate::wording::model as wording;
use futures_util::{StreamExt as _, stream};
use gloo_timers::future::TimeoutFuture;
use js_sys::{ArrayBuffer, Uint8Array};
use shared_model::archive::Archive;
use shared_model::error::{Error, Result};
use shared_model::manifest::Manifest;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::closure::Closure;
use wasm_bindgen_futures::spawn_local;
use web_sys::MessageEvent;

use self::engine::{Engine, Files};
use self::events::{DEVICE, Queue, fail, fail_or_fall_back, now, scope, send};
use self::jobs::{add_own, link_batch, meanings, restore_own, tell_own};
use self::storage::Storage;

/// As many as browsers open to one server.
const PARALLEL_DOWNLOADS: usize = 6;

/// Starts the worker: the `main` of its binaries.
pub fn start() {
    std::panic::set_hook(Box::new(|info| {
        console_error_panic_hook::hook(info);
        // A panic inside a promise reaches no error handler of the page: it is reported from here.
        match DEVICE.get() {
            Some(DeviceKind::Webgpu) => send(&Event::DeviceLost, None),
            _ => fail(None, wording::panicked(info), true),
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
                restore_own(&mut loaded).await;
                *engine = Some(loaded);
            }
            Err(error) => fail(None, error, true),
        },
        (Request::TestDevices { base }, _) => match test(base).await {
            Ok(tested) => send(&Event::Tested(tested), None),
            Err(error) => fail(None, error, true),
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
        (Request::CoverPicture { id, parts }, Some(engine)) => engine.cover_picture(id, &parts),
        (Request::DropPicture { id }, Some(engine)) => engine.drop_picture(id),
        (Request::OwnFile { id }, Some(engine)) => engine.own.add_file(id, taken(buffer)),
        (Request::AddOwn(new), Some(engine)) => {
            let archive = engine.own.archive_of(new);
            add_own(engine, Ok(archive)).await;
        }
        (Request::ImportOwn, Some(engine)) => {
            add_own(engine, Archive::read(&taken(buffer))).await;
        }
        (Request::RemoveOwn { id }, Some(engine)) => match engine.remove_own(&id).await {
            Ok(()) => tell_own(&engine.own).await,
            Err(error) => fail_or_fall_back(None, &error),
        },
        (Request::ClearOwn, Some(engine)) => match engine.clear_own().await {
            Ok(()) => tell_own(&engine.own).await,
            Err(error) => fail_or_fall_back(None, &error),
        },
        (Request::ExportOwn, Some(engine)) => match engine.own.archive.write() {
            Ok(zip) => send(&Event::OwnZip, Some(&zip)),
            Err(error) => fail(None, error.to_string(), false),
        },
        (Request::Link { id, question }, Some(engine)) => {
            let on_stage = |stage| send(&Event::Stage { id, stage }, None);
            match engine.link(&question, now, on_stage).await {
                Ok((answer, ms)) => send(&Event::Linked { id, answer, ms }, None),
                Err(error) => fail_or_fall_back(Some(id), &error),
            }
        }
        (
            Request::LinkAll {
                id,
                question,
                mentions,
            },
            Some(engine),
        ) => match meanings(engine, &question, mentions, inbox).await {
            Ok(meanings) => send(&Event::LinkedAll { id, meanings }, None),
            Err(error) => fail_or_fall_back(None, &error),
        },
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
                Ok(effects) => send(&Event::Explained { id, effects }, None),
                Err(error) => fail_or_fall_back(Some(id), &error),
            }
        }
        (Request::BatchFile { name }, Some(engine)) => engine.files.add(name, taken(buffer)),
        (Request::Batch { posts }, Some(engine)) => {
            let linked = link_batch(engine, &posts, inbox).await;
            engine.files.clear();
            match linked {
                Ok(()) => {}
                Err(Error::Device(_)) if DEVICE.get() == Some(DeviceKind::Webgpu) => {
                    send(&Event::DeviceLost, None);
                }
                Err(error) => {
                    let message = error.to_string();
                    send(&Event::BatchRefused { message }, None);
                }
            }
        }
        (Request::Choose { prototypes }, Some(engine)) => match engine.choose(prototypes).await {
            Ok(()) => send(&Event::Chosen { prototypes }, None),
            Err(error) => fail_or_fall_back(None, &error),
        },
        (Request::Link { id, .. }, None) => fail(Some(id), wording::NOT_LOADED.to_owned(), false),
        (_, None) => fail(None, wording::NOT_LOADED.to_owned(), false),
    }
}

/// The bytes that came with a request.
fn taken(buffer: Option<ArrayBuffer>) -> Vec<u8> {
    buffer
        .map(|buffer| Uint8Array::new(&buffer).to_vec())
        .unwrap_or_default()
}

async fn load(choice: DeviceChoice, base: String) -> Result<Engine, String> {
    let storage = Storage::open(base).await;
    let manifest = storage.manifest().await?;
    let (files, fetched_bytes) = download(&manifest, &storage).await?;
    send(&Event::Preparing, None);
    let start = now();
    if choice != DeviceChoice::Cpu {
        DEVICE.set(Some(DeviceKind::Webgpu));
    }
    let lost = |_message| {
        // One that was refused may be lost: the model does not run there.
        if DEVICE.get() == Some(DeviceKind::Webgpu) {
            send(&Event::DeviceLost, None);
        }
    };
    let opened = device::open(&manifest, &files, choice, lost).await;
    let (engine, mut running) = opened.map_err(|error| error.to_string())?;
    DEVICE.set(Some(running.device));
    running.notices.extend(storage.notice().map(str::to_owned));

    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("thumbs/")) {
        send(&Event::Thumb { path: path.clone() }, Some(bytes));
    }
    let loaded = Loaded {
        running,
        prepare_ms: now() - start,
        fetched_bytes,
        calibrated: manifest.calibration.is_some(),
        refusals: manifest
            .calibration
            .map(|calibration| calibration.refusals)
            .unwrap_or_default(),
        name: manifest.name,
        n_entities: engine.n_entities(),
        prototypes: engine.prototypes(),
        has_network: manifest.imn.is_some(),
        licences: manifest.licences,
    };
    send(&Event::Loaded(Box::new(loaded)), None);
    Ok(engine)
}

async fn test(base: String) -> Result<Vec<Tested>, String> {
    let storage = Storage::open(base).await;
    let manifest = storage.manifest().await?;
    let (files, _) = download(&manifest, &storage).await?;
    Ok(device::test_all(&manifest, &files).await)
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
