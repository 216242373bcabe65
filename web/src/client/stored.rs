//! What the browser keeps of this page: looked up, deleted.

use leptos::prelude::*;
use leptos::task::spawn_local;
use web::cache::Store;

use super::Client;
use crate::browser;
use crate::state::Stored;

impl Client {
    /// Looks up what is kept.
    pub(crate) fn look_up_stored(self) {
        spawn_local(async move { self.stored.set(Some(sizes().await)) });
    }

    /// Deletes what is kept in a store.
    pub(crate) fn delete_stored(self, store: Store) {
        spawn_local(async move {
            let deleted = match store {
                Store::Page => browser::forget_service_workers().await,
                Store::Bundle | Store::Own => Ok(()),
            };
            let deleted = match deleted {
                Ok(()) => store.delete().await,
                Err(reason) => Err(reason),
            };
            if let (Ok(()), Store::Own) = (&deleted, store) {
                // Those of this visit would be kept again with the next one.
                for entity in self.own.get_untracked() {
                    self.remove_own(entity.id);
                }
            }
            self.stored.set(Some(match deleted {
                Ok(()) => sizes().await,
                Err(reason) => Err(reason),
            }));
        });
    }
}

async fn sizes() -> Result<Stored, String> {
    let mut stores = Vec::new();
    for store in Store::ALL {
        stores.push((store, store.bytes().await?));
    }
    Ok(Stored {
        stores,
        quota: browser::storage_quota().await,
    })
}
