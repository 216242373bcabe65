//! The post: its text, the chosen mention, its pictures.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared_model::data::Mention;
use web::fetch::fetch;
use web::phase::Phase;
use web::post::{Chosen, Example, Name, Picture, PictureState};
use web::protocol::Request;
use web::wording::{examples, pictures};
use web_sys::Blob;

use super::Client;
use crate::browser;

/// Mentions are searched for after a pause in typing of this length.
const TYPING_PAUSE: Duration = Duration::from_millis(150);

impl Client {
    /// The visitor types.
    pub(crate) fn set_text(self, text: String) {
        self.found
            .update(|found| found.retain(|name| name.occurs_in(&text)));
        self.chosen.update(|chosen| {
            chosen.take_if(|chosen| chosen.by_hand && !chosen.name.occurs_in(&text));
        });
        self.text.set(text.clone());
        self.forget_meanings();
        self.error.set(None);
        self.hint.set(None);
        let phase = self.phase.get_untracked();
        self.request(|request| request.edit(phase.is_loading()));
        self.phase.set(phase.without_answer(self.is_loaded()));
        set_timeout(
            move || {
                if self.text.with_untracked(|now| *now == text) {
                    self.find_mentions();
                }
            },
            TYPING_PAUSE,
        );
    }

    /// The visitor picks one of the mentions that were found.
    pub(crate) fn choose(self, name: Name) {
        self.chosen.set(Some(Chosen {
            name,
            by_hand: false,
        }));
        self.hint.set(None);
        self.link_again();
    }

    /// The visitor selects words and wants them linked.
    pub(crate) fn choose_by_hand(self, mention: Mention) {
        let Some(name) = self.text.with_untracked(|text| Name::new(mention, text)) else {
            return;
        };
        let by_hand = !self.found.with_untracked(|found| found.contains(&name));
        self.chosen.set(Some(Chosen { name, by_hand }));
        self.hint.set(None);
        self.run();
    }

    /// The visitor adds pictures, each with its file's name.
    pub(crate) fn add_pictures(self, files: Vec<(String, Blob)>) {
        self.push_pictures(files);
        self.link_again();
    }

    /// The visitor removes a picture.
    pub(crate) fn remove_picture(self, id: u32) {
        self.remove_pictures(|picture| picture.id == id);
        self.link_again();
    }

    /// Looks up the bundle's ready-made posts; there are none if it has no such file.
    pub(super) async fn look_up_examples(self) {
        if let Ok(response) = fetch(&self.base.get_value(), "examples.json").await
            && let Ok(examples) = response.json().await
        {
            self.examples.set(examples);
        }
    }

    /// Replaces the post by an example, and answers it: with the model if it is loaded, else with the answer that the bundle has.
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
        self.remove_pictures(|_| true);
        let (text, images) = (example.text.clone(), example.images.clone());
        spawn_local(async move {
            let mut files = Vec::new();
            for path in &images {
                match self.download_picture(path).await {
                    Ok(blob) => {
                        files.push((path.rsplit('/').next().unwrap_or(path).to_owned(), blob))
                    }
                    Err(error) => self.error.set(Some(examples::lacks_picture(&error))),
                }
            }
            if self.text.with_untracked(|now| *now != text) {
                return;
            }
            self.push_pictures(files);
            if self.is_loaded() {
                self.run();
            }
        });
        if !self.is_loaded() {
            self.show_prepared(example);
        }
    }

    fn show_prepared(self, example: Example) {
        let (Some(prepared), Some(chosen)) = (example.answer, self.chosen.get_untracked()) else {
            return;
        };
        let pictures = example.images.iter().map(|image| self.address(image));
        self.show_answer(chosen.name.surface, pictures.collect(), prepared, None);
        if !self.phase.get_untracked().is_loading() {
            self.phase.set(Phase::Done);
        }
    }

    /// The visitor covers a part of a picture, or uncovers it.
    pub(crate) fn toggle_cover(self, id: u32, part: usize) {
        self.cover(|picture| {
            if picture.id == id {
                match picture.covered.iter().position(|&covered| covered == part) {
                    Some(at) => drop(picture.covered.remove(at)),
                    None => picture.covered.push(part),
                }
            }
        });
        self.link_again();
    }

    /// Changes what of the pictures is covered.
    pub(super) fn cover(self, change: impl Fn(&mut Picture)) {
        self.forget_meanings();
        let before = self.pictures.get_untracked();
        self.pictures
            .update(|pictures| pictures.iter_mut().for_each(change));
        let after = self.pictures.get_untracked();
        for (before, after) in before.iter().zip(after) {
            if before.covered != after.covered {
                self.send_cover(after.id);
            }
        }
    }

    fn send_cover(self, id: u32) {
        let parts = self.pictures.with_untracked(|pictures| {
            let picture = pictures.iter().find(|picture| picture.id == id);
            picture.map(|picture| picture.covered.clone())
        });
        if let Some(parts) = parts {
            self.send(&Request::CoverPicture { id, parts }, None);
        }
    }

    pub(super) fn set_picture_state(self, id: u32, state: PictureState) {
        self.pictures.update(|pictures| {
            if let Some(picture) = pictures.iter_mut().find(|picture| picture.id == id) {
                picture.state = state;
            }
        });
        self.advance();
    }

    pub(super) async fn send_picture(self, id: u32) {
        let Some(blob) = self.inner.with_value(|inner| inner.blobs.get(&id).cloned()) else {
            return;
        };
        match browser::read_blob(&blob).await {
            Ok(buffer) => {
                self.send(&Request::AddPicture { id }, Some(&buffer));
                self.send_cover(id);
            }
            Err(error) => {
                let reason = pictures::unreadable(&error);
                self.set_picture_state(id, PictureState::Refused(reason));
            }
        }
    }

    async fn download_picture(self, path: &str) -> Result<Blob, String> {
        browser::blob(fetch(&self.base.get_value(), path).await?.into()).await
    }

    fn push_pictures(self, files: Vec<(String, Blob)>) {
        self.forget_meanings();
        for (name, blob) in files {
            let n_used = self.pictures.with_untracked(|pictures| {
                pictures.iter().filter(|picture| picture.is_used()).count()
            });
            let state = PictureState::of_file(blob.size(), &blob.type_(), n_used);
            let id = self.new_id();
            let is_sent = state == PictureState::Waiting && self.is_loaded();
            let address = browser::blob_address(&blob);
            self.pictures.update(|pictures| {
                pictures.push(Picture {
                    id,
                    name,
                    address,
                    state,
                    covered: Vec::new(),
                })
            });
            self.inner
                .update_value(|inner| drop(inner.blobs.insert(id, blob)));
            if is_sent {
                spawn_local(self.send_picture(id));
            }
        }
    }

    pub(super) fn remove_pictures(self, is_meant: impl Fn(&Picture) -> bool) {
        self.forget_meanings();
        let pictures = self.pictures.get_untracked().into_iter();
        let (removed, kept) = pictures.partition::<Vec<_>, _>(is_meant);
        for picture in removed {
            browser::revoke(&picture.address);
            self.inner
                .update_value(|inner| drop(inner.blobs.remove(&picture.id)));
            if self.is_loaded() {
                self.send(&Request::DropPicture { id: picture.id }, None);
            }
        }
        self.pictures.set(kept);
    }
}
