//! Posts about classes: timelines and mentions.

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use shared_model::data::{Entity, Post, TimelinePost};

use super::classes::{Class, Photo};
use super::groups::{Group, groups};
use super::pools::Pools;
use super::settings::Settings;
use super::texts::{Decider, Texts};
use crate::album::{Album, Source};
use crate::random::rng;
use crate::{Benchmark, Note, Part};

/// Number of candidates where texts are sentences.
const CANDIDATES: usize = 17;

/// Makes the benchmark. Texts are made from glosses if all classes have one, and are sentences otherwise.
///
/// # Errors
///
/// [`FewClasses`] if there are fewer than share a name.
pub fn generate(classes: &[Class], settings: &Settings) -> Result<Benchmark, FewClasses> {
    let groups = groups(classes, settings);
    if groups.is_empty() {
        return Err(FewClasses {
            classes: classes.len(),
            ambiguity: settings.ambiguity,
        });
    }
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
            .chain(generator.texts.notes(classes))
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

/// Makes posts, and collects the pictures that they show.
struct Generator<'a> {
    classes: &'a [Class],
    groups: &'a [Group],
    settings: &'a Settings,
    texts: Texts<'a>,
    /// The photographs of each class.
    pools: Vec<Pools<Photo>>,
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
        let pools = classes
            .iter()
            .enumerate()
            .map(|(i, class)| class.share_out(wanted, trains(&i), &mut rng))
            .collect();
        let texts = Texts::new(classes, groups, settings, &mut rng);
        Self {
            classes,
            groups,
            settings,
            texts,
            pools,
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
            self.texts.timeline(subject, other.is_none(), &mut self.rng)
        } else {
            String::new()
        };
        let mut images = Vec::new();
        if has_picture || text.is_empty() {
            for _ in 0..self.rng.random_range(1..=self.settings.images) {
                let pool = &mut self.pools[subject].timeline;
                let photo = match other {
                    Some(_) => pool.any(&mut self.rng),
                    None => pool.next(&mut self.rng),
                };
                images.extend(photo.map(|photo| self.show(photo)));
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
        // Deciders take turns. In the last, incomplete turn they differ between classes.
        let in_full_turns = per_class - per_class % Decider::ALL.len();
        let mut plan = Vec::new();
        for i in 0..per_class {
            for (j, &member) in members.iter().enumerate() {
                let turn = if i < in_full_turns { i } else { i + j };
                plan.push((Some(member), Decider::ALL[turn % Decider::ALL.len()]));
            }
        }
        let nil = Decider::ALL.into_iter().cycle().take(n_nil);
        plan.extend(nil.map(|decider| (None, decider)));
        if matches!(self.texts, Texts::Sentences { .. }) {
            // Or the last mentions, the NIL ones, would be those for which no sentence is left.
            plan.shuffle(&mut self.rng);
        }
        plan.into_iter()
            .map(|(member, decider)| {
                let is_nil = member.is_none();
                let (group, class) = member
                    .unwrap_or_else(|| *members.choose(&mut self.rng).expect("there are members"));
                self.mention(part, group, class, decider, is_nil)
            })
            .collect()
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
        // The picture of a montage shows `in_picture` as well, its text is about `in_text` as well.
        let other = |i: usize| others.get(i).copied().unwrap_or(others[0]);
        let (in_text, in_picture, spare) = (other(0), other(1), other(2));
        let two = [class, in_text];
        let (decider, text, mention) = self.texts.mention(part, group, two, decider, &mut self.rng);

        let is_glossed = matches!(self.texts, Texts::Glosses(_));
        let n_images = match decider {
            Decider::Text if !is_glossed || self.rng.random_bool(self.settings.missing) => 0,
            _ => self.rng.random_range(1..=self.settings.images),
        };
        let mut images = Vec::new();
        for _ in 0..n_images {
            let shown = match decider {
                Decider::Text => self.class_outside(group, part == Part::Train),
                Decider::Both if is_glossed => {
                    let mut photos =
                        [class, class, in_picture, in_picture].map(|i| self.photo(part, i));
                    photos.shuffle(&mut self.rng);
                    let montage = Source::Montage(photos.map(|photo| photo.file));
                    images.push(self.album.add(montage, |n| format!("{n:06}.jpg")));
                    None
                }
                Decider::Picture | Decider::Both => Some(class),
            };
            if let Some(class) = shown {
                let photo = self.photo(part, class);
                images.push(self.show(photo));
            }
        }

        // One class is left out of every list, or the length of a list would tell NIL.
        let left_out = (self.settings.nil > 0.0).then_some(if is_nil { class } else { spare });
        let mut candidates = group.members.clone();
        candidates.retain(|&candidate| Some(candidate) != left_out);
        candidates.extend(self.random_candidates(group, candidates.len()));
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

    /// Random classes of other names to add to the `n` of the name: trained ones to trained ones, and new ones to new ones.
    fn random_candidates(&mut self, group: &Group, n: usize) -> Vec<usize> {
        let default = match self.texts {
            Texts::Glosses(_) => 0,
            Texts::Sentences { .. } => CANDIDATES,
        };
        let more = self
            .settings
            .candidates
            .unwrap_or(default)
            .saturating_sub(n);
        if more == 0 {
            return Vec::new();
        }
        let others: Vec<usize> = self
            .groups
            .iter()
            .filter(|other| other.name != group.name && other.trains == group.trains)
            .flat_map(|other| other.members.iter().copied())
            .collect();
        others.sample(&mut self.rng, more).copied().collect()
    }

    /// A photograph that only this part shows.
    fn photo(&mut self, part: Part, class: usize) -> Photo {
        let pool = &mut self.pools[class].parts[part as usize];
        pool.next(&mut self.rng).expect("each part has photographs")
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

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap, HashSet};
    use std::path::PathBuf;

    use super::*;
    use crate::photos::texts::FEW_SENTENCES;

    const SETTINGS: Settings = Settings {
        ambiguity: 3,
        candidates: None,
        text: 0.2,
        noise: 0.2,
        missing: 0.2,
        images: 2,
        nil: 0.2,
        unseen: 0.3,
        posts: 2..=4,
        mentions: 120,
        seed: 5,
    };

    /// A class of one of the shared names; its sentences and photographs say its number.
    fn class(number: usize, shared_name: &str, n_sentences: usize) -> Class {
        let name = format!("Kind{number} {shared_name}");
        let said = |i: usize| {
            let words = ["a", "b", "c"].map(|word| format!("say{number}x{i}{word}"));
            let words = words.join(" ");
            match i % 4 {
                0 => format!("It has {words}."),
                _ => format!("The {} has {words}.", name.to_uppercase()),
            }
        };
        let photo = |i: usize| Photo {
            file: PathBuf::from(format!("{number}/{i}")),
            extension: "jpg",
        };
        let entity = Entity {
            id: number.to_string(),
            name: name.clone(),
            aliases: Vec::new(),
            description: String::new(),
        };
        let sentences = (0..n_sentences).map(said).collect();
        let photos = (0..12).map(photo).collect();
        Class::with_sentences(entity, sentences, Some(shared_name.to_owned()), photos).unwrap()
    }

    /// Classes of the names `fish` (5), `bird` (3), `tree` (2), `frog` (2) and six of one class each, of which one has a single sentence and one has none.
    fn classes() -> Vec<Class> {
        let names =
            "fish fish fish fish fish bird bird bird tree tree frog frog ant bee cow dog elk fox";
        let names = names.split(' ').enumerate();
        names
            .map(|(i, name)| class(i, name, [60, 1, 0][i.saturating_sub(15)]))
            .collect()
    }

    /// The numbers and the marks of the sentences in a text.
    fn said(text: &str) -> Option<(&str, &str)> {
        let (_, said) = text.split_once("say")?;
        let (mark, _) = said.split_once('a')?;
        Some((mark.split_once('x')?.0, mark))
    }

    /// The classes that the pictures show.
    fn shown<'a>(images: &'a [String], benchmark: &'a Benchmark) -> HashSet<&'a str> {
        let sources = images.iter().map(|path| {
            let mut pictures = benchmark.pictures.iter();
            &pictures
                .find(|picture| picture.path == *path)
                .unwrap()
                .source
        });
        sources
            .map(|source| match source {
                Source::File(file) => file.to_str().unwrap().split_once('/').unwrap().0,
                Source::Montage(_) => panic!("a montage"),
            })
            .collect()
    }

    #[test]
    fn groups_have_the_classes_that_share_a_name() {
        let benchmark = generate(&classes(), &SETTINGS).unwrap();
        let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
        for entity in &benchmark.entities {
            *groups.entry(&entity.aliases[0]).or_default() += 1;
        }
        for (name, n) in [("fish", 5), ("bird", 3), ("tree", 2), ("frog", 2)] {
            assert_eq!(groups.remove(name), Some(n), "{name}");
        }
        assert_eq!(groups.into_values().collect::<Vec<_>>(), [3, 3]);
    }

    #[test]
    fn all_classes_have_train_mentions_where_none_is_to_be_new() {
        let settings = Settings {
            unseen: 0.0,
            nil: 0.0,
            ..SETTINGS
        };
        let benchmark = generate(&classes(), &settings).unwrap();
        let golds = |part: usize| -> HashSet<&str> {
            let posts = benchmark.mentions[part].iter();
            posts.filter_map(|post| post.entity.as_deref()).collect()
        };
        let all: HashSet<&str> = benchmark
            .entities
            .iter()
            .map(|entity| entity.id.as_str())
            .collect();
        assert_eq!(golds(0), all);
        assert!(golds(2).is_subset(&all) && !golds(2).is_empty());
    }

    #[test]
    fn no_sentence_is_in_two_places() {
        let settings = Settings {
            noise: 0.0,
            ..SETTINGS
        };
        let benchmark = generate(&classes(), &settings).unwrap();
        let timeline = benchmark.timeline.iter().map(|post| &post.text);
        let mentions = benchmark.mentions.iter().flatten().map(|post| &post.text);
        let mut met = HashSet::new();
        for text in timeline.chain(mentions) {
            if let Some((_, mark)) = said(text) {
                assert!(met.insert(mark.to_owned()), "{text}");
                assert!(!text.to_lowercase().contains("kind"), "{text}");
            }
        }
        assert!(met.len() > 200, "{}", met.len());
    }

    #[test]
    fn text_and_pictures_of_a_post_are_of_one_class() {
        let benchmark = generate(&classes(), &SETTINGS).unwrap();
        let mut off_topic = 0;
        for post in &benchmark.timeline {
            let mut about = shown(&post.images, &benchmark);
            about.extend(said(&post.text).map(|(class, _)| class));
            assert_eq!(about.len(), 1, "{post:?}");
            off_topic += usize::from(!about.contains(post.entity.as_str()));
        }
        assert!((1..benchmark.timeline.len() / 2).contains(&off_topic));

        let names: HashMap<&str, &str> = benchmark
            .entities
            .iter()
            .map(|entity| (entity.id.as_str(), entity.aliases[0].as_str()))
            .collect();
        let mut met = HashSet::new();
        for post in benchmark.mentions.iter().flatten() {
            let pictured = shown(&post.images, &benchmark);
            let told = said(&post.text).map(|(class, _)| class);
            let decider = post.id.split('-').nth(1).unwrap();
            assert_eq!(told.is_some(), decider != "picture", "{post:?}");
            assert_eq!(pictured.is_empty(), decider == "text", "{post:?}");
            let about: HashSet<&str> = told.into_iter().chain(pictured).collect();
            assert_eq!(about.len(), 1, "{post:?}");
            let about = about.into_iter().next().unwrap();
            assert_eq!(
                post.mention.unwrap().surface(&post.text).unwrap(),
                names[about]
            );
            if let Some(gold) = &post.entity {
                assert_eq!(gold, about);
            }
            met.insert((decider.to_owned(), post.entity.is_some()));
        }
        assert_eq!(met.len(), 6, "{met:?}");
    }

    #[test]
    fn a_list_of_candidates_does_not_tell_nil() {
        let settings = Settings {
            candidates: Some(4),
            ..SETTINGS
        };
        let benchmark = generate(&classes(), &settings).unwrap();
        let group_of = |id: &str| {
            let mut entities = benchmark.entities.iter();
            &entities.find(|entity| entity.id == id).unwrap().aliases[0]
        };
        let mut n_nil = 0;
        for post in benchmark.mentions.iter().flatten() {
            let name = post.mention.unwrap().surface(&post.text).unwrap();
            let candidates = post.candidates.as_ref().unwrap();
            let of_name = candidates.iter().filter(|id| group_of(id) == name).count();
            let members = benchmark.entities.iter();
            let members = members.filter(|entity| entity.aliases[0] == name).count();
            assert_eq!((of_name, candidates.len()), (members - 1, 4), "{post:?}");
            let distinct: HashSet<&String> = candidates.iter().collect();
            assert_eq!(distinct.len(), 4);
            assert!(
                post.entity
                    .as_ref()
                    .is_none_or(|gold| candidates.contains(gold))
            );
            n_nil += usize::from(post.entity.is_none());
        }
        assert!(n_nil > 0);
        let trained: HashSet<&String> = benchmark.mentions[0]
            .iter()
            .flat_map(|post| post.candidates.as_ref().unwrap())
            .collect();
        for post in benchmark.mentions.iter().flatten() {
            let candidates = post.candidates.as_ref().unwrap().iter();
            let n = candidates.filter(|id| trained.contains(id)).count();
            assert!(n == 0 || n == 4, "{post:?}");
        }
    }

    #[test]
    fn a_class_with_few_sentences_has_pictures_instead() {
        let benchmark = generate(&classes(), &SETTINGS).unwrap();
        let few: Vec<&str> = benchmark
            .notes
            .iter()
            .filter(|note| note.what == FEW_SENTENCES)
            .map(|note| note.example.as_str())
            .collect();
        assert_eq!(few, ["16", "17"]);
        let of_none: Vec<&Post> = benchmark
            .mentions
            .iter()
            .flatten()
            .filter(|post| post.entity.as_deref() == Some("17"))
            .collect();
        assert!(!of_none.is_empty());
        for post in of_none {
            assert!(
                post.id.contains("picture") && !post.images.is_empty(),
                "{post:?}"
            );
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_benchmark() {
        let make = |seed| generate(&classes(), &Settings { seed, ..SETTINGS }).unwrap();
        assert_eq!(make(1), make(1));
        assert_ne!(make(1), make(2));
    }
}
