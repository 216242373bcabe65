//! `imn export`: writes a run as the bundle that the page and `imn link` read.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use image::RgbImage;
use serde::Serialize;
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::cards::Answer;
use shared_model::data::Mention;
use shared_model::encoders::{Encoders, Models};
use shared_model::evidence::Conditions;
use shared_model::explain::Occlusion;
use shared_model::hash::sha256;
use shared_model::kb::KnowledgeBase;
use shared_model::linker::{Linker, Picture, Query, TextCache};
use shared_model::manifest::{FORMAT, FileEntry, Licence, MANIFEST, Manifest};
use shared_model::pack::{Pack, Precision, write};
use shared_model::self_test::Golden;

use crate::files;
use crate::run::{EncoderOrigin, Example, LearnedSystem, Network, Run, manifest};
use crate::weights::{self, CLASSES, CONTEXT, JOINT, WORDS};

/// Width and height of the self-test's picture, in pixels.
const GOLDEN_SIDE: u32 = 224;

/// Writes the bundle. A bundle that is already there is replaced as a whole.
pub(crate) fn export(run_folder: &Path, target: &Path, precision: Precision) -> anyhow::Result<()> {
    let run = Run::open(run_folder)?;
    let occupied = target.exists()
        && !target.join(MANIFEST).exists()
        && fs::read_dir(target)?.next().is_some();
    ensure!(
        !occupied,
        "{} exists and is not a bundle; name another folder",
        target.display()
    );

    let (mut models, mut licences, mut parts) = encoder_parts(&run.encoders, precision)?;
    // Nothing but the joint encoder reads word vectors.
    if models.joint.is_none() {
        models.words = false;
        parts.remove(WORDS);
        licences.retain(|licence| licence.file != WORDS);
    }
    licences.push(Licence {
        file: "kb.json".to_owned(),
        licence: run.licence.clone(),
        source: run.source.clone(),
    });
    licences.extend(run.credits.iter().cloned());
    for file in ["kb.json", "kb.bpk"] {
        parts.insert(file.to_owned(), files::read(&run_folder.join(file))?);
    }
    for folder in ["thumbs", "examples"] {
        add_folder(run_folder, folder, &mut parts)?;
    }

    let learned = run.learned(run_folder)?;
    for system in &learned {
        let name = match system {
            LearnedSystem::Imn(_) => continue,
            LearnedSystem::Baseline(baseline) => baseline.saved.config.kind.name(),
            LearnedSystem::ExtraTrees(_) => "et",
        };
        eprintln!("{name} stays in the run folder: it is for comparisons, no bundle has it");
    }
    let network = Network::among(&learned);
    if let Some(network) = network {
        let bytes = write(network.pack.entries(), &[], precision)?;
        parts.insert(Network::FILE.to_owned(), bytes);
        licences.push(Licence {
            file: Network::FILE.to_owned(),
            licence: "Trained and licensed by the exporter of this bundle".to_owned(),
            source: match &network.training.datasets[..] {
                [] => "trained on data that were not recorded".to_owned(),
                datasets => format!("`imn train` on {}", datasets.join("; ")),
            },
        });
    }
    let scorer = scorer(network);

    let linker = linker(&models, &parts, &run, network)?;
    if !run.examples.is_empty() {
        let answered = answered(&run.examples, &linker, &parts)?;
        parts.insert(
            "examples.json".to_owned(),
            serde_json::to_vec_pretty(&answered)?,
        );
    }
    let golden = pollster::block_on(golden(&linker, &parts))?;
    parts.insert(
        "golden.bpk".to_owned(),
        write(golden.entries(), &[], Precision::F32)?,
    );

    let bundle = Manifest {
        format: FORMAT,
        name: run.name,
        models,
        scorer: run.scorer,
        training: network.map(|network| network.training.clone()),
        imn: network.map(|network| network.trained.clone()),
        calibration: run.calibration,
        files: parts
            .iter()
            .map(|(path, bytes)| FileEntry {
                path: path.clone(),
                bytes: bytes.len() as u64,
                sha256: sha256(bytes),
            })
            .collect(),
        licences,
        sha256: String::new(),
    };
    parts.insert(MANIFEST.to_owned(), bundle.to_bytes());
    let folder = files::NewFolder::new(target)?;
    for (path, bytes) in &parts {
        files::write(&folder.path().join(path), bytes)?;
    }
    folder.finish()?;
    eprintln!(
        "{scorer}\n{:.1} MB -> {}",
        bundle.total_bytes() as f64 / 1e6,
        target.display()
    );
    Ok(())
}

/// Which scorer the bundle has, and why.
fn scorer(network: Option<&Network>) -> String {
    let Some(Network {
        trained: imn,
        training,
        ..
    }) = network
    else {
        return "scorer: `prototype`".to_owned();
    };
    let gain = training.gain;
    let part = |weight: f32, gain: Option<f64>| match gain {
        _ if weight == 0.0 => "`prototype`, as no gain was proven".to_owned(),
        Some(gain) => format!(
            "IMN, {:+.1} points of P@1 over `prototype` on the held-out mentions that chose its weight",
            100.0 * gain
        ),
        None => "IMN, not compared with `prototype`".to_owned(),
    };
    format!(
        "scorer, all candidates trained on: {}\nscorer, a candidate is new: {}",
        part(imn.seen.weight, gain.map(|gain| gain.seen)),
        part(imn.new.weight, gain.map(|gain| gain.new)),
    )
}

type Parts = BTreeMap<String, Vec<u8>>;

/// The encoders' files: converted from a weight folder, or those of a bundle as they are.
fn encoder_parts(
    origin: &EncoderOrigin,
    precision: Precision,
) -> anyhow::Result<(Models, Vec<Licence>, Parts)> {
    match origin {
        EncoderOrigin::Weights {
            folder,
            vision,
            joint,
        } => {
            let loaded = weights::load(folder, *vision, joint.as_deref(), &Device::flex())?;
            let mut parts = Parts::from([("tokenizer.json".to_owned(), loaded.tokenizer)]);
            for (file, pack) in loaded.packs {
                let metadata: Vec<_> = ["licence", "source", "sha256"]
                    .into_iter()
                    .filter_map(|key| Some((key, pack.metadata(key)?)))
                    .collect();
                parts.insert(
                    file.to_owned(),
                    write(pack.entries(), &metadata, precision)?,
                );
            }
            Ok((loaded.models, loaded.licences, parts))
        }
        EncoderOrigin::Bundle { folder } => {
            let manifest = manifest(folder)?;
            let mut parts = Parts::new();
            for file in [
                "text.bpk",
                "vision.bpk",
                WORDS,
                CLASSES,
                CONTEXT,
                JOINT,
                "tokenizer.json",
            ] {
                if manifest.files.iter().any(|entry| entry.path == file) {
                    let bytes = files::read(&folder.join(file))?;
                    manifest
                        .check(file, &bytes)
                        .with_context(|| folder.display().to_string())?;
                    parts.insert(file.to_owned(), bytes);
                }
            }
            let licences = manifest
                .licences
                .into_iter()
                .filter(|licence| parts.contains_key(&licence.file))
                .collect();
            Ok((manifest.models, licences, parts))
        }
    }
}

fn add_folder(run: &Path, folder: &str, parts: &mut Parts) -> anyhow::Result<()> {
    let path = run.join(folder);
    if !path.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(&path).with_context(|| path.display().to_string())? {
        let entry = entry?;
        let name = entry
            .file_name()
            .into_string()
            .ok()
            .with_context(|| format!("{}: a file name is not UTF-8", path.display()))?;
        parts.insert(format!("{folder}/{name}"), files::read(&entry.path())?);
    }
    Ok(())
}

/// The linker that a reader of the parts will have, on the CPU.
fn linker(
    models: &Models,
    parts: &Parts,
    run: &Run,
    network: Option<&Network>,
) -> anyhow::Result<Linker> {
    let device = Device::flex();
    let encoders = Encoders::load(
        models,
        &parts["tokenizer.json"],
        |file| Ok(Cow::Owned(Pack::read(file, parts[file].clone())?)),
        &device,
    )?;
    let kb = Pack::read("kb.bpk", parts["kb.bpk"].clone())?;
    let kb = KnowledgeBase::from_parts(&parts["kb.json"], &kb, &models.widths())?;
    let imn = network.map(|network| {
        let written = Network {
            pack: Pack::read(Network::FILE, parts[Network::FILE].clone())?,
            ..network.clone()
        };
        written.scorer(&kb, &device)
    });
    let imn = imn.transpose()?;
    let calibration = run.calibration.clone();
    Ok(Linker::new(encoders, kb, run.scorer, imn, calibration))
}

/// An item of `examples.json`: the page shows the answer before the encoders are downloaded.
#[derive(Serialize)]
struct Answered<'a> {
    #[serde(flatten)]
    example: &'a Example,
    answer: Answer,
}

/// The examples with the answers of the exported model and what decided, among the same candidates as in the page.
fn answered<'a>(
    examples: &'a [Example],
    linker: &Linker,
    parts: &Parts,
) -> anyhow::Result<Vec<Answered<'a>>> {
    let answer = |example: &'a Example| {
        let surface = example.mention.surface(&example.text)?;
        let candidates = linker.aliases.candidates(surface, NameMatch::Similar);
        let pictures = example.images.iter();
        let pictures: Vec<Picture> = pictures
            .map(|path| Ok(Picture::new(shared_model::image::decode(&parts[path])?)))
            .collect::<anyhow::Result<_>>()?;
        let query = Query {
            text: &example.text,
            mention: example.mention,
            pictures: &pictures.iter().collect::<Vec<_>>(),
            candidates: &candidates,
            conditions: Conditions::default(),
        };
        let mut texts = TextCache::default();
        let answer = linker.answer(&query, &mut texts, |_| {});
        let mut answer = pollster::block_on(answer)?;
        let ranked = answer.ranking.candidates.iter();
        let first_two = ranked.filter_map(|candidate| linker.kb.position(&candidate.entity));
        let query = Query {
            candidates: &first_two.take(2).collect::<Vec<_>>(),
            ..query
        };
        answer.effects = pollster::block_on(async {
            let occlusion = Occlusion::new(linker, query, &mut texts).await?;
            occlusion.effects(async || true).await
        })?;
        anyhow::Ok(Answered { example, answer })
    };
    let answers = examples
        .iter()
        .map(|example| answer(example).with_context(|| format!("the example “{}”", example.title)));
    answers.collect()
}

/// Records the self-test on the first post with a picture, with its entity's name before its text; on a gradient if no post has a picture.
async fn golden(linker: &Linker, parts: &Parts) -> anyhow::Result<Golden> {
    let kb = &linker.kb.text;
    let post = kb.posts.iter().find(|post| !post.images.is_empty());
    let entity = &kb.entities[post.map_or(0, |post| post.entity)];
    let picture = match post {
        Some(post) => shared_model::image::decode(&parts[&post.images[0]])?,
        None => RgbImage::from_fn(GOLDEN_SIDE, GOLDEN_SIDE, |x, y| {
            image::Rgb([x as u8, y as u8, (x + y) as u8])
        }),
    };
    let text = format!("{}: {}", entity.name, post.map_or("", |post| &post.text));
    let mention = Mention {
        start: 0,
        end: entity.name.chars().count(),
    };
    let candidates = AliasIndex::new(&kb.entities).candidates(&entity.name, NameMatch::Equal);
    Ok(Golden::record(linker, &text, mention, picture, candidates).await?)
}
