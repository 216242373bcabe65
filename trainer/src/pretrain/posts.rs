//! The posts of a pre-training: timelines and train rows, every text once, a part of them held out.
//!
//! Train rows and the posts that repeat one are held out as in every training ([`crate::holdout`]), so that a network on this encoder is measured on
//! mentions that neither has seen; of the other posts a tenth is.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::path::PathBuf;

use anyhow::ensure;
use sha2::{Digest as _, Sha256};
use shared_model::aliases::{AliasIndex, NameMatch};
use shared_model::data::{self, MAX_IMAGES, Mention};
use shared_model::encoders::Encoders;
use shared_model::joint::MAX_TEXT;

use crate::dataset::{Dataset, Split, namesakes, train_rows};
use crate::features::{Channels, Patches};
use crate::holdout::{HoldOut, text_key};
use crate::run::Model;

/// A post as the joint encoder reads it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Post {
    /// Row or line of the post, for errors.
    pub(crate) label: String,
    /// Word pieces, `[CLS]` and `[SEP]` included.
    pub(crate) ids: Vec<u32>,
    /// Positions in `ids`.
    pub(crate) mention: Option<Range<usize>>,
    /// Word vector of the mention; `None` without a mention or a known word.
    pub(crate) word: Option<Vec<f32>>,
    /// Positions in [`Corpus::patches`].
    pub(crate) pictures: Vec<usize>,
    /// File of the first picture.
    pub(crate) picture: Option<PathBuf>,
    /// Position of the owner in [`Corpus::rivals`].
    pub(crate) owner: Option<usize>,
}

/// All posts.
#[derive(Default)]
pub(crate) struct Corpus {
    /// Posts to train on.
    pub(crate) train: Vec<Post>,
    /// Posts to measure on.
    pub(crate) held_out: Vec<Post>,
    /// Posts of each dataset that is not trained on.
    pub(crate) apart: Vec<Vec<Post>>,
    /// Pictures of all posts.
    pub(crate) patches: Patches,
    /// Channel statistics of the pictures to train on.
    pub(crate) channels: Channels,
    /// For every entity the others that share a name with it.
    pub(crate) rivals: Vec<Vec<usize>>,
    /// Number of posts whose text occurs twice, or in a dev or test part.
    pub(crate) dropped: usize,
    /// Hash of all posts and of which are held out.
    pub(crate) fingerprint: String,
}

/// A post before it is encoded.
struct Draft<'a> {
    label: String,
    text: &'a str,
    mention: Option<Mention>,
    images: &'a [String],
    owner: Option<usize>,
}

impl Corpus {
    /// Reads the posts of `datasets` and, apart from them, of `apart`, and encodes them with the encoders of `model`.
    pub(crate) fn read(
        datasets: &[Dataset],
        apart: &[Dataset],
        model: &Model,
        patches: Patches,
    ) -> anyhow::Result<Self> {
        let mut corpus = Self {
            patches,
            ..Self::default()
        };
        let mut seen = HashSet::new();
        for dataset in datasets {
            for split in [Split::Dev, Split::Test] {
                let posts = dataset.posts_if_any(split)?;
                seen.extend(posts.iter().filter_map(|post| text_key(&post.text)));
            }
        }
        let rows = train_rows(datasets)?;
        let (hold_out, _) = HoldOut::of_rows(datasets, &rows)?;
        let mut hash = Sha256::new();
        for (dataset, rows) in datasets.iter().zip(&rows) {
            for (draft, post) in corpus.posts(dataset, rows, model, &mut seen)? {
                for id in &post.ids {
                    hash.update(id.to_le_bytes());
                }
                hash.update(format!("{:?}", (&post.mention, &post.pictures, post.owner)));
                let is_held = hold_out.holds(&dataset.folder, draft.text, draft.images)?;
                hash.update([u8::from(is_held)]);
                if is_held {
                    corpus.held_out.push(post);
                } else {
                    corpus.train.push(post);
                }
            }
        }
        for (dataset, rows) in apart.iter().zip(&train_rows(apart)?) {
            let posts = corpus.posts(dataset, rows, model, &mut seen)?;
            let posts = posts.into_iter().map(|(_, post)| post);
            corpus.apart.push(posts.collect());
        }
        ensure!(
            !corpus.train.is_empty() && !corpus.held_out.is_empty(),
            "{} posts are too few to train on and to hold a tenth out",
            corpus.train.len() + corpus.held_out.len()
        );
        let pictures = corpus.train.iter().flat_map(|post| post.pictures.clone());
        corpus.channels = corpus.patches.channels(pictures);
        let digest = hash.finalize();
        corpus.fingerprint = hex::encode(&digest[..8]);
        Ok(corpus)
    }

    /// The posts of a dataset whose texts are not in `seen`, encoded; their pictures and their entities' rivals are added to the corpus.
    fn posts<'a>(
        &mut self,
        dataset: &'a Dataset,
        rows: &'a [data::Post],
        model: &Model,
        seen: &mut HashSet<String>,
    ) -> anyhow::Result<Vec<(Draft<'a>, Post)>> {
        let encoders = &model.encoders;
        let names = AliasIndex::new(&dataset.entities);
        let first_entity = self.rivals.len();
        self.rivals
            .extend((0..dataset.entities.len()).map(|entity| {
                let rivals = namesakes(&dataset.entities, entity, &names).into_iter();
                rivals.map(|rival| first_entity + rival).collect::<Vec<_>>()
            }));

        let positions = dataset.positions();
        let owner = |id: &str| Some(first_entity + positions.get(id)?);
        // Train rows first: where a timeline repeats one, its mention is known.
        let rows = rows.iter().map(|row| Draft {
            label: row.id.clone(),
            text: &row.text,
            mention: row.mention,
            images: &row.images,
            owner: row.entity.as_deref().and_then(owner),
        });
        let timelines = dataset.timeline.iter().enumerate().map(|(i, post)| {
            let owner = owner(&post.entity);
            let position = owner.map(|owner| owner - first_entity);
            Draft {
                label: format!("timeline {}", i + 1),
                text: &post.text,
                mention: own_name(&post.text, position, &names),
                images: &post.images,
                owner,
            }
        });
        let mut drafts: Vec<Draft> = rows.chain(timelines).collect();
        let before = drafts.len();
        drafts.retain(|draft| {
            let picture = || {
                Some(
                    dataset
                        .folder
                        .join(draft.images.first()?)
                        .display()
                        .to_string(),
                )
            };
            let key = text_key(draft.text).or_else(picture);
            key.is_some_and(|key| seen.insert(key))
        });
        self.dropped += before - drafts.len();

        let mut listed = HashSet::new();
        let paths: Vec<String> = drafts
            .iter()
            .flat_map(|draft| draft.images.iter().take(MAX_IMAGES))
            .filter(|path| listed.insert(path.as_str()))
            .cloned()
            .collect();
        let fingerprint = &model.fingerprint.encoders;
        let places = self.patches.add(dataset, &paths, encoders, fingerprint)?;
        let encoded = drafts.into_iter().map(|draft| {
            let picture = draft.images.first();
            let post = Post {
                picture: picture.map(|path| dataset.folder.join(path)),
                ..encode(&draft, encoders, &places)?
            };
            Ok((draft, post))
        });
        encoded.collect()
    }
}

fn encode(
    draft: &Draft,
    encoders: &Encoders,
    places: &HashMap<String, usize>,
) -> anyhow::Result<Post> {
    let encoded = encoders
        .tokenizer
        .encode(draft.text, draft.mention)?
        .within(MAX_TEXT);
    let surface = draft.mention.map(|mention| mention.surface(draft.text));
    let surface = surface.transpose()?;
    Ok(Post {
        label: draft.label.clone(),
        ids: encoded.ids,
        mention: encoded.mention,
        word: surface.and_then(|surface| encoders.words.as_ref()?.embed(surface)),
        pictures: draft
            .images
            .iter()
            .take(MAX_IMAGES)
            .map(|path| places[path])
            .collect(),
        owner: draft.owner,
        ..Post::default()
    })
}

/// The mention in a timeline post: a name of its owner, else the first name of any entity.
fn own_name(text: &str, owner: Option<usize>, names: &AliasIndex) -> Option<Mention> {
    let mentions = names.mentions(text);
    let is_own = |mention: &&Mention| {
        let surface = mention.surface(text).unwrap_or_default();
        owner.is_some_and(|owner| names.candidates(surface, NameMatch::Equal).contains(&owner))
    };
    mentions.iter().find(is_own).or(mentions.first()).copied()
}

#[cfg(test)]
mod tests {
    use shared_model::data::Entity;

    use super::*;

    fn entities() -> Vec<Entity> {
        let entity = |name: &str, alias: &str| Entity {
            id: name.to_owned(),
            name: name.to_owned(),
            aliases: vec![alias.to_owned()],
            description: String::new(),
        };
        vec![
            entity("Mercury", "planet"),
            entity("Freddie Mercury", "MERCURY"),
            entity("Venus", "planet"),
            entity("Jaguar", "cat"),
        ]
    }

    #[test]
    fn rivals_share_a_name_whatever_its_case() {
        let entities = entities();
        let names = AliasIndex::new(&entities);
        let want: [&[usize]; 4] = [&[1, 2], &[0], &[0], &[]];
        let rivals = (0..4).map(|entity| namesakes(&entities, entity, &names));
        assert_eq!(rivals.collect::<Vec<_>>(), want);
    }

    #[test]
    fn a_timeline_post_mentions_its_owner_or_else_the_first_name() {
        let names = AliasIndex::new(&entities());
        let text = "A cat looked at Venus.";
        let found = |owner| {
            let mention = own_name(text, owner, &names);
            mention.map(|mention| mention.surface(text).unwrap().to_owned())
        };
        assert_eq!(found(Some(2)).as_deref(), Some("Venus"));
        assert_eq!(found(Some(1)).as_deref(), Some("cat"));
        assert_eq!(found(None).as_deref(), Some("cat"));
        assert_eq!(own_name("Nobody is here.", Some(2), &names), None);
    }
}
