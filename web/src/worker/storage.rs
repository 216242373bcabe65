//! A bundle's files: from the browser's store, else downloaded; bounded and verified in either case.

use std::cell::OnceCell;

use crate::cache::{FileCache, Store};
use crate::fetch::{describe, fetch};
use crate::wording::model as wording;
use js_sys::{Reflect, Uint8Array};
use shared_model::manifest::{FileEntry, MANIFEST, MAX_MANIFEST_BYTES, Manifest};
use wasm_bindgen::JsCast as _;
use wasm_bindgen_futures::JsFuture;
use web_sys::{ReadableStream, ReadableStreamDefaultReader};

/// The files of the bundle in one folder of this site.
pub(crate) struct Storage {
    base: String,
    cache: Option<FileCache>,
    /// Why nothing is kept: the store is absent or has refused a call.
    notice: OnceCell<String>,
}

impl Storage {
    /// Opens the browser's store; without one the bundle is kept in memory for this visit.
    pub(crate) async fn open(base: String) -> Self {
        let mut storage = Self {
            base,
            cache: None,
            notice: OnceCell::new(),
        };
        match FileCache::open(Store::Bundle).await {
            Ok(cache) => storage.cache = Some(cache),
            Err(reason) => storage.keep_nothing(&reason),
        }
        storage
    }

    /// Why downloads are not kept for the next visit.
    pub(crate) fn notice(&self) -> Option<&str> {
        self.notice.get().map(String::as_str)
    }

    /// Downloads the manifest.
    pub(crate) async fn manifest(&self) -> Result<Manifest, String> {
        let bytes = self
            .download(MANIFEST, MAX_MANIFEST_BYTES as u64, |_| {})
            .await?;
        Manifest::parse(&bytes).map_err(|error| error.to_string())
    }

    /// A file, and whether it was downloaded. A damaged file of the store is downloaded again.
    pub(crate) async fn file(
        &self,
        manifest: &Manifest,
        entry: &FileEntry,
        progress: impl Fn(u64),
    ) -> Result<(Vec<u8>, bool), String> {
        if let Some(bytes) = self.kept(manifest, entry).await {
            progress(entry.bytes);
            return Ok((bytes, false));
        }
        let bytes = self.download(&entry.path, entry.bytes, progress).await?;
        manifest
            .check(&entry.path, &bytes)
            .map_err(|error| error.to_string())?;
        if let Some(cache) = self.cache()
            && let Err(reason) = cache.put(&entry.sha256, &bytes).await
        {
            self.keep_nothing(&reason);
        }
        Ok((bytes, true))
    }

    /// The store, unless it has refused a call.
    fn cache(&self) -> Option<&FileCache> {
        self.cache.as_ref().filter(|_| self.notice.get().is_none())
    }

    async fn kept(&self, manifest: &Manifest, entry: &FileEntry) -> Option<Vec<u8>> {
        let response = match self.cache()?.get(&entry.sha256).await {
            Ok(found) => found?,
            Err(reason) => {
                self.keep_nothing(&reason);
                return None;
            }
        };
        let bytes = read(response.body(), entry.bytes, |_| {}).await.ok()?;
        manifest.check(&entry.path, &bytes).ok()?;
        Some(bytes)
    }

    /// Goes on without the store. Only the first reason is told.
    fn keep_nothing(&self, reason: &str) {
        self.notice.get_or_init(|| wording::not_kept(reason));
    }

    async fn download(
        &self,
        path: &str,
        limit: u64,
        progress: impl Fn(u64),
    ) -> Result<Vec<u8>, String> {
        let response = fetch(&self.base, path).await?;
        read(response.body(), limit, progress)
            .await
            .map_err(|error| format!("{path}: {error}"))
    }
}

/// Reads a body of at most `limit` bytes, chunk by chunk.
pub(crate) async fn read(
    body: Option<ReadableStream>,
    limit: u64,
    progress: impl Fn(u64),
) -> Result<Vec<u8>, String> {
    let reader: ReadableStreamDefaultReader = body
        .ok_or(wording::EMPTY)?
        .get_reader()
        .dyn_into()
        .map_err(|_| wording::UNREADABLE)?;
    let mut bytes = Vec::new();
    loop {
        let broken = |error| wording::broke_off(&describe(error));
        let chunk = JsFuture::from(reader.read()).await.map_err(broken)?;
        if Reflect::get(&chunk, &"done".into())
            .map_err(broken)?
            .is_truthy()
        {
            return Ok(bytes);
        }
        let chunk = Uint8Array::new(&Reflect::get(&chunk, &"value".into()).map_err(broken)?);
        if bytes.len() as u64 + u64::from(chunk.length()) > limit {
            return Err(wording::TOO_LONG.to_owned());
        }
        let start = bytes.len();
        bytes.resize(start + chunk.length() as usize, 0);
        chunk.copy_to(&mut bytes[start..]);
        progress(u64::from(chunk.length()));
    }
}
