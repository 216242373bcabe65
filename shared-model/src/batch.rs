//! Many posts at once: a line of output per mention, as `imn link` and the page write them.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::aliases::NameMatch;
use crate::data::{Mention, Post, Ranking, ScorerKind};
use crate::error::{Error, Result};
use crate::evidence::Conditions;
use crate::gold_rank::GoldRank;
use crate::linker::{Linker, Picture, Query, TextCache};
use crate::paths::relative;
use crate::stages::{StageClock, StageTimes};
use crate::tokenizer::MAX_CHARACTERS;

/// The answer to a mention.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Line<'a> {
    /// The post's id.
    pub id: &'a str,
    /// `None` for a post without mentions.
    pub mention: Option<Mention>,
    /// All candidates, best first.
    pub ranking: Vec<Ranked>,
    /// `None` where no NIL data was calibrated on.
    pub nil_probability: Option<f32>,
    /// What took part in the scores.
    pub scorer: ScorerKind,
    /// Time of each stage.
    pub ms: StageTimes,
}

/// A candidate in a line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ranked {
    /// Entity id.
    pub entity: String,
    /// Higher is better.
    pub score: f32,
    /// See [`Candidate::probability`](crate::data::Candidate::probability).
    pub probability: f32,
}

/// How often the first candidates are right, over mentions that have a gold; ties count by expectation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of mentions.
    pub n: usize,
    /// Share of mentions whose gold is first.
    #[serde(rename = "p@1")]
    pub p_at_1: f64,
    /// Share of mentions whose gold is among the first three.
    #[serde(rename = "r@3")]
    pub r_at_3: f64,
    /// Share of mentions whose gold is among the first ten.
    #[serde(rename = "r@10")]
    pub r_at_10: f64,
    /// Mean reciprocal rank; 0 for a gold that is no candidate.
    pub mrr: f64,
}

impl Linker {
    /// One line per mention of a post; one without a ranking if the post has none.
    ///
    /// # Arguments
    ///
    /// - pictures: those of the post, which have been decoded in `decode` milliseconds.
    /// - names: which entities are candidates for a mention that lists none.
    /// - now: milliseconds since some moment.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownEntity`] for a candidate that is not in the knowledge base, else as [`Self::link`].
    pub async fn lines<'a>(
        &self,
        post: &'a Post,
        pictures: &[&Picture],
        mut decode: f64,
        names: NameMatch,
        now: impl Fn() -> f64 + Copy,
    ) -> Result<Vec<Line<'a>>> {
        let mentions = match post.mention {
            Some(mention) => vec![mention],
            None => self.aliases.mentions(&post.text),
        };
        let line = |mention: Option<Mention>, ranking: Option<Ranking>, ms: StageTimes| Line {
            id: &post.id,
            mention,
            nil_probability: ranking.as_ref().and_then(|ranking| ranking.nil_probability),
            scorer: ranking
                .as_ref()
                .map_or(ScorerKind::Prototype, |ranking| ranking.scorer),
            ranking: ranking.map_or_else(Vec::new, ranked),
            ms,
        };
        let mut texts = TextCache::default();
        let mut lines = Vec::new();
        for mention in mentions {
            let candidates = match &post.candidates {
                Some(ids) => given(ids, |id| self.kb.position(id))?,
                None => self.aliases.candidates(mention.surface(&post.text)?, names),
            };
            let query = Query {
                text: &post.text,
                mention,
                pictures,
                candidates: &candidates,
                conditions: Conditions::default(),
            };
            let mut clock = StageClock::new(now);
            let ranking = self.link(&query, &mut texts, |stage| clock.start(stage));
            let ranking = ranking.await?;
            let ms = StageTimes {
                decode: std::mem::take(&mut decode),
                ..clock.stop()
            };
            lines.push(line(Some(mention), Some(ranking), ms));
        }
        if lines.is_empty() {
            let ms = StageTimes {
                decode,
                ..StageTimes::default()
            };
            lines.push(line(None, None, ms));
        }
        Ok(lines)
    }
}

fn ranked(ranking: Ranking) -> Vec<Ranked> {
    let candidates = ranking.candidates.into_iter();
    let ranked = |candidate: crate::data::Candidate| Ranked {
        entity: candidate.entity,
        score: candidate.score,
        probability: candidate.probability,
    };
    candidates.map(ranked).collect()
}

impl Figures {
    /// The figures over lines with their golds; lines without one are left out.
    pub fn of<'a>(lines: impl IntoIterator<Item = (&'a Line<'a>, Option<&'a str>)>) -> Self {
        let ranks: Vec<Option<GoldRank>> = lines
            .into_iter()
            .filter_map(|(line, gold)| Some((line, gold?)))
            .map(|(line, gold)| {
                let mut ranked = line.ranking.iter();
                let position = ranked.position(|candidate| candidate.entity == gold);
                let scores: Vec<f32> = line.ranking.iter().map(|ranked| ranked.score).collect();
                position.map(|position| GoldRank::of(&scores, position))
            })
            .collect();
        let n = ranks.len();
        let mean = |value: &dyn Fn(GoldRank) -> f64| {
            let values = ranks.iter().flatten().copied().map(value);
            values.sum::<f64>() / n.max(1) as f64
        };
        Self {
            n,
            p_at_1: mean(&|rank| rank.recall_at(1)),
            r_at_3: mean(&|rank| rank.recall_at(3)),
            r_at_10: mean(&|rank| rank.recall_at(10)),
            mrr: mean(&GoldRank::reciprocal_rank),
        }
    }
}

/// Refuses an empty post, a mention outside its text, a text that is too long and a picture path that leaves the folder.
///
/// # Errors
///
/// [`Error::Span`], [`Error::EmptyPost`], [`Error::TextTooLong`], [`Error::Image`].
pub fn validate(post: &Post) -> Result<()> {
    if let Some(mention) = post.mention {
        mention.surface(&post.text)?;
    }
    if post.text.trim().is_empty() && post.images.is_empty() {
        return Err(Error::EmptyPost);
    }
    let length = post.text.chars().count();
    if length > MAX_CHARACTERS {
        return Err(Error::TextTooLong {
            length,
            max: MAX_CHARACTERS,
        });
    }
    for path in &post.images {
        relative(path)
            .map_err(|error| Error::Image(format!("the picture path {path:?} {error}")))?;
    }
    Ok(())
}

/// Positions of the candidates that a row names, each once.
///
/// # Errors
///
/// [`Error::UnknownEntity`] for a candidate that has no position.
pub fn given(ids: &[String], position: impl Fn(&str) -> Option<usize>) -> Result<Vec<usize>> {
    let mut distinct = HashSet::new();
    ids.iter()
        .filter(|id| distinct.insert(id.as_str()))
        .map(|id| position(id).ok_or_else(|| Error::UnknownEntity(id.clone())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_that_is_named_twice_counts_once() {
        let position = |id: &str| "abc".find(id);
        for (ids, expected) in [
            (&["b", "a", "b"][..], vec![1, 0]),
            (&["c", "c", "c"], vec![2]),
            (&["a", "b", "c", "a", "b"], vec![0, 1, 2]),
        ] {
            let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
            assert_eq!(given(&ids, position).unwrap(), expected);
        }
        let error = given(&["a".to_owned(), "d".to_owned()], position).unwrap_err();
        assert_eq!(error.to_string(), "no entity \"d\"");
    }

    #[test]
    fn figures_count_a_gold_that_is_no_candidate() {
        let line = |entities: &[(&str, f32)]| Line {
            id: "a",
            mention: None,
            ranking: entities
                .iter()
                .map(|&(entity, score)| Ranked {
                    entity: entity.to_owned(),
                    score,
                    probability: 0.0,
                })
                .collect(),
            nil_probability: None,
            scorer: ScorerKind::Prototype,
            ms: StageTimes::default(),
        };
        let lines = [
            line(&[("a", 2.0), ("b", 1.0)]),
            line(&[("a", 1.0), ("b", 1.0)]),
        ];
        let figures = Figures::of([
            (&lines[0], Some("b")),
            (&lines[1], Some("b")),
            (&lines[0], Some("c")),
            (&lines[0], None),
        ]);
        assert_eq!(figures.n, 3);
        assert!((figures.p_at_1 - 0.5 / 3.0).abs() < 1e-12, "{figures:?}");
        assert!(
            (figures.mrr - (0.5 + 0.75) / 3.0).abs() < 1e-12,
            "{figures:?}"
        );
        assert_eq!(Figures::of([]).n, 0);
    }
}
