//! The model: looked up, loaded, deleted.

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use shared_model::manifest::{FileEntry, MANIFEST};
use web::cache::{FileCache, Store};
use web::fetch::fetch;
use web::link_request::LinkRequest;
use web::phase::Phase;
use web::post::{Picture, PictureState};
use web::protocol::{DeviceChoice, Loaded, Request};
use web::wording::{device, model::DIED};

use super::Client;
use crate::browser;
use crate::state::Answered;

impl Client {
    /// Downloads the model, or reads it from the browser's store.
    pub(crate) fn load(self) {
        if self.phase.get_untracked().is_loading() || self.is_loaded() {
            return;
        }
        self.error.set(None);
        self.loaded_bytes.set(0);
        self.phase.set(Phase::Downloading);
        let is_refused = self
            .inner
            .with_value(|inner| inner.device == DeviceChoice::Webgpu && inner.refusal.is_some());
        if is_refused {
            // The browser may offer now what it did not before.
            self.inner.update_value(|inner| {
                inner.program = None;
                inner.refusal = None;
            });
            self.disconnect();
            return spawn_local(self.choose_program());
        }
        self.connect();
        if self.inner.with_value(|inner| inner.is_started) {
            self.send_load();
        }
    }

    /// Stops loading.
    pub(crate) fn cancel(self) {
        self.request(LinkRequest::cancel);
        self.disconnect();
        self.phase.set(Phase::Idle);
        self.connect();
    }

    pub(super) fn is_loaded(self) -> bool {
        self.loaded.with_untracked(Option::is_some)
    }

    pub(super) fn send_load(self) {
        let (choice, refusal) = self
            .inner
            .with_value(|inner| (inner.device, inner.refusal.clone()));
        if let (DeviceChoice::Webgpu, Some(reason)) = (choice, refusal) {
            return self.stop(device::unusable(&reason));
        }
        let load = Request::Load {
            device: self.device(),
            base: self.base.get_value(),
        };
        self.send(&load, None);
    }

    /// Finds out the size of the model, and loads it if it is kept from an earlier visit and this tab did not die of that.
    pub(super) async fn look_up_model(self, died_while_loading: bool) {
        #[derive(Deserialize)]
        struct Listing {
            files: Vec<FileEntry>,
        }
        let cache = FileCache::open(Store::Bundle).await;
        self.is_kept.set(Some(cache.is_ok()));
        // Where this fails, loading fails too, and says why.
        let Ok(response) = fetch(&self.base.get_value(), MANIFEST).await else {
            return;
        };
        let Ok(Listing { files }) = response.json().await else {
            return;
        };
        self.model_bytes
            .set(Some(files.iter().map(|file| file.bytes).sum()));
        let text_part = files.iter().find(|file| file.path == "text.bpk");
        if let Some(file) = text_part
            && let Ok(cache) = cache
            && matches!(cache.get(&file.sha256).await, Ok(Some(_)))
            && self.phase.get_untracked() == Phase::Idle
        {
            if died_while_loading {
                return self.notice.set(Some(DIED.to_owned()));
            }
            self.load();
        }
    }

    pub(super) fn take_thumb(self, path: String, buffer: Option<ArrayBuffer>) {
        let address = buffer
            .map(|buffer| browser::jpeg_address(&buffer))
            .unwrap_or_default();
        let old = self
            .thumbs
            .try_update(|thumbs| thumbs.insert(path, address))
            .flatten();
        old.iter().for_each(|address| browser::revoke(address));
    }

    /// The model is ready: it gets the post.
    pub(super) fn take_model(self, mut loaded: Loaded) {
        if let Some(reason) = self.inner.with_value(|inner| inner.refusal.clone()) {
            let notice = device::not_used(&reason);
            loaded.running.notices.push(notice);
        }
        if self
            .notice
            .with_untracked(|notice| notice.as_deref() == Some(DIED))
        {
            self.notice.set(None);
        }
        self.prototypes.set(Some(loaded.prototypes));
        self.loaded.set(Some(loaded));
        self.phase.set(Phase::Ready);
        let mut pictures = self.pictures.get_untracked();
        pictures.retain(Picture::is_used);
        for picture in pictures {
            self.set_picture_state(picture.id, PictureState::Waiting);
            spawn_local(self.send_picture(picture.id));
        }
        self.find_mentions();
        let is_prepared = |answer: &Option<Answered>| {
            let answer = answer.as_ref();
            answer.is_some_and(|answer| answer.ms.is_none())
        };
        if self.answer.with_untracked(is_prepared) {
            self.request(LinkRequest::want);
        }
        self.advance();
    }
}
