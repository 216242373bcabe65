//! What visitors and the worker do to the page's state.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use shared_model::data::{MAX_IMAGES, Mention};
use shared_model::manifest::FileEntry;
use web::protocol::{DeviceChoice, DeviceKind, Event, Loaded, Request};
use web_sys::Blob;

use crate::browser;
use crate::connection::Connection;
use crate::state::{Answer, Chosen, Example, Name, Phase, Picture, PictureState, State};

/// A larger picture is refused before it is read.
const MAX_PICTURE_BYTES: f64 = 25e6;
/// Mentions are asked for when typing rests this long.
const TYPING_REST: Duration = Duration::from_millis(150);

/// The state, and the worker that changes it. A copy is the same page.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    state: State,
    base: StoredValue<String>,
    inner: StoredValue<Inner, LocalStorage>,
}

struct Inner {
    connection: Option<Connection>,
    greeted: bool,
    device: DeviceChoice,
    blobs: HashMap<u32, Blob>,
    last_id: u32,
    /// The link whose answer counts.
    link: Option<(u32, String)>,
    /// A visitor waits for an answer that could not be asked for yet.
    wanted: bool,
    /// The text whose mentions were asked for last, and whether they came.
    asked: Option<(String, bool)>,
}

impl Deref for Client {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl Client {
    /// Starts the worker and looks up what the model costs; loads it where it is cached.
    pub(crate) fn start() -> Self {
        let device = match browser::query("device").as_deref() {
            Some("cpu") => DeviceChoice::Cpu,
            Some("webgpu") => DeviceChoice::Webgpu,
            _ => DeviceChoice::Auto,
        };
        let asked = browser::query("bundle").unwrap_or_else(|| "./demo/".to_owned());
        let base = browser::folder_address(&asked);
        let notice = base
            .is_none()
            .then(|| format!("{asked} is on another site, so this page's own model is used."));
        let base = base
            .or_else(|| browser::folder_address("./demo/"))
            .unwrap_or_default();
        let client = Self {
            state: State::default(),
            base: StoredValue::new(base),
            inner: StoredValue::new_local(Inner {
                connection: None,
                greeted: false,
                device,
                blobs: HashMap::new(),
                last_id: 0,
                link: None,
                wanted: false,
                asked: None,
            }),
        };
        client.notice.set(notice);
        client.connect();
        spawn_local(client.look_up_price());
        client
    }

    /// Downloads the model, or reads it from the cache.
    pub(crate) fn load(self) {
        if self.is_loading() || self.is_loaded() {
            return;
        }
        self.error.set(None);
        self.loaded_bytes.set(0);
        self.phase.set(Phase::Downloading);
        self.connect();
        if self.inner.with_value(|inner| inner.greeted) {
            self.send_load();
        }
    }

    /// Stops a download.
    pub(crate) fn cancel(self) {
        self.inner.update_value(|inner| inner.wanted = false);
        self.disconnect();
        self.phase.set(Phase::Idle);
        self.connect();
    }

    /// Links the chosen mention, after loading the model where it must be.
    pub(crate) fn run(self) {
        self.error.set(None);
        self.hint.set(None);
        if self.text.with_untracked(|text| text.trim().is_empty()) {
            self.hint
                .set(Some("Write a post first, or take an example."));
            self.phase.update(|phase| *phase = self.rest(*phase));
            return;
        }
        self.inner.update_value(|inner| {
            inner.wanted = true;
            inner.link = None;
        });
        self.load();
        self.advance();
    }

    /// The visitor types.
    pub(crate) fn set_text(self, text: String) {
        self.found
            .update(|found| found.retain(|name| name.stands_in(&text)));
        self.chosen.update(|chosen| {
            if chosen
                .as_ref()
                .is_some_and(|chosen| chosen.by_hand && !chosen.name.stands_in(&text))
            {
                *chosen = None;
            }
        });
        self.text.set(text.clone());
        self.error.set(None);
        self.hint.set(None);
        self.inner.update_value(|inner| {
            inner.link = None;
            inner.wanted &= self.is_loading();
        });
        self.phase.update(|phase| *phase = self.rest(*phase));
        set_timeout(
            move || {
                if self.text.with_untracked(|now| *now == text) {
                    self.ask_mentions();
                }
            },
            TYPING_REST,
        );
    }

    /// The visitor picks a mention, or selects one by hand and wants it linked.
    pub(crate) fn choose(self, mention: Mention, by_hand: bool) {
        let Some(name) = self.text.with_untracked(|text| Name::new(mention, text)) else {
            return;
        };
        let is_found = self.found.with_untracked(|found| found.contains(&name));
        self.chosen.set(Some(Chosen {
            name,
            by_hand: by_hand && !is_found,
        }));
        self.hint.set(None);
        if by_hand {
            self.run();
        } else {
            self.link_again();
        }
    }

    /// The visitor brings pictures, each a name and its bytes.
    pub(crate) fn add_pictures(self, files: Vec<(String, Blob)>) {
        self.push_pictures(files);
        self.link_again();
    }

    /// The visitor takes a picture away.
    pub(crate) fn drop_picture(self, id: u32) {
        self.forget_pictures(|picture| picture.id == id);
        self.link_again();
    }

    /// The bundle's ready-made posts; empty if it has none.
    pub(crate) async fn examples(self) -> Vec<Example> {
        let json = browser::fetch_text(&self.address("examples.json")).await;
        json.ok()
            .and_then(|json| serde_json::from_str(&json).ok())
            .unwrap_or_default()
    }

    /// The address of a file of the bundle.
    pub(crate) fn address(self, path: &str) -> String {
        self.base.with_value(|base| format!("{base}{path}"))
    }

    /// Fills the post with an example, and links it if the model is there.
    pub(crate) fn show_example(self, example: Example) {
        self.set_text(example.text.clone());
        let mention = Mention {
            start: example.start,
            end: example.end,
        };
        self.chosen
            .set(Name::new(mention, &example.text).map(|name| Chosen {
                name,
                by_hand: false,
            }));
        self.forget_pictures(|_| true);
        spawn_local(async move {
            let mut files = Vec::new();
            for image in &example.images {
                match browser::fetch_blob(&self.address(image)).await {
                    Ok(blob) => {
                        files.push((image.rsplit('/').next().unwrap_or(image).to_owned(), blob))
                    }
                    Err(error) => self
                        .error
                        .set(Some(format!("The example's picture is missing. {error}"))),
                }
            }
            if self.text.with_untracked(|text| *text != example.text) {
                return;
            }
            self.push_pictures(files);
            if self.is_loaded() {
                self.run();
            }
        });
    }

    /// Deletes the cached model.
    pub(crate) fn clear_cache(self) {
        self.send(&Request::ClearCache);
    }

    /// Whether the model is on its way.
    pub(crate) fn is_loading(self) -> bool {
        matches!(
            self.phase.get_untracked(),
            Phase::Downloading | Phase::Preparing
        )
    }

    fn is_loaded(self) -> bool {
        self.loaded.with_untracked(Option::is_some)
    }

    async fn look_up_price(self) {
        #[derive(Deserialize)]
        struct Listing {
            files: Vec<FileEntry>,
        }
        let manifest = browser::fetch_text(&self.address("bundle.json")).await;
        // Where this fails, loading fails too, and says why.
        let Some(Listing { files }) = manifest
            .ok()
            .and_then(|json| serde_json::from_str(&json).ok())
        else {
            return;
        };
        self.price
            .set(Some(files.iter().map(|file| file.bytes).sum()));
        let text_part = files.iter().find(|file| file.path.ends_with("text.bpk"));
        if let Some(file) = text_part
            && browser::is_cached(&file.sha256).await
            && self.phase.get_untracked() == Phase::Idle
        {
            self.load();
        }
    }

    /// Takes the next step towards the answer that a visitor waits for; waits if something is still missing.
    fn advance(self) {
        if !self.inner.with_value(|inner| inner.wanted) || !self.is_loaded() {
            return;
        }
        self.phase.set(Phase::Running(None));
        let text = self.text.get_untracked();
        let pending = self.pictures.with_untracked(|pictures| {
            pictures
                .iter()
                .any(|picture| picture.state == PictureState::Waiting)
        });
        if !self.ask_mentions() || pending {
            return;
        }
        self.inner.update_value(|inner| inner.wanted = false);
        let Some(Chosen { name, by_hand }) = self.chosen.get_untracked() else {
            self.hint.set(Some("No known name is in this text. Select the words you mean and press “Link the selection”."));
            self.phase.set(Phase::Ready);
            return;
        };
        let id = self.new_id();
        self.inner
            .update_value(|inner| inner.link = Some((id, name.surface)));
        let pictures = self.pictures.with_untracked(|pictures| {
            let ready = pictures
                .iter()
                .filter(|picture| picture.state == PictureState::Ready);
            ready.map(|picture| picture.id).collect()
        });
        self.send(&Request::Link {
            id,
            text,
            mention: name.mention,
            by_hand,
            pictures,
        });
    }

    /// After a first answer, a change of mention or pictures is answered at once.
    fn link_again(self) {
        let running = matches!(self.phase.get_untracked(), Phase::Running(_));
        if running || self.is_loaded() && self.answer.with_untracked(Option::is_some) {
            self.run();
        }
    }

    /// Whether the mentions of the text as it stands are known; asks for them if not.
    fn ask_mentions(self) -> bool {
        if !self.is_loaded() {
            return false;
        }
        let text = self.text.get_untracked();
        if let Some((asked, came)) = self.inner.with_value(|inner| inner.asked.clone())
            && asked == text
        {
            return came;
        }
        self.inner
            .update_value(|inner| inner.asked = Some((text.clone(), false)));
        self.send(&Request::Mentions { text });
        false
    }

    fn fold(self, event: Event, buffer: Option<ArrayBuffer>) {
        match event {
            Event::Hello => {
                self.inner.update_value(|inner| inner.greeted = true);
                if self.is_loading() {
                    self.send_load();
                }
            }
            Event::Manifest { total_bytes, .. } => self.price.set(Some(total_bytes)),
            Event::Progress {
                loaded_bytes,
                total_bytes,
            } => {
                self.loaded_bytes.set(loaded_bytes);
                self.price.set(Some(total_bytes));
            }
            Event::Preparing => self.phase.set(Phase::Preparing),
            Event::Thumb { path } => {
                let address = buffer
                    .map(|buffer| browser::jpeg_address(&buffer))
                    .unwrap_or_default();
                let old = self
                    .thumbs
                    .try_update(|thumbs| thumbs.insert(path, address))
                    .flatten();
                old.iter().for_each(|address| browser::revoke(address));
            }
            Event::Loaded(loaded) => self.greet_model(*loaded),
            Event::Mentions { text, mentions } => self.take_mentions(&text, &mentions),
            Event::PictureReady { id, .. } => self.set_picture_state(id, PictureState::Ready),
            Event::PictureRefused { id, message } => {
                self.set_picture_state(id, PictureState::Refused(message))
            }
            Event::Stage { id, stage } => {
                if self.awaits(id) && matches!(self.phase.get_untracked(), Phase::Running(_)) {
                    self.phase.set(Phase::Running(Some(stage)));
                }
            }
            Event::Linked { id, ranking, ms } => {
                if self.awaits(id) {
                    let link = self
                        .inner
                        .try_update_value(|inner| inner.link.take())
                        .flatten();
                    let surface = link.map(|(_, surface)| surface).unwrap_or_default();
                    self.answer.set(Some(Answer {
                        surface,
                        ranking,
                        ms,
                    }));
                    self.phase.set(Phase::Done);
                }
            }
            Event::Error {
                id: Some(id),
                fatal: false,
                ..
            } if !self.awaits(id) => {}
            Event::Error { message, fatal, .. } => self.fail(message, fatal),
            Event::DeviceLost { .. } => self.fall_back(),
            Event::CacheCleared => {
                self.notice.set(Some(
                    "The stored model is deleted. The next visit downloads it again.".to_owned(),
                ));
            }
        }
    }

    fn greet_model(self, loaded: Loaded) {
        self.loaded.set(Some(loaded));
        self.phase.set(Phase::Ready);
        for picture in self
            .pictures
            .get_untracked()
            .iter()
            .filter(|picture| picture.is_used())
        {
            self.set_picture_state(picture.id, PictureState::Waiting);
            spawn_local(self.send_picture(picture.id));
        }
        self.ask_mentions();
        self.advance();
    }

    fn take_mentions(self, text: &str, mentions: &[Mention]) {
        if self.text.with_untracked(|now| now != text) {
            return;
        }
        self.inner
            .update_value(|inner| inner.asked = Some((text.to_owned(), true)));
        let found: Vec<Name> = mentions
            .iter()
            .filter_map(|mention| Name::new(*mention, text))
            .collect();
        let old = self.chosen.get_untracked();
        if !old.as_ref().is_some_and(|old| old.by_hand) {
            let kept = old.and_then(|old| {
                let same = found.iter().find(|name| **name == old.name);
                same.or_else(|| found.iter().find(|name| name.surface == old.name.surface))
                    .cloned()
            });
            let name = kept.or_else(|| found.first().cloned());
            self.chosen.set(name.map(|name| Chosen {
                name,
                by_hand: false,
            }));
        }
        self.found.set(found);
        self.advance();
    }

    fn set_picture_state(self, id: u32, state: PictureState) {
        self.pictures.update(|pictures| {
            if let Some(picture) = pictures.iter_mut().find(|picture| picture.id == id) {
                picture.state = state;
            }
        });
        self.advance();
    }

    async fn send_picture(self, id: u32) {
        let Some(blob) = self.inner.with_value(|inner| inner.blobs.get(&id).cloned()) else {
            return;
        };
        match browser::read_blob(&blob).await {
            Ok(buffer) => self.inner.with_value(|inner| {
                if let Some(connection) = &inner.connection {
                    connection.send(&Request::AddPicture { id }, Some(&buffer));
                }
            }),
            Err(error) => self.set_picture_state(
                id,
                PictureState::Refused(format!("The file cannot be read: {error}.")),
            ),
        }
    }

    fn push_pictures(self, files: Vec<(String, Blob)>) {
        for (name, blob) in files {
            let used = self.pictures.with_untracked(|pictures| {
                pictures.iter().filter(|picture| picture.is_used()).count()
            });
            let state = if blob.size() > MAX_PICTURE_BYTES {
                PictureState::Refused("This picture is larger than 25 MB.".to_owned())
            } else if !blob.type_().is_empty() && !blob.type_().starts_with("image/") {
                PictureState::Refused("This file is not a picture.".to_owned())
            } else if used >= MAX_IMAGES {
                PictureState::Refused(format!("A post has at most {MAX_IMAGES} pictures."))
            } else {
                PictureState::Waiting
            };
            let id = self.new_id();
            let address = browser::blob_address(&blob);
            self.pictures.update(|pictures| {
                pictures.push(Picture {
                    id,
                    name,
                    address,
                    state: state.clone(),
                })
            });
            self.inner
                .update_value(|inner| drop(inner.blobs.insert(id, blob)));
            if state == PictureState::Waiting && self.is_loaded() {
                spawn_local(self.send_picture(id));
            }
        }
    }

    fn forget_pictures(self, is_meant: impl Fn(&Picture) -> bool) {
        for picture in self
            .pictures
            .get_untracked()
            .iter()
            .filter(|picture| is_meant(picture))
        {
            browser::revoke(&picture.address);
            self.inner
                .update_value(|inner| drop(inner.blobs.remove(&picture.id)));
            if self.is_loaded() {
                self.send(&Request::DropPicture { id: picture.id });
            }
        }
        self.pictures
            .update(|pictures| pictures.retain(|picture| !is_meant(picture)));
    }

    fn fail(self, message: String, fatal: bool) {
        self.error.set(Some(message));
        self.inner.update_value(|inner| {
            // A fatal error keeps the wish: "Try again" fulfils it.
            inner.wanted = fatal && (inner.wanted || inner.link.is_some());
            inner.link = None;
            inner.asked = None;
        });
        if fatal {
            self.disconnect();
        }
        self.phase.set(Phase::Error);
    }

    fn crash(self, message: &str) {
        let on_gpu = match self
            .loaded
            .with_untracked(|loaded| loaded.as_ref().map(|loaded| loaded.device))
        {
            Some(device) => device == DeviceKind::Webgpu,
            None => {
                self.is_loading()
                    && self
                        .inner
                        .with_value(|inner| inner.greeted && inner.device != DeviceChoice::Cpu)
            }
        };
        if on_gpu {
            self.fall_back();
        } else if self.inner.with_value(|inner| inner.greeted) {
            self.fail(format!("The model stopped unexpectedly. {message}"), true);
        } else {
            self.fail(
                format!("The model's program could not be started. {message}"),
                true,
            );
        }
    }

    /// Goes on with a new worker on the CPU.
    fn fall_back(self) {
        let running = matches!(self.phase.get_untracked(), Phase::Running(_));
        self.inner.update_value(|inner| {
            inner.device = DeviceChoice::Cpu;
            inner.wanted |= running;
        });
        self.notice.set(Some(
            "The graphics processor stopped answering, so the model now runs on the CPU."
                .to_owned(),
        ));
        self.disconnect();
        self.phase.set(Phase::Idle);
        self.load();
    }

    fn connect(self) {
        if self.inner.with_value(|inner| inner.connection.is_some()) {
            return;
        }
        match Connection::open(
            move |event, buffer| self.fold(event, buffer),
            move |message| self.crash(&message),
        ) {
            Ok(connection) => self
                .inner
                .update_value(|inner| inner.connection = Some(connection)),
            Err(error) => self.fail(
                format!("This browser does not start the model's program. {error}"),
                true,
            ),
        }
    }

    fn disconnect(self) {
        self.loaded.set(None);
        self.inner.update_value(|inner| {
            inner.connection = None;
            inner.greeted = false;
            inner.link = None;
            inner.asked = None;
        });
    }

    fn send(self, request: &Request) {
        self.inner.with_value(|inner| {
            if let Some(connection) = &inner.connection {
                connection.send(request, None);
            }
        });
    }

    fn send_load(self) {
        let device = self.inner.with_value(|inner| inner.device);
        self.send(&Request::Load {
            device,
            base: self.base.get_value(),
        });
    }

    fn awaits(self, id: u32) -> bool {
        self.inner.with_value(|inner| {
            inner
                .link
                .as_ref()
                .is_some_and(|(awaited, _)| *awaited == id)
        })
    }

    fn new_id(self) -> u32 {
        self.inner.update_value(|inner| inner.last_id += 1);
        self.inner.with_value(|inner| inner.last_id)
    }

    /// The phase without an answer or an error.
    fn rest(self, phase: Phase) -> Phase {
        match phase {
            Phase::Downloading | Phase::Preparing => phase,
            _ if self.is_loaded() => Phase::Ready,
            _ => Phase::Idle,
        }
    }
}
