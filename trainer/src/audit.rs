//! `imn data audit`: looks for leaks that would make results on a dataset too good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use image_hasher::ImageHash;
use serde::Serialize;
use shared_model::data::{Entity, Post};
use shared_model::normalise::fold;

use crate::dataset::{Dataset, Split, are_near, hasher, picture};
use crate::files::tracked;
use crate::mentions::{EncodedMention, with_candidates};
use crate::outcomes::Answer;
use crate::systems::{self, ByEntity, System};
use shared_model::gold_rank::TIE_RULE;

/// The findings. Shares are between 0 and 1.
#[derive(Debug, Serialize)]
struct Report {
    /// Number of mentions with an entity, in all parts.
    mentions: usize,
    /// Number of rows whose id is that of their entity.
    ids_equal_to_label: usize,
    /// Number of rows whose text occurs in train too, by part.
    texts_of_train: BTreeMap<&'static str, usize>,
    /// Number of rows with a picture that occurs in train too, or nearly, by part.
    pictures_of_train: BTreeMap<&'static str, usize>,
    /// Number of mentions with a picture.
    pictured: usize,
    /// Number of mentions with nearly the same picture in the gold's timeline, in a post other than the row's own.
    pictures_of_gold: usize,
    /// Share of the texts that contain the gold's name, without a parenthesis.
    gold_name_in_text: f64,
    /// Share of the mentions that are the gold's name.
    mention_is_name: f64,
    /// Share of the mentions whose characters have more than one gold in the dataset.
    ambiguous: f64,
    /// Baselines by part.
    baselines: BTreeMap<&'static str, Baselines>,
    candidate_policy: &'static str,
    tie_rule: &'static str,
}

/// What systems without encoders achieve on a part.
#[derive(Debug, Serialize)]
struct Baselines {
    n: usize,
    /// Share of the mentions whose gold is a candidate.
    recall: f64,
    /// Figures by system. A `timeline_length` above `chance` means that the length of a timeline gives the answer away.
    #[serde(flatten)]
    systems: BTreeMap<String, Figures>,
}

#[derive(Debug, Serialize)]
struct Figures {
    #[serde(rename = "p@1")]
    p_at_1: f64,
    mrr: f64,
}

/// Reads everything once and prints the report.
pub(crate) fn audit(folder: &Path, json: bool) -> anyhow::Result<()> {
    let dataset = Dataset::open(folder)?;
    let mut parts: Vec<(Split, Vec<Post>)> = Vec::new();
    for split in Split::ALL {
        let mut posts = dataset.posts_if_any(split)?;
        posts.retain(|post| post.mention.is_some() && post.entity.is_some());
        parts.push((split, posts));
    }
    let all = || parts.iter().flat_map(|(_, posts)| posts);
    let hashes = Hashes::of(&dataset, all())?;
    let golds = Golds::of(&dataset, all());
    let share = |test: &dyn Fn(&Post) -> bool| {
        all().filter(|post| test(post)).count() as f64 / all().count().max(1) as f64
    };
    let (train, held_out) = parts.split_first().expect("there are three parts");
    let train_texts: BTreeSet<String> = train.1.iter().map(|post| fold(&post.text)).collect();
    let train_pictures: Vec<ImageHash> = train
        .1
        .iter()
        .flat_map(|post| hashes.of_post(post))
        .collect();
    let count = |test: &dyn Fn(&Post) -> bool| -> BTreeMap<&'static str, usize> {
        let count = |posts: &[Post]| posts.iter().filter(|post| test(post)).count();
        held_out
            .iter()
            .map(|(split, posts)| (split.file(), count(posts)))
            .collect()
    };
    let report = Report {
        mentions: all().count(),
        ids_equal_to_label: all()
            .filter(|post| Some(&post.id) == post.entity.as_ref())
            .count(),
        texts_of_train: count(&|post| train_texts.contains(&fold(&post.text))),
        pictures_of_train: count(&|post| hashes.any_near(post, &train_pictures)),
        pictured: all().filter(|post| !post.images.is_empty()).count(),
        pictures_of_gold: all()
            .filter(|post| hashes.any_near(post, &hashes.of_timeline(&dataset, post)))
            .count(),
        gold_name_in_text: share(&|post| {
            format!(" {} ", fold(&post.text)).contains(&format!(" {} ", golds.plain_name(post)))
        }),
        mention_is_name: share(&|post| fold(surface(post)) == golds.plain_name(post)),
        ambiguous: share(&|post| golds.by_surface[&fold(surface(post))].len() > 1),
        baselines: held_out
            .iter()
            .filter(|(_, posts)| !posts.is_empty())
            .map(|(split, posts)| Ok((split.file(), Baselines::of(&dataset, posts, &train.1)?)))
            .collect::<anyhow::Result<_>>()?,
        candidate_policy: dataset.info.candidate_policy.name(),
        tie_rule: TIE_RULE,
    };
    if json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// Perceptual hashes of pictures, by path.
struct Hashes(HashMap<String, ImageHash>);

impl Hashes {
    fn of<'a>(dataset: &Dataset, posts: impl Iterator<Item = &'a Post>) -> anyhow::Result<Self> {
        let hasher = hasher();
        let paths: BTreeSet<&String> = posts
            .flat_map(|post| &post.images)
            .chain(dataset.timeline.iter().flat_map(|post| &post.images))
            .collect();
        let mut hashes = HashMap::new();
        for path in tracked(paths, "pictures") {
            let picture = picture(&dataset.folder.join(path))?;
            hashes.insert(path.clone(), hasher.hash_image(&picture));
        }
        Ok(Self(hashes))
    }

    fn of_post(&self, post: &Post) -> Vec<ImageHash> {
        post.images
            .iter()
            .map(|path| self.0[path].clone())
            .collect()
    }

    /// The hashes in the gold's timeline, without the post that repeats the row.
    fn of_timeline(&self, dataset: &Dataset, post: &Post) -> Vec<ImageHash> {
        if post.images.is_empty() {
            return Vec::new();
        }
        let others = dataset.timeline.iter().filter(|other| {
            Some(&other.entity) == post.entity.as_ref() && other.id.as_ref() != Some(&post.id)
        });
        others
            .flat_map(|other| &other.images)
            .map(|path| self.0[path].clone())
            .collect()
    }

    fn any_near(&self, post: &Post, others: &[ImageHash]) -> bool {
        let own = self.of_post(post);
        own.iter().any(|a| others.iter().any(|b| are_near(a, b)))
    }
}

/// The golds of the mentions.
struct Golds<'a> {
    /// Normalised names by id, without a parenthesis.
    names: HashMap<&'a str, String>,
    by_surface: HashMap<String, BTreeSet<&'a str>>,
}

impl<'a> Golds<'a> {
    fn of(dataset: &'a Dataset, posts: impl Iterator<Item = &'a Post>) -> Self {
        let plain = |name: &str| fold(name.split(" (").next().unwrap_or_default());
        let mut golds = Self {
            names: dataset
                .entities
                .iter()
                .map(|entity| (entity.id.as_str(), plain(&entity.name)))
                .collect(),
            by_surface: HashMap::new(),
        };
        for post in posts {
            let surface = fold(surface(post));
            golds
                .by_surface
                .entry(surface)
                .or_default()
                .extend(post.entity.as_deref());
        }
        golds
    }

    /// The gold's name; for an unknown entity a string that no text contains.
    fn plain_name(&self, post: &Post) -> &str {
        let id = post.entity.as_deref().unwrap_or_default();
        self.names.get(id).map_or("\0", String::as_str)
    }
}

impl Baselines {
    fn of(dataset: &Dataset, posts: &[Post], train: &[Post]) -> anyhow::Result<Self> {
        let posts: Vec<&Post> = posts.iter().collect();
        let mentions = with_candidates(dataset, &posts, dataset.info.candidate_policy)?;
        let entities = &dataset.entities;
        let owners = dataset.timeline.iter().map(|post| post.entity.as_str());
        let mut systems = systems::without_encoders(dataset, train);
        for system in [
            ByEntity::counting("chance", entities, std::iter::empty()),
            ByEntity::counting("timeline-length", entities, owners),
        ] {
            systems.push(Box::new(system));
        }

        let has_gold = |mention: &&EncodedMention| mention.gold(entities).is_some();
        let with_gold = mentions.iter().filter(has_gold).count();
        Ok(Self {
            n: mentions.len(),
            recall: with_gold as f64 / mentions.len() as f64,
            systems: systems
                .iter()
                .map(|system| {
                    let figures = Figures::of(system.as_ref(), &mentions, entities)?;
                    Ok((system.name().replace('-', "_"), figures))
                })
                .collect::<anyhow::Result<_>>()?,
        })
    }
}

impl Figures {
    fn of(
        system: &dyn System,
        mentions: &[EncodedMention],
        entities: &[Entity],
    ) -> anyhow::Result<Self> {
        let scores = system.score(mentions)?;
        let answers = mentions.iter().zip(&scores);
        let answers =
            answers.map(|(mention, scores)| Answer::new("", scores, mention.gold(entities)));
        let answers: Vec<Answer> = answers.collect();
        let mean = |value: fn(&Answer) -> f64| {
            answers.iter().map(value).sum::<f64>() / answers.len() as f64
        };
        Ok(Self {
            p_at_1: mean(|answer| answer.recall_at(1)),
            mrr: mean(Answer::reciprocal_rank),
        })
    }
}

/// The characters of a mention. Spans were checked when the dataset was opened.
fn surface(post: &Post) -> &str {
    let surface = post.mention.map(|mention| mention.surface(&post.text));
    surface.and_then(Result::ok).unwrap_or_default()
}

impl Report {
    fn print(&self) {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        out!("{} mentions with an entity", self.mentions);
        out!(
            "{} rows have the id of their entity",
            self.ids_equal_to_label
        );
        for (what, counts) in [
            ("text", &self.texts_of_train),
            ("picture", &self.pictures_of_train),
        ] {
            for (file, n) in counts {
                out!("{n} rows of {file} share a {what} with train");
            }
        }
        out!(
            "{} of {} rows with a picture have nearly the same one in their entity's timeline",
            self.pictures_of_gold,
            self.pictured
        );
        out!(
            "{} of the texts contain their entity's name",
            percent(self.gold_name_in_text)
        );
        out!(
            "{} of the mentions are their entity's name",
            percent(self.mention_is_name)
        );
        out!(
            "{} of the mentions are ambiguous: their characters have several entities",
            percent(self.ambiguous)
        );
        out!(
            "candidates: {}; ties: {}",
            self.candidate_policy,
            self.tie_rule
        );
        for (file, baselines) in &self.baselines {
            out!(
                "{file}: {} rows, recall {:.3}",
                baselines.n,
                baselines.recall
            );
            for (name, Figures { p_at_1, mrr }) in &baselines.systems {
                let name = name.replace('_', " ");
                out!("  {name:<16} P@1 {p_at_1:.3}  MRR {mrr:.3}");
            }
        }
    }
}
