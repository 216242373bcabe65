//! `imn prototypes`: builds a knowledge base with prototypes from a dataset's timelines.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use shared_model::data::{MAX_IMAGES, TimelinePost};
use shared_model::encoders::Encoders;
use shared_model::kb::{CONTEXT, KbPost, KbText, KnowledgeBase, Prototypes, TUNED};
use shared_model::pack::Entry;
use shared_model::prototype::Selection;
use shared_model::statistics::{Moments, Statistics};
use shared_model::vectors::PooledVectors;

use crate::cli::{ChoiceArgs, PrototypesArgs};
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::features::{Features, Source};
use crate::files::{clear, read_json, tracked};
use crate::run::EncoderOrigin;
use crate::spill::Spill;
use crate::write_run::{Fitted, write_run};

/// How prototypes are chosen.
#[derive(Debug, Clone, Copy, Deserialize)]
pub(crate) struct PrototypeSettings {
    /// Number of prototypes per entity and modality.
    pub(crate) k: usize,
    /// PageRank or random.
    pub(crate) selection: Selection,
}

impl PrototypeSettings {
    /// The settings that a command's flags state.
    pub(crate) fn of(args: &ChoiceArgs) -> Self {
        Self {
            k: args.k as usize,
            selection: args.select,
        }
    }

    /// The settings of a run or bundle, from its `kb.json`.
    pub(crate) fn read(folder: &Path) -> anyhow::Result<Self> {
        read_json(&folder.join("kb.json"))
    }
}

/// Writes the run folder.
pub(crate) fn prototypes(args: PrototypesArgs, device: DeviceArg) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dataset)?;
    let origin = EncoderOrigin::of(args.model)?;
    let model = origin.load(&device.open()?)?;
    let features = Features::open(&dataset, &model.encoders, &model.fingerprint)?;
    let scratch = Scratch::create(args.run.join("spill"))?;
    let mut spilled = Spilled {
        profiles: Spill::create(&scratch.0, "profile")?,
        posts: Spill::create(&scratch.0, "post")?,
    };
    let (text, statistics) = spilled.fill(
        &dataset,
        &model.encoders,
        &features,
        PrototypeSettings::of(&args.choice),
    )?;
    let entries = spilled.entries(&statistics, model.encoders.context.is_some())?;
    let calibration = model.calibration;
    let run = Fitted {
        encoders: origin,
        scorer: model.scorer,
        calibration: calibration.map(|fitted| fitted.beside(&text.entities)),
        systems: model.systems,
    };
    write_run(dataset, text, entries, run, &args.run)
}

/// A folder that is removed when this value is dropped; what a killed process has left in it is cleared.
struct Scratch(PathBuf);

impl Scratch {
    fn create(folder: PathBuf) -> anyhow::Result<Self> {
        clear(&folder)?;
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = clear(&self.0) {
            eprintln!("{error:#}");
        }
        // A failed run leaves no empty folder behind; a folder that holds files stays.
        if let Some(run) = self.0.parent() {
            let _ = fs::remove_dir(run);
        }
    }
}

/// The vectors of a knowledge base, on disk.
struct Spilled {
    profiles: Spill,
    posts: Spill,
}

impl Spilled {
    /// Encodes everything, then chooses the prototypes of one entity after the other.
    fn fill(
        &mut self,
        dataset: &Dataset,
        encoders: &Encoders,
        features: &Features,
        settings: PrototypeSettings,
    ) -> anyhow::Result<(KbText, Statistics)> {
        let mut text = text(dataset, settings)?;
        let mut moments = Moments::default();
        let Self { profiles, posts } = self;
        encode(dataset, &text, encoders, features, |is_post, pooled| {
            moments.add(&pooled);
            if is_post { &mut *posts } else { &mut *profiles }.push(&pooled)
        })?;
        let statistics = moments.statistics();
        let mut pooled = self.posts.replay()?;
        let mut posts = text.posts.iter().enumerate().peekable();
        for entity in tracked(0..text.entities.len(), "prototypes") {
            let mut timeline = Vec::new();
            while let Some((position, _)) = posts.next_if(|(_, post)| post.entity == entity) {
                timeline.push((position, pooled.next().context("a vector for each post")??));
            }
            let timeline: Vec<(usize, &PooledVectors)> = timeline
                .iter()
                .map(|(position, pooled)| (*position, pooled))
                .collect();
            let chosen = Prototypes::choose(&timeline, &statistics, text.k, text.selection);
            text.prototypes.push(chosen);
        }
        Ok((text, statistics))
    }

    fn entries(
        &mut self,
        statistics: &Statistics,
        has_context_encoder: bool,
    ) -> anyhow::Result<Vec<Entry>> {
        let [text, image, joint] = statistics.widths();
        let with_joint = |name| (joint > 0).then_some((name, joint));
        let n_classes = self.posts.n_classes();
        let [tuned, tuned_profile] = TUNED.map(|name| has_context_encoder.then_some((name, text)));
        let mut entries = self.posts.entries([
            Some(("text", text)),
            None,
            tuned,
            Some(("image", image)),
            Some(("classes", n_classes)),
            with_joint("joint"),
        ])?;
        entries.extend(self.profiles.entries([
            Some(("profile", text)),
            Some((CONTEXT, text)),
            tuned_profile,
            None,
            None,
            with_joint("joint_profile"),
        ])?);
        entries.extend(statistics.entries());
        Ok(entries)
    }
}

/// Encodes timelines and profiles and chooses the prototypes, all in memory. Pictures keep their paths in the dataset.
pub(crate) fn build(
    dataset: &Dataset,
    encoders: &Encoders,
    features: &Features,
    settings: PrototypeSettings,
) -> anyhow::Result<KnowledgeBase> {
    let text = text(dataset, settings)?;
    let (mut profiles, mut posts) = (Vec::new(), Vec::new());
    encode(dataset, &text, encoders, features, |is_post, pooled| {
        if is_post { &mut posts } else { &mut profiles }.push(pooled);
        Ok(())
    })?;
    Ok(KnowledgeBase::new(text, posts, profiles))
}

/// A knowledge base before anything is encoded or chosen.
fn text(
    dataset: &Dataset,
    PrototypeSettings { k, selection }: PrototypeSettings,
) -> anyhow::Result<KbText> {
    ensure!(
        !dataset.entities.is_empty(),
        "{} has no entities",
        dataset.folder.display()
    );
    let positions = dataset.positions();
    let posts = timeline(dataset).into_iter().map(|post| KbPost {
        entity: positions[post.entity.as_str()],
        text: post.text.clone(),
        images: post.images.iter().take(MAX_IMAGES).cloned().collect(),
    });
    Ok(KbText {
        entities: dataset.entities.clone(),
        posts: posts.collect(),
        prototypes: Vec::new(),
        k,
        selection,
    })
}

/// Encodes the profiles, then the timelines, in the order of the knowledge base; calls `keep` with whether it is a post, and the vectors.
fn encode(
    dataset: &Dataset,
    text: &KbText,
    encoders: &Encoders,
    features: &Features,
    mut keep: impl FnMut(bool, PooledVectors) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let profiles = dataset.entities.iter();
    let profiles = profiles.map(|entity| Source::profile(encoders, entity));
    let posts = text.posts.iter();
    let posts = posts.map(|post| {
        Source::timeline(
            encoders,
            &text.entities[post.entity],
            &post.text,
            &post.images,
        )
    });
    let n_profiles = dataset.entities.len();
    let n = n_profiles + text.posts.len();
    features.pooled(n, profiles.chain(posts), |position, pooled| {
        keep(position >= n_profiles, pooled)
    })
}

/// The timelines in the order of a knowledge base: grouped by entity, in the order of the file.
pub(crate) fn timeline(dataset: &Dataset) -> Vec<&TimelinePost> {
    let positions = dataset.positions();
    let mut posts: Vec<&TimelinePost> = dataset.timeline.iter().collect();
    posts.sort_by_key(|post| positions[post.entity.as_str()]);
    posts
}
