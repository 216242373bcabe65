//! Mentions with their entities, as texts of the encoder that is fine-tuned.

use anyhow::Context as _;
use shared_model::data::Post;
use shared_model::encoders::Encoders;
use shared_model::tokenizer::Encoded;

use crate::dataset::{Dataset, train_rows};
use crate::holdout::{HoldOut, Part, mentions};

/// Tokens of a text in training; longer texts are cut around the mention.
const MAX_TOKENS: usize = 64;

/// A mention with its entity, as positions among all datasets' profiles.
pub(super) struct Pair {
    /// Id of the row.
    pub(super) id: String,
    /// Text of the post.
    pub(super) query: Encoded,
    /// The entity.
    pub(super) gold: usize,
    /// The other candidates, the likeliest first.
    pub(super) negatives: Vec<usize>,
}

/// The mentions of all datasets.
#[derive(Default)]
pub(super) struct Pairs {
    /// Texts of all entities.
    pub(super) profiles: Vec<Encoded>,
    /// Mentions to train on.
    pub(super) fit: Vec<Pair>,
    /// Held-out mentions of entities that may be trained on.
    pub(super) seen: Vec<Pair>,
    /// Mentions that are held out with their entities.
    pub(super) new: Vec<Pair>,
}

impl Pairs {
    /// Encodes the entities and train mentions of all datasets.
    pub(super) fn read(datasets: &[Dataset], encoders: &Encoders) -> anyhow::Result<Self> {
        let rows = train_rows(datasets)?;
        let (hold_out, lists) = HoldOut::of_rows(datasets, &rows)?;
        let mut pairs = Self::default();
        let datasets = datasets.iter().zip(rows.iter().zip(lists)).enumerate();
        for (position, (dataset, (rows, lists))) in datasets {
            let rows = mentions(rows).zip(lists).zip(hold_out.parts(position));
            let rows = rows.map(|((post, list), part)| (post, list, *part));
            let added = pairs.add(dataset, rows, &hold_out, encoders);
            added.with_context(|| dataset.folder.display().to_string())?;
        }
        Ok(pairs)
    }

    fn add<'a>(
        &mut self,
        dataset: &Dataset,
        mentions: impl Iterator<Item = (&'a Post, Vec<usize>, Part)>,
        hold_out: &HoldOut,
        encoders: &Encoders,
    ) -> anyhow::Result<()> {
        let first = self.profiles.len();
        let encode = |text: &str, mention| -> anyhow::Result<Encoded> {
            Ok(encoders.tokenizer.encode(text, mention)?.within(MAX_TOKENS))
        };
        for entity in &dataset.entities {
            self.profiles.push(encode(&entity.profile(), None)?);
        }
        let positions = dataset.positions();
        for (post, list, part) in mentions {
            let gold = post.entity.as_deref().and_then(|id| positions.get(id));
            let Some(&gold) = gold else { continue };
            let negatives = list.iter().filter(|&&other| other != gold);
            let negatives: Vec<usize> = negatives.map(|negative| first + negative).collect();
            if negatives.is_empty() {
                continue;
            }
            let part = match part {
                Part::HeldEntity => &mut self.new,
                Part::HeldMention => &mut self.seen,
                // Whatever is trained on this encoder may take a text or picture of its hold-out for unseen.
                Part::Fit if hold_out.repeats(&dataset.folder, &post.text, &post.images)? => {
                    continue;
                }
                Part::Fit => &mut self.fit,
            };
            part.push(Pair {
                id: post.id.clone(),
                query: encode(&post.text, post.mention)?,
                gold: first + gold,
                negatives,
            });
        }
        Ok(())
    }
}

/// Leaves at most `n`, spread evenly.
pub(super) fn thin(pairs: &mut Vec<Pair>, n: usize) {
    let step = pairs.len().div_ceil(n).max(1);
    let mut i = 0;
    pairs.retain(|_| {
        i += 1;
        (i - 1) % step == 0
    });
}
