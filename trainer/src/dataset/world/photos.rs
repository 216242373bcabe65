//! A world of photographs: groups of classes share an invented name, and text, picture or only both say which is meant.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::ensure;
use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use shared_model::data::{Entity, Post, TimelinePost};
use shared_model::normalise::fold;

use super::album::{Album, Shown};
use super::gloss::Word;
use super::senses::{self, Class, Pool, Pools};
use super::sentences::{self, Part};
use super::{Summary, draws, invented, name_of};
use crate::dataset::staging::Staging;
use crate::dataset::{CandidatePolicy, Info, Split};
use crate::files::progress;

/// Of the groups, those that never train.
const UNSEEN: f64 = 0.3;
const LICENCE: &str = "of the photographs: that of the folder they come from";

/// What can be turned.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Classes that share a name.
    pub(crate) ambiguity: usize,
    /// Mean share of a gloss's words that a text tells.
    pub(crate) text: f64,
    /// Share of off-topic timeline posts.
    pub(crate) noise: f64,
    /// Share of posts without picture, or without text in timelines.
    pub(crate) missing: f64,
    /// Pictures of a post at most.
    pub(crate) images: usize,
    /// Share of mentions whose sense is no candidate.
    pub(crate) nil: f64,
    /// Timeline posts of an entity.
    pub(crate) posts: RangeInclusive<usize>,
    /// Train mentions with an entity; the other parts follow.
    pub(crate) mentions: usize,
    /// Of all draws.
    pub(crate) seed: u64,
}

/// What decides a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decider {
    /// The picture is absent or shows something else.
    Text,
    /// The text fits every sense.
    Picture,
    /// The text tells of two classes, the picture shows two, and one is in both.
    Both,
}

impl Decider {
    const ALL: [Self; 3] = [Self::Text, Self::Picture, Self::Both];

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Picture => "picture",
            Self::Both => "both",
        }
    }
}

/// Classes of one name.
#[derive(Debug)]
struct Group {
    name: String,
    /// Positions among the classes.
    members: Vec<usize>,
    trains: bool,
}

/// Makes the dataset folder.
pub(super) fn make(
    photos: &Path,
    senses: &Path,
    settings: &Settings,
    destination: &Path,
) -> anyhow::Result<Summary> {
    let staging = Staging::new(destination)?;
    let mut summary = Summary {
        folders: 1,
        ..Summary::default()
    };
    let classes = senses::read(senses, photos, &mut summary.matters)?;
    let n = settings.ambiguity;
    ensure!(
        classes.len() >= n,
        "{}: {} senses, but --ambiguity gives a name to {n}",
        senses.display(),
        classes.len()
    );
    let groups = groups(&classes, settings);
    let members = || groups.iter().flat_map(|group| &group.members);
    let used: HashSet<usize> = members().copied().collect();
    for (i, class) in classes.iter().enumerate() {
        if !used.contains(&i) {
            let what = "class left over when names were given, left out";
            summary.matters.matter(what, &class.sense.id);
        }
    }

    let mut world = World::new(&classes, &groups, settings);
    let mut album = Album::new(&staging);
    let timeline = world.timelines(&mut album)?;
    let test = settings.mentions.div_ceil(2);
    for (split, part, trains, untrained) in [
        (Split::Train, Part::Train, settings.mentions, 0),
        (
            Split::Dev,
            Part::Dev,
            settings.mentions.div_ceil(4),
            settings.mentions.div_ceil(8),
        ),
        (Split::Test, Part::Test, test, test),
    ] {
        let mut posts = world.mentions(part, true, trains, &mut album)?;
        posts.extend(world.mentions(part, false, untrained, &mut album)?);
        posts.shuffle(&mut draws(settings.seed, split.file()));
        for (i, post) in posts.iter_mut().enumerate() {
            post.id = format!(
                "{}-{}-{}",
                split.file().trim_end_matches(".jsonl"),
                post.id,
                i + 1
            );
        }
        staging.posts(split, &posts)?;
        summary.count(split, &posts, |entity| {
            groups.iter().any(|group| {
                let mut members = group.members.iter();
                group.trains && members.any(|&i| classes[i].sense.id == entity)
            })
        });
    }
    let entities: Vec<Entity> = groups
        .iter()
        .flat_map(|group| group.members.iter().map(|&i| entity(&classes[i], group)))
        .collect();
    staging.info(&Info::new(
        &name_of(destination),
        LICENCE,
        "imn data world, from photographs and a sense list; texts are made from its glosses",
        CandidatePolicy::Given,
    ))?;
    staging.entities(&entities)?;
    staging.timeline(&timeline)?;
    summary.entities = entities.len();
    summary.timeline_posts = timeline.len();
    summary.pictures = album.n;
    staging.finish()?;
    Ok(summary)
}

fn entity(class: &Class, group: &Group) -> Entity {
    let sense = &class.sense;
    Entity {
        id: sense.id.clone(),
        name: sense.name.clone(),
        aliases: [std::slice::from_ref(&group.name), &sense.aliases].concat(),
        description: sense.gloss.clone(),
    }
}

/// Puts classes under names by lot. Whole groups stay out of train, so that no candidate list mixes the trained with the new.
fn groups(classes: &[Class], settings: &Settings) -> Vec<Group> {
    let draws = &mut draws(settings.seed, "groups");
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.shuffle(draws);
    let n = order.len() / settings.ambiguity;
    let unseen = ((n as f64 * UNSEEN).round() as usize).clamp(usize::from(n > 1), n - 1);
    let mut taken: HashSet<String> = classes
        .iter()
        .flat_map(|class| {
            let sense = &class.sense;
            [&sense.name, &sense.gloss]
                .into_iter()
                .chain(&sense.aliases)
        })
        .flat_map(|text| fold(text).split(' ').map(str::to_owned).collect::<Vec<_>>())
        .collect();
    order
        .chunks_exact(settings.ambiguity)
        .enumerate()
        .map(|(i, members)| Group {
            name: invented::name(&mut taken, draws),
            members: members.to_vec(),
            trains: i >= unseen,
        })
        .collect()
}

/// What posts are drawn from.
struct World<'a> {
    classes: &'a [Class],
    groups: &'a [Group],
    settings: &'a Settings,
    /// Of each class.
    pools: Vec<Pools>,
    /// Posts of an entity's timeline, by group.
    lengths: Vec<usize>,
    draws: StdRng,
}

impl<'a> World<'a> {
    fn new(classes: &'a [Class], groups: &'a [Group], settings: &'a Settings) -> Self {
        let mut draws = draws(settings.seed, "posts");
        let wanted = settings.posts.end() * settings.images;
        let trains = |class: usize| {
            let mut groups = groups.iter().filter(|group| group.trains);
            groups.any(|group| group.members.contains(&class))
        };
        Self {
            classes,
            groups,
            settings,
            pools: classes
                .iter()
                .enumerate()
                .map(|(i, class)| class.share_out(wanted, trains(i), &mut draws))
                .collect(),
            lengths: groups
                .iter()
                .map(|_| draws.random_range(settings.posts.clone()))
                .collect(),
            draws,
        }
    }

    /// As long for all of a name.
    fn timelines(&mut self, album: &mut Album) -> anyhow::Result<Vec<TimelinePost>> {
        let mut timeline = Vec::new();
        let groups = self.groups;
        let bar = progress(groups.len(), "timelines");
        for (group, length) in groups.iter().zip(self.lengths.clone()) {
            for &class in &group.members {
                for _ in 0..length {
                    timeline.push(self.timeline_post(group, class, album)?);
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(timeline)
    }

    fn timeline_post(
        &mut self,
        group: &Group,
        class: usize,
        album: &mut Album,
    ) -> anyhow::Result<TimelinePost> {
        let is_off_topic = self.draws.random_bool(self.settings.noise);
        let other = is_off_topic
            .then(|| self.class_outside(group, group.trains))
            .flatten();
        let lacks_one = self.draws.random_bool(self.settings.missing);
        let has_text = !lacks_one || self.draws.random_bool(0.5);
        let has_picture = !lacks_one || !has_text;
        let subject = other.unwrap_or(class);
        let text = if has_text {
            let words = self.told_of(subject);
            sentences::history(&words, &mut self.draws)
        } else {
            String::new()
        };
        let mut images = Vec::new();
        if has_picture {
            for _ in 0..self.draws.random_range(1..=self.settings.images) {
                let pool = &mut self.pools[subject].timeline;
                let photo = match other {
                    Some(_) => pool.any(&mut self.draws),
                    None => pool.next(&mut self.draws),
                };
                images.push(album.add(Shown::Photo(photo))?);
            }
        }
        Ok(TimelinePost {
            entity: self.classes[class].sense.id.clone(),
            text,
            images,
            id: None,
        })
    }

    /// About `wanted` mentions with an entity, as many of every class, and the share of NIL on top. Their ids are their deciders.
    fn mentions(
        &mut self,
        part: Part,
        trains: bool,
        wanted: usize,
        album: &mut Album,
    ) -> anyhow::Result<Vec<Post>> {
        let groups: Vec<&Group> = self
            .groups
            .iter()
            .filter(|group| group.trains == trains)
            .collect();
        let members: Vec<(&Group, usize)> = groups
            .iter()
            .flat_map(|&group| group.members.iter().map(move |&class| (group, class)))
            .collect();
        if members.is_empty() || wanted == 0 {
            return Ok(Vec::new());
        }
        let each = wanted.div_ceil(members.len());
        let nil = self.settings.nil;
        let n_nil = ((each * members.len()) as f64 * nil / (1.0 - nil)).round() as usize;
        let bar = progress(each * members.len() + n_nil, "mentions");
        let mut posts = Vec::new();
        for (i, decider) in (0..each).zip(Decider::ALL.into_iter().cycle()) {
            for (j, &(group, class)) in members.iter().enumerate() {
                // What is left over when thirds are dealt out goes to other deciders for other classes.
                let rest = each - each % Decider::ALL.len();
                let decider = if i < rest {
                    decider
                } else {
                    Decider::ALL[(i + j) % Decider::ALL.len()]
                };
                posts.push(self.mention(part, group, class, decider, false, album)?);
                bar.inc(1);
            }
        }
        for (_, decider) in (0..n_nil).zip(Decider::ALL.into_iter().cycle()) {
            let &(group, class) = members.choose(&mut self.draws).expect("there are members");
            posts.push(self.mention(part, group, class, decider, true, album)?);
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(posts)
    }

    fn mention(
        &mut self,
        part: Part,
        group: &Group,
        class: usize,
        decider: Decider,
        is_nil: bool,
        album: &mut Album,
    ) -> anyhow::Result<Post> {
        let mut others: Vec<usize> = group.members.clone();
        others.retain(|&other| other != class);
        others.shuffle(&mut self.draws);
        // Where only both decide, the text tells of `told` as well, and the picture shows `shown` as well.
        let (told, shown) = (others[0], others[1]);
        let name = &group.name;
        let (text, mention) = match decider {
            Decider::Picture => sentences::silent(part, name, &mut self.draws),
            Decider::Text => {
                let words = self.told_of_one(group, class);
                sentences::telling(part, name, &words, &mut self.draws)
            }
            Decider::Both => {
                let words = self.told_of_two(group, class, told);
                sentences::telling(part, name, &words, &mut self.draws)
            }
        };

        let n_images = match decider {
            Decider::Text if self.draws.random_bool(self.settings.missing) => 0,
            _ => self.draws.random_range(1..=self.settings.images),
        };
        let mut images = Vec::new();
        for _ in 0..n_images {
            let picture = match decider {
                Decider::Text => self
                    .class_outside(group, part == Part::Train)
                    .map(|other| Shown::Photo(self.photo(part, other))),
                Decider::Picture => Some(Shown::Photo(self.photo(part, class))),
                Decider::Both => {
                    let mut photos = [class, class, shown, shown].map(|i| self.photo(part, i));
                    photos.shuffle(&mut self.draws);
                    Some(Shown::Montage(photos))
                }
            };
            images.extend(picture.map(|picture| album.add(picture)).transpose()?);
        }

        // One sense is left out of every list, or the length of the list would tell NIL.
        let left_out = (self.settings.nil > 0.0).then(|| if is_nil { class } else { others[2] });
        let mut candidates = group.members.clone();
        candidates.retain(|&candidate| Some(candidate) != left_out);
        candidates.shuffle(&mut self.draws);
        let id = |class: usize| self.classes[class].sense.id.clone();
        Ok(Post {
            id: decider.name().to_owned(),
            text,
            mention: Some(mention),
            images,
            candidates: Some(candidates.into_iter().map(id).collect()),
            entity: (!is_nil).then(|| id(class)),
        })
    }

    /// A photograph that only this part shows.
    fn photo(&mut self, part: Part, class: usize) -> PathBuf {
        let pools = &mut self.pools[class];
        let pool: &mut Pool = match part {
            Part::Train => &mut pools.train,
            Part::Dev => &mut pools.dev,
            Part::Test => &mut pools.test,
        };
        pool.next(&mut self.draws)
    }

    /// A class of another name; `None` if there is no other.
    fn class_outside(&mut self, group: &Group, trained_only: bool) -> Option<usize> {
        let others: Vec<&Group> = self
            .groups
            .iter()
            .filter(|other| other.name != group.name && (other.trains || !trained_only))
            .collect();
        let other = others.choose(&mut self.draws)?;
        other.members.choose(&mut self.draws).copied()
    }

    /// How many of `n` words a text tells: from next to none to twice the mean.
    fn amount(&mut self, n: usize) -> usize {
        let share = self.draws.random_range(0.0..=2.0 * self.settings.text);
        ((n as f64 * share).round() as usize).clamp(1, n)
    }

    /// Words of the class.
    fn told_of(&mut self, class: usize) -> Vec<&'a str> {
        let words = &self.classes[class].words;
        let n = self.amount(words.len());
        let mut words: Vec<&Word> = words.iter().collect();
        words.shuffle(&mut self.draws);
        words[..n]
            .iter()
            .map(|word| word.written.as_str())
            .collect()
    }

    /// Words of the class, at least one of them of no other class of its name.
    fn told_of_one(&mut self, group: &Group, class: usize) -> Vec<&'a str> {
        let words = &self.classes[class].words;
        let n = self.amount(words.len());
        let own = self.words_of_none_but(group, [class, class]);
        let first = own.choose(&mut self.draws).copied();
        let mut told: Vec<&Word> = words.iter().filter(|&word| Some(word) != first).collect();
        told.shuffle(&mut self.draws);
        told.splice(..0, first);
        told.truncate(n);
        told.shuffle(&mut self.draws);
        told.into_iter().map(|word| word.written.as_str()).collect()
    }

    /// As many words of one class as of the other, and none of a third of their name.
    fn told_of_two(&mut self, group: &Group, class: usize, other: usize) -> Vec<&'a str> {
        let mut lists =
            [[class, other], [other, class]].map(|of| self.words_of_none_but(group, of));
        let shorter = lists[0].len().min(lists[1].len());
        let n = self.amount(shorter);
        for list in &mut lists {
            list.shuffle(&mut self.draws);
            list.truncate(n);
        }
        let [mut told, more] = lists;
        for word in more {
            if told.iter().all(|other| other.folded != word.folded) {
                told.push(word);
            }
        }
        told.shuffle(&mut self.draws);
        told.into_iter().map(|word| word.written.as_str()).collect()
    }

    /// The words of the first class that no class of the group has but these two; all its words, if there is none.
    fn words_of_none_but(&self, group: &Group, two: [usize; 2]) -> Vec<&'a Word> {
        let words = &self.classes[two[0]].words;
        let others: HashSet<&str> = group
            .members
            .iter()
            .filter(|member| !two.contains(member))
            .flat_map(|&member| &self.classes[member].words)
            .map(|word| word.folded.as_str())
            .collect();
        let own: Vec<&Word> = words
            .iter()
            .filter(|word| !others.contains(word.folded.as_str()))
            .collect();
        if own.is_empty() {
            words.iter().collect()
        } else {
            own
        }
    }
}
