//! What the page asks of the browser besides the worker: addresses and blobs.

use js_sys::{Array, ArrayBuffer, Uint8Array};
use leptos::prelude::{document, window};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;
use web::context::{call, property};
use web::fetch::describe;
use web_sys::{Blob, BlobPropertyBag, HtmlElement, Response, Url};

fn page() -> Option<Url> {
    Url::new(&window().location().href().ok()?).ok()
}

/// A parameter of the page's address.
pub(crate) fn query(name: &str) -> Option<String> {
    page()?.search_params().get(name)
}

/// The page's address with one parameter changed.
pub(crate) fn address_with(name: &str, value: &str) -> String {
    let Some(url) = page() else {
        return format!("?{name}={value}");
    };
    url.search_params().set(name, value);
    url.href()
}

/// What follows `#` in the page's address.
pub(crate) fn fragment() -> String {
    page().map(|url| url.hash()).unwrap_or_default()
}

/// The page's address with another fragment.
pub(crate) fn address_with_fragment(fragment: &str) -> String {
    let Some(url) = page() else {
        return String::new();
    };
    url.set_hash(fragment);
    url.href()
}

/// Changes the fragment without an entry in the history.
pub(crate) fn set_fragment(fragment: &str) {
    if let Ok(history) = window().history() {
        let address = address_with_fragment(fragment);
        // A browser that refuses keeps the old address, which is harmless.
        history
            .replace_state_with_url(&JsValue::NULL, "", Some(&address))
            .ok();
    }
}

/// Number of bytes that the browser lets this site store; `None` where it does not say.
pub(crate) async fn storage_quota() -> Option<u64> {
    let storage = property(window().navigator().as_ref(), "storage")?;
    let estimate = call(&storage, "estimate", &[]).await.ok()?;
    Some(property(&estimate, "quota")?.as_f64()? as u64)
}

/// Takes this page's service worker away, which would keep the page again.
///
/// # Errors
///
/// The browser's message if it refuses.
pub(crate) async fn forget_service_worker() -> Result<(), String> {
    let Some(container) = property(window().navigator().as_ref(), "serviceWorker") else {
        return Ok(());
    };
    let found = call(&container, "getRegistration", &[]).await;
    let registration = found.map_err(describe)?;
    if registration.is_object() {
        call(&registration, "unregister", &[])
            .await
            .map_err(describe)?;
    }
    Ok(())
}

const LOADING: &str = "imn-loading";

/// Whether this tab died while the model was being loaded.
pub(crate) fn died_while_loading() -> bool {
    let storage = window().session_storage().ok().flatten();
    storage.is_some_and(|storage| matches!(storage.get_item(LOADING), Ok(Some(_))))
}

/// Marks that the model is being loaded. Where the browser keeps no marks, nothing is known of an earlier death.
pub(crate) fn mark_loading(is_loading: bool) {
    if let Ok(Some(storage)) = window().session_storage() {
        let marked = match is_loading {
            true => storage.set_item(LOADING, "1"),
            false => storage.remove_item(LOADING),
        };
        marked.ok();
    }
}

/// Opens the browser's dialogue for printing.
pub(crate) fn print() {
    // It throws where printing is blocked, and the browser says so.
    window().print().ok();
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

/// The body of an answer, as a file.
///
/// # Errors
///
/// The browser's message if the download breaks off.
pub(crate) async fn blob(response: Response) -> Result<Blob, String> {
    let blob = JsFuture::from(response.blob().map_err(describe)?);
    blob.await.map_err(describe)?.dyn_into().map_err(describe)
}

/// The bytes of a file.
///
/// # Errors
///
/// The browser's message if the file is gone or cannot be read.
pub(crate) async fn read_blob(blob: &Blob) -> Result<ArrayBuffer, String> {
    let buffer = JsFuture::from(blob.array_buffer());
    buffer.await.map_err(describe)?.dyn_into().map_err(describe)
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

/// The same for a script.
pub(crate) fn script_address(script: &str) -> String {
    let options = BlobPropertyBag::new();
    options.set_type("text/javascript");
    Blob::new_with_str_sequence_and_options(&Array::of1(&script.into()), &options)
        .map(|blob| blob_address(&blob))
        .unwrap_or_default()
}

/// `address`, relative to the page, as an absolute one.
pub(crate) fn address_of(address: &str) -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    Url::new_with_base(address, &base).map_or_else(|_| address.to_owned(), |url| url.href())
}

/// Has the browser save a file.
pub(crate) fn save(name: &str, buffer: &ArrayBuffer) {
    let Ok(blob) = Blob::new_with_u8_array_sequence(&Array::of1(&Uint8Array::new(buffer))) else {
        return;
    };
    let link = document().create_element("a").ok();
    let Some(link) = link.and_then(|link| link.dyn_into::<HtmlElement>().ok()) else {
        return;
    };
    let address = blob_address(&blob);
    link.set_attribute("href", &address).ok();
    link.set_attribute("download", name).ok();
    link.click();
    revoke(&address);
}

/// Frees a [`blob_address`].
pub(crate) fn revoke(address: &str) {
    Url::revoke_object_url(address).ok();
}
