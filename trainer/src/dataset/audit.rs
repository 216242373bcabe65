//! `imn data audit`: what would make figures on a dataset too good.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use image_hasher::ImageHash;
use serde::Serialize;
use shared_model::data::Post;
use shared_model::names::{NameQuery, Names};
use shared_model::normalise::fold;

use super::duplicates::{are_near, hasher};
use super::{Dataset, Split, candidates, picture};
use crate::files::progress;
use crate::place::{Place, TIE_RULE};

/// Shares are between 0 and 1.
#[derive(Debug, Serialize)]
struct Report {
    /// Mentions with an entity, all parts.
    mentions: usize,
    /// Rows whose id is their answer's.
    ids_equal_to_label: usize,
    /// Rows of dev or test whose text stands in train, by part.
    texts_of_train: BTreeMap<&'static str, usize>,
    /// Rows of dev or test with a picture that train has too, or nearly.
    pictures_of_train: BTreeMap<&'static str, usize>,
    /// Mentions with a picture.
    pictured: usize,
    /// Of them, those with a picture that is nearly one of the gold's timeline, which is not the row's own post.
    pictures_of_gold: usize,
    /// The gold's name, without a parenthesis, stands in the text.
    gold_name_in_text: f64,
    /// The mention is the gold's name.
    mention_is_name: f64,
    /// Mentions whose characters have more than one gold in the dataset.
    ambiguous: f64,
    /// By part: what needs no model.
    baselines: BTreeMap<&'static str, Baselines>,
    candidate_policy: &'static str,
    tie_rule: &'static str,
}

#[derive(Debug, Serialize)]
struct Baselines {
    n: usize,
    recall: f64,
    /// A blind draw among the candidates.
    chance: Scores,
    /// Similarity of mention and name.
    name_only: Scores,
    /// How often train has the entity.
    popularity: Scores,
    /// How long the timeline is: above chance, its length gives the answer away.
    timeline_length: Scores,
}

#[derive(Debug, Serialize)]
struct Scores {
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

/// Perceptual hashes by path.
struct Hashes(HashMap<String, ImageHash>);

impl Hashes {
    fn of<'a>(dataset: &Dataset, posts: impl Iterator<Item = &'a Post>) -> anyhow::Result<Self> {
        let hasher = hasher();
        let paths: BTreeSet<&String> = posts
            .flat_map(|post| &post.images)
            .chain(dataset.timeline.iter().flat_map(|post| &post.images))
            .collect();
        let bar = progress(paths.len(), "pictures");
        let mut hashes = HashMap::new();
        for path in paths {
            let picture = picture(&dataset.folder.join(path))?;
            hashes.insert(path.clone(), hasher.hash_image(&picture));
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(Self(hashes))
    }

    fn of_post(&self, post: &Post) -> Vec<ImageHash> {
        post.images
            .iter()
            .map(|path| self.0[path].clone())
            .collect()
    }

    /// Of the gold's timeline, without the post that repeats the row.
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

/// The entities that mentions stand for.
struct Golds<'a> {
    /// Folded, without a parenthesis.
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

    /// Of an entity that is not there: nothing that a text holds.
    fn plain_name(&self, post: &Post) -> &str {
        let id = post.entity.as_deref().unwrap_or_default();
        self.names.get(id).map_or("\0", String::as_str)
    }
}

impl Baselines {
    fn of(dataset: &Dataset, posts: &[Post], train: &[Post]) -> anyhow::Result<Self> {
        let positions = dataset.positions();
        let mut popularity: HashMap<&str, f32> = HashMap::new();
        for id in train.iter().filter_map(|post| post.entity.as_deref()) {
            *popularity.entry(id).or_default() += 1.0;
        }
        let mut lengths: HashMap<&str, f32> = HashMap::new();
        for post in &dataset.timeline {
            *lengths.entry(&post.entity).or_default() += 1.0;
        }
        let lists = candidates(
            dataset,
            &posts.iter().collect::<Vec<_>>(),
            dataset.info.candidate_policy,
        )?;
        let places = |score: &dyn Fn(&Post, usize) -> f32| -> Vec<Place> {
            posts
                .iter()
                .zip(&lists)
                .map(|(post, candidates)| {
                    let scores: Vec<f32> = candidates
                        .iter()
                        .map(|&entity| score(post, entity))
                        .collect();
                    let gold = post.entity.as_deref().and_then(|id| positions.get(id));
                    Place::of(
                        &scores,
                        candidates.iter().position(|entity| Some(entity) == gold),
                    )
                })
                .collect()
        };
        let names = Names::of(&dataset.entities);
        let id = |entity: usize| dataset.entities[entity].id.as_str();
        let chance = places(&|_, _| 0.0);
        Ok(Self {
            n: posts.len(),
            recall: mean(&chance, Place::recall),
            chance: Scores::of(&chance),
            name_only: Scores::of(&places(&|post, entity| {
                names.score(&NameQuery::of(surface(post)), entity)
            })),
            popularity: Scores::of(&places(&|_, entity| {
                popularity.get(id(entity)).copied().unwrap_or_default()
            })),
            timeline_length: Scores::of(&places(&|_, entity| {
                lengths.get(id(entity)).copied().unwrap_or_default()
            })),
        })
    }
}

impl Scores {
    fn of(places: &[Place]) -> Self {
        Self {
            p_at_1: mean(places, |place| place.recall_at(1)),
            mrr: mean(places, Place::reciprocal_rank),
        }
    }
}

fn mean(places: &[Place], value: impl Fn(Place) -> f64) -> f64 {
    places.iter().map(|&place| value(place)).sum::<f64>() / places.len() as f64
}

/// The mention's characters; a dataset that was opened has no bad spans.
fn surface(post: &Post) -> &str {
    let surface = post.mention.map(|mention| mention.surface(&post.text));
    surface.and_then(Result::ok).unwrap_or_default()
}

impl Report {
    fn print(&self) {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        out!("{} mentions with an entity", self.mentions);
        out!(
            "{} rows have their answer as their id",
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
            "{} of the texts hold their entity's name",
            percent(self.gold_name_in_text)
        );
        out!(
            "{} of the mentions are their entity's name",
            percent(self.mention_is_name)
        );
        out!(
            "{} of the mentions stand for several entities",
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
            for (name, Scores { p_at_1, mrr }) in [
                ("chance", &baselines.chance),
                ("name only", &baselines.name_only),
                ("popularity", &baselines.popularity),
                ("timeline length", &baselines.timeline_length),
            ] {
                out!("  {name:<16} P@1 {p_at_1:.3}  MRR {mrr:.3}");
            }
        }
    }
}
