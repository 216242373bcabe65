//! `imn eval`: how often the right entity comes first.

use anyhow::{Context as _, ensure};
use serde::Serialize;
use serde_json::json;
use shared_model::data::{Post, Ranking};
use shared_model::linker::{Linker, Reading};

use crate::EvalArgs;
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::features::{Features, Wanted};
use crate::files::progress;
use crate::mentions::{self, EncodedMention};
use crate::place::{Place, TIE_RULE};
use crate::prototypes::build;
use crate::run::{EncoderOrigin, Model, Prototyping, open_run};

/// Mentions encoded at once.
const BATCH: usize = 32;
/// Bins of the calibration error.
const BINS: usize = 10;

/// Metrics over mentions that have a gold; shares between 0 and 1.
#[derive(Debug, Default, Clone, Serialize)]
struct Metrics {
    n: usize,
    #[serde(rename = "p@1")]
    p_at_1: f64,
    #[serde(rename = "r@3")]
    r_at_3: f64,
    #[serde(rename = "r@10")]
    r_at_10: f64,
    mrr: f64,
    ece: f64,
    recall: f64,
}

/// One mention's outcome.
struct Outcome {
    seen: bool,
    place: Place,
    confidence: f64,
    right: bool,
}

/// Evaluates a split.
pub(crate) fn eval(args: EvalArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    let dataset = Dataset::open(&args.dataset)?;
    let posts = dataset.posts(args.split)?;
    let policy = args.candidates.unwrap_or(dataset.info.candidate_policy);
    let device = device.open()?;

    let (model, origin, folder) = match (&args.model.run, &args.model.bundle) {
        (Some(folder), _) => {
            let origin = open_run(folder)?.encoders;
            (Model::of_run(folder, &device)?, origin, folder)
        }
        (None, Some(folder)) => {
            let origin = EncoderOrigin::Bundle {
                folder: folder.clone(),
            };
            (origin.load(&device)?, origin, folder)
        }
        (None, None) => unreachable!("clap requires one of them"),
    };
    let features = Features::open(&dataset, &model.encoders, &origin.fingerprint()?)?;
    let kb = build(
        &dataset,
        &model.encoders,
        &features,
        Prototyping::of(folder)?,
    )?;

    let golds: Vec<&Post> = posts.iter().filter(|post| post.entity.is_some()).collect();
    ensure!(
        !golds.is_empty(),
        "{}: no mention of this split has an entity",
        dataset.folder.display()
    );
    let wanted = match &model.imn {
        Some(_) => Wanted::Tokens,
        None => Wanted::Pooled,
    };
    let mentions = mentions::encode(&dataset, &golds, policy, &model.encoders, &features, wanted)?;
    drop(features);
    let linker = model.linker(kb)?;
    let mut outcomes = Vec::with_capacity(mentions.len());
    let bar = progress(mentions.len(), "mentions");
    for batch in mentions.chunks(BATCH) {
        let posts: Vec<_> = batch
            .iter()
            .map(|mention| mention.features.vectors())
            .collect();
        for (mention, reading) in batch.iter().zip(pollster::block_on(linker.read(&posts))?) {
            let named = || format!("{:?}", mention.post.id);
            outcomes.push(outcome(&linker, mention, &reading).with_context(named)?);
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();

    let part = |seen: bool| {
        Metrics::of(
            &outcomes
                .iter()
                .filter(|outcome| outcome.seen == seen)
                .collect::<Vec<_>>(),
        )
    };
    let all = Metrics::of(&outcomes.iter().collect::<Vec<_>>());
    if as_json {
        let mut report = serde_json::to_value(&all)?;
        report["tie_rule"] = json!(TIE_RULE);
        report["candidate_policy"] = json!(policy.name());
        report["nil_mentions"] = json!(posts.len() - golds.len());
        report["seen"] = serde_json::to_value(part(true))?;
        report["unseen"] = serde_json::to_value(part(false))?;
        println!("{report:#}");
    } else {
        println!("candidates: {}; ties: {TIE_RULE}", policy.name());
        println!(
            "{:>8} {:>6} {:>6} {:>6} {:>6} {:>6} {:>6} {:>7}",
            "", "n", "P@1", "R@3", "R@10", "MRR", "ECE", "recall"
        );
        for (name, metrics) in [("all", all), ("seen", part(true)), ("unseen", part(false))] {
            metrics.print(name);
        }
    }
    Ok(())
}

fn outcome(
    linker: &Linker,
    mention: &EncodedMention,
    reading: &Reading,
) -> anyhow::Result<Outcome> {
    let post = mention.post;
    let gold = post.entity.as_deref().context("the row has no entity")?;
    let ranking = linker.rank(reading, &post.text, mention.mention, &mention.candidates)?;
    let seen = linker
        .imn
        .as_ref()
        .is_some_and(|imn| !mention.candidates.is_empty() && imn.all_seen(&mention.candidates));
    Ok(Outcome::of(&ranking, gold, seen))
}

impl Outcome {
    fn of(ranking: &Ranking, gold: &str, seen: bool) -> Self {
        let candidates = &ranking.candidates;
        let scores: Vec<f32> = candidates.iter().map(|candidate| candidate.score).collect();
        let gold_at = candidates.iter().position(|other| other.entity == gold);
        let best = candidates.first();
        Self {
            seen,
            place: Place::of(&scores, gold_at),
            confidence: best.map_or(0.0, |best| f64::from(best.probability)),
            right: best.is_some_and(|best| best.entity == gold),
        }
    }
}

impl Metrics {
    fn of(outcomes: &[&Outcome]) -> Self {
        if outcomes.is_empty() {
            return Self::default();
        }
        let n = outcomes.len();
        let mean = |value: &dyn Fn(&Outcome) -> f64| {
            outcomes.iter().map(|outcome| value(outcome)).sum::<f64>() / n as f64
        };
        Self {
            n,
            p_at_1: mean(&|outcome| outcome.place.recall_at(1)),
            r_at_3: mean(&|outcome| outcome.place.recall_at(3)),
            r_at_10: mean(&|outcome| outcome.place.recall_at(10)),
            mrr: mean(&|outcome| outcome.place.reciprocal_rank()),
            ece: calibration_error(outcomes),
            recall: mean(&|outcome| outcome.place.recall()),
        }
    }

    fn print(&self, name: &str) {
        if self.n == 0 {
            println!("{name:>8} {:>6}", 0);
            return;
        }
        println!(
            "{name:>8} {:>6} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>6.3} {:>7.3}",
            self.n, self.p_at_1, self.r_at_3, self.r_at_10, self.mrr, self.ece, self.recall
        );
    }
}

/// Expected calibration error over equal bins of the best candidate's probability.
fn calibration_error(outcomes: &[&Outcome]) -> f64 {
    let bin = |outcome: &Outcome| ((outcome.confidence * BINS as f64) as usize).min(BINS - 1);
    (0..BINS)
        .map(|wanted| {
            let inside = || outcomes.iter().filter(|outcome| bin(outcome) == wanted);
            let gap: f64 = inside()
                .map(|outcome| outcome.confidence - f64::from(u8::from(outcome.right)))
                .sum();
            gap.abs() / outcomes.len() as f64
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_model::data::{Candidate, Cues, Mention};

    fn ranking(scores: &[(&str, f32)]) -> Ranking {
        Ranking {
            mention: Mention { start: 0, end: 1 },
            candidates: scores
                .iter()
                .map(|&(entity, score)| Candidate {
                    entity: entity.to_owned(),
                    score,
                    probability: 0.5,
                    cues: Cues::default(),
                })
                .collect(),
            nil_probability: None,
            scorer: "prototype".to_owned(),
        }
    }

    #[test]
    fn a_missing_gold_is_a_miss() {
        let missed = Outcome::of(&ranking(&[("a", 2.0)]), "gold", false);
        let first = Outcome::of(&ranking(&[("gold", 2.0), ("a", 1.0)]), "gold", false);
        let metrics = Metrics::of(&[&missed, &first]);
        assert_eq!(
            (metrics.p_at_1, metrics.recall, metrics.ece),
            (0.5, 0.5, 0.0)
        );
    }
}
