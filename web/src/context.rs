//! What the browser offers in this place, in the page and in the worker alike.

use js_sys::{Reflect, global};
use wasm_bindgen::JsValue;

/// Whether the page was opened over https, or from this machine itself. Elsewhere browsers offer neither storage nor WebGPU.
pub fn is_secure() -> bool {
    // Browsers that do not know the property are older than the rule.
    property(&global(), "isSecureContext").is_none_or(|is_secure| is_secure.is_truthy())
}

/// Whether there is WebGPU at all.
pub fn has_webgpu() -> bool {
    property(&global(), "navigator")
        .and_then(|navigator| property(&navigator, "gpu"))
        .is_some_and(|gpu| gpu.is_object())
}

/// `None` if it is absent or its getter throws.
fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined()).then_some(value)
}
