//! `imn data world`: reads photographs or posts, and writes the benchmarks that `synth` makes from them.

mod photographs;
mod posts;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, ensure};
use serde::Serialize;
use shared_model::data::Post;
use synth::photos::montage;
use synth::posts::Corpus;
use synth::{Benchmark, Note, Source};

use self::photographs::Senses;
use super::account::Account;
use super::staging::Staging;
use super::{CandidatePolicy, Info, Split, picture};
use crate::files::{read, tracked};

const PHOTOS_LICENCE: &str = "of the photographs: that of the folder they come from";
const PHOTOS_SOURCE: &str =
    "imn data world, from photographs and a sense list; texts are made from its glosses";
const SENTENCES_LICENCE: &str =
    "of the photographs and sentences: those of the folder and of the sense list they come from";
const SENTENCES_SOURCE: &str =
    "imn data world, from photographs and a sense list; texts are sentences of the list";
const POSTS_LICENCE: &str = "of the posts and pictures: that of the file they come from";
const POSTS_SOURCE: &str =
    "imn data world, from unlabelled posts; recurring tags are the entities, masked in every text";

/// What a benchmark is made from.
pub(crate) enum WorldSource {
    /// Photographs with a sense list.
    Photographs {
        /// Folder with one folder of photographs per sense.
        photos: PathBuf,
        /// File of the senses.
        senses: PathBuf,
        /// Column of the senses with the names that they share; `None` for invented names alone.
        alias: Option<String>,
        /// Parameters of the generator.
        settings: synth::photos::Settings,
    },
    /// Posts whose recurring tags are the entities.
    Posts {
        /// File of the posts.
        file: PathBuf,
        /// Folder that their picture paths are relative to.
        pictures: PathBuf,
        /// Parameters of the generator.
        settings: synth::posts::Settings,
        /// Number of folds; `None` for one dataset.
        folds: Option<usize>,
    },
}

/// Makes a dataset folder, or one per fold, and reports its contents.
pub(crate) fn world(source: &WorldSource, destination: &Path, as_json: bool) -> anyhow::Result<()> {
    let summary = match source {
        WorldSource::Photographs {
            photos,
            senses,
            alias,
            settings,
        } => from_photographs(photos, senses, alias.as_deref(), settings, destination),
        WorldSource::Posts {
            file,
            pictures,
            settings,
            folds,
        } => from_posts(file, pictures, *settings, *folds, destination),
    }?;
    eprint!("{summary}");
    if as_json {
        out!("{}", serde_json::to_string_pretty(&summary)?);
    }
    Ok(())
}

fn from_photographs(
    photos: &Path,
    senses: &Path,
    alias: Option<&str>,
    settings: &synth::photos::Settings,
    destination: &Path,
) -> anyhow::Result<Summary> {
    let staging = Staging::new(destination)?;
    let mut summary = Summary::default();
    let list = Senses::read(senses, alias)?;
    let (licence, source) = if list.have_sentences() {
        (SENTENCES_LICENCE, SENTENCES_SOURCE)
    } else {
        (PHOTOS_LICENCE, PHOTOS_SOURCE)
    };
    let classes = list.classes(photos, &mut summary.matters)?;
    let benchmark = synth::photos::generate(&classes, settings)
        .with_context(|| senses.display().to_string())?;
    let info = Info::new(
        &name_of(destination),
        licence,
        source,
        CandidatePolicy::Given,
    );
    write(&benchmark, &info, photos, &staging, &mut summary)?;
    summary.entities = benchmark.entities.len();
    staging.finish()?;
    Ok(summary)
}

fn from_posts(
    file: &Path,
    pictures: &Path,
    settings: synth::posts::Settings,
    folds: Option<usize>,
    destination: &Path,
) -> anyhow::Result<Summary> {
    let staging = Staging::new(destination)?;
    let mut summary = Summary::default();
    let posts = posts::read(file, pictures, &mut summary.matters)?;
    let corpus = Corpus::new(posts, settings).map_err(|error| {
        let left_out = summary.matters.in_short();
        anyhow!("{}: {error}{left_out}", file.display())
    })?;
    summary.entities = corpus.n_entities();
    summary.note(corpus.notes());
    let name = name_of(destination);
    let info = |name: &str| Info::new(name, POSTS_LICENCE, POSTS_SOURCE, CandidatePolicy::Given);
    match folds {
        None => {
            let benchmark = synth::posts::generate(&corpus);
            write(&benchmark, &info(&name), pictures, &staging, &mut summary)?;
        }
        Some(n) => {
            let folds = synth::posts::generate_folds(&corpus, n);
            for (i, benchmark) in (1..).zip(folds) {
                let fold = staging.within(&format!("fold-{i}"))?;
                let info = info(&format!("{name}, fold {i} of {n}"));
                write(&benchmark, &info, pictures, &fold, &mut summary)?;
                fold.finish()?;
            }
        }
    }
    ensure!(
        summary.mentions.values().any(|rows| rows.rows > 0),
        "{}: no post can be a mention{}",
        file.display(),
        summary.matters.in_short()
    );
    staging.finish()?;
    Ok(summary)
}

/// Writes a dataset folder, and adds it to the summary. The files of the pictures are below `pictures`.
fn write(
    benchmark: &Benchmark,
    info: &Info,
    pictures: &Path,
    staging: &Staging,
    summary: &mut Summary,
) -> anyhow::Result<()> {
    let parts = Split::ALL.into_iter().zip(&benchmark.mentions);
    staging.write(info, &benchmark.entities, &benchmark.timeline, parts)?;
    for picture in tracked(&benchmark.pictures, "pictures") {
        staging.picture(&picture.path, &bytes(&picture.source, pictures)?)?;
    }
    summary.add(benchmark);
    Ok(())
}

/// The bytes of a picture.
fn bytes(source: &Source, folder: &Path) -> anyhow::Result<Vec<u8>> {
    match source {
        Source::File(file) => read(&folder.join(file)),
        Source::Montage([a, b, c, d]) => {
            let photo = |file| picture(&folder.join(file));
            Ok(montage(&[photo(a)?, photo(b)?, photo(c)?, photo(d)?])?)
        }
    }
}

/// The name of a dataset: that of its folder.
fn name_of(destination: &Path) -> String {
    let name = destination.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What was made, over all folds.
#[derive(Debug, Default, Serialize)]
struct Summary {
    folders: usize,
    entities: usize,
    timeline_posts: usize,
    mentions: BTreeMap<&'static str, Rows>,
    pictures: usize,
    matters: Account,
}

/// The mentions of a part.
#[derive(Debug, Default, Serialize)]
struct Rows {
    rows: usize,
    /// Mentions of an entity that has train mentions.
    seen: usize,
    /// Mentions of an entity that has none.
    unseen: usize,
    nil: usize,
}

impl Summary {
    fn add(&mut self, benchmark: &Benchmark) {
        self.folders += 1;
        self.timeline_posts += benchmark.timeline.len();
        self.pictures += benchmark.pictures.len();
        self.note(&benchmark.notes);
        let [train, ..] = &benchmark.mentions;
        let trained: HashSet<&str> = train.iter().filter_map(entity).collect();
        for (split, posts) in Split::ALL.into_iter().zip(&benchmark.mentions) {
            let rows = self.mentions.entry(split.file()).or_default();
            for post in posts {
                rows.rows += 1;
                match entity(post) {
                    None => rows.nil += 1,
                    Some(entity) if trained.contains(entity) => rows.seen += 1,
                    Some(_) => rows.unseen += 1,
                }
            }
        }
    }

    fn note(&mut self, notes: &[Note]) {
        for note in notes {
            self.matters.matter(note.what, &note.example);
        }
    }
}

fn entity(post: &Post) -> Option<&str> {
    post.entity.as_deref()
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} entities, {} timeline posts, {} pictures in {} dataset folder{}",
            self.entities,
            self.timeline_posts,
            self.pictures,
            self.folders,
            if self.folders == 1 { "" } else { "s" }
        )?;
        for (file, rows) in &self.mentions {
            writeln!(
                f,
                "{} mentions in {file}: {} of seen entities, {} of unseen ones, {} of none (NIL)",
                rows.rows, rows.seen, rows.unseen, rows.nil
            )?;
        }
        write!(f, "{}", self.matters)
    }
}
