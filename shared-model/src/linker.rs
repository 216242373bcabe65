//! From a post to a ranking: the one way that the command line, the page and the self-test share.
//!
//! [`Linker::link`] encodes what its caches lack, then ranks. An evaluation, whose posts are encoded already,
//! enters at [`Linker::read`] and [`Linker::rank`], which are also the end of [`Linker::link`].

use crate::aliases::AliasIndex;
use crate::calibration::{Calibration, rank_with_probabilities};
use crate::cards::{Answer, EntityCard};
use crate::context::{self, Context};
use crate::cues::{CandidateCues, CueIndex, CueQuery};
use crate::data::{Candidate, Cues, MAX_IMAGES, Mention, Parts, Ranking, ScorerKind};
use crate::encoders::Encoders;
use crate::error::{Error, Result};
use crate::evidence::{Conditions, Sides};
use crate::imn::{ImnScorer, MentionVectors};
use crate::kb::KnowledgeBase;
pub use crate::post_cache::{Picture, TextCache};
use crate::prototype::Selection;
use crate::scorer::ScorerConfig;
use crate::stages::Stage;
use crate::tokenizer::Encoded;
use crate::vectors::{PooledVectors, PostVectors};

/// Encoders, a knowledge base and the scorers between them.
#[derive(Debug, Clone)]
pub struct Linker {
    /// Posts to vectors.
    pub encoders: Encoders,
    /// The entities that posts are linked to.
    pub kb: KnowledgeBase,
    /// Names to entities.
    pub aliases: AliasIndex,
    /// The trained network; without one the training-free scorer ranks alone.
    pub imn: Option<ImnScorer>,
    /// Weights of the cues.
    pub scorer: ScorerConfig,
    cues: CueIndex,
    calibration: Option<Calibration>,
}

/// A mention to link, with its post.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Text of the post.
    pub text: &'a str,
    /// The mention in the text.
    pub mention: Mention,
    /// Pictures of the post; the first [`MAX_IMAGES`] are used.
    pub pictures: &'a [&'a Picture],
    /// Candidates, as positions in the knowledge base.
    pub candidates: &'a [usize],
    /// What the ranking may use.
    pub conditions: Conditions,
}

/// An encoded post as the scorers compare it, whatever the candidates.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// Vectors for the training-free scorer.
    pub pooled: PooledVectors,
    /// Vectors for the trained network, where there is one.
    pub imn: Option<MentionVectors>,
}

impl Linker {
    /// Indexes the knowledge base.
    pub fn new(
        encoders: Encoders,
        kb: KnowledgeBase,
        scorer: ScorerConfig,
        imn: Option<ImnScorer>,
        calibration: Option<Calibration>,
    ) -> Self {
        let scaled = scorer.scaled && !scorer.is_zero();
        Self {
            aliases: AliasIndex::new(&kb.text.entities),
            cues: CueIndex::new(&kb, encoders.classes.clone(), scaled),
            encoders,
            kb,
            imn,
            scorer,
            calibration,
        }
    }

    /// Ranks a mention's candidates; equal scores keep the order given.
    ///
    /// # Arguments
    ///
    /// - texts: vectors of the text from an earlier call, and where this call's are kept.
    /// - on_stage: called before each step that is not cached.
    ///
    /// # Errors
    ///
    /// [`Error::Span`] for a mention outside the text, [`Error::TextTooLong`] for a text beyond the tokenizer's bound, [`Error::Device`] if the device fails or a score is not finite.
    pub async fn link(
        &self,
        query: &Query<'_>,
        texts: &mut TextCache,
        mut on_stage: impl FnMut(Stage),
    ) -> Result<Ranking> {
        let reading = self.reading(query, texts, &mut on_stage).await?;
        self.rank(&reading, query)
    }

    /// As [`Self::link`], with the cards of the candidates, in the order of the ranking.
    ///
    /// # Errors
    ///
    /// As [`Self::link`].
    pub async fn answer(
        &self,
        query: &Query<'_>,
        texts: &mut TextCache,
        mut on_stage: impl FnMut(Stage),
    ) -> Result<Answer> {
        let reading = self.reading(query, texts, &mut on_stage).await?;
        let ranking = self.rank(&reading, query)?;
        let entities = ranking.candidates.iter().filter_map(|candidate| {
            let entities = &self.kb.text.entities;
            let mut positions = query.candidates.iter();
            let position = positions.find(|&&position| entities[position].id == candidate.entity);
            Some(EntityCard::of(&self.kb, *position?, &reading.pooled))
        });
        Ok(Answer {
            entities: entities.collect(),
            ranking,
            effects: None,
        })
    }

    async fn reading(
        &self,
        query: &Query<'_>,
        texts: &mut TextCache,
        on_stage: &mut impl FnMut(Stage),
    ) -> Result<Reading> {
        let post = self.encode(query, texts, &mut *on_stage).await?;
        on_stage(Stage::Rank);
        let mut readings = self.read(vec![post]).await?;
        Ok(readings.pop().expect("one post"))
    }

    /// Encodes a post, except for what the caches have. What the conditions leave out is not encoded; the joint encoder reads the whole post or nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::link`].
    pub(crate) async fn encode(
        &self,
        query: &Query<'_>,
        texts: &mut TextCache,
        mut on_stage: impl FnMut(Stage),
    ) -> Result<PostVectors> {
        let Query {
            text,
            mention,
            pictures,
            conditions: Conditions { post: sides, .. },
            ..
        } = *query;
        let surface = mention.surface(text)?;
        let encoded = self.encoders.tokenizer.encode(text, Some(mention))?;
        let mut post = PostVectors::default();
        if sides.text {
            let context = match context::of_post(text, mention)? {
                Some(Context { text, mention }) => {
                    Some(self.encoders.tokenizer.encode(&text, Some(mention))?)
                }
                None => None,
            };
            let windows: Vec<&Encoded> = [Some(&encoded), context.as_ref()]
                .into_iter()
                .flatten()
                .collect();
            texts.keep(text, &windows);
            let vectors = texts
                .encode(&self.encoders, &windows, &mut on_stage)
                .await?;
            let mut vectors = vectors.into_iter();
            post.text = vectors.next();
            post.context = vectors.next();
            if let Some(context) = &context {
                post.tuned = texts.context(&self.encoders, context).await?;
            }
        }
        if sides.image {
            for picture in pictures.iter().take(MAX_IMAGES) {
                post.images
                    .push(picture.encode(&self.encoders, &mut on_stage).await?);
            }
        }
        if self.encoders.joint.is_some() && sides == Sides::ALL {
            on_stage(Stage::Joint);
            self.encoders
                .join(&mut post, &encoded, Some(surface))
                .await?;
        }
        Ok(post)
    }

    /// Reads encoded posts, once for all their candidates.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn read(&self, posts: Vec<PostVectors>) -> Result<Vec<Reading>> {
        let posts: Vec<_> = posts
            .into_iter()
            .map(|post| (post.pooled(), post))
            .collect();
        let vectors = match &self.imn {
            Some(imn) => imn.mentions(&self.kb, &posts).await?,
            None => Vec::new(),
        };
        let mut vectors = vectors.into_iter();
        let reading = |(pooled, _)| Reading {
            pooled,
            imn: vectors.next(),
        };
        Ok(posts.into_iter().map(reading).collect())
    }

    /// The cues of candidates, before anything is weighted.
    pub fn observe(&self, query: &CueQuery, candidates: &[usize]) -> Vec<CandidateCues> {
        self.cues.observe(&self.kb, query, candidates)
    }

    /// Ranks the candidates of a query whose post is encoded already; equal scores keep the order given.
    ///
    /// # Errors
    ///
    /// [`Error::Span`] for a mention outside the text, [`Error::EmptyPost`] if there is nothing to go by, [`Error::Device`] if a score is not finite.
    pub fn rank(&self, post: &Reading, query: &Query<'_>) -> Result<Ranking> {
        let Query {
            text,
            mention,
            candidates,
            conditions,
            ..
        } = *query;
        let cue_query = CueQuery {
            post: &post.pooled,
            text,
            mention: mention.surface(text)?,
        };
        let has_text = post.pooled.text.is_some() && conditions.post.text;
        let has_image = post.pooled.image.is_some() && conditions.post.image;
        if !has_text && !has_image {
            return Err(Error::EmptyPost);
        }
        let with_network = conditions.network && conditions.candidate == Sides::ALL;
        let network = match (&self.imn, &post.imn) {
            (Some(imn), Some(vectors)) if with_network => imn.score(vectors, candidates),
            _ => vec![None; candidates.len()],
        };
        let cues = self.observe(&cue_query, candidates);
        let cues = cues.into_iter().map(|cues| cues.restricted(&conditions));
        let cues = cues.zip(&network);
        let mut ranked: Vec<Candidate> = candidates
            .iter()
            .zip(cues)
            .map(|(&entity, (cues, network))| {
                let term = network.map_or(0.0, |(_, term)| term);
                Candidate {
                    entity: self.kb.text.entities[entity].id.clone(),
                    score: self.scorer.score(&cues.observed) + term,
                    parts: Parts {
                        imn: term,
                        ..self.scorer.parts(&cues.observed)
                    },
                    probability: 0.0,
                    cues: Cues {
                        text: cues.vectors.text,
                        context: cues.vectors.context,
                        tuned: cues.vectors.tuned,
                        image: cues.vectors.image,
                        classes: cues.vectors.classes,
                        image_text: cues.vectors.image_text,
                        text_image: cues.vectors.text_image,
                        lexical: cues.lexical.map(|cues| self.scorer.lexical(&cues)),
                        imn: network.map(|(cosine, _)| cosine),
                    },
                }
            })
            .collect();
        if let Some(candidate) = ranked.iter().find(|candidate| !candidate.score.is_finite()) {
            return Err(Error::Device(format!(
                "the score of {} is {}",
                candidate.entity, candidate.score
            )));
        }
        let nil_probability = rank_with_probabilities(&mut ranked, self.calibration.as_ref());
        Ok(Ranking {
            mention,
            candidates: ranked,
            nil_probability,
            scorer: self.kind(candidates, &network),
        })
    }

    /// Chooses the prototypes of all entities anew.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the device fails.
    pub async fn choose_prototypes(&mut self, k: usize, selection: Selection) -> Result<()> {
        self.kb.choose(k, selection);
        self.index().await
    }

    /// Indexes the knowledge base after a change.
    async fn index(&mut self) -> Result<()> {
        let scaled = self.scorer.scaled && !self.scorer.is_zero();
        self.cues = CueIndex::new(&self.kb, self.encoders.classes.clone(), scaled);
        if let Some(imn) = &mut self.imn {
            imn.index(&self.kb).await?;
        }
        Ok(())
    }

    fn kind(&self, candidates: &[usize], network: &[Option<(f32, f32)>]) -> ScorerKind {
        let is_seen = |&entity: &usize| self.imn.as_ref().is_some_and(|imn| imn.is_seen(entity));
        if network.iter().all(Option::is_none) {
            ScorerKind::Prototype
        } else if candidates.iter().all(is_seen) {
            ScorerKind::Imn
        } else {
            ScorerKind::ImnNew
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use burn::prelude::Device;

    use super::*;
    use crate::cues::tests::{about_the_language, classes, kb};
    use crate::imn::{ImnConfig, Input, Modality, NetworkTerm, TrainedImn};
    use crate::text::{BertConfig, HiddenAct};
    use crate::tokenizer::Tokenizer;
    use crate::vectors::{ImageVectors, TokenVectors};
    use crate::vision::{EfficientNetLite0, Vision};

    const TOKENIZER: &str = r###"{
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": null, "decoder": null,
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[CLS]": 0, "[SEP]": 1, "[UNK]": 2, "swift": 3, "post": 4, "of": 5}
        }
    }"###;

    /// Tiny encoders with random weights, of the widths of the test's knowledge base but for the images.
    fn encoders(device: &Device) -> Encoders {
        let text = BertConfig {
            d_model: 4,
            n_layers: 1,
            n_heads: 2,
            d_ff: 8,
            vocab_size: 6,
            max_tokens: 512,
            type_vocab_size: 2,
            layer_norm_eps: 1e-12,
            hidden_act: HiddenAct::Gelu,
        };
        Encoders {
            tokenizer: Tokenizer::from_bytes(TOKENIZER.as_bytes()).unwrap(),
            text: text.init(device),
            context: None,
            vision: Vision::Efficientnet(Box::new(EfficientNetLite0::init(device))),
            classes: Some(classes()),
            words: None,
            joint: None,
            device: device.clone(),
        }
    }

    /// A linker whose network was trained on `seen`.
    fn linker(seen: &[&str], terms: [NetworkTerm; 2], nil_logit: Option<f32>) -> Linker {
        let (device, kb) = (Device::flex(), kb());
        let [seen_term, new_term] = terms;
        let inputs = vec![Input::new(Modality::Text, 4)];
        let trained = TrainedImn {
            config: ImnConfig::ours(inputs),
            seen: seen_term,
            new: new_term,
        };
        device.seed(3);
        let network = trained.config.init(&device);
        let seen: HashSet<&str> = seen.iter().copied().collect();
        let imn = ImnScorer::new(network, trained, &seen, &kb, &device);
        let imn = pollster::block_on(imn).unwrap();
        let calibration = Calibration {
            policy: "given".to_owned(),
            temperature: 0.1,
            nil_logit,
            entities: None,
            refusals: Vec::new(),
        };
        let scorer = ScorerConfig::default();
        Linker::new(encoders(&device), kb, scorer, Some(imn), Some(calibration))
    }

    const SEEN: NetworkTerm = NetworkTerm {
        weight: 0.5,
        background: 0.3,
    };
    const NEW: NetworkTerm = NetworkTerm {
        weight: 0.2,
        background: 0.1,
    };
    const NONE: NetworkTerm = NetworkTerm {
        weight: 0.0,
        background: 0.0,
    };

    fn rank(linker: &Linker, candidates: &[usize]) -> Ranking {
        let pooled = about_the_language();
        let tokens = |pooled: Option<Vec<f32>>| TokenVectors {
            pooled: pooled.unwrap(),
            tokens: vec![0.1, 0.9, 0.0, 0.2],
        };
        let image = ImageVectors {
            pooled: pooled.image.unwrap(),
            classes: pooled.classes.unwrap(),
            tokens: Vec::new(),
        };
        let post = PostVectors {
            text: Some(Arc::new(tokens(pooled.text))),
            context: Some(Arc::new(tokens(pooled.context))),
            tuned: None,
            images: vec![Arc::new(image)],
            joint: None,
        };
        let readings = pollster::block_on(linker.read(vec![post])).unwrap();
        let mention = Mention { start: 0, end: 5 };
        let query = Query {
            text: "swift",
            mention,
            pictures: &[],
            candidates,
            conditions: Conditions::default(),
        };
        linker.rank(&readings[0], &query).unwrap()
    }

    fn find<'a>(ranking: &'a Ranking, id: &str) -> &'a Candidate {
        let mut candidates = ranking.candidates.iter();
        candidates.find(|candidate| candidate.entity == id).unwrap()
    }

    #[test]
    fn a_candidate_changes_no_other_score_known_or_new() {
        for terms in [[SEEN, NEW], [SEEN, NONE], [NONE, NEW]] {
            let linker = linker(&["bird", "language"], terms, Some(2.0));
            let all = rank(&linker, &[0, 1, 2]);
            for candidates in [&[0][..], &[1, 2], &[2, 0], &[2, 1, 0], &[1, 0]] {
                let some = rank(&linker, candidates);
                for candidate in &some.candidates {
                    let same = find(&all, &candidate.entity);
                    assert_eq!(candidate.score, same.score, "{candidates:?} {terms:?}");
                    assert_eq!(candidate.cues, same.cues, "{candidates:?} {terms:?}");
                    let odds = candidate.probability / some.nil_probability.unwrap();
                    let expected = same.probability / all.nil_probability.unwrap();
                    assert!((odds - expected).abs() < 1e-4 * expected, "{candidates:?}");
                }
            }
        }
    }

    #[test]
    fn nil_stays_whatever_the_candidates_are() {
        let linker = linker(&["bird", "language"], [SEEN, NONE], Some(2.0));
        for candidates in [&[0, 1][..], &[0, 2], &[2], &[0, 1, 2], &[]] {
            let ranking = rank(&linker, candidates);
            let total: f32 = ranking.candidates.iter().map(|c| c.probability).sum();
            let nil = ranking.nil_probability.unwrap();
            assert!(
                nil > 0.0 && (total + nil - 1.0).abs() < 1e-5,
                "{candidates:?}"
            );
        }
    }

    #[test]
    fn a_candidate_has_the_term_of_its_kind() {
        let linker = linker(&["bird", "language"], [SEEN, NEW], None);
        let without = self::linker(&["bird", "language"], [NONE, NONE], None);
        let (with, without) = (rank(&linker, &[0, 1, 2]), rank(&without, &[0, 1, 2]));
        for (id, term) in [("bird", SEEN), ("language", SEEN), ("singer", NEW)] {
            let candidate = find(&with, id);
            let expected = find(&without, id).score + term.of(candidate.cues.imn.unwrap());
            assert!((candidate.score - expected).abs() < 1e-6, "{id}");
            assert_eq!(find(&without, id).cues.imn, None);
        }
    }

    #[test]
    fn the_parts_sum_to_the_score() {
        let linker = linker(&["bird", "language"], [SEEN, NEW], None);
        for candidate in rank(&linker, &[0, 1, 2]).candidates {
            let Candidate {
                score, parts, cues, ..
            } = candidate;
            assert!((parts.sum() - score).abs() < 1e-6, "{parts:?} {score}");
            assert_eq!(cues.image.is_some(), parts.image != 0.0, "{parts:?}");
            assert!(parts.lexical > 0.0 && parts.imn != 0.0, "{parts:?}");
        }
    }

    #[test]
    fn the_ranking_names_what_took_part() {
        let linker = linker(&["bird", "language"], [SEEN, NONE], None);
        for (candidates, expected) in [
            (&[0, 1][..], ScorerKind::Imn),
            (&[1], ScorerKind::Imn),
            (&[0, 2], ScorerKind::ImnNew),
            (&[2], ScorerKind::Prototype),
            (&[], ScorerKind::Prototype),
        ] {
            assert_eq!(rank(&linker, candidates).scorer, expected, "{candidates:?}");
        }
        let everywhere = self::linker(&["bird"], [SEEN, NEW], None);
        assert_eq!(rank(&everywhere, &[2]).scorer, ScorerKind::ImnNew);
    }

    #[test]
    fn a_text_is_encoded_once_and_a_mention_outside_is_refused() {
        let linker = linker(&[], [NONE, NONE], None);
        let mut texts = TextCache::default();
        let mut link = |text: &str, start, end| {
            let query = Query {
                text,
                mention: Mention { start, end },
                pictures: &[],
                candidates: &[0, 1],
                conditions: Conditions::default(),
            };
            let mut stages = Vec::new();
            let ranking = linker.link(&query, &mut texts, |stage| stages.push(stage));
            pollster::block_on(ranking).map(|_| stages)
        };
        // The text, and the text without the mention, at once.
        let both = vec![Stage::Text, Stage::Rank];
        assert_eq!(link("swift post of swift", 0, 5).unwrap(), both);
        assert_eq!(link("swift post of swift", 14, 19).unwrap(), [Stage::Rank]);
        assert_eq!(link("swift  post of swift", 0, 5).unwrap(), [Stage::Rank]);
        assert_eq!(link("post of swift", 8, 13).unwrap(), both);
        assert_eq!(link("swift", 0, 5).unwrap(), [Stage::Text, Stage::Rank]);
        assert!(matches!(link("swift", 3, 9), Err(Error::Span { .. })));
    }
}
