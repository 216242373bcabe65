//! Posts about classes: timelines and mentions.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use shared_model::data::{Entity, Post, TimelinePost};

use super::classes::{Class, Photo, Pools};
use super::groups::{Group, groups};
use super::sentences;
use super::settings::Settings;
use super::wording::Wording;
use crate::album::{Album, Source};
use crate::random::rng;
use crate::{Benchmark, Note, Part};

/// Makes the benchmark.
///
/// # Errors
///
/// [`FewClasses`] if there are fewer than share a name.
pub fn generate(classes: &[Class], settings: &Settings) -> Result<Benchmark, FewClasses> {
    let ambiguity = settings.ambiguity;
    if classes.len() < ambiguity {
        let classes = classes.len();
        return Err(FewClasses { classes, ambiguity });
    }
    let groups = groups(classes, settings);
    let mut generator = Generator::new(classes, &groups, settings);
    let timeline = generator.timelines();
    let mentions = Part::ALL.map(|part| {
        let name = part.name();
        let (seen, unseen) = match part {
            Part::Train => (settings.mentions, 0),
            Part::Dev => (settings.mentions.div_ceil(4), settings.mentions.div_ceil(8)),
            Part::Test => (settings.mentions.div_ceil(2), settings.mentions.div_ceil(2)),
        };
        let mut posts = generator.mentions(part, true, seen);
        posts.extend(generator.mentions(part, false, unseen));
        posts.shuffle(&mut rng(settings.seed, &format!("{name}.jsonl")));
        for (i, post) in posts.iter_mut().enumerate() {
            post.id = format!("{name}-{}-{}", post.id, i + 1);
        }
        posts
    });
    let is_used = |class: &usize| groups.iter().any(|group| group.members.contains(class));
    let unused = (0..classes.len()).filter(|class| !is_used(class));
    Ok(Benchmark {
        entities: groups
            .iter()
            .flat_map(|group| group.members.iter().map(|&i| entity(&classes[i], group)))
            .collect(),
        timeline,
        mentions,
        pictures: generator.album.pictures,
        notes: unused
            .map(|class| {
                let what = "class left over when names were given, left out";
                Note::new(what, &classes[class].entity.id)
            })
            .collect(),
    })
}

/// There is not even one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "{classes} senses, but each name is shared by {ambiguity}; add senses or lower the ambiguity"
)]
pub struct FewClasses {
    /// Number of classes.
    pub classes: usize,
    /// Number of classes that share a name.
    pub ambiguity: usize,
}

/// The sense, with the name of its group as the first alias.
fn entity(class: &Class, group: &Group) -> Entity {
    let mut entity = class.entity.clone();
    entity.aliases.insert(0, group.name.clone());
    entity
}

/// What decides a mention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decider {
    /// The picture is absent or off-topic.
    Text,
    /// The text fits every class.
    Picture,
    /// The text is about two classes, the picture shows two, and one is in both.
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

/// Makes posts, and collects the pictures that they show.
struct Generator<'a> {
    classes: &'a [Class],
    groups: &'a [Group],
    settings: &'a Settings,
    wording: Wording<'a>,
    /// The photographs of each class.
    pools: Vec<Pools>,
    album: Album,
    rng: StdRng,
}

impl<'a> Generator<'a> {
    fn new(classes: &'a [Class], groups: &'a [Group], settings: &'a Settings) -> Self {
        let mut rng = rng(settings.seed, "posts");
        let wanted = settings.posts.end() * settings.images;
        let trains = |class: &usize| {
            let mut trained = groups.iter().filter(|group| group.trains);
            trained.any(|group| group.members.contains(class))
        };
        Self {
            classes,
            groups,
            settings,
            wording: Wording {
                classes,
                share: settings.text,
            },
            pools: classes
                .iter()
                .enumerate()
                .map(|(i, class)| class.share_out(wanted, trains(&i), &mut rng))
                .collect(),
            album: Album::default(),
            rng,
        }
    }

    /// The timelines, those of a group all of the same length.
    fn timelines(&mut self) -> Vec<TimelinePost> {
        let groups = self.groups;
        let lengths: Vec<usize> = groups
            .iter()
            .map(|_| self.rng.random_range(self.settings.posts.clone()))
            .collect();
        let mut timeline = Vec::new();
        for (group, length) in groups.iter().zip(lengths) {
            for &class in &group.members {
                timeline.extend((0..length).map(|_| self.timeline_post(group, class)));
            }
        }
        timeline
    }

    fn timeline_post(&mut self, group: &Group, class: usize) -> TimelinePost {
        let is_off_topic = self.rng.random_bool(self.settings.noise);
        let other = is_off_topic
            .then(|| self.class_outside(group, group.trains))
            .flatten();
        let lacks_one = self.rng.random_bool(self.settings.missing);
        let has_text = !lacks_one || self.rng.random_bool(0.5);
        let has_picture = !lacks_one || !has_text;
        let subject = other.unwrap_or(class);
        let text = if has_text {
            let words = self.wording.of_class(subject, &mut self.rng);
            sentences::timeline(&words, &mut self.rng)
        } else {
            String::new()
        };
        let mut images = Vec::new();
        if has_picture {
            for _ in 0..self.rng.random_range(1..=self.settings.images) {
                let pool = &mut self.pools[subject].timeline;
                let photo = match other {
                    Some(_) => pool.any(&mut self.rng),
                    None => pool.next(&mut self.rng),
                };
                images.push(self.show(photo));
            }
        }
        TimelinePost {
            entity: self.classes[class].entity.id.clone(),
            text,
            images,
            id: None,
        }
    }

    /// About `wanted` mentions with an entity, the same number for every class, and the share of NIL mentions on top. Their ids are the names of their deciders.
    fn mentions(&mut self, part: Part, trains: bool, wanted: usize) -> Vec<Post> {
        let members: Vec<(&Group, usize)> = self
            .groups
            .iter()
            .filter(|group| group.trains == trains)
            .flat_map(|group| group.members.iter().map(move |&class| (group, class)))
            .collect();
        if members.is_empty() || wanted == 0 {
            return Vec::new();
        }
        let per_class = wanted.div_ceil(members.len());
        let nil = self.settings.nil;
        let n_nil = ((per_class * members.len()) as f64 * nil / (1.0 - nil)).round() as usize;
        let mut posts = Vec::new();
        // Deciders take turns. In the last, incomplete turn they differ between classes.
        let in_full_turns = per_class - per_class % Decider::ALL.len();
        for i in 0..per_class {
            for (j, &(group, class)) in members.iter().enumerate() {
                let turn = if i < in_full_turns { i } else { i + j };
                let decider = Decider::ALL[turn % Decider::ALL.len()];
                posts.push(self.mention(part, group, class, decider, false));
            }
        }
        for (_, decider) in (0..n_nil).zip(Decider::ALL.into_iter().cycle()) {
            let &(group, class) = members.choose(&mut self.rng).expect("there are members");
            posts.push(self.mention(part, group, class, decider, true));
        }
        posts
    }

    fn mention(
        &mut self,
        part: Part,
        group: &Group,
        class: usize,
        decider: Decider,
        is_nil: bool,
    ) -> Post {
        let mut others: Vec<usize> = group.members.clone();
        others.retain(|&other| other != class);
        others.shuffle(&mut self.rng);
        // Where only both decide, the text is about `in_text` as well, and the picture shows `in_picture` as well.
        let (in_text, in_picture) = (others[0], others[1]);
        let name = &group.name;
        let (text, mention) = match decider {
            Decider::Picture => sentences::neutral(part, name, &mut self.rng),
            Decider::Text => {
                let words = self.wording.of_one(group, class, &mut self.rng);
                sentences::informative(part, name, &words, &mut self.rng)
            }
            Decider::Both => {
                let words = self.wording.of_two(group, [class, in_text], &mut self.rng);
                sentences::informative(part, name, &words, &mut self.rng)
            }
        };

        let n_images = match decider {
            Decider::Text if self.rng.random_bool(self.settings.missing) => 0,
            _ => self.rng.random_range(1..=self.settings.images),
        };
        let mut images = Vec::new();
        for _ in 0..n_images {
            let shown = match decider {
                Decider::Text => self.class_outside(group, part == Part::Train),
                Decider::Picture => Some(class),
                Decider::Both => {
                    let mut photos =
                        [class, class, in_picture, in_picture].map(|i| self.photo(part, i));
                    photos.shuffle(&mut self.rng);
                    let montage = Source::Montage(photos.map(|photo| photo.file));
                    images.push(self.album.add(montage, |n| format!("{n:06}.jpg")));
                    None
                }
            };
            if let Some(class) = shown {
                let photo = self.photo(part, class);
                images.push(self.show(photo));
            }
        }

        // One class is left out of every list, or the length of a list would tell NIL.
        let left_out = (self.settings.nil > 0.0).then(|| if is_nil { class } else { others[2] });
        let mut candidates = group.members.clone();
        candidates.retain(|&candidate| Some(candidate) != left_out);
        candidates.shuffle(&mut self.rng);
        let id = |class: usize| self.classes[class].entity.id.clone();
        Post {
            id: decider.name().to_owned(),
            text,
            mention: Some(mention),
            images,
            candidates: Some(candidates.into_iter().map(id).collect()),
            entity: (!is_nil).then(|| id(class)),
        }
    }

    /// A photograph that only this part shows.
    fn photo(&mut self, part: Part, class: usize) -> Photo {
        self.pools[class].parts[part as usize].next(&mut self.rng)
    }

    /// The path of a photograph in the dataset folder.
    fn show(&mut self, photo: Photo) -> String {
        let name = |n| format!("{n:06}.{}", photo.extension);
        self.album.add(Source::File(photo.file), name)
    }

    /// A class of another group; `None` if there is no other.
    fn class_outside(&mut self, group: &Group, trained_only: bool) -> Option<usize> {
        let others: Vec<&Group> = self
            .groups
            .iter()
            .filter(|other| other.name != group.name && (other.trains || !trained_only))
            .collect();
        let other = others.choose(&mut self.rng)?;
        other.members.choose(&mut self.rng).copied()
    }
}
