//! The graphics processor that the browser offers, before a worker that can use it is downloaded.

use js_sys::global;
use wasm_bindgen::JsValue;

use crate::context::{call, is_secure, property};
use crate::fetch::describe;
use crate::timeout::unless_stuck;
use crate::wording::device as wording;

/// Seconds for which the browser may look for an adapter.
const ADAPTER_SECONDS: u32 = 5;

/// A graphics processor, or what simulates one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adapter {
    /// What the browser tells of it.
    pub name: String,
    /// It is simulated on the CPU.
    pub is_simulated: bool,
}

impl Adapter {
    /// Asks the browser.
    ///
    /// # Errors
    ///
    /// Why there is none, as the end of a sentence.
    pub async fn find() -> Result<Self, String> {
        let navigator = property(&global(), "navigator");
        let gpu = navigator.and_then(|navigator| property(&navigator, "gpu"));
        let Some(gpu) = gpu.filter(JsValue::is_object) else {
            let reason = match is_secure() {
                true => wording::NOT_OFFERED,
                false => wording::ONLY_OVER_HTTPS,
            };
            return Err(reason.to_owned());
        };
        let refuse = |error: JsValue| wording::no_adapter(describe(error));
        let adapter = unless_stuck(ADAPTER_SECONDS, call(&gpu, "requestAdapter", &[])).await;
        let adapter = adapter.ok_or_else(|| wording::silent(ADAPTER_SECONDS))?;
        let adapter = adapter.map_err(refuse)?;
        if !adapter.is_object() {
            return Err(wording::NO_ADAPTER.to_owned());
        }
        Ok(Self::of(&adapter))
    }

    fn of(adapter: &JsValue) -> Self {
        let info = property(adapter, "info").unwrap_or_default();
        let text = |name| property(&info, name).and_then(|text| text.as_string());
        let known = ["description", "device", "architecture", "vendor"];
        let names: Vec<String> = known.into_iter().filter_map(text).collect();
        let is_fallback = |object| property(object, "isFallbackAdapter");
        let is_fallback = is_fallback(&info).or_else(|| is_fallback(adapter));
        let is_software = is_software(&names.join(" "));
        let name = names.into_iter().find(|name| !name.is_empty());
        Self {
            name: name.unwrap_or_else(|| wording::UNNAMED.to_owned()),
            is_simulated: is_fallback.is_some_and(|is_fallback| is_fallback.is_truthy())
                || is_software,
        }
    }
}

/// Whether what an adapter tells of itself names a renderer that simulates one.
pub fn is_software(names: &str) -> bool {
    let names = names.to_lowercase();
    let known = ["swiftshader", "llvmpipe", "lavapipe", "basic render"];
    known.iter().any(|name| names.contains(name))
}
