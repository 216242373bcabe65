//! What the browser offers in this place, in the page and in the worker alike.

use js_sys::{Array, Function, Promise, Reflect, global};
use wasm_bindgen::{JsCast as _, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Whether the page was opened over https, or from this machine itself. Elsewhere browsers offer neither storage nor WebGPU.
pub fn is_secure() -> bool {
    // Browsers that do not know the property are older than the rule.
    property(&global(), "isSecureContext").is_none_or(|is_secure| is_secure.is_truthy())
}

/// A property; `None` if it is absent or its getter throws.
pub fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &name.into()).ok()?;
    (!value.is_undefined()).then_some(value)
}

/// Calls a method and awaits what it returns. The bindings of `web-sys` take for granted that it exists and does not throw.
///
/// # Errors
///
/// The exception, if the method is missing, throws or rejects.
pub async fn call(
    object: &JsValue,
    method: &str,
    arguments: &[JsValue],
) -> Result<JsValue, JsValue> {
    let method: Function = Reflect::get(object, &method.into())?.dyn_into()?;
    let arguments: Array = arguments.iter().collect();
    let returned = method.apply(object, &arguments)?;
    JsFuture::from(Promise::resolve(&returned)).await
}
