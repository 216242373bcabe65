//! What the browser keeps of this page: looked up, deleted.

use leptos::prelude::*;
use leptos::task::spawn_local;
use web::cache::Store;
use web::protocol::Request;

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
        let has_engine = self.is_loaded() || self.phase.get_untracked().is_loading();
        if store == Store::Own && has_engine {
            // The worker has them too, and would keep them again. Its answer brings the sizes.
            return self.send(&Request::ClearOwn, None);
        }
        spawn_local(async move {
            let forgotten = match store {
                Store::Page => browser::forget_service_worker().await,
                Store::Bundle | Store::Own => Ok(()),
            };
            let deleted = match forgotten {
                Ok(()) => store.delete().await,
                Err(reason) => Err(reason),
            };
            match deleted {
                Ok(()) => self.look_up_stored(),
                Err(reason) => self.stored.set(Some(Err(reason))),
            }
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
