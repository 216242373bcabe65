//! Fetching a bundle's files: streamed, bounded, verified, kept in the Cache API under their hash.

use js_sys::{Reflect, Uint8Array};
use shared_model::manifest::{FileEntry, MANIFEST, MAX_MANIFEST_BYTES, Manifest};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Cache, ReadableStreamDefaultReader, Response, WorkerGlobalScope};

/// The cache's name.
const CACHE: &str = "imn-bundle-v1";

/// The cache, where the browser grants one.
pub(crate) struct Storage {
    scope: WorkerGlobalScope,
    base: String,
    cache: Option<Cache>,
    notice: Option<String>,
}

impl Storage {
    /// Opens the cache; without one the bundle is kept for this visit only.
    pub(crate) async fn open(scope: WorkerGlobalScope, base: String) -> Self {
        let cache = match scope.caches() {
            Ok(caches) => JsFuture::from(caches.open(CACHE))
                .await
                .ok()
                .and_then(|cache| cache.dyn_into().ok()),
            Err(_) => None,
        };
        let notice = cache.is_none().then(|| "This browser keeps no files for this page: the model is downloaded anew at each visit.".to_owned());
        Self {
            scope,
            base,
            cache,
            notice,
        }
    }

    /// What the visitor should know, if anything.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.notice.as_deref()
    }

    /// Fetches the manifest, past the browser's HTTP cache.
    pub(crate) async fn manifest(&self) -> Result<Manifest, String> {
        let bytes = self
            .fetch(MANIFEST, MAX_MANIFEST_BYTES as u64, &mut |_| {})
            .await?;
        Manifest::parse(&bytes).map_err(|error| error.to_string())
    }

    /// Whether a file lies in the cache.
    pub(crate) async fn has(&self, entry: &FileEntry) -> bool {
        self.cached(entry).await.is_some()
    }

    /// A file, verified, and whether it came from the network. What the cache holds is verified too, and fetched anew if damaged.
    pub(crate) async fn file(
        &mut self,
        manifest: &Manifest,
        entry: &FileEntry,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(Vec<u8>, bool), String> {
        if let Some(response) = self.cached(entry).await
            && let Ok(bytes) = read(&response, entry.bytes, &mut |_| {}).await
            && manifest.check(&entry.path, &bytes).is_ok()
        {
            progress(entry.bytes);
            return Ok((bytes, false));
        }
        let bytes = self.fetch(&entry.path, entry.bytes, progress).await?;
        manifest
            .check(&entry.path, &bytes)
            .map_err(|error| error.to_string())?;
        self.keep(entry, &bytes).await;
        Ok((bytes, true))
    }

    /// Deletes everything that was kept.
    pub(crate) async fn clear(scope: &WorkerGlobalScope) -> Result<(), String> {
        let refuse =
            |error: JsValue| format!("The browser did not delete the model: {}", describe(&error));
        JsFuture::from(scope.caches().map_err(refuse)?.delete(CACHE))
            .await
            .map_err(refuse)?;
        Ok(())
    }

    async fn cached(&self, entry: &FileEntry) -> Option<Response> {
        let found = JsFuture::from(self.cache.as_ref()?.match_with_str(&key(entry)))
            .await
            .ok()?;
        found.dyn_into().ok()
    }

    /// Keeps a file; a full storage costs the cache, not the visit.
    async fn keep(&mut self, entry: &FileEntry, bytes: &[u8]) {
        let Some(cache) = &self.cache else { return };
        let stored = match Response::new_with_opt_buffer_source(Some(&Uint8Array::from(bytes))) {
            Ok(response) => JsFuture::from(cache.put_with_str(&key(entry), &response)).await,
            Err(error) => Err(error),
        };
        if let Err(error) = stored {
            self.notice = Some(format!(
                "The browser's storage is full ({}): the model is kept in memory for this visit and downloaded anew at the next.",
                describe(&error)
            ));
            self.cache = None;
        }
    }

    async fn fetch(
        &self,
        path: &str,
        limit: u64,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Vec<u8>, String> {
        let address = format!("{}{path}", self.base);
        let answer = JsFuture::from(self.scope.fetch_with_str(&address))
            .await
            .map_err(|error| format!("{path} could not be downloaded: {}", describe(&error)))?;
        let response: Response = answer
            .dyn_into()
            .map_err(|_| format!("{path} could not be downloaded"))?;
        if !response.ok() {
            return Err(format!(
                "{path} is missing from the bundle: the server answered {}",
                response.status()
            ));
        }
        read(&response, limit, progress)
            .await
            .map_err(|error| format!("{path}: {error}"))
    }
}

/// Reads a body of at most `limit` bytes, chunk by chunk.
async fn read(
    response: &Response,
    limit: u64,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<u8>, String> {
    let body = response.body().ok_or("the answer is empty")?;
    let reader: ReadableStreamDefaultReader = body
        .get_reader()
        .dyn_into()
        .map_err(|_| "the answer cannot be read")?;
    let mut bytes = Vec::new();
    loop {
        let chunk = JsFuture::from(reader.read())
            .await
            .map_err(|error| format!("the download broke off: {}", describe(&error)))?;
        let field = |name: &str| {
            Reflect::get(&chunk, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED)
        };
        if field("done").is_truthy() {
            return Ok(bytes);
        }
        let chunk = Uint8Array::new(&field("value"));
        if bytes.len() as u64 + u64::from(chunk.length()) > limit {
            return Err("longer than the manifest says: altered".to_owned());
        }
        let start = bytes.len();
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
        progress(u64::from(chunk.length()));
    }
}

/// Never fetched: a name for the content.
fn key(entry: &FileEntry) -> String {
    format!("https://bundle.invalid/{}", entry.sha256)
}

fn describe(error: &JsValue) -> String {
    let message = Reflect::get(error, &JsValue::from_str("message"))
        .ok()
        .and_then(|message| message.as_string());
    message
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| "no reason given".to_owned())
}
