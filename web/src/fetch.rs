//! Fetching a bundle's files.

use gloo_net::http::{Request, Response};
use js_sys::Reflect;
use wasm_bindgen::JsValue;
use web_sys::RequestCache;

use crate::address::file_address;
use crate::wording::model as wording;

/// Requests the file at `path` of the bundle whose folder is at `base`. The browser's own HTTP cache is asked to check for a newer one.
///
/// # Errors
///
/// If there is no answer, or the answer is not the file.
pub async fn fetch(base: &str, path: &str) -> Result<Response, String> {
    let request = Request::get(&file_address(base, path)).cache(RequestCache::NoCache);
    let response = request
        .send()
        .await
        .map_err(|error| wording::not_downloaded(path, error))?;
    if !response.ok() {
        return Err(wording::missing(path, response.status()));
    }
    Ok(response)
}

/// The message of an exception.
pub fn describe(error: JsValue) -> String {
    let message = Reflect::get(&error, &"message".into()).ok();
    let message = message.and_then(|message| message.as_string());
    message
        .or_else(|| error.as_string())
        .filter(|message| !message.is_empty())
        .unwrap_or_else(|| wording::NO_REASON.to_owned())
}
