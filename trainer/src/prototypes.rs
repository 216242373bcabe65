//! `imn prototypes`: a dataset's timelines to a knowledge base with prototypes.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use shared_model::data::{MAX_IMAGES, TimelinePost};
use shared_model::encoders::Encoders;
use shared_model::kb::{KbPost, KbText, KnowledgeBase, Prototypes};
use shared_model::pack::Entry;
use shared_model::statistics::{Moments, Statistics};
use shared_model::vectors::PooledVectors;

use crate::cli::PrototypesArgs;
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::features::{Features, Source};
use crate::files::{self, clear};
use crate::run::{EncoderOrigin, Prototyping};
use crate::spill::Spill;
use crate::write_run::{Fitted, write_run};

/// Writes the run folder.
pub(crate) fn prototypes(args: PrototypesArgs, device: DeviceArg) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dataset)?;
    let origin = EncoderOrigin::of(args.model)?;
    let model = origin.load(&device.open()?)?;
    let features = Features::open(&dataset, &model.encoders, &origin.fingerprint()?)?;
    let scratch = Scratch::create(args.run.join("spill"))?;
    let mut spilled = Spilled {
        profiles: Spill::create(&scratch.0, "profile")?,
        posts: Spill::create(&scratch.0, "post")?,
    };
    let (text, statistics) = spilled.fill(
        &dataset,
        &model.encoders,
        &features,
        args.choice.prototyping(),
    )?;
    let entries = spilled.entries(&statistics)?;
    let run = Fitted {
        encoders: origin,
        scorer: model.scorer,
        calibration: model.calibration,
        imn: model.imn,
    };
    write_run(dataset, text, entries, run, &args.run)
}

/// A folder that is there for as long as this is; one that a killed process has left is cleared.
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
        // Of a run that failed nothing is left; a folder that holds something stays.
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
    /// Encodes everything, then chooses the prototypes, an entity at a time.
    fn fill(
        &mut self,
        dataset: &Dataset,
        encoders: &Encoders,
        features: &Features,
        prototyping: Prototyping,
    ) -> anyhow::Result<(KbText, Statistics)> {
        let mut text = text(dataset, prototyping)?;
        let mut moments = Moments::default();
        let Self { profiles, posts } = self;
        encode(dataset, &text, encoders, features, |part, pooled| {
            moments.add(&pooled);
            match part {
                Part::Profile => profiles.push(&pooled),
                Part::Post => posts.push(&pooled),
            }
        })?;
        let statistics = moments.statistics();
        let bar = files::progress(text.entities.len(), "prototypes");
        let mut pooled = self.posts.replay()?;
        let mut posts = text.posts.iter().enumerate().peekable();
        for entity in 0..text.entities.len() {
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
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok((text, statistics))
    }

    fn entries(&mut self, statistics: &Statistics) -> anyhow::Result<Vec<Entry>> {
        let [text, image, joint] = statistics.widths();
        let with_joint = |name| (joint > 0).then_some((name, joint));
        let n_classes = self.posts.width_of_classes();
        let mut entries = self.posts.entries([
            Some(("text", text)),
            Some(("image", image)),
            Some(("classes", n_classes)),
            with_joint("joint"),
        ])?;
        entries.extend(self.profiles.entries([
            Some(("profile", text)),
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
    prototyping: Prototyping,
) -> anyhow::Result<KnowledgeBase> {
    let text = text(dataset, prototyping)?;
    let (mut profiles, mut posts) = (Vec::new(), Vec::new());
    encode(dataset, &text, encoders, features, |part, pooled| {
        match part {
            Part::Profile => profiles.push(pooled),
            Part::Post => posts.push(pooled),
        }
        Ok(())
    })?;
    Ok(KnowledgeBase::new(text, posts, profiles))
}

/// A knowledge base before anything is encoded and chosen.
fn text(dataset: &Dataset, Prototyping { k, selection }: Prototyping) -> anyhow::Result<KbText> {
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

/// What was encoded.
#[derive(Debug, Clone, Copy)]
enum Part {
    Profile,
    Post,
}

/// Encodes the profiles, then the timelines, in the order of the knowledge base.
fn encode(
    dataset: &Dataset,
    text: &KbText,
    encoders: &Encoders,
    features: &Features,
    mut keep: impl FnMut(Part, PooledVectors) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let encode = |text: &str| encoders.tokenizer.encode(text, None);
    let profiles = dataset.entities.iter().map(|entity| {
        let source = Source {
            text: Some(encode(&entity.profile())?),
            mention: None,
            images: &[],
        };
        Ok((Part::Profile, source))
    });
    let posts = text.posts.iter().map(|post| {
        let text = (!post.text.is_empty()).then(|| encode(&post.text));
        let source = Source {
            text: text.transpose()?,
            mention: None,
            images: &post.images,
        };
        Ok((Part::Post, source))
    });
    let n = dataset.entities.len() + text.posts.len();
    features.pooled(n, profiles.chain(posts), &mut keep)
}

/// The timelines as a knowledge base has them: one entity's posts together, in the order of the file.
pub(crate) fn timeline(dataset: &Dataset) -> Vec<&TimelinePost> {
    let positions = dataset.positions();
    let mut posts: Vec<&TimelinePost> = dataset.timeline.iter().collect();
    posts.sort_by_key(|post| positions[post.entity.as_str()]);
    posts
}
