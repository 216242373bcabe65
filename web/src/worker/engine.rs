//! The model in the tab: opens the bundle, links posts.

use std::cell::Cell;
use std::collections::HashMap;

use crate::protocol::{Answer, Choice, Effects, Question, Stage};
use crate::timeout::{DEVICE_SECONDS, unless_stuck};
use crate::wording;
use burn::prelude::Device;
use shared_model::aliases::NameMatch;
use shared_model::archive::Archive;
use shared_model::batch::Line;
use shared_model::bundle::Bundle;
use shared_model::cover::covered;
use shared_model::data::{MAX_IMAGES, Mention, Post};
use shared_model::encoders::Encoders;
use shared_model::error::{Error, Result};
use shared_model::explain::Occlusion;
use shared_model::image::decode;
use shared_model::kb::KbText;
use shared_model::linker::{Linker, Picture, Query, TextCache};
use shared_model::manifest::Manifest;
use shared_model::own::OwnEntity;
#[cfg(feature = "webgpu")]
use shared_model::pack::Pack;
use shared_model::prototype::Selection;
use shared_model::self_test::{Golden, SelfTest};
use shared_model::stages::{StageClock, StageTimes};

use super::batch::Files as BatchFiles;
use super::events::now;
use super::own::Own;

/// A bundle on a device, with the vectors of the current post.
pub(crate) struct Engine {
    /// Seconds for which the device may be silent.
    max_silence: u32,
    linker: Linker,
    pub(super) golden: Golden,
    pictures: HashMap<u32, Decoded>,
    texts: TextCache,
    /// Entities that the visitor brought.
    pub(crate) own: Own,
    /// Files of a batch.
    pub(crate) files: BatchFiles,
}

/// A picture of the post, decoded when it comes.
struct Decoded {
    whole: Picture,
    /// The picture without what the visitor covers, if that is anything.
    covered: Option<Picture>,
    /// Reported by the first link with the picture.
    decode_ms: Cell<f64>,
}

impl Decoded {
    /// What the model gets of it.
    fn seen(&self) -> &Picture {
        self.covered.as_ref().unwrap_or(&self.whole)
    }
}

/// The files of a bundle, by path.
pub(crate) type Files = HashMap<String, Vec<u8>>;

impl Engine {
    /// Opens the bundle on the CPU and tests it there.
    pub(super) async fn on_cpu(manifest: &Manifest, files: &Files) -> Result<(Self, SelfTest)> {
        Self::on(manifest, files, &Device::flex(), DEVICE_SECONDS).await
    }

    /// Opens the bundle on a device and tests it there. Every await on the device has a limit.
    pub(super) async fn on(
        manifest: &Manifest,
        files: &Files,
        device: &Device,
        max_silence: u32,
    ) -> Result<(Self, SelfTest)> {
        let bundle = Bundle::open(manifest.clone(), |path| part(files, path), device);
        let bundle = answered(max_silence, bundle).await?;
        let self_test = answered(max_silence, bundle.golden.test(&bundle.linker)).await?;
        let engine = Self {
            max_silence,
            linker: bundle.linker,
            golden: bundle.golden,
            pictures: HashMap::new(),
            texts: TextCache::default(),
            own: Own::default(),
            files: BatchFiles::default(),
        };
        Ok((engine, self_test))
    }

    /// Milliseconds that a picture takes on this device.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub(super) async fn picture_ms(&self) -> Result<f64> {
        let Encoders { vision, device, .. } = &self.linker.encoders;
        let picture = self.golden.picture_ms(vision, device, now);
        answered(self.max_silence, picture).await
    }

    /// Milliseconds that a text takes on this device, and its number of tokens.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub(super) async fn text_ms(&self) -> Result<(f64, usize)> {
        let text = self.golden.text_ms(&self.linker.encoders, now);
        answered(self.max_silence, text).await
    }

    /// Number of entities in the knowledge base.
    pub(crate) fn n_entities(&self) -> usize {
        self.linker.kb.text.entities.len()
    }

    /// How the prototypes are chosen.
    pub(crate) fn prototypes(&self) -> Choice {
        let KbText { k, selection, .. } = self.linker.kb.text;
        Choice {
            k,
            by_pagerank: selection == Selection::Pagerank,
        }
    }

    /// Chooses the prototypes anew.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub(crate) async fn choose(&mut self, Choice { k, by_pagerank }: Choice) -> Result<()> {
        let selection = match by_pagerank {
            true => Selection::Pagerank,
            false => Selection::Random { seed: 0 },
        };
        let chosen = self.linker.choose_prototypes(k, selection);
        answered(self.max_silence, chosen).await
    }

    /// Adds the entities of an archive, all or none; returns the paths of their pictures.
    ///
    /// # Errors
    ///
    /// [`Error::File`] for a picture that cannot be decoded and for too much, [`Error::TextTooLong`], [`Error::Device`].
    pub(crate) async fn add_own(
        &mut self,
        archive: Archive,
        on_post: impl AsyncFnMut(),
    ) -> Result<Vec<String>> {
        let mut all = self.own.archive.clone();
        let is_taken = |id: &str| self.linker.kb.position(id).is_some();
        let ids = all.take(archive, is_taken);
        all.check()?;
        let entities = all.entities.iter();
        let entities = entities.filter(|entity| ids.contains(&entity.id));
        let entities: Vec<OwnEntity> = entities.map(|entity| OwnEntity::of(&all, entity)).collect();
        answered(self.max_silence, self.linker.add(&entities, on_post)).await?;
        self.own.archive = all;
        let posts = self.own.archive.timeline.iter();
        let posts = posts.filter(|post| ids.contains(&post.entity));
        Ok(posts.flat_map(|post| post.images.clone()).collect())
    }

    /// The lines of a post of a batch.
    ///
    /// # Errors
    ///
    /// As [`Self::link`], and [`Error::File`] for a picture that cannot be decoded.
    pub(crate) async fn lines<'a>(
        &self,
        post: &'a Post,
        now: impl Fn() -> f64 + Copy,
    ) -> Result<Vec<Line<'a>>> {
        let lines = self.files.lines(&self.linker, post, now);
        answered(self.max_silence, lines).await
    }

    /// Takes an entity out that the visitor brought.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub(crate) async fn remove_own(&mut self, id: &str) -> Result<()> {
        answered(self.max_silence, self.linker.remove(&[id])).await?;
        self.own.archive.remove(id);
        Ok(())
    }

    /// Takes all entities out that the visitor brought, and what is kept of them.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub(crate) async fn clear_own(&mut self) -> Result<()> {
        let entities = self.own.archive.entities.iter();
        let ids: Vec<&str> = entities.map(|entity| entity.id.as_str()).collect();
        answered(self.max_silence, self.linker.remove(&ids)).await?;
        self.own = Own::default();
        Ok(())
    }

    /// The mentions in a text.
    pub(crate) fn mentions(&self, text: &str) -> Vec<Mention> {
        self.linker.aliases.mentions(text)
    }

    /// Decodes a picture and keeps it.
    pub(crate) fn add_picture(
        &mut self,
        id: u32,
        bytes: &[u8],
        now: impl Fn() -> f64,
    ) -> Result<()> {
        let start = now();
        let pixels = decode(bytes)?;
        let decoded = Decoded {
            whole: Picture::new(pixels),
            covered: None,
            decode_ms: Cell::new(now() - start),
        };
        self.pictures.insert(id, decoded);
        Ok(())
    }

    /// Covers parts of a picture; the others are uncovered.
    pub(crate) fn cover_picture(&mut self, id: u32, parts: &[usize]) {
        if let Some(Decoded {
            whole,
            covered: seen,
            ..
        }) = self.pictures.get_mut(&id)
        {
            *seen = (!parts.is_empty()).then(|| Picture::new(covered(whole.pixels(), parts)));
        }
    }

    /// Forgets a picture.
    pub(crate) fn drop_picture(&mut self, id: u32) {
        self.pictures.remove(&id);
    }

    /// Ranks a mention's candidates. Text and pictures that were encoded before are not encoded again; their time is then 0.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails or is silent for too long.
    pub(crate) async fn link(
        &mut self,
        question: &Question,
        now: impl Fn() -> f64,
        stage: impl Fn(Stage),
    ) -> Result<(Answer, StageTimes)> {
        let surface = question.mention.surface(&question.text)?;
        let candidates = self.linker.aliases.candidates(surface, NameMatch::Similar);
        let decoded = decoded(&self.pictures, question);
        let decode = decoded.iter().map(|picture| picture.decode_ms.take());
        let decode = decode.sum();
        let pictures: Vec<&Picture> = decoded.iter().map(|decoded| decoded.seen()).collect();
        let query = query(question, &pictures, &candidates);
        let mut clock = StageClock::new(now);
        let on_stage = |next| {
            stage(next);
            clock.start(next);
        };
        let answer = self.linker.answer(&query, &mut self.texts, on_stage);
        let answer = answered(self.max_silence, answer).await?;
        let ms = StageTimes {
            decode,
            ..clock.stop()
        };
        Ok((answer, ms))
    }

    /// What in a post decides between candidates; `None` if it was stopped.
    ///
    /// # Arguments
    ///
    /// - candidates: ids of the first and the second.
    /// - go_on: called between two steps; `false` stops.
    ///
    /// # Errors
    ///
    /// As [`Self::link`].
    pub(crate) async fn explain(
        &mut self,
        question: &Question,
        candidates: &[String],
        go_on: impl AsyncFnMut() -> bool,
    ) -> Result<Option<Effects>> {
        let candidates = candidates.iter();
        let candidates: Vec<usize> = candidates
            .filter_map(|id| self.linker.kb.position(id))
            .collect();
        let decoded = decoded(&self.pictures, question);
        let pictures: Vec<&Picture> = decoded.iter().map(|decoded| decoded.seen()).collect();
        let query = query(question, &pictures, &candidates);
        let occlusion = Occlusion::new(&self.linker, query, &mut self.texts);
        let occlusion = answered(self.max_silence, occlusion).await?;
        answered(self.max_silence, occlusion.effects(go_on)).await
    }
}

/// Milliseconds that a picture takes on the CPU, without a whole bundle there.
///
/// # Errors
///
/// As [`Bundle::open`].
#[cfg(feature = "webgpu")]
pub(super) async fn cpu_picture_ms(
    manifest: &Manifest,
    files: &Files,
    golden: &Golden,
) -> Result<f64> {
    const FILE: &str = "vision.bpk";
    let device = Device::flex();
    let pack = Pack::read(FILE, part(files, FILE)?)?;
    let vision = manifest.models.vision.load(&pack, &device)?;
    golden.picture_ms(&vision, &device, now).await
}

/// A file of the bundle.
fn part(files: &Files, path: &str) -> Result<Vec<u8>> {
    let bytes = files.get(path).cloned();
    bytes.ok_or_else(|| Error::file(path, wording::model::NOT_IN_BUNDLE))
}

fn decoded<'a>(pictures: &'a HashMap<u32, Decoded>, question: &Question) -> Vec<&'a Decoded> {
    let wanted = question.pictures.iter().take(MAX_IMAGES);
    wanted.filter_map(|id| pictures.get(id)).collect()
}

fn query<'a>(
    question: &'a Question,
    pictures: &'a [&'a Picture],
    candidates: &'a [usize],
) -> Query<'a> {
    Query {
        text: &question.text,
        mention: question.mention,
        pictures,
        candidates,
        conditions: question.conditions,
    }
}

/// Awaits the device, which must not be silent for `seconds`.
pub(super) async fn answered<T>(seconds: u32, work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = unless_stuck(seconds, work).await;
    done.unwrap_or_else(|| Err(Error::Device(wording::device::silent(seconds))))
}
