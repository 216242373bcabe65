//! A message between the page and its worker: a plain value, and at most one buffer that is moved instead of copied.

use js_sys::{Array, ArrayBuffer};
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast as _, JsValue};

/// What goes through `postMessage`.
pub struct Message {
    /// The value and the buffer.
    pub data: JsValue,
    /// The buffer, if any, as the list of what is moved.
    pub transfer: JsValue,
}

impl Message {
    /// Packs a value.
    ///
    /// # Errors
    ///
    /// If the value cannot be expressed in JavaScript.
    pub fn new(value: &impl Serialize, buffer: Option<&ArrayBuffer>) -> Result<Self, String> {
        let value = serde_wasm_bindgen::to_value(value).map_err(|error| error.to_string())?;
        let transfer: Array = buffer.into_iter().collect();
        let data = Array::of2(&value, &transfer.get(0));
        Ok(Self {
            data: data.into(),
            transfer: transfer.into(),
        })
    }

    /// Unpacks a value and its buffer.
    ///
    /// # Errors
    ///
    /// If the message is not of this kind.
    pub fn parse<T: DeserializeOwned>(data: &JsValue) -> Result<(T, Option<ArrayBuffer>), String> {
        let data: &Array = data.dyn_ref().ok_or("the message is no array")?;
        let value =
            serde_wasm_bindgen::from_value(data.get(0)).map_err(|error| error.to_string())?;
        Ok((value, data.get(1).dyn_into().ok()))
    }
}
