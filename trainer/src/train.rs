//! `imn train`: fits the scorer on the train mentions of one or more datasets.

use std::collections::HashMap;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use shared_model::data::Post;
use shared_model::kb::KnowledgeBase;
use shared_model::linker::Encoders;
use shared_model::scorer::{Calibration, PrototypeScorer, ScorerConfig};

use crate::TrainArgs;
use crate::dataset::{Dataset, Split, hash};
use crate::device::DeviceArg;
use crate::features::Features;
use crate::fit::{self, Row, Scored};
use crate::mentions::{self, EncodedMention};
use crate::prototypes::{Fitted, build, timeline, write_run};
use crate::run::EncoderOrigin;

/// One in this many entities, with all its mentions, is kept for validation.
const VALIDATION: u32 = 10;

/// What the fit came to.
#[derive(Debug, Serialize)]
struct Report {
    fitted_on: usize,
    validated_on: usize,
    /// Mentions whose gold is no candidate, or that have none beside it: nothing to learn from.
    left_out: usize,
    nil_mentions: usize,
    p_at_1_before: f64,
    p_at_1: f64,
    scorer: ScorerConfig,
    calibration: Calibration,
}

/// A dataset with its encoded train mentions.
struct World {
    kb: KnowledgeBase,
    rows: Vec<TrainRow>,
}

/// A train mention as cues.
struct TrainRow {
    row: Row,
    is_nil: bool,
    validation: bool,
}

/// Fits weights, temperature and NIL logit, and writes a run that can be evaluated and exported.
pub(crate) fn train(args: TrainArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    let datasets = args
        .datasets
        .iter()
        .map(|folder| Dataset::open(folder))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let origin = EncoderOrigin::of(args.encoders)?;
    let model = origin.load(&device.open()?)?;

    let fingerprint = origin.fingerprint()?;
    let mut worlds = Vec::new();
    let mut left_out = 0;
    for dataset in &datasets {
        let posts = dataset.posts(Split::Train)?;
        let features = Features::open(dataset, &model.encoders, &fingerprint)?;
        let kb = build(
            dataset,
            &model.encoders,
            &features,
            args.choice.prototyping(),
        )?;
        let rows = rows(dataset, &posts, &kb, &model.encoders, &features)?;
        left_out += posts.len() - rows.len();
        ensure!(
            rows.iter().any(|row| !row.is_nil && !row.validation),
            "{}: train.jsonl has no mention with its entity and another among the candidates; \
             `imn prototypes` makes a run without training",
            dataset.folder.display()
        );
        worlds.push(World { kb, rows });
    }
    // Every dataset weighs the same.
    let n_golds = |world: &World| world.rows.iter().filter(|row| !row.is_nil).count();
    for world in &mut worlds {
        let share = 1.0 / n_golds(world) as f64;
        world.rows.iter_mut().for_each(|row| row.row.share = share);
    }

    let n_nil = worlds
        .iter()
        .flat_map(|world| &world.rows)
        .filter(|row| row.is_nil)
        .count();
    let (mut fitted_on, mut validation, mut nil) = (Vec::new(), Vec::new(), Vec::new());
    let mut kbs = Vec::new();
    for world in worlds {
        kbs.push(world.kb);
        for TrainRow {
            row,
            is_nil,
            validation: held_out,
        } in world.rows
        {
            match (held_out, is_nil) {
                (true, true) => nil.push(row),
                (true, false) => validation.push(row),
                (false, true) => {}
                (false, false) => fitted_on.push(row),
            }
        }
    }
    let scorer = ScorerConfig::of_weights(fit::weights(&fitted_on));
    let score = |config: &ScorerConfig, row: &Row| -> Vec<f32> {
        row.cues.iter().map(|cues| config.score(cues)).collect()
    };
    let measured: &[Row] = if validation.is_empty() {
        &fitted_on
    } else {
        &validation
    };
    let scored: Vec<Scored> = measured
        .iter()
        .map(|row| (row, Some(row.gold)))
        .chain(nil.iter().map(|row| (row, None)))
        .map(|(row, gold)| Scored {
            scores: score(&scorer, row),
            gold,
        })
        .collect();
    let (temperature, nil_logit) = fit::calibration(&scored);
    let p_at_1 = |config: &ScorerConfig| {
        let right = measured.iter().filter(|row| {
            let scores = score(config, row);
            (0..scores.len()).all(|i| i == row.gold || scores[i] < scores[row.gold])
        });
        right.count() as f64 / measured.len() as f64
    };
    let report = Report {
        fitted_on: fitted_on.len(),
        validated_on: validation.len(),
        left_out,
        nil_mentions: n_nil,
        p_at_1_before: p_at_1(&model.scorer),
        p_at_1: p_at_1(&scorer),
        scorer,
        calibration: Calibration {
            policy: datasets[0].info.candidate_policy.name().to_owned(),
            temperature,
            nil_logit,
        },
    };
    let fitted = Fitted {
        encoders: origin,
        scorer: report.scorer,
        calibration: Some(report.calibration.clone()),
    };
    let dataset = datasets
        .into_iter()
        .next()
        .context("clap requires a dataset")?;
    let kb = kbs.into_iter().next().context("clap requires a dataset")?;
    write_run(dataset, kb, fitted, &args.run)?;
    if as_json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// The cues of every train mention from which something can be learned. A mention's own post never speaks for its gold.
fn rows(
    dataset: &Dataset,
    posts: &[Post],
    kb: &KnowledgeBase,
    encoders: &Encoders,
    features: &Features,
) -> anyhow::Result<Vec<TrainRow>> {
    let own: HashMap<&str, usize> = timeline(dataset)
        .into_iter()
        .enumerate()
        .filter_map(|(position, post)| Some((post.id.as_deref()?, position)))
        .collect();
    let positions = dataset.positions();
    let policy = dataset.info.candidate_policy;
    let scorer = PrototypeScorer::new(ScorerConfig::default(), kb);
    let posts: Vec<&Post> = posts.iter().collect();
    let mentions = mentions::encode(dataset, &posts, policy, encoders, features)?;
    let row = |mention: EncodedMention| {
        let post = mention.post;
        let gold = match &post.entity {
            Some(id) => {
                let entity = positions.get(id.as_str())?;
                let place = mention
                    .candidates
                    .iter()
                    .position(|candidate| candidate == entity);
                Some(place?)
            }
            None => None,
        };
        let enough = mention.candidates.len() > usize::from(gold.is_some());
        let cues = enough.then(|| {
            scorer.all_cues(
                kb,
                &mention.pooled,
                &post.text,
                mention.surface,
                &mention.candidates,
                own.get(post.id.as_str()).copied(),
            )
        })?;
        Some(TrainRow {
            row: Row {
                cues,
                gold: gold.unwrap_or_default(),
                share: 1.0,
            },
            is_nil: gold.is_none(),
            validation: is_validation(post.entity.as_deref().unwrap_or(&post.id)),
        })
    };
    Ok(mentions.into_iter().filter_map(row).collect())
}

/// Whether an entity's mentions are kept for validation.
fn is_validation(id: &str) -> bool {
    // Not the bits by which an import cuts a dataset: its train part would hold none of these entities.
    (hash(id) >> 16).is_multiple_of(VALIDATION)
}

impl Report {
    fn print(&self) {
        println!(
            "fitted on {} mentions, {} held out, {} NIL, {} left out (their entity is no candidate or the only one)",
            self.fitted_on, self.validated_on, self.nil_mentions, self.left_out
        );
        println!(
            "P@1 on {}: {:.3} before, {:.3} fitted",
            if self.validated_on > 0 {
                "the held-out entities"
            } else {
                "the same mentions"
            },
            self.p_at_1_before,
            self.p_at_1
        );
        let ScorerConfig {
            text,
            image,
            classes,
            lexical,
            lexical_parts,
        } = self.scorer;
        println!(
            "weights: text {text:.2}, image {image:.2}, classes {classes:.2}, lexical {lexical:.2}"
        );
        let names = [
            "fuzzy ratio",
            "exact name",
            "mention's words",
            "surname",
            "words",
            "n-grams",
        ];
        let parts: Vec<String> = names
            .iter()
            .zip(lexical_parts)
            .map(|(name, part)| format!("{name} {part:.2}"))
            .collect();
        println!("lexical: {}", parts.join(", "));
        let Calibration {
            temperature,
            nil_logit,
            ..
        } = self.calibration;
        let nil = nil_logit.map_or("none (no NIL mentions)".to_owned(), |nil| {
            format!("{nil:.2}")
        });
        println!("temperature {temperature:.4}, NIL logit {nil}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_kept_of_a_train_part_that_was_cut_by_entity() {
        let ids = (0..10_000).map(|i| format!("Q{i}"));
        let train: Vec<String> = ids
            .filter(|id| Split::of_entity(id) == Split::Train)
            .collect();
        let kept = train.iter().filter(|id| is_validation(id)).count();
        let share = kept as f64 / train.len() as f64;
        assert!((0.08..0.12).contains(&share), "{share}");
    }
}
