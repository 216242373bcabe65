//! Writing a run folder.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::path::Path;

use anyhow::Context as _;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use serde::Deserialize;
use shared_model::calibration::Calibration;
use shared_model::kb::{KbPost, KbText};
use shared_model::manifest::Licence;
use shared_model::pack::{Entry, Precision, write, writer};
use shared_model::paths::{UniqueNames, relative};
use shared_model::resize::{Filter, resize};
use shared_model::scorer::ScorerConfig;

use crate::dataset::{Dataset, inside, picture};
use crate::files::{self, clear, from_json, read_lines_if_any};
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
    let mut examples = examples(&dataset)?;
    let mut pictures = thumbnails(&dataset.folder, &mut text.posts, folder)?;
    let n_thumbs = pictures.len();
    pictures.extend(copy_examples(&dataset.folder, &mut examples, folder)?);
    let credits = credits(&dataset, &pictures)?;

    files::write_json(&folder.join("kb.json"), &text)?;
    let path = folder.join("kb.bpk");
    let written = writer(vectors, &[], Precision::F16).write_to_file(&path);
    written.with_context(|| format!("cannot write {}", path.display()))?;
    for (file, weights) in fitted.systems.iter().flat_map(LearnedSystem::weights) {
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
        examples,
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

/// Writes `thumbs/` anew and replaces the posts' picture paths by those of the thumbnails; returns the original of each.
fn thumbnails(
    dataset: &Path,
    posts: &mut [KbPost],
    run: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    clear(&run.join("thumbs"))?;
    let mut n = 0;
    let paths = posts.iter_mut().flat_map(|post| &mut post.images);
    replace_by_copies(paths, |path| {
        n += 1;
        let thumb = format!("thumbs/{n:04}.jpg");
        files::write(&run.join(&thumb), &jpeg(&picture(&dataset.join(path))?)?)?;
        Ok(thumb)
    })
}

/// Replaces each path by that of its copy, which is made once per path; returns the original of each copy.
fn replace_by_copies<'a>(
    paths: impl Iterator<Item = &'a mut String>,
    mut copy: impl FnMut(&str) -> anyhow::Result<String>,
) -> anyhow::Result<BTreeMap<String, String>> {
    let mut copies: HashMap<String, String> = HashMap::new();
    for path in paths {
        if !copies.contains_key(path) {
            copies.insert(path.clone(), copy(path)?);
        }
        path.clone_from(&copies[path]);
    }
    Ok(copies
        .into_iter()
        .map(|(path, copy)| (copy, path))
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

/// Reads the posts that the page offers, and checks their mentions and pictures.
fn examples(dataset: &Dataset) -> anyhow::Result<Vec<Example>> {
    read_lines_if_any(&dataset.folder.join("examples.jsonl"), |_, line| {
        let example: Example = from_json(line)?;
        example.mention.surface(&example.text)?;
        for image in &example.images {
            inside(image)?;
            picture(&dataset.folder.join(image))?;
        }
        Ok(example)
    })
}

/// Writes `examples/` anew and replaces the examples' picture paths by those of the copies; returns the original of each.
fn copy_examples(
    dataset: &Path,
    examples: &mut [Example],
    run: &Path,
) -> anyhow::Result<BTreeMap<String, String>> {
    clear(&run.join("examples"))?;
    let mut names = UniqueNames::default();
    let paths = examples.iter_mut().flat_map(|example| &mut example.images);
    replace_by_copies(paths, |path| {
        let copy = format!("examples/{}", names.name(&url_safe(file_name(path))));
        files::write(&run.join(&copy), &files::read(&dataset.join(path))?)?;
        Ok(copy)
    })
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
    let credits: Vec<Credit> = read_lines_if_any(&path, |_, line| from_json(line))?;
    let by_file: HashMap<String, &Credit> = credits
        .iter()
        .map(|credit| {
            let file = relative(&credit.file).unwrap_or_else(|_| credit.file.clone());
            (file, credit)
        })
        .collect();
    let licence = |(copy, original): (&String, &String)| {
        let credit = by_file.get(original)?;
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

/// The name with `_` for every character that an address must escape.
fn url_safe(name: &str) -> String {
    name.replace(
        |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '.' | '-' | '_'),
        "_",
    )
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn example_pictures_of_one_name_are_all_kept() {
        let folder = tempfile::tempdir().unwrap();
        let (dataset, run) = (folder.path().join("data"), folder.path().join("run"));
        let originals = [
            "a/sea.png",
            "b/sea.png",
            "a/100% #1 sea?.png",
            "a/100_ _1 sea_.png",
        ];
        for (shade, path) in (0..).step_by(60).zip(originals) {
            let file = dataset.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            RgbImage::from_pixel(3, 2, Rgb([shade; 3]))
                .save(file)
                .unwrap();
        }
        files::write(&run.join("examples/of-an-older-run.png"), b"").unwrap();
        let mut examples = vec![
            example(&["a/sea.png", "b/sea.png"]),
            example(&["b/sea.png", "a/100% #1 sea?.png"]),
            example(&["a/100_ _1 sea_.png"]),
        ];
        let copies = copy_examples(&dataset, &mut examples, &run).unwrap();
        let shown: Vec<&str> = examples
            .iter()
            .flat_map(|example| example.images.iter().map(String::as_str))
            .collect();
        assert_eq!(
            shown,
            [
                "examples/sea.png",
                "examples/sea-2.png",
                "examples/sea-2.png",
                "examples/100___1_sea_.png",
                "examples/100___1_sea_-2.png",
            ]
        );
        assert_eq!(copies.len(), 4);
        for (copy, original) in copies {
            let bytes = |path| std::fs::read(path).unwrap();
            assert_eq!(bytes(run.join(copy)), bytes(dataset.join(original)));
        }
        assert!(!run.join("examples/of-an-older-run.png").exists());
    }

    fn example(images: &[&str]) -> Example {
        Example {
            title: "The sea".to_owned(),
            text: "The sea".to_owned(),
            mention: shared_model::data::Mention { start: 4, end: 7 },
            images: images.iter().map(|&image| image.to_owned()).collect(),
        }
    }
}
