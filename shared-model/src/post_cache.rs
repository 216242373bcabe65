//! What was encoded of a post: its pictures, and the text that was linked last.

use std::cell::OnceCell;
use std::sync::Arc;

use image::RgbImage;

use crate::encoders::Encoders;
use crate::error::Result;
use crate::stages::Stage;
use crate::tokenizer::Encoded;
use crate::vectors::{ImageVectors, TokenVectors};

/// Windows of one text whose vectors are kept, of about 1 MB each.
const MAX_WINDOWS: usize = 8;

/// A decoded picture, encoded when it is first linked with.
#[derive(Debug)]
pub struct Picture {
    pixels: RgbImage,
    vectors: OnceCell<Arc<ImageVectors>>,
}

/// Token vectors of the text that was linked last, one entry per 512-token window.
#[derive(Debug, Default)]
pub struct TextCache {
    text: String,
    windows: Vec<Window>,
}

/// Vectors of one window of a text.
#[derive(Debug)]
struct Window {
    encoded: Encoded,
    vectors: Arc<TokenVectors>,
    /// Pooled vector under the context encoder, once it was asked for.
    tuned: Option<Vec<f32>>,
}

impl Picture {
    /// A picture that is not encoded yet.
    pub fn new(pixels: RgbImage) -> Self {
        Self {
            pixels,
            vectors: OnceCell::new(),
        }
    }

    /// The decoded picture.
    pub fn pixels(&self) -> &RgbImage {
        &self.pixels
    }

    /// Its vectors, once it has been linked with.
    pub fn vectors(&self) -> Option<&ImageVectors> {
        self.vectors.get().map(Arc::as_ref)
    }

    pub(crate) async fn encode(
        &self,
        encoders: &Encoders,
        on_stage: &mut impl FnMut(Stage),
    ) -> Result<Arc<ImageVectors>> {
        if let Some(vectors) = self.vectors.get() {
            return Ok(Arc::clone(vectors));
        }
        on_stage(Stage::Image);
        let vectors = Arc::new(encoders.image(&self.pixels).await?);
        Ok(Arc::clone(self.vectors.get_or_init(|| vectors)))
    }
}

impl TextCache {
    /// Vectors of the oldest window that is kept.
    pub fn first(&self) -> Option<&TokenVectors> {
        self.windows.first().map(|window| window.vectors.as_ref())
    }

    /// Frees the windows of another text, unless they have the same tokens: no more than the spacing may have changed.
    pub(crate) fn keep(&mut self, text: &str, windows: &[&Encoded]) {
        if self.text != text {
            let is_known = |known: &Encoded| windows.iter().any(|window| window.ids == known.ids);
            self.windows.retain(|window| is_known(&window.encoded));
            text.clone_into(&mut self.text);
        }
    }

    /// Vectors of windows; those that are not known are encoded at once, which reads the weights once.
    pub(crate) async fn encode(
        &mut self,
        encoders: &Encoders,
        windows: &[&Encoded],
        on_stage: &mut impl FnMut(Stage),
    ) -> Result<Vec<Arc<TokenVectors>>> {
        let mut new: Vec<Encoded> = Vec::new();
        for &window in windows {
            if self.find(window).is_none() && new.iter().all(|known| known.ids != window.ids) {
                new.push(window.clone());
            }
        }
        if !new.is_empty() {
            on_stage(Stage::Text);
            let vectors = encoders.token_vectors(&new).await?;
            let known = new.into_iter().zip(vectors);
            self.windows.extend(known.map(|(encoded, vectors)| Window {
                encoded,
                vectors: Arc::new(vectors),
                tuned: None,
            }));
        }
        let vectors = windows.iter().filter_map(|window| self.find(window));
        let vectors = vectors.map(|known| Arc::clone(&known.vectors)).collect();
        let excess = self.windows.len().saturating_sub(MAX_WINDOWS);
        self.windows.drain(..excess);
        Ok(vectors)
    }

    /// The pooled vector of a window, which is encoded already, under the context encoder; `None` without one.
    pub(crate) async fn context(
        &mut self,
        encoders: &Encoders,
        encoded: &Encoded,
    ) -> Result<Option<Vec<f32>>> {
        let known = self.find(encoded).and_then(|known| known.tuned.clone());
        if known.is_some() {
            return Ok(known);
        }
        let tuned = encoders.contexts(std::slice::from_ref(encoded)).await?;
        let tuned = tuned.and_then(|mut tuned| tuned.pop());
        let mut windows = self.windows.iter_mut();
        if let Some(known) = windows.find(|window| window.encoded.ids == encoded.ids) {
            known.tuned.clone_from(&tuned);
        }
        Ok(tuned)
    }

    fn find(&self, encoded: &Encoded) -> Option<&Window> {
        let mut windows = self.windows.iter();
        windows.find(|window| window.encoded.ids == encoded.ids)
    }
}
