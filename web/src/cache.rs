//! The browser's stores: of a bundle's files, by their hashes, and of own entities. Every call may be missing, throw or reject, and none of that is fatal.

use js_sys::{Array, Reflect, Uint8Array, global};
use wasm_bindgen::{JsCast as _, JsValue};
use web_sys::{Cache, CacheStorage, Response};

use crate::context::{call, is_secure, property};
use crate::fetch::describe;
use crate::wording::model as wording;

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Files of bundles, by their hashes.
    Bundle,
    /// The zip of own entities, under [`OWN`].
    Own,
    /// The page's own files, which the service worker keeps.
    Page,
}

/// The name of the zip of own entities.
pub const OWN: &str = "own.zip";

impl Store {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Page, Self::Bundle, Self::Own];

    /// What names of its caches begin with.
    fn prefix(self) -> &'static str {
        match self {
            Self::Bundle => "imn-bundle-",
            Self::Own => "imn-own-",
            Self::Page => "imn-page-",
        }
    }

    /// Names of its caches, those of earlier versions included.
    async fn names(self) -> Result<Vec<JsValue>, String> {
        let names = call(caches()?.as_ref(), "keys", &[])
            .await
            .map_err(refusal)?;
        let names = Array::from(&names).into_iter();
        let is_own = |name: &JsValue| {
            let name = name.as_string().unwrap_or_default();
            name.starts_with(self.prefix())
        };
        Ok(names.filter(is_own).collect())
    }

    /// Number of bytes of all files that it keeps.
    ///
    /// # Errors
    ///
    /// As [`FileCache::open`].
    pub async fn bytes(self) -> Result<u64, String> {
        let mut bytes = 0.0;
        for name in self.names().await? {
            let cache = call(caches()?.as_ref(), "open", &[name]).await;
            let cache = cache.map_err(refusal)?;
            let files = call(&cache, "matchAll", &[]).await.map_err(refusal)?;
            for file in Array::from(&files) {
                // A blob is a handle: nothing is read.
                let blob = call(&file, "blob", &[]).await.map_err(refusal)?;
                bytes += property(&blob, "size")
                    .and_then(|size| size.as_f64())
                    .unwrap_or_default();
            }
        }
        Ok(bytes as u64)
    }

    /// Deletes everything that it keeps.
    ///
    /// # Errors
    ///
    /// As [`FileCache::open`].
    pub async fn delete(self) -> Result<(), String> {
        for name in self.names().await? {
            let deleted = call(caches()?.as_ref(), "delete", &[name]).await;
            deleted.map_err(refusal)?;
        }
        Ok(())
    }
}

/// An open store.
pub struct FileCache(Cache);

impl FileCache {
    /// Opens the store.
    ///
    /// # Errors
    ///
    /// Why the browser keeps no files here, as the middle of a sentence.
    pub async fn open(store: Store) -> Result<Self, String> {
        let name = format!("{}v1", store.prefix());
        let cache = call(caches()?.as_ref(), "open", &[name.into()]).await;
        let cache = cache.and_then(|cache| cache.dyn_into());
        cache.map(Self).map_err(refusal)
    }

    /// The file with this hash or name, `None` if it is not kept.
    ///
    /// # Errors
    ///
    /// As [`FileCache::open`].
    pub async fn get(&self, sha256: &str) -> Result<Option<Response>, String> {
        let found = call(self.0.as_ref(), "match", &[key(sha256)]).await;
        Ok(found.map_err(refusal)?.dyn_into().ok())
    }

    /// Keeps a file.
    ///
    /// # Errors
    ///
    /// As [`FileCache::open`].
    pub async fn put(&self, sha256: &str, bytes: &[u8]) -> Result<(), String> {
        let response = Response::new_with_opt_buffer_source(Some(&Uint8Array::from(bytes)));
        let response = response.map_err(refusal)?;
        let kept = call(self.0.as_ref(), "put", &[key(sha256), response.into()]).await;
        kept.map(drop).map_err(refusal)
    }
}

fn caches() -> Result<CacheStorage, String> {
    let caches = Reflect::get(&global(), &"caches".into()).map_err(refusal)?;
    caches.dyn_into().map_err(|_| {
        if is_secure() {
            wording::NO_STORAGE.to_owned()
        } else {
            wording::NOT_OVER_HTTPS.to_owned()
        }
    })
}

/// An address that is never fetched: a name for the content.
fn key(sha256: &str) -> JsValue {
    format!("https://bundle.invalid/{sha256}").into()
}

fn refusal(error: JsValue) -> String {
    let name = Reflect::get(&error, &"name".into()).ok();
    if name.is_some_and(|name| name == "QuotaExceededError") {
        wording::STORAGE_FULL.to_owned()
    } else {
        wording::not_stored(&describe(error))
    }
}
