//! `imn eval`: how often the right entity comes first.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use serde::Serialize;
use serde_json::{Value, json};
use shared_model::data::Post;
use shared_model::linker::{Linker, Reading};
use shared_model::manifest::MANIFEST;

use crate::cli::EvalArgs;
use crate::dataset::{CandidatePolicy, Dataset, Split};
use crate::device::DeviceArg;
use crate::features::{Features, Wanted};
use crate::files::progress;
use crate::mentions::{self, EncodedMention};
use crate::metrics::Metrics;
use crate::outcomes::{self, Answer, Outcome, Sorting, Subset};
use crate::parallel::on_all_cores;
use crate::place::TIE_RULE;
use crate::prototypes::build;
use crate::run::{EncoderOrigin, Model, Prototyping, open_run};
use crate::systems::{System, Systems};

/// Mentions encoded at once.
const BATCH: usize = 32;

/// A model's and the baselines' answers to a split.
pub(crate) struct Evaluation {
    /// One a mention with a gold.
    pub(crate) outcomes: Vec<Outcome>,
    /// The model's name, then the baselines'.
    systems: Vec<&'static str>,
    policy: CandidatePolicy,
    nil: Nil,
}

/// Rows whose mention has no gold. They are ranked, but no figure of the others counts them.
#[derive(Debug, Serialize)]
struct Nil {
    n: usize,
    /// The share that is called NIL; `None` where NIL is not calibrated.
    accuracy: Option<f64>,
    /// The share of mentions with a gold that is called NIL.
    false_alarms: Option<f64>,
}

/// Evaluates a split.
pub(crate) fn eval(args: EvalArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    let model = args.model.run.or(args.model.bundle);
    let evaluation = Evaluation::of(
        &Dataset::open(&args.dataset)?,
        &model.context("clap requires one of them")?,
        args.split,
        args.candidates,
        &device.open()?,
    )?;
    if let Some(path) = &args.outcomes {
        outcomes::write(path, &evaluation.outcomes)?;
    }
    if as_json {
        out!("{:#}", evaluation.json()?);
    } else {
        evaluation.print();
    }
    Ok(())
}

impl Evaluation {
    /// Ranks the mentions of a split with a run or bundle folder. Prototypes come from the dataset.
    ///
    /// # Errors
    ///
    /// If the split has no mention with an entity, and of a row that cannot be ranked: its id.
    pub(crate) fn of(
        dataset: &Dataset,
        model: &Path,
        split: Split,
        policy: Option<CandidatePolicy>,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let policy = policy.unwrap_or(dataset.info.candidate_policy);
        let posts = dataset.posts(split)?;
        let (golds, nil): (Vec<&Post>, Vec<&Post>) = posts
            .iter()
            .filter(|post| post.entity.is_some() || post.mention.is_some())
            .partition(|post| post.entity.is_some());
        ensure!(
            !golds.is_empty(),
            "{}: no mention of this split has an entity",
            dataset.folder.display()
        );
        let train = dataset.posts_if_any(Split::Train)?;
        let (parts, origin) = opened(model, device)?;
        let trained: HashSet<String> = match &parts.imn {
            Some(network) => network.training.entities.iter().cloned().collect(),
            None => train
                .iter()
                .filter_map(|post| post.entity.clone())
                .collect(),
        };

        let features = Features::open(dataset, &parts.encoders, &origin.fingerprint()?)?;
        let kb = build(dataset, &parts.encoders, &features, Prototyping::of(model)?)?;
        let wanted = match &parts.imn {
            Some(_) => Wanted::Tokens,
            None => Wanted::Pooled,
        };
        let encode =
            |posts| mentions::encode(dataset, posts, policy, &parts.encoders, &features, wanted);
        let (mentions, nil) = (encode(&golds)?, encode(&nil)?);
        drop(features);
        let linker = parts.linker(kb)?;

        let systems = Systems::new(&linker, dataset, &train);
        let list = systems.list();
        let mentions = read(&linker, mentions)?;
        let answered = on_all_cores(&mentions, "mentions", |(mention, reading)| {
            list.iter()
                .map(|(_, system)| systems.answer(*system, mention, reading))
                .collect::<anyhow::Result<Vec<_>>>()
        })?;
        let nil = read(&linker, nil)?;
        let called_nil = on_all_cores(&nil, "NIL mentions", |(mention, reading)| {
            Ok(systems.answer(System::Model, mention, reading)?.is_nil)
        })?;
        let nil = Nil {
            n: nil.len(),
            accuracy: share(called_nil.into_iter()),
            false_alarms: share(answered.iter().map(|answers| answers[0].is_nil)),
        };

        let mut sorting = Sorting::new(&linker.aliases, &dataset.entities, &trained);
        let outcomes = mentions
            .iter()
            .zip(answered)
            .map(|((mention, _), answers)| {
                let gold = mention.post.entity.as_deref().unwrap_or_default();
                let mut outcome = sorting.next(mention, gold);
                for ((name, _), answered) in list.iter().zip(answers) {
                    let answer = Answer::of(answered.place, answered.confidence);
                    outcome.systems.insert((*name).to_owned(), answer);
                }
                outcome
            });
        Ok(Self {
            outcomes: outcomes.collect(),
            systems: list.iter().map(|(name, _)| *name).collect(),
            policy,
            nil,
        })
    }

    fn metrics(&self, system: &str, subset: Subset) -> Metrics {
        let outcomes = self.outcomes.iter().filter(|outcome| subset.holds(outcome));
        Metrics::of(outcomes.map(|outcome| (outcome, &outcome.systems[system])))
    }

    /// The model's figures, those of its subsets under their names, and the baselines' under theirs.
    fn json(&self) -> anyhow::Result<Value> {
        let figures = |system: &str| -> anyhow::Result<Value> {
            let mut figures = serde_json::to_value(self.metrics(system, Subset::All))?;
            for subset in &Subset::EVERY[1..] {
                figures[subset.name()] = serde_json::to_value(self.metrics(system, *subset))?;
            }
            Ok(figures)
        };
        let (model, baselines) = self.systems.split_first().context("a model ranks")?;
        let mut report = figures(model)?;
        report["system"] = json!(model);
        report["tie_rule"] = json!(TIE_RULE);
        report["candidate_policy"] = json!(self.policy.name());
        report["nil_mentions"] = json!(self.nil.n);
        report["nil"] = serde_json::to_value(&self.nil)?;
        report["baselines"] = json!({});
        for name in baselines {
            report["baselines"][*name] = figures(name)?;
        }
        Ok(report)
    }

    fn print(&self) {
        out!("candidates: {}; ties: {TIE_RULE}", self.policy.name());
        out!("{:22} {}", "", Metrics::HEAD);
        for system in &self.systems {
            for subset in Subset::EVERY {
                let row = self.metrics(system, subset).row();
                out!("{system:11} {:10} {row}", subset.name());
            }
        }
        let Nil {
            n,
            accuracy,
            false_alarms,
        } = self.nil;
        if let (Some(accuracy), Some(false_alarms)) = (accuracy, false_alarms) {
            out!("{n} NIL mentions: {accuracy:.3} called NIL, and {false_alarms:.3} of the others");
        } else if n > 0 {
            out!("{n} NIL mentions, ranked but not called: NIL is not calibrated");
        }
    }
}

/// A run's or bundle's model, and where its encoders are.
fn opened(folder: &Path, device: &Device) -> anyhow::Result<(Model, EncoderOrigin)> {
    if !folder.join(MANIFEST).exists() {
        return Ok((Model::of_run(folder, device)?, open_run(folder)?.encoders));
    }
    let origin = EncoderOrigin::Bundle {
        folder: folder.to_owned(),
    };
    Ok((origin.load(device)?, origin))
}

/// Reads mentions in batches.
fn read<'a>(
    linker: &Linker,
    mentions: Vec<EncodedMention<'a>>,
) -> anyhow::Result<Vec<(EncodedMention<'a>, Reading)>> {
    let mut readings = Vec::with_capacity(mentions.len());
    let bar = progress(mentions.len(), "reading");
    for batch in mentions.chunks(BATCH) {
        let posts: Vec<_> = batch
            .iter()
            .map(|mention| mention.features.vectors())
            .collect();
        readings.extend(pollster::block_on(linker.read(posts))?);
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    Ok(mentions.into_iter().zip(readings).collect())
}

/// The share of mentions that are called NIL; `None` if one is not asked, or if there is none.
fn share(called: impl ExactSizeIterator<Item = Option<bool>>) -> Option<f64> {
    let n = called.len();
    let called = called.collect::<Option<Vec<bool>>>()?;
    (n > 0).then(|| called.iter().filter(|&&nil| nil).count() as f64 / n as f64)
}
