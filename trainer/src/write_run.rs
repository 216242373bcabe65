//! Writing a run folder.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, ensure};
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use serde::Deserialize;
use shared_model::calibration::Calibration;
use shared_model::kb::{KbPost, KbText};
use shared_model::manifest::Licence;
use shared_model::pack::{Entry, Precision, write, writer};
use shared_model::resize::{Filter, resize};
use shared_model::scorer::ScorerConfig;

use crate::dataset::{Dataset, picture};
use crate::files::{self, clear, read_jsonl};
use crate::run::{EncoderOrigin, Example, FORMAT, LearnedSystem, Run};

/// The longer side of a thumbnail.
const THUMB: u32 = 192;

/// The model of a run.
pub(crate) struct Fitted {
    /// Where the encoders are.
    pub(crate) encoders: EncoderOrigin,
    /// Weights of the training-free scorer.
    pub(crate) scorer: ScorerConfig,
    /// Fitted temperature and NIL logit.
    pub(crate) calibration: Option<Calibration>,
    /// The trained systems, in the order of the tables.
    pub(crate) systems: Vec<LearnedSystem>,
}

/// Writes the run folder of a dataset's knowledge base.
pub(crate) fn write_run(
    dataset: Dataset,
    mut text: KbText,
    vectors: Vec<Entry>,
    fitted: Fitted,
    folder: &Path,
) -> anyhow::Result<()> {
    let examples = examples(&dataset)?;
    let mut pictures = thumbnails(&dataset.folder, &mut text.posts, folder)?;
    let n_thumbs = pictures.len();
    for path in examples.iter().flat_map(|example| &example.images) {
        let copy = format!("examples/{}", file_name(path));
        files::write(
            &folder.join(&copy),
            &files::read(&dataset.folder.join(path))?,
        )?;
        pictures.insert(copy, path.clone());
    }
    let credits = credits(&dataset, &pictures)?;

    files::write_json(&folder.join("kb.json"), &text)?;
    let path = folder.join("kb.bpk");
    let written = writer(vectors, &[], Precision::F16).write_to_file(&path);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    for system in &fitted.systems {
        let (file, weights) = system.weights();
        let bytes = write(weights.entries(), &[], Precision::F32)?;
        files::write(&folder.join(file), &bytes)?;
    }
    let run = Run {
        format: FORMAT,
        name: dataset.info.name,
        licence: dataset.info.licence,
        source: dataset.info.source,
        encoders: fitted.encoders,
        scorer: fitted.scorer,
        calibration: fitted.calibration,
        systems: fitted.systems.iter().map(LearnedSystem::saved).collect(),
        examples: examples
            .into_iter()
            .map(|mut example| {
                example
                    .images
                    .iter_mut()
                    .for_each(|path| *path = format!("examples/{}", file_name(path)));
                example
            })
            .collect(),
        credits,
    };
    files::write_json(&folder.join("run.json"), &run)?;
    eprintln!(
        "{} entities, {} posts, {n_thumbs} pictures -> {}",
        text.entities.len(),
        text.posts.len(),
        folder.display()
    );
    Ok(())
}

/// Writes `thumbs/` anew and points the posts to it; a picture that stands twice is written once. Returns each thumbnail's original.
fn thumbnails(
    dataset: &Path,
    posts: &mut [KbPost],
    run: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    clear(&run.join("thumbs"))?;
    let mut written: HashMap<String, String> = HashMap::new();
    for path in posts.iter_mut().flat_map(|post| &mut post.images) {
        if !written.contains_key(path) {
            let thumb = format!("thumbs/{:04}.jpg", written.len() + 1);
            files::write(&run.join(&thumb), &jpeg(&picture(&dataset.join(&*path))?)?)?;
            written.insert(path.clone(), thumb);
        }
        path.clone_from(&written[path]);
    }
    Ok(written
        .into_iter()
        .map(|(path, thumb)| (thumb, path))
        .collect())
}

fn jpeg(picture: &RgbImage) -> anyhow::Result<Vec<u8>> {
    let (width, height) = picture.dimensions();
    let scale = f64::from(THUMB) / f64::from(width.max(height));
    let side = |side: u32| ((f64::from(side) * scale.min(1.0)) as u32).max(1);
    let thumb = resize(picture, side(width), side(height), Filter::Bicubic);
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, 82).encode_image(&thumb)?;
    Ok(bytes.into_inner())
}

fn examples(dataset: &Dataset) -> anyhow::Result<Vec<Example>> {
    let path = dataset.folder.join("examples.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let examples: Vec<Example> = read_jsonl(&path)?;
    for example in &examples {
        let named = || format!("{}, {:?}", path.display(), example.title);
        example.mention.surface(&example.text).with_context(named)?;
        for image in &example.images {
            ensure!(
                shared_model::paths::is_inside(image),
                "{}: the picture path {image:?} leaves its folder",
                named()
            );
            picture(&dataset.folder.join(image))?;
        }
    }
    Ok(examples)
}

/// A line of `credits.jsonl` in a dataset folder.
#[derive(Deserialize)]
struct Credit {
    file: String,
    title: String,
    author: String,
    licence: String,
    source: String,
}

/// Licence and author of the copies that a bundle carries, where the dataset states them.
fn credits(
    dataset: &Dataset,
    originals: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Licence>> {
    let path = dataset.folder.join("credits.jsonl");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let credits: Vec<Credit> = read_jsonl(&path)?;
    let by_file: HashMap<&str, &Credit> = credits
        .iter()
        .map(|credit| (credit.file.as_str(), credit))
        .collect();
    let licence = |(copy, original): (&String, &String)| {
        let credit = by_file.get(original.as_str())?;
        Some(Licence {
            file: copy.clone(),
            licence: credit.licence.clone(),
            source: format!("{}, {}; {}", credit.title, credit.author, credit.source),
        })
    };
    Ok(originals.iter().filter_map(licence).collect())
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}
