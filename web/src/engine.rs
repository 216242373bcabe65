//! The model in the tab: picks the device, opens the bundle, links posts. The only file here that names burn.

use std::cell::Cell;
use std::collections::HashMap;

use burn::prelude::Device;
use burn::tensor::wgpu::wgpu::{AdapterInfo, DeviceType};
use shared_model::bundle::{Bundle, Manifest, SelfTest};
use shared_model::data::{MAX_IMAGES, Mention, Ranking};
use shared_model::error::{Error, Result};
use shared_model::image::{RgbImage, decode};
use shared_model::linker::{ImageVectors, Linker, PostVectors, TokenVectors};
use shared_model::tokenizer::Encoded;
use web::protocol::{DeviceChoice, DeviceKind, EntityCard, Stage, StageTimes};

/// A bundle on a device, with the vectors of the post at hand.
pub(crate) struct Engine {
    linker: Linker,
    pictures: HashMap<u32, Picture>,
    text: Option<(Encoded, TokenVectors)>,
}

/// A picture, decoded when it comes and encoded when it is first linked with.
struct Picture {
    pixels: RgbImage,
    decode_ms: Cell<f64>,
    vectors: Option<ImageVectors>,
}

/// An opened engine and how it came to its device.
pub(crate) struct Opened {
    pub(crate) engine: Engine,
    pub(crate) device: DeviceKind,
    pub(crate) adapter: String,
    pub(crate) software: bool,
    pub(crate) self_test: SelfTest,
    pub(crate) notices: Vec<String>,
}

/// The files of a bundle, by path.
pub(crate) type Files = HashMap<String, Vec<u8>>;

impl Engine {
    /// Opens the bundle on the wanted device. `Auto` takes the CPU where WebGPU is absent, simulated or fails the self-test, and says so.
    pub(crate) async fn open(
        manifest: &Manifest,
        files: &Files,
        choice: DeviceChoice,
        on_lost: impl Fn(String) + Send + 'static,
    ) -> Result<Opened> {
        let mut notices = Vec::new();
        if choice != DeviceChoice::Cpu {
            match webgpu(manifest, files, choice, on_lost).await {
                Ok(opened) => return Ok(opened),
                Err(error) if choice == DeviceChoice::Webgpu => return Err(error),
                Err(error) => notices.push(format!("WebGPU is not used: {error}.")),
            }
        }
        let (engine, self_test) = Self::on(manifest, files, &Device::flex()).await?;
        if !self_test.passed() {
            notices.push(format!(
                "The self-test differs from the exporting machine by {:.1e}.",
                self_test.score
            ));
        }
        Ok(Opened {
            engine,
            device: DeviceKind::Cpu,
            adapter: "WebAssembly, one thread".to_owned(),
            software: false,
            self_test,
            notices,
        })
    }

    async fn on(manifest: &Manifest, files: &Files, device: &Device) -> Result<(Self, SelfTest)> {
        let file = |path: &str| {
            files
                .get(path)
                .cloned()
                .ok_or_else(|| Error::file(path, "the bundle does not name this file"))
        };
        let bundle = Bundle::open(manifest.clone(), file, device).await?;
        let self_test = bundle.golden.test(&bundle.linker).await?;
        let engine = Self {
            linker: bundle.linker,
            pictures: HashMap::new(),
            text: None,
        };
        Ok((engine, self_test))
    }

    /// The knowledge base as the page shows it.
    pub(crate) fn cards(&self) -> Vec<EntityCard> {
        let kb = &self.linker.kb.text;
        let card =
            |(entity, prototypes): (&shared_model::data::Entity, &shared_model::kb::Prototypes)| {
                EntityCard {
                    id: entity.id.clone(),
                    name: entity.name.clone(),
                    description: entity.description.clone(),
                    thumbs: prototypes
                        .image
                        .iter()
                        .flat_map(|chosen| kb.posts[chosen.post].images.clone())
                        .collect(),
                    posts: prototypes
                        .text
                        .iter()
                        .map(|chosen| kb.posts[chosen.post].text.clone())
                        .collect(),
                }
            };
        kb.entities.iter().zip(&kb.prototypes).map(card).collect()
    }

    /// The mentions in a text.
    pub(crate) fn mentions(&self, text: &str) -> Vec<Mention> {
        self.linker.aliases.mentions(text)
    }

    /// Decodes a picture and keeps it; returns its width and height.
    pub(crate) fn add_picture(
        &mut self,
        id: u32,
        bytes: &[u8],
        now: impl Fn() -> f64,
    ) -> Result<(u32, u32)> {
        let start = now();
        let pixels = decode(bytes)?;
        let size = pixels.dimensions();
        let picture = Picture {
            pixels,
            decode_ms: Cell::new(now() - start),
            vectors: None,
        };
        self.pictures.insert(id, picture);
        Ok(size)
    }

    /// Forgets a picture.
    pub(crate) fn drop_picture(&mut self, id: u32) {
        self.pictures.remove(&id);
    }

    /// Ranks a mention's candidates. What was encoded before is used again; its time is then 0.
    pub(crate) async fn link(
        &mut self,
        post: Query,
        now: impl Fn() -> f64,
        stage: impl Fn(Stage),
    ) -> Result<(Ranking, StageTimes)> {
        let mut ms = StageTimes::default();
        let surface = post.mention.surface(&post.text)?;
        let candidates = if post.by_hand {
            self.linker.aliases.fuzzy_candidates(surface)
        } else {
            self.linker.aliases.candidates(surface)
        };

        stage(Stage::Text);
        let start = now();
        let encoded = self
            .linker
            .encoders
            .tokenizer
            .encode(&post.text, Some(post.mention))?;
        let text = match self.text.take() {
            Some((known, vector)) if known.ids == encoded.ids => vector,
            _ => {
                let vectors = self.linker.encoders.text(&encoded).await?;
                ms.text = now() - start;
                vectors
            }
        };
        self.text = Some((encoded.clone(), text.clone()));

        let mut images = Vec::new();
        for id in post.pictures.iter().take(MAX_IMAGES) {
            let Some(picture) = self.pictures.get_mut(id) else {
                continue;
            };
            ms.decode += picture.decode_ms.take();
            let vectors = match picture.vectors.take() {
                Some(vectors) => vectors,
                None => {
                    stage(Stage::Image);
                    let start = now();
                    let vectors = self.linker.encoders.image(&picture.pixels).await?;
                    ms.image += now() - start;
                    vectors
                }
            };
            images.push(vectors.clone());
            picture.vectors = Some(vectors);
        }

        stage(Stage::Rank);
        let start = now();
        let mut vectors = PostVectors {
            text: Some(text),
            images,
            joint: None,
        };
        let encoders = &self.linker.encoders;
        if encoders.joint.is_some() {
            let surface = post.mention.surface(&post.text)?;
            encoders.join(&mut vectors, &encoded, Some(surface)).await?;
            ms.joint = now() - start;
        }
        let start = now();
        let readings = self.linker.read(&[vectors]).await?;
        let ranking = self
            .linker
            .rank(&readings[0], &post.text, post.mention, &candidates)?;
        ms.rank = now() - start;
        Ok((ranking, ms))
    }
}

/// A mention to link, and the post around it.
pub(crate) struct Query {
    pub(crate) text: String,
    pub(crate) mention: Mention,
    pub(crate) by_hand: bool,
    pub(crate) pictures: Vec<u32>,
}

async fn webgpu(
    manifest: &Manifest,
    files: &Files,
    choice: DeviceChoice,
    on_lost: impl Fn(String) + Send + 'static,
) -> Result<Opened> {
    let refuse = |reason: String| Error::Device(reason);
    let (device, setup) = Device::wgpu_options()
        .init_with_setup_async()
        .await
        .map_err(|error| refuse(format!("this browser offers no adapter ({error})")))?;
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
    let (engine, self_test) = Engine::on(manifest, files, &device).await?;
    if !self_test.passed() {
        return Err(refuse(format!(
            "its self-test differs from the CPU by {:.1e}",
            self_test.score.max(self_test.text).max(self_test.image)
        )));
    }
    Ok(Opened {
        engine,
        device: DeviceKind::Webgpu,
        adapter: name(&info),
        software,
        self_test,
        notices: Vec::new(),
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
