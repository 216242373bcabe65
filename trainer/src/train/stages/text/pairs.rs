//! Mentions and entities as texts without their names.

use std::collections::HashMap;

use anyhow::Context as _;
use shared_model::context;
use shared_model::data::{Entity, Post};
use shared_model::tokenizer::{Encoded, Tokenizer};

use crate::dataset::{Dataset, train_rows};
use crate::holdout::{HoldOut, Part, mentions, text_key};

/// Tokens of a text; a longer post is cut around its mention, any other text at its end.
const MAX_TOKENS: usize = 64;
/// Other candidates of a mention, at most: those with the nearest names.
const MAX_NEGATIVES: usize = 16;
/// Timeline posts that describe an entity in an evaluation, at most.
const MAX_POSTS: usize = 4;

/// A mention with its entity. Texts and entities are positions in [`Pairs`].
pub(super) struct Pair {
    /// Id of the row.
    pub(super) id: String,
    /// The post with a neutral word for the mention.
    pub(super) masked: usize,
    /// The post as it is.
    pub(super) whole: usize,
    /// The entity.
    pub(super) gold: usize,
    /// The other candidates that have a text, the likeliest first, [`MAX_NEGATIVES`] at most.
    pub(super) negatives: Vec<usize>,
    /// The post as repeats are found by it.
    key: Option<String>,
}

/// An entity as its texts without its names.
struct Described {
    id: String,
    description: Option<usize>,
    posts: Vec<TimelineText>,
}

/// A text of a timeline.
struct TimelineText {
    text: usize,
    /// The row that it repeats.
    id: Option<String>,
    /// The text as repeats are found by it.
    key: Option<String>,
    /// Whether it repeats a held-out mention, of this entity or another.
    is_held: bool,
}

/// The mentions and entities of all datasets.
#[derive(Default)]
pub(super) struct Pairs {
    /// All texts, each once.
    pub(super) texts: Vec<Encoded>,
    entities: Vec<Described>,
    /// Mentions to train on, by dataset; a dataset without any is left out.
    pub(super) fit: Vec<Vec<Pair>>,
    /// Held-out mentions of entities that may be trained on.
    pub(super) seen: Vec<Pair>,
    /// Mentions that are held out with their entities.
    pub(super) new: Vec<Pair>,
}

impl Pairs {
    /// Encodes the entities, timelines and train mentions of all datasets.
    ///
    /// # Arguments
    ///
    /// - n_held: held-out mentions of one dataset and part, at most.
    ///
    /// # Errors
    ///
    /// A row whose candidates cannot be found, a text that is too long, an unreadable picture: with the dataset.
    pub(super) fn read(
        datasets: &[Dataset],
        tokenizer: &Tokenizer,
        n_held: usize,
    ) -> anyhow::Result<Self> {
        let rows = train_rows(datasets)?;
        let (hold_out, lists) = HoldOut::of_rows(datasets, &rows)?;
        let mut reader = Reader {
            pairs: Self::default(),
            places: HashMap::new(),
            tokenizer,
            hold_out: &hold_out,
        };
        let datasets = datasets.iter().zip(rows.iter().zip(lists)).enumerate();
        for (position, (dataset, (rows, lists))) in datasets {
            let rows = mentions(rows).zip(lists).zip(hold_out.parts(position));
            let rows = rows.map(|((post, list), part)| (post, list, *part));
            let added = reader.add(dataset, rows, n_held);
            added.with_context(|| dataset.folder.display().to_string())?;
        }
        Ok(reader.pairs)
    }

    /// Texts of an entity to train on beside a mention: its description, and the timeline posts that repeat neither this mention nor a held-out one.
    pub(super) fn trained(&self, entity: usize, pair: &Pair) -> Vec<usize> {
        let entity = &self.entities[entity];
        entity.beside(pair, |post| !post.is_held).collect()
    }

    /// Texts that describe an entity in an evaluation: its description, and the first timeline posts that do not repeat the mention.
    pub(super) fn shown(&self, entity: usize, pair: &Pair) -> Vec<usize> {
        let entity = &self.entities[entity];
        let n = MAX_POSTS + usize::from(entity.description.is_some());
        entity.beside(pair, |_| true).take(n).collect()
    }

    /// Whether two positions are of one entity, which several datasets may have.
    pub(super) fn is_same(&self, one: usize, other: usize) -> bool {
        self.entities[one].id == self.entities[other].id
    }
}

impl Described {
    fn beside<'a>(
        &'a self,
        pair: &'a Pair,
        allowed: impl Fn(&TimelineText) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        let posts = self
            .posts
            .iter()
            .filter(move |post| !post.repeats(pair) && allowed(post));
        self.description
            .into_iter()
            .chain(posts.map(|post| post.text))
    }

    fn is_empty(&self) -> bool {
        self.description.is_none() && self.posts.is_empty()
    }
}

impl TimelineText {
    fn repeats(&self, pair: &Pair) -> bool {
        self.id.as_ref() == Some(&pair.id) || (self.key.is_some() && self.key == pair.key)
    }
}

/// Fills [`Pairs`].
struct Reader<'a> {
    pairs: Pairs,
    /// Positions of the texts by their tokens.
    places: HashMap<Vec<u32>, usize>,
    tokenizer: &'a Tokenizer,
    hold_out: &'a HoldOut,
}

impl Reader<'_> {
    fn add<'a>(
        &mut self,
        dataset: &Dataset,
        mentions: impl Iterator<Item = (&'a Post, Vec<usize>, Part)>,
        n_held: usize,
    ) -> anyhow::Result<()> {
        let first = self.pairs.entities.len();
        let positions = dataset.positions();
        for entity in &dataset.entities {
            let described = self.describe(entity)?;
            self.pairs.entities.push(described);
        }
        for post in &dataset.timeline {
            let position = positions[post.entity.as_str()];
            let Some(text) = context::of_text(&post.text, &dataset.entities[position]) else {
                continue;
            };
            let post = TimelineText {
                text: self.place(self.tokenizer.encode(&text, None)?),
                id: post.id.clone(),
                key: text_key(&post.text),
                is_held: self.hold_out.repeats(&dataset.folder, &post.text, &[])?,
            };
            self.pairs.entities[first + position].posts.push(post);
        }
        let (mut fit, mut seen, mut new) = (Vec::new(), Vec::new(), Vec::new());
        for (post, list, part) in mentions {
            let gold = post.entity.as_deref().and_then(|id| positions.get(id));
            let Some(&gold) = gold else { continue };
            let negatives = list.iter().filter(|&&other| other != gold);
            let Some(pair) = self.pair(post, first + gold, negatives.map(|other| first + other))?
            else {
                continue;
            };
            let (part, texts) = match part {
                Part::HeldEntity => (&mut new, self.pairs.shown(pair.gold, &pair)),
                Part::HeldMention => (&mut seen, self.pairs.shown(pair.gold, &pair)),
                // Whatever is trained beside this encoder may take a text or picture of its hold-out for unseen.
                Part::Fit
                    if self
                        .hold_out
                        .repeats(&dataset.folder, &post.text, &post.images)? =>
                {
                    continue;
                }
                Part::Fit => (&mut fit, self.pairs.trained(pair.gold, &pair)),
            };
            if !texts.is_empty() {
                part.push(pair);
            }
        }
        if !fit.is_empty() {
            self.pairs.fit.push(fit);
        }
        self.pairs.seen.extend(thinned(seen, n_held));
        self.pairs.new.extend(thinned(new, n_held));
        Ok(())
    }

    fn describe(&mut self, entity: &Entity) -> anyhow::Result<Described> {
        let description = context::of_entity(entity);
        let description =
            description.map(|text| anyhow::Ok(self.place(self.tokenizer.encode(&text, None)?)));
        Ok(Described {
            id: entity.id.clone(),
            description: description.transpose()?,
            posts: Vec::new(),
        })
    }

    /// `None` for a mention without context, or without another candidate that has a text.
    fn pair(
        &mut self,
        post: &Post,
        gold: usize,
        others: impl Iterator<Item = usize>,
    ) -> anyhow::Result<Option<Pair>> {
        let Some(mention) = post.mention else {
            return Ok(None);
        };
        let Some(masked) = context::of_post(&post.text, mention)? else {
            return Ok(None);
        };
        let others = others.filter(|&other| !self.pairs.entities[other].is_empty());
        let negatives: Vec<usize> = others.take(MAX_NEGATIVES).collect();
        if negatives.is_empty() {
            return Ok(None);
        }
        Ok(Some(Pair {
            id: post.id.clone(),
            masked: self.place(self.tokenizer.encode(&masked.text, Some(masked.mention))?),
            whole: self.place(self.tokenizer.encode(&post.text, Some(mention))?),
            gold,
            negatives,
            key: text_key(&post.text),
        }))
    }

    /// The position of a text among all.
    fn place(&mut self, text: Encoded) -> usize {
        let text = text.within(MAX_TOKENS);
        let texts = &mut self.pairs.texts;
        *self.places.entry(text.ids.clone()).or_insert_with(|| {
            texts.push(text);
            texts.len() - 1
        })
    }
}

/// At most `n` of them, spread evenly.
fn thinned(pairs: Vec<Pair>, n: usize) -> impl Iterator<Item = Pair> {
    let step = pairs.len().div_ceil(n).max(1);
    pairs.into_iter().step_by(step)
}
