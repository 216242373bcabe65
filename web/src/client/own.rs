//! Entities that the visitor brings: added, taken out, handed over.

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web::protocol::{NewEntity, OwnCard, Request};
use web::wording::own as wording;
use web_sys::Blob;

use super::Client;
use crate::browser;
use crate::state::Adding;

impl Client {
    /// Sends an entity with its pictures to the worker.
    pub(crate) fn add_own(self, mut entity: NewEntity, pictures: Vec<Blob>) {
        self.adding.set(Adding::Encoding { done: 0, total: 0 });
        spawn_local(async move {
            for blob in pictures {
                let id = self.new_id();
                match browser::read_blob(&blob).await {
                    Ok(buffer) => self.send(&Request::OwnFile { id }, Some(&buffer)),
                    Err(error) => {
                        let message = wording::picture_unreadable(&error);
                        return self.adding.set(Adding::Refused(message));
                    }
                }
                entity.files.push(id);
            }
            self.send(&Request::AddOwn(entity), None);
        });
    }

    /// Adds the entities of a zip.
    pub(crate) fn import_own(self, zip: Blob) {
        self.adding.set(Adding::Encoding { done: 0, total: 0 });
        spawn_local(async move {
            match browser::read_blob(&zip).await {
                Ok(buffer) => self.send(&Request::ImportOwn, Some(&buffer)),
                Err(error) => {
                    let message = wording::zip_unreadable(&error);
                    self.adding.set(Adding::Refused(message));
                }
            }
        });
    }

    /// Takes an own entity out.
    pub(crate) fn remove_own(self, id: String) {
        self.send(&Request::RemoveOwn { id }, None);
    }

    /// Asks for all own entities as a zip, which the browser then saves.
    pub(crate) fn export_own(self) {
        self.send(&Request::ExportOwn, None);
    }

    pub(super) fn take_own(self, entities: Vec<OwnCard>, is_kept: bool) {
        let before = self.own.get_untracked();
        let is_more = entities.len() > before.len();
        self.adding
            .set(match (is_kept || entities.is_empty(), is_more) {
                (false, _) => Adding::NotKept,
                (true, true) => Adding::Added,
                (true, false) => Adding::Idle,
            });
        if self.stored.with_untracked(Option::is_some) {
            self.look_up_stored();
        }
        if entities == before {
            return;
        }
        self.own.set(entities);
        self.forget_meanings();
        // The worker finds the new names when it is asked again.
        self.request(|request| request.forget_search());
        self.find_mentions();
        self.link_again();
    }

    pub(super) fn save_own(self, zip: Option<ArrayBuffer>) {
        if let Some(zip) = zip {
            browser::save("own-entities.zip", &zip);
        }
    }
}
