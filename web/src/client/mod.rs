//! What visitors and the worker do to the page's state.

mod batch;
mod devices;
mod link;
mod model;
mod own;
mod post;
mod share;
mod stored;
mod worker;

use std::collections::HashMap;
use std::ops::Deref;

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web::address::file_address;
use web::link_request::LinkRequest;
use web::phase::Phase;
use web::post::PictureState;
use web::protocol::{DeviceChoice, Event, Question};
use web::wording::page as wording;
use web_sys::Blob;

use crate::browser;
use crate::connection::{Connection, Program};
use crate::state::{Adding, Batch, State};

/// The state, and the worker that changes it. Copies share both.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    state: State,
    /// Absolute address of the bundle's folder.
    base: StoredValue<String>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// What is not shown.
#[derive(Default)]
struct Inner {
    connection: Option<Connection>,
    /// The worker has said `Hello`.
    is_started: bool,
    /// What `?device=` asks for.
    device: DeviceChoice,
    /// What the worker runs; `None` until it is known which device there is.
    program: Option<Program>,
    /// Why the worker runs without WebGPU, where it might have had it.
    refusal: Option<String>,
    /// The worker that tests the devices.
    tester: Option<Connection>,
    /// Files of the post's pictures.
    blobs: HashMap<u32, Blob>,
    last_id: u32,
    /// What was asked last.
    asked: Option<Question>,
    /// Id of the latest request for an explanation.
    explaining: u32,
    /// Id of the latest request for what all mentions mean; another one makes its answer outdated.
    meanings: u32,
    request: LinkRequest,
    /// Results of many posts at once.
    results: Option<ArrayBuffer>,
}

impl Deref for Client {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Client {
    /// Starts the worker, and loads the model where it is kept from an earlier visit.
    pub(crate) fn start() -> Self {
        let device = match browser::query("device").as_deref() {
            Some("cpu") => DeviceChoice::Cpu,
            Some("webgpu") => DeviceChoice::Webgpu,
            _ => DeviceChoice::Auto,
        };
        let asked = browser::query("bundle").unwrap_or_else(|| "./demo/".to_owned());
        let base = browser::folder_address(&asked);
        let notice = base.is_none().then(|| wording::other_site(&asked));
        let base = base
            .or_else(|| browser::folder_address("./demo/"))
            .unwrap_or_default();
        let client = Self {
            state: State::default(),
            base: StoredValue::new(base),
            inner: StoredValue::new_local(Inner {
                device,
                ..Inner::default()
            }),
        };
        client.notice.set(notice);
        spawn_local(client.choose_program());
        spawn_local(client.look_up_model(browser::died_while_loading()));
        Effect::new(move |_| browser::mark_loading(client.phase.get().is_loading()));
        // A tab that is left is not one that died.
        window_event_listener(leptos::ev::pagehide, |_| browser::mark_loading(false));
        spawn_local(client.look_up_examples());
        client.take_fragment();
        window_event_listener(leptos::ev::hashchange, move |_| client.follow_fragment());
        client
    }

    /// The address of a file of the bundle.
    pub(crate) fn address(self, path: &str) -> String {
        self.base.with_value(|base| file_address(base, path))
    }

    /// Addresses of thumbnails: those that came with the model, else files of the bundle's folder.
    pub(crate) fn thumb_addresses<'a>(
        self,
        paths: impl IntoIterator<Item = &'a String>,
    ) -> Vec<String> {
        let paths = paths.into_iter();
        self.thumbs.with_untracked(|thumbs| {
            let address = |path: &String| match thumbs.get(path) {
                Some(address) => Some(address.clone()),
                None => (!self.is_loaded()).then(|| self.address(path)),
            };
            paths.filter_map(address).collect()
        })
    }

    fn handle_event(self, event: Event, buffer: Option<ArrayBuffer>) {
        match event {
            Event::Hello => {
                self.inner.update_value(|inner| inner.is_started = true);
                if self.phase.get_untracked().is_loading() {
                    self.send_load();
                }
            }
            Event::Progress {
                loaded_bytes,
                total_bytes,
            } => {
                self.loaded_bytes.set(loaded_bytes);
                self.model_bytes.set(Some(total_bytes));
            }
            // Only the worker that tests the devices sends it.
            Event::Tested(_) => {}
            Event::Preparing => self.phase.set(Phase::Preparing),
            Event::Thumb { path } => self.take_thumb(path, buffer),
            Event::Loaded(loaded) => self.take_model(*loaded),
            Event::Mentions { text, mentions } => self.take_mentions(&text, &mentions),
            Event::PictureReady { id } => self.set_picture_state(id, PictureState::Ready),
            Event::PictureRefused { id, message } => {
                self.set_picture_state(id, PictureState::Refused(message))
            }
            Event::Stage { id, stage } => self.show_stage(id, stage),
            Event::Linked { id, answer, ms } => self.take_answer(id, answer, ms),
            Event::Explaining { id, done } => self.show_explaining(id, done),
            Event::Explained { id, effects } => self.end_explanation(id, effects),
            Event::LinkedAll { id, meanings } => self.take_meanings(id, meanings),
            Event::Batched { done, total } => self.batch.set(Batch::Running { done, total }),
            Event::BatchDone {
                n_mentions,
                figures,
            } => self.take_batch(n_mentions, figures, buffer),
            Event::BatchRefused { message } => self.batch.set(Batch::Refused(message)),
            Event::Encoding { done, total } => self.adding.set(Adding::Encoding { done, total }),
            Event::Own { entities, is_kept } => self.take_own(entities, is_kept),
            Event::OwnRefused { message } => self.adding.set(Adding::Refused(message)),
            Event::OwnZip => self.save_own(buffer),
            Event::Chosen { prototypes } => self.prototypes.set(Some(prototypes)),
            Event::Error {
                id: Some(id),
                message,
                fatal: false,
            } if self.is_explaining(id) => {
                self.explaining.set(None);
                self.error.set(Some(message));
            }
            Event::Error { id, message, fatal } => {
                let is_outdated = id.is_some_and(|id| !self.awaits(id));
                match (fatal, is_outdated) {
                    (true, _) => self.stop(message),
                    (false, false) => self.fail(message),
                    (false, true) => {}
                }
            }
            Event::DeviceLost => self.fall_back(),
        }
    }

    fn request<T>(self, change: impl FnOnce(&mut LinkRequest) -> T) -> T {
        let changed = self
            .inner
            .try_update_value(|inner| change(&mut inner.request));
        changed.expect("the page is never unmounted")
    }

    fn new_id(self) -> u32 {
        self.inner.update_value(|inner| inner.last_id += 1);
        self.inner.with_value(|inner| inner.last_id)
    }
}
