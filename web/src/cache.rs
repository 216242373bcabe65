//! The browser's stores: of a bundle's files, by their hashes, and of own entities. Every call may be missing, throw or reject, and none of that is fatal.

use js_sys::{Array, Function, Promise, Reflect, Uint8Array, global};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, CacheStorage, Response};

use crate::context::is_secure;
use crate::fetch::describe;

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Files of bundles, by their hashes.
    Bundle,
    /// The zip of own entities, under [`OWN`].
    Own,
}

/// The name of the zip of own entities.
pub const OWN: &str = "own.zip";

impl Store {
    fn name(self) -> &'static str {
        match self {
            Self::Bundle => "imn-bundle-v1",
            Self::Own => "imn-own-v1",
        }
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
        let cache = call(caches()?.as_ref(), "open", &[store.name().into()]).await;
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

    /// Deletes everything that was kept.
    ///
    /// # Errors
    ///
    /// As [`FileCache::open`].
    pub async fn delete(store: Store) -> Result<(), String> {
        let deleted = call(caches()?.as_ref(), "delete", &[store.name().into()]).await;
        deleted.map(drop).map_err(refusal)
    }
}

fn caches() -> Result<CacheStorage, String> {
    let caches = Reflect::get(&global(), &"caches".into()).map_err(refusal)?;
    caches.dyn_into().map_err(|_| {
        if is_secure() {
            "this browser offers no storage".to_owned()
        } else {
            "this page was not opened over https".to_owned()
        }
    })
}

/// An address that is never fetched: a name for the content.
fn key(sha256: &str) -> JsValue {
    format!("https://bundle.invalid/{sha256}").into()
}

/// Calls a method and awaits what it returns. The bindings of `web-sys` take for granted that it exists and does not throw.
async fn call(object: &JsValue, method: &str, arguments: &[JsValue]) -> Result<JsValue, JsValue> {
    let method: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    let arguments: Array = arguments.iter().collect();
    let returned = method.apply(object, &arguments)?;
    JsFuture::from(Promise::resolve(&returned)).await
}

fn refusal(error: JsValue) -> String {
    let name = Reflect::get(&error, &"name".into()).ok();
    if name.is_some_and(|name| name == "QuotaExceededError") {
        "the browser's storage is full".to_owned()
    } else {
        format!("the browser refuses to store them: {}", describe(error))
    }
}
