//! What the page asks of the browser besides the worker: addresses, fetches, blobs.

use js_sys::{Array, ArrayBuffer, Reflect, Uint8Array};
use leptos::prelude::{document, window};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{Blob, Cache, CacheStorage, Response, Url};

/// The worker keeps the bundle's files under this name.
const CACHE_NAME: &str = "imn-bundle-v1";

/// A parameter of the page's address.
pub(crate) fn query(name: &str) -> Option<String> {
    let url = Url::new(&window().location().href().ok()?).ok()?;
    url.search_params().get(name)
}

/// The page's address with one parameter changed.
pub(crate) fn address_with(name: &str, value: &str) -> String {
    let Some(url) = window()
        .location()
        .href()
        .ok()
        .and_then(|href| Url::new(&href).ok())
    else {
        return format!("?{name}={value}");
    };
    url.search_params().set(name, value);
    url.href()
}

/// `address`, relative to the page, as the absolute address of a folder; `None` if it is on another site.
pub(crate) fn folder_address(address: &str) -> Option<String> {
    let page = Url::new(&document().base_uri().ok()??).ok()?;
    let url = Url::new_with_base(address, &page.href()).ok()?;
    if url.origin() != page.origin() {
        return None;
    }
    if !url.pathname().ends_with('/') {
        url.set_pathname(&format!("{}/", url.pathname()));
    }
    Some(url.href())
}

/// The text of a file on this site.
pub(crate) async fn fetch_text(address: &str) -> Result<String, String> {
    let response = fetch(address).await?;
    let text = JsFuture::from(response.text().map_err(describe)?)
        .await
        .map_err(describe)?;
    text.as_string()
        .ok_or_else(|| format!("{address} is not text"))
}

/// The bytes of a file on this site.
pub(crate) async fn fetch_blob(address: &str) -> Result<Blob, String> {
    let response = fetch(address).await?;
    let blob = JsFuture::from(response.blob().map_err(describe)?)
        .await
        .map_err(describe)?;
    blob.dyn_into().map_err(describe)
}

/// The bytes of a picked file.
pub(crate) async fn read_blob(blob: &Blob) -> Result<ArrayBuffer, String> {
    let buffer = JsFuture::from(blob.array_buffer())
        .await
        .map_err(describe)?;
    buffer.dyn_into().map_err(describe)
}

/// An address for an `<img>`; empty if the browser refuses. To be revoked by [`revoke`].
pub(crate) fn blob_address(blob: &Blob) -> String {
    Url::create_object_url_with_blob(blob).unwrap_or_default()
}

/// The same for a JPEG in a buffer.
pub(crate) fn jpeg_address(buffer: &ArrayBuffer) -> String {
    Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::new(buffer)))
        .map(|blob| blob_address(&blob))
        .unwrap_or_default()
}

/// Frees a [`blob_address`].
pub(crate) fn revoke(address: &str) {
    Url::revoke_object_url(address).ok();
}

/// Whether the worker has cached a file with this hash.
pub(crate) async fn is_cached(sha256: &str) -> bool {
    find_cached(sha256).await.unwrap_or(false)
}

async fn find_cached(sha256: &str) -> Result<bool, JsValue> {
    // Absent on insecure origins, where the binding's getter would hand out `undefined` as an object.
    let storage: CacheStorage = Reflect::get(&window(), &"caches".into())?.dyn_into()?;
    if JsFuture::from(storage.has(CACHE_NAME)).await? != JsValue::TRUE {
        return Ok(false);
    }
    let cache: Cache = JsFuture::from(storage.open(CACHE_NAME)).await?.dyn_into()?;
    let key = format!("https://bundle.invalid/{sha256}");
    let found = JsFuture::from(cache.match_with_str(&key)).await?;
    Ok(!found.is_undefined())
}

async fn fetch(address: &str) -> Result<Response, String> {
    let response = JsFuture::from(window().fetch_with_str(address))
        .await
        .map_err(describe)?;
    let response: Response = response.dyn_into().map_err(describe)?;
    if !response.ok() {
        return Err(format!(
            "{address}: the server answers {}",
            response.status()
        ));
    }
    Ok(response)
}

fn describe(error: JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map_or_else(
        || format!("{error:?}"),
        |error| String::from(error.message()),
    )
}
