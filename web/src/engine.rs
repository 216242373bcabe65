//! The model in the tab: picks the device, opens the bundle, links posts. The only file here that names burn.

use std::cell::Cell;
use std::collections::HashMap;

use burn::prelude::Device;
use burn::tensor::wgpu::wgpu::{AdapterInfo, DeviceType};
use shared_model::aliases::NameMatch;
use shared_model::archive::Archive;
use shared_model::batch::Line;
use shared_model::bundle::Bundle;
use shared_model::data::{MAX_IMAGES, Mention, Post};
use shared_model::error::{Error, Result};
use shared_model::explain::Occlusion;
use shared_model::image::decode;
use shared_model::kb::KbText;
use shared_model::linker::{Linker, Picture, Query, TextCache};
use shared_model::manifest::Manifest;
use shared_model::own::OwnEntity;
use shared_model::prototype::Selection;
use shared_model::self_test::SelfTest;
use shared_model::stages::{StageClock, StageTimes};
use web::context::{has_webgpu, is_secure};
use web::protocol::{Answer, Choice, DeviceChoice, DeviceKind, Effects, Question, Running, Stage};
use web::timeout::{DEVICE_SECONDS, unless_stuck};

use crate::batch::Files as BatchFiles;
use crate::own::Own;

/// Seconds for which a simulated adapter may be silent: it computes on the CPU, slowly.
const SIMULATED_SECONDS: u32 = 60;

/// A bundle on a device, with the vectors of the current post.
pub(crate) struct Engine {
    /// Seconds for which the device may be silent.
    max_silence: u32,
    linker: Linker,
    pictures: HashMap<u32, Decoded>,
    texts: TextCache,
    /// Entities that the visitor brought.
    pub(crate) own: Own,
    /// Files of a batch.
    pub(crate) files: BatchFiles,
}

/// A picture of the post, decoded when it comes.
struct Decoded {
    picture: Picture,
    /// Reported by the first link with the picture.
    decode_ms: Cell<f64>,
}

/// The files of a bundle, by path.
pub(crate) type Files = HashMap<String, Vec<u8>>;

impl Engine {
    /// Opens the bundle on the wanted device. `Auto` takes the CPU, with a notice, where WebGPU is absent, simulated, silent or fails the self-test.
    pub(crate) async fn open(
        manifest: &Manifest,
        files: &Files,
        choice: DeviceChoice,
        on_lost: impl Fn(String) + Send + 'static,
    ) -> Result<(Self, Running)> {
        let mut notices = Vec::new();
        if choice != DeviceChoice::Cpu {
            match webgpu(manifest, files, choice, on_lost).await {
                Ok(opened) => return Ok(opened),
                Err(error) if choice == DeviceChoice::Webgpu => return Err(error),
                Err(Error::Device(reason)) => {
                    notices.push(format!("WebGPU is not used: {reason}."));
                }
                Err(error) => notices.push(format!("WebGPU is not used: {error}.")),
            }
        }
        let (engine, self_test) =
            Self::on(manifest, files, &Device::flex(), DEVICE_SECONDS).await?;
        if !self_test.passed() {
            notices.push(format!(
                "The self-test differs from the exporting machine by {:.1e}.",
                self_test.score
            ));
        }
        let running = Running {
            device: DeviceKind::Cpu,
            adapter: "WebAssembly, one thread".to_owned(),
            software: false,
            self_test,
            notices,
        };
        Ok((engine, running))
    }

    /// Opens the bundle on a device and tests it there. Every await on the device has a limit.
    async fn on(
        manifest: &Manifest,
        files: &Files,
        device: &Device,
        max_silence: u32,
    ) -> Result<(Self, SelfTest)> {
        let file = |path: &str| {
            files
                .get(path)
                .cloned()
                .ok_or_else(|| Error::file(path, "the bundle does not name this file"))
        };
        let bundle = Bundle::open(manifest.clone(), file, device);
        let bundle = answered(max_silence, bundle).await?;
        let self_test = answered(max_silence, bundle.golden.test(&bundle.linker)).await?;
        let engine = Self {
            max_silence,
            linker: bundle.linker,
            pictures: HashMap::new(),
            texts: TextCache::default(),
            own: Own::default(),
            files: BatchFiles::default(),
        };
        Ok((engine, self_test))
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
            picture: Picture::new(pixels),
            decode_ms: Cell::new(now() - start),
        };
        self.pictures.insert(id, decoded);
        Ok(())
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
        let pictures: Vec<&Picture> = decoded.iter().map(|decoded| &decoded.picture).collect();
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
        let pictures: Vec<&Picture> = decoded.iter().map(|decoded| &decoded.picture).collect();
        let query = query(question, &pictures, &candidates);
        let occlusion = Occlusion::new(&self.linker, query, &mut self.texts);
        let occlusion = answered(self.max_silence, occlusion).await?;
        answered(self.max_silence, occlusion.effects(go_on)).await
    }
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

async fn webgpu(
    manifest: &Manifest,
    files: &Files,
    choice: DeviceChoice,
    on_lost: impl Fn(String) + Send + 'static,
) -> Result<(Engine, Running)> {
    let refuse = |reason: String| Error::Device(reason);
    if !has_webgpu() {
        return Err(refuse(if is_secure() {
            "this browser does not offer it".to_owned()
        } else {
            "browsers offer it over https only".to_owned()
        }));
    }
    let (device, setup) = answered(DEVICE_SECONDS, async {
        let opened = Device::wgpu_options().init_with_setup_async().await;
        opened.map_err(|error| refuse(format!("this browser offers no adapter ({error})")))
    })
    .await?;
    setup
        .device
        .set_device_lost_callback(move |_, message| on_lost(message));
    let info = setup.adapter.get_info();
    let software = is_software(&info);
    if software && choice == DeviceChoice::Auto {
        return Err(refuse(format!(
            "{} only simulates a graphics card",
            name(&info)
        )));
    }
    let max_silence = if software {
        SIMULATED_SECONDS
    } else {
        DEVICE_SECONDS
    };
    let (engine, self_test) = Engine::on(manifest, files, &device, max_silence).await?;
    if !self_test.passed() {
        return Err(refuse(format!(
            "its self-test differs from the CPU by {:.1e}",
            self_test.score.max(self_test.text).max(self_test.image)
        )));
    }
    let running = Running {
        device: DeviceKind::Webgpu,
        adapter: name(&info),
        software,
        self_test,
        notices: Vec::new(),
    };
    Ok((engine, running))
}

/// Awaits the device, which must not be silent for `seconds`.
async fn answered<T>(seconds: u32, work: impl Future<Output = Result<T>>) -> Result<T> {
    unless_stuck(seconds, work).await.unwrap_or_else(|| {
        Err(Error::Device(format!(
            "the graphics processor did not answer for {seconds} seconds"
        )))
    })
}

fn is_software(info: &AdapterInfo) -> bool {
    let known = ["swiftshader", "llvmpipe", "lavapipe", "basic render"];
    let text = format!("{} {} {}", info.name, info.driver, info.driver_info).to_lowercase();
    info.device_type == DeviceType::Cpu || known.iter().any(|name| text.contains(name))
}

fn name(info: &AdapterInfo) -> String {
    if info.name.is_empty() {
        "an unnamed adapter".to_owned()
    } else {
        info.name.clone()
    }
}
