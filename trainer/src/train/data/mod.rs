//! Datasets as training sees them: a knowledge base each, and the mentions from which something can be learned.

mod knowledge;
mod mixed;
mod parts;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rand::seq::SliceRandom as _;
use shared_model::classes::ClassTable;
use shared_model::cues::{CueIndex, CueQuery};
use shared_model::data::{Mention, Post};
use shared_model::encoders::Encoders;
use shared_model::evidence::{Observed, Sides};
use shared_model::imn::{CentredEntity, Input, Modality, PlainSequence, mention_sequences};
use shared_model::kb::KnowledgeBase;
use shared_model::vectors::{PooledVectors, PostVectors};

use crate::cli::{HoldOutArg, StageArg, TrainArgs};
use crate::dataset::{Dataset, Split, train_rows};
use crate::features::{FeatureLevel, Features, PostFeatures};
use crate::files::tracked;
use crate::holdout::{self, HoldOut, Mentions, Part};
use crate::learn::rng;
use crate::mentions::{self, EncodedMention};
use crate::outcomes::ListKind;
use crate::prototypes::{PrototypeSettings, build, timeline};
use crate::weights::Fingerprint;
pub(crate) use parts::{held_out, held_out_others};

/// A dataset with its examples.
pub(crate) struct TrainingSet {
    /// Built from the dataset's timelines and profiles.
    pub(crate) kb: KnowledgeBase,
    /// Mentions with an entity, for task learning and validation.
    pub(crate) examples: Vec<Example>,
    /// Mentions that mean no candidate.
    pub(crate) nil: Vec<Example>,
    /// Held-out mentions of both sorts with lists that were made of known and new candidates; see [`Self::mix_lists`].
    pub(crate) mixed: Vec<Example>,
    /// Timeline posts, each to be matched to its owner: knowledge learning.
    pub(crate) posts: Vec<Example>,
    /// Number of train mentions whose entity is no candidate or the only one.
    pub(crate) left_out: usize,
    /// Positions of the golds of the mentions that are trained on.
    pub(crate) trained: Vec<usize>,
    /// Whether each entity counts as known to the network, by position.
    known: Vec<bool>,
    /// By entity, the posts that are a prototype in some modality.
    timelines: Vec<Vec<usize>>,
    /// Prototypes and profiles as the network reads them, by entity; see [`Self::freeze`].
    centred: Vec<CentredEntity>,
    cues: CueIndex,
    folder: PathBuf,
    hold_out: Rc<HoldOut>,
    /// Whether posts and entities have vectors of a context encoder.
    pub(in crate::train) has_context_encoder: bool,
}

/// A post to be linked.
#[derive(Clone)]
pub(crate) struct Example {
    /// The post.
    pub(crate) query: Query,
    /// Its pooled vectors as the network reads them, one per input, empty where a modality is missing; see [`TrainingSet::freeze`].
    pub(crate) pooled: Vec<Vec<f32>>,
    /// Positions in the knowledge base.
    pub(crate) candidates: Vec<usize>,
    /// Index of the gold in `candidates`; `None` for NIL.
    pub(crate) gold: Option<usize>,
    /// The post of the knowledge base that this one repeats: the gold is compared without it.
    pub(crate) without: Option<usize>,
    /// Cues of each candidate.
    pub(crate) cues: Vec<Observed>,
    /// Training or validation.
    pub(crate) part: Part,
}

/// Source of a post's vectors.
#[derive(Clone)]
pub(crate) enum Query {
    /// A mention, with the tokens of its post.
    Mention {
        /// Vectors, the tokens in f16.
        features: Arc<PostFeatures>,
        /// Text of the post.
        text: String,
        /// Span of the mention.
        mention: Mention,
    },
    /// A post of the knowledge base, of which the pooled vectors are kept.
    Timeline(usize),
}

/// An example with the position of its training set.
pub(crate) type Placed<'a> = (usize, &'a Example);

impl Example {
    /// Position of the gold in the knowledge base.
    pub(crate) fn entity(&self) -> Option<usize> {
        Some(self.candidates[self.gold?])
    }

    /// The post that a candidate is compared without.
    pub(crate) fn without(&self, candidate: usize) -> Option<usize> {
        self.without.filter(|_| Some(candidate) == self.gold)
    }
}

/// Builds the knowledge bases of `datasets`, encodes their train mentions and holds a part of them out.
///
/// # Arguments
///
/// - scaled: see [`ScorerConfig::scaled`](shared_model::scorer::ScorerConfig::scaled).
pub(crate) fn open(
    datasets: &[Dataset],
    encoders: &Encoders,
    fingerprint: &Fingerprint,
    scaled: bool,
    args: &TrainArgs,
) -> anyhow::Result<Vec<TrainingSet>> {
    let wanted = match args.stage {
        StageArg::Knowledge | StageArg::Task => FeatureLevel::Tokens,
        StageArg::Text | StageArg::Prototype => FeatureLevel::Pooled,
    };
    let named = |dataset: &Dataset| dataset.folder.display().to_string();
    let mut rows = train_rows(datasets)?;
    let mut n_dev = vec![None; datasets.len()];
    if args.hold_out == HoldOutArg::Dev {
        for ((dataset, rows), n_dev) in datasets.iter().zip(&mut rows).zip(&mut n_dev) {
            if rows.is_empty() {
                continue;
            }
            let dev = dataset
                .posts(Split::Dev)
                .context("--hold-out dev needs it")?;
            *n_dev = Some(holdout::mentions(&dev).count());
            rows.extend(dev);
        }
    }
    let mut opened = Vec::new();
    for (dataset, rows) in datasets.iter().zip(&rows) {
        let open = || {
            let features = Features::open(dataset, encoders, fingerprint)?;
            let kb = build(
                dataset,
                encoders,
                &features,
                PrototypeSettings::of(&args.choice),
            )?;
            let rows: Vec<&Post> = holdout::mentions(rows).collect();
            let policy = dataset.info.candidate_policy;
            let mentions = mentions::encode(dataset, &rows, policy, encoders, &features, wanted)?;
            Ok((kb, mentions))
        };
        let open: anyhow::Result<(KnowledgeBase, Vec<EncodedMention>)> = open();
        opened.push(open.with_context(|| named(dataset))?);
    }
    let mentions = datasets.iter().zip(&opened).zip(&n_dev);
    let mentions: Vec<Mentions> = mentions
        .map(|((dataset, (_, mentions)), &n_dev)| Mentions {
            n_dev,
            folder: &dataset.folder,
            entities: &dataset.entities,
            rows: mentions
                .iter()
                .map(|mention| (mention.post, mention.candidates.as_slice()))
                .collect(),
        })
        .collect();
    let hold_out = Rc::new(HoldOut::new(&mentions)?);
    drop(mentions);
    let mut sets = Vec::new();
    for (position, (dataset, (kb, mentions))) in datasets.iter().zip(opened).enumerate() {
        let classes = encoders.classes.clone();
        let mut set = TrainingSet::new(kb, classes, scaled, &dataset.folder, &hold_out);
        set.has_context_encoder = encoders.context.is_some();
        let parts = hold_out.parts(position);
        let kept = kept(parts, args.train_share, args.seed);
        let mentions = mentions.into_iter().zip(parts.iter().copied());
        let mentions = mentions.zip(kept).filter(|(_, kept)| *kept);
        let mentions = mentions.map(|(mention, _)| mention).collect();
        set.add_mentions(dataset, mentions, &args.modalities);
        ensure!(
            rows[position].is_empty() || set.fit().next().is_some(),
            "{}: train.jsonl has no mention with its entity and another among the candidates; \
             `imn prototypes` makes a run without training",
            named(dataset)
        );
        ensure!(
            n_dev[position].is_none()
                || set.examples.iter().any(|example| example.part != Part::Fit),
            "{}: --hold-out dev, but dev.jsonl has no mention with its entity and another among the candidates",
            named(dataset)
        );
        sets.push(set);
    }
    Ok(sets)
}

/// Which train mentions take part: those that are held out, and `share` of the others.
fn kept(parts: &[Part], share: f64, seed: u64) -> Vec<bool> {
    let mut fit: Vec<usize> = (0..parts.len())
        .filter(|&i| parts[i] == Part::Fit)
        .collect();
    fit.shuffle(&mut rng(seed, "train share", 0));
    let n_kept = (fit.len() as f64 * share).ceil() as usize;
    let mut kept = vec![true; parts.len()];
    fit[n_kept..].iter().for_each(|&i| kept[i] = false);
    kept
}

impl TrainingSet {
    /// A knowledge base without mentions.
    pub(in crate::train) fn new(
        kb: KnowledgeBase,
        classes: Option<ClassTable>,
        scaled: bool,
        folder: &Path,
        hold_out: &Rc<HoldOut>,
    ) -> Self {
        let all = 0..kb.text.entities.len();
        Self {
            examples: Vec::new(),
            nil: Vec::new(),
            mixed: Vec::new(),
            posts: Vec::new(),
            left_out: 0,
            trained: all.clone().collect(),
            known: vec![true; all.len()],
            timelines: all.map(|entity| prototype_posts(&kb, entity)).collect(),
            centred: Vec::new(),
            cues: CueIndex::new(&kb, classes, scaled),
            folder: folder.to_owned(),
            hold_out: Rc::clone(hold_out),
            has_context_encoder: false,
            kb,
        }
    }

    /// Adds the mentions from which something can be learned. A mention's own post never speaks for its gold.
    fn add_mentions(
        &mut self,
        dataset: &Dataset,
        mentions: Vec<(EncodedMention, Part)>,
        modalities: &[Modality],
    ) {
        if mentions.is_empty() {
            return;
        }
        let own: HashMap<&str, usize> = timeline(dataset)
            .into_iter()
            .enumerate()
            .filter_map(|(position, post)| Some((post.id.as_deref()?, position)))
            .collect();
        let positions = dataset.positions();
        let mut trained = BTreeSet::new();
        for (mention, part) in tracked(mentions, "cues") {
            let entity = mention.post.entity.as_deref();
            let position = entity.and_then(|id| positions.get(id));
            let gold = position.and_then(|entity| {
                let mut candidates = mention.candidates.iter();
                candidates.position(|other| other == entity)
            });
            if let (Some(gold), Part::Fit) = (gold, part) {
                trained.insert(mention.candidates[gold]);
            }
            let is_known = gold.is_some() || entity.is_none();
            if !is_known || mention.candidates.len() <= usize::from(gold.is_some()) {
                self.left_out += 1;
                continue;
            }
            let without = own.get(mention.post.id.as_str()).copied();
            let query = Query::Mention {
                features: Arc::new(mention.features),
                text: mention.post.text.clone(),
                mention: mention.mention,
            };
            let cues = self.cues_of(&query, &mention.candidates, without, modalities);
            let examples = match gold {
                Some(_) => &mut self.examples,
                None => &mut self.nil,
            };
            examples.push(Example {
                query,
                pooled: Vec::new(),
                candidates: mention.candidates,
                gold,
                without,
                cues,
                part,
            });
        }
        self.known.fill(false);
        trained.iter().for_each(|&entity| self.known[entity] = true);
        self.trained = trained.into_iter().collect();
    }

    /// The cues of a post's candidates, without what modalities say that a run does not have.
    fn cues_of(
        &self,
        query: &Query,
        candidates: &[usize],
        without: Option<usize>,
        modalities: &[Modality],
    ) -> Vec<Observed> {
        let pooled;
        let (post, text, mention) = match query {
            Query::Mention {
                features,
                text,
                mention,
            } => {
                pooled = features.without_tokens().pooled();
                let surface = mention.surface(text).expect("checked when it was encoded");
                (&pooled, text, surface)
            }
            Query::Timeline(post) => (&self.kb.pooled[*post], &self.kb.text.posts[*post].text, ""),
        };
        let query = CueQuery {
            post,
            text,
            mention,
        };
        let sides = Sides {
            text: modalities.contains(&Modality::Text),
            image: modalities.contains(&Modality::Image),
        };
        let cues = self.cues.cues(&self.kb, &query, candidates, without);
        let cues = cues.into_iter();
        cues.map(|cues| cues.restricted(sides, sides)).collect()
    }

    /// Whether each of an example's candidates is known to the network.
    pub(crate) fn known(&self, example: &Example) -> Vec<bool> {
        let candidates = example.candidates.iter();
        candidates.map(|&candidate| self.known[candidate]).collect()
    }

    /// Kind of an example's candidate list.
    pub(crate) fn kind(&self, example: &Example) -> ListKind {
        ListKind::of(self.known(example).into_iter()).expect("every example has a candidate")
    }

    /// The posts of an entity that are a prototype in some modality, but for one.
    pub(crate) fn timeline(&self, entity: usize, without: Option<usize>) -> Vec<usize> {
        let posts = self.timelines[entity].iter().copied();
        posts.filter(|post| Some(*post) != without).collect()
    }

    /// Centres and normalises once what no step changes: pooled vectors of posts, prototypes and profiles.
    ///
    /// Tokens stay in f16 and are centred in each step: in f32 they would take twice the memory, 250 KB per picture.
    pub(crate) fn freeze(&mut self, inputs: &[Input]) {
        let entities = 0..self.kb.text.entities.len();
        self.centred = entities
            .map(|entity| CentredEntity::new(inputs, &self.kb, entity))
            .collect();
        let [mut examples, mut nil, mut posts] =
            [&mut self.examples, &mut self.nil, &mut self.posts].map(std::mem::take);
        for example in examples.iter_mut().chain(&mut nil).chain(&mut posts) {
            let sequences = self.sequences(inputs, &example.query, PostFeatures::without_tokens);
            let sequences = sequences.into_iter();
            example.pooled = sequences.map(|sequence| sequence.pooled).collect();
        }
        (self.examples, self.nil, self.posts) = (examples, nil, posts);
    }

    /// An example as the network reads it, with its tokens.
    pub(crate) fn mention_sequences(
        &self,
        inputs: &[Input],
        example: &Example,
    ) -> Vec<PlainSequence> {
        self.sequences(inputs, &example.query, PostFeatures::vectors)
    }

    /// An entity as the network reads it, with some posts of its timeline.
    pub(crate) fn entity_sequences(&self, entity: usize, posts: &[usize]) -> Vec<PlainSequence> {
        self.centred[entity].sequences(|post| posts.contains(&post))
    }

    fn sequences(
        &self,
        inputs: &[Input],
        query: &Query,
        vectors: fn(&PostFeatures) -> PostVectors,
    ) -> Vec<PlainSequence> {
        let centred = |vectors: &PostVectors, pooled: &PooledVectors| {
            mention_sequences(inputs, vectors, pooled, &self.kb.statistics)
        };
        match query {
            Query::Mention { features, .. } => {
                let vectors = vectors(features);
                centred(&vectors, &vectors.pooled())
            }
            Query::Timeline(post) => centred(&PostVectors::default(), &self.kb.pooled[*post]),
        }
    }
}

/// Marks the entities that the network is trained on, and returns their ids. An id that is not trained on in one of the datasets is not among them.
pub(crate) fn mark_known(sets: &mut [TrainingSet], shares: &[f64]) -> Vec<String> {
    let mut trained = BTreeSet::new();
    let mut untrained = BTreeSet::new();
    for (set, share) in sets.iter().zip(shares) {
        let golds: BTreeSet<usize> = if *share <= 0.0 {
            BTreeSet::new()
        } else if set.examples.is_empty() {
            set.posts.iter().filter_map(Example::entity).collect()
        } else {
            set.trained.iter().copied().collect()
        };
        for (position, entity) in set.kb.text.entities.iter().enumerate() {
            let ids = if golds.contains(&position) {
                &mut trained
            } else {
                &mut untrained
            };
            ids.insert(entity.id.clone());
        }
    }
    let known: BTreeSet<String> = trained.difference(&untrained).cloned().collect();
    for set in sets {
        let entities = set.kb.text.entities.iter();
        set.known = entities.map(|entity| known.contains(&entity.id)).collect();
    }
    known.into_iter().collect()
}

fn prototype_posts(kb: &KnowledgeBase, entity: usize) -> Vec<usize> {
    let chosen = kb.text.prototypes[entity].all();
    let mut posts: Vec<usize> = chosen.map(|chosen| chosen.post).collect();
    posts.sort_unstable();
    posts.dedup();
    posts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_train_mentions_is_kept_and_all_that_is_held_out() {
        let part = |i: usize| match i % 4 {
            0 => Part::HeldMention,
            _ => Part::Fit,
        };
        let parts: Vec<Part> = (0..400).map(part).collect();
        let of = |share, seed| kept(&parts, share, seed);
        let count = |kept: &[bool]| kept.iter().filter(|kept| **kept).count();
        assert_eq!(count(&of(1.0, 0)), 400);
        let tenth = of(0.1, 0);
        assert_eq!(count(&tenth), 100 + 30);
        assert!((0..400).step_by(4).all(|i| tenth[i]));
        assert_ne!(tenth, of(0.1, 1));
        // A larger share has the mentions of a smaller one.
        let half = of(0.5, 0);
        assert!((0..400).all(|i| !tenth[i] || half[i]));
    }
}
