//! `imn eval`: ranks the labelled mentions of a dataset with a run's systems and measures the ranks.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use serde::Serialize;
use serde_json::{Value, json};
use shared_model::data::{Entity, Post};

use crate::cli::EvalArgs;
use crate::cues::Cue;
use crate::dataset::{CandidatePolicy, Dataset, Modalities, Split};
use crate::device::DeviceArg;
use crate::features::{FeatureLevel, Features};
use crate::files;
use crate::mentions::{self, EncodedMention};
use crate::metrics::{Metrics, calibration_error, confidences, expected_calibration_error};
use crate::outcomes::{Answer, ListKind, Outcome, Subset, labelled};
use crate::prototypes::{PrototypeSettings, build};
use crate::reliability;
use crate::run::{Model, Network};
use crate::systems::{self, Scores, System};
use shared_model::gold_rank::TIE_RULE;

/// The outcomes of all systems on a split.
pub(crate) struct Evaluation {
    /// One per mention with a gold.
    pub(crate) outcomes: Vec<Outcome>,
    /// Names of the systems, the run's own first.
    systems: Vec<&'static str>,
    /// Milliseconds per mention that each system took to score encoded mentions.
    milliseconds: BTreeMap<&'static str, f64>,
    policy: CandidatePolicy,
    /// Number of mentions without a gold. They are ranked, but count in no figure but those on NIL.
    n_nil: usize,
    /// Figures on NIL, of the systems that have probabilities.
    pub(crate) nil: BTreeMap<&'static str, Nil>,
}

/// How well a system recognises mentions that mean none of their candidates.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Nil {
    /// Number of mentions without a gold.
    pub(crate) n: usize,
    /// Share of them that is called NIL; `None` if NIL is not calibrated, or if there is none.
    pub(crate) accuracy: Option<f64>,
    /// Share of the mentions with a gold that is called NIL.
    pub(crate) false_alarms: Option<f64>,
}

/// How well a system's probabilities fit the outcomes on one kind of candidate list.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct ListCalibration {
    /// Number of mentions.
    n: usize,
    /// Expected calibration error.
    ece: f64,
}

/// Which mentions are ranked, among which candidates, and by what.
pub(crate) struct Protocol<'a> {
    /// Part of the mentions.
    pub(crate) split: Split,
    /// How the ids of the mentions start; empty for all.
    pub(crate) ids: &'a str,
    /// `None` for that of the dataset.
    pub(crate) policy: Option<CandidatePolicy>,
    /// What is left of the mentions' posts.
    pub(crate) mentions: Modalities,
    /// Cues that get weight 0.
    pub(crate) without: &'a [Cue],
}

/// Evaluates a split.
pub(crate) fn eval(args: EvalArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    let model = args.model.run.or(args.model.bundle);
    let dataset = Dataset::open(&args.dataset)?;
    let evaluation = Evaluation::of(
        &args.entity_modalities.of_entities(dataset),
        &model.context("clap requires one of them")?,
        Protocol {
            split: args.split,
            ids: args.ids.as_deref().unwrap_or_default(),
            policy: args.candidates,
            mentions: args.mention_modalities,
            without: &args.without,
        },
        &device.open()?,
    )?;
    if let Some(path) = &args.outcomes {
        files::write_jsonl(path, &evaluation.outcomes)?;
    }
    if let Some(path) = &args.reliability {
        files::write(path, evaluation.reliability()?.as_bytes())?;
    }
    if as_json {
        out!("{:#}", evaluation.json()?);
    } else {
        evaluation.print();
    }
    Ok(())
}

impl Evaluation {
    /// Ranks the mentions of a split with a run or bundle folder. The knowledge base is built from the dataset.
    ///
    /// # Errors
    ///
    /// If no mention of the split has an entity, or if a row cannot be ranked; the error names it.
    pub(crate) fn of(
        dataset: &Dataset,
        model: &Path,
        protocol: Protocol,
        device: &Device,
    ) -> anyhow::Result<Self> {
        let policy = protocol.policy.unwrap_or(dataset.info.candidate_policy);
        let posts = dataset.posts(protocol.split)?.into_iter();
        let posts = posts.filter(|post| post.id.starts_with(protocol.ids));
        let posts = posts.map(|post| protocol.mentions.of_mention(post));
        let posts = posts.collect::<anyhow::Result<Vec<Post>>>()?;
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
        let settings = PrototypeSettings::read(model)?;
        let mut model = Model::open(model, device)?;
        for cue in protocol.without {
            *cue.weight(&mut model.scorer) = 0.0;
        }
        let network = Network::among(&model.systems);
        let trained: HashSet<String> = match model.systems.first() {
            Some(system) => system.training().entities.iter().cloned().collect(),
            None => train
                .iter()
                .filter_map(|post| post.entity.clone())
                .collect(),
        };

        let features = Features::open(dataset, &model.encoders, &model.fingerprint)?;
        let kb = build(dataset, &model.encoders, &features, settings)?;
        let linker = model.linker(kb)?;
        let systems = systems::of_run(&model.systems, &linker, dataset, &train)?;
        let level = systems.iter().map(|system| system.needs()).max();
        let level = level.unwrap_or(FeatureLevel::None);
        let encode =
            |posts| mentions::encode(dataset, posts, policy, &model.encoders, &features, level);
        let (golds, nil) = (encode(&golds)?, encode(&nil)?);
        drop(features);

        let entities = &dataset.entities;
        let outcomes = labelled(&golds, &linker.aliases, entities, &trained);
        let mut evaluation = Self::rank(&systems, policy, &golds, &nil, entities, outcomes)?;
        if network.is_some() {
            for (outcome, mention) in evaluation.outcomes.iter_mut().zip(&golds) {
                let candidates = mention.candidates.iter();
                let is_trained = |&candidate: &usize| trained.contains(&entities[candidate].id);
                outcome.list = ListKind::of(candidates.map(is_trained));
            }
        }
        Ok(evaluation)
    }

    /// Ranks mentions with every system.
    ///
    /// # Arguments
    ///
    /// - systems: the run's own first.
    /// - golds: mentions with a gold.
    /// - nil: mentions without one.
    /// - entities: those of the knowledge base.
    /// - outcomes: those of `golds`, without answers.
    ///
    /// # Errors
    ///
    /// See [`System::score`].
    fn rank(
        systems: &[Box<dyn System + '_>],
        policy: CandidatePolicy,
        golds: &[EncodedMention],
        nil: &[EncodedMention],
        entities: &[Entity],
        mut outcomes: Vec<Outcome>,
    ) -> anyhow::Result<Self> {
        let mut figures = BTreeMap::new();
        let mut milliseconds = BTreeMap::new();
        for system in systems {
            let start = Instant::now();
            let scores = system.score(golds)?;
            let per_mention = 1e3 * start.elapsed().as_secs_f64() / golds.len() as f64;
            milliseconds.insert(system.name(), per_mention);
            let nil_scores = system.score(nil)?;
            if scores.iter().any(|scores| scores.probabilities.is_some()) {
                let figures_on_nil = Nil {
                    n: nil.len(),
                    accuracy: share_called_nil(&nil_scores),
                    false_alarms: share_called_nil(&scores),
                };
                figures.insert(system.name(), figures_on_nil);
            }
            for ((outcome, mention), scores) in outcomes.iter_mut().zip(golds).zip(&scores) {
                let answer = Answer::new(system.name(), scores, mention.gold(entities));
                outcome.systems.push(answer);
            }
        }
        Ok(Self {
            outcomes,
            systems: systems.iter().map(|system| system.name()).collect(),
            milliseconds,
            policy,
            n_nil: nil.len(),
            nil: figures,
        })
    }

    /// The reliability diagram of the first system.
    fn reliability(&self) -> anyhow::Result<String> {
        let system = self.systems[0];
        let answers = self
            .outcomes
            .iter()
            .filter_map(|outcome| outcome.answer(system));
        let answers = confidences(answers)
            .with_context(|| format!("{system} does not estimate probabilities"))?;
        let error = expected_calibration_error(&answers).unwrap_or_default();
        let n = answers.len();
        reliability::diagram(
            &format!("{system}: n = {n}, calibration error {error:.3}"),
            &answers,
        )
    }

    fn metrics(&self, system: &str, subset: Subset) -> Metrics {
        let outcomes = self.outcomes.iter();
        let of_subset = outcomes.filter(|outcome| subset.contains(outcome));
        Metrics::of(of_subset.filter_map(|outcome| Some((outcome, outcome.answer(system)?))))
    }

    /// The calibration of a system by what the network was trained on; empty without a network or probabilities.
    fn calibration(&self, system: &str) -> Vec<(ListKind, ListCalibration)> {
        let of_kind = |kind: ListKind| {
            let outcomes = self.outcomes.iter();
            let of_kind = outcomes.filter(|outcome| outcome.list == Some(kind));
            let answers: Vec<&Answer> = of_kind
                .filter_map(|outcome| outcome.answer(system))
                .collect();
            let n = answers.len();
            let ece = calibration_error(answers)?;
            (n > 0).then_some((kind, ListCalibration { n, ece }))
        };
        ListKind::ALL.into_iter().filter_map(of_kind).collect()
    }

    /// A system's figures, and those of its subsets under their names.
    fn figures(&self, system: &str) -> anyhow::Result<Value> {
        let mut figures = serde_json::to_value(self.metrics(system, Subset::All))?;
        for subset in &Subset::EVERY[1..] {
            figures[subset.name()] = serde_json::to_value(self.metrics(system, *subset))?;
        }
        for (kind, calibration) in self.calibration(system) {
            figures["calibration"][kind.name()] = serde_json::to_value(calibration)?;
        }
        if let Some(nil) = self.nil.get(system) {
            figures["nil"] = serde_json::to_value(nil)?;
        }
        figures["milliseconds_per_mention"] = json!(self.milliseconds.get(system));
        Ok(figures)
    }

    /// The figures of the run's own system, and those of the others under their names.
    fn json(&self) -> anyhow::Result<Value> {
        let (own, others) = self.systems.split_first().context("no system ranks")?;
        let mut report = self.figures(own)?;
        report["system"] = json!(own);
        report["tie_rule"] = json!(TIE_RULE);
        report["candidate_policy"] = json!(self.policy.name());
        report["nil_mentions"] = json!(self.n_nil);
        report["baselines"] = json!({});
        for name in others {
            report["baselines"][*name] = self.figures(name)?;
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
        for system in &self.systems {
            for (kind, ListCalibration { n, ece }) in self.calibration(system) {
                let kind = kind.name();
                out!("{system}: ECE {ece:.3} on {n} mentions with {kind} candidates");
            }
        }
        for (system, nil) in &self.nil {
            let n = self.n_nil;
            if let (Some(accuracy), Some(false_alarms)) = (nil.accuracy, nil.false_alarms) {
                out!(
                    "{system}: {accuracy:.3} of {n} NIL mentions called NIL, and {false_alarms:.3} of the others"
                );
            } else if n > 0 {
                out!("{system}: {n} NIL mentions were ranked; NIL is not calibrated");
            }
        }
        for (system, milliseconds) in &self.milliseconds {
            out!("{system}: {milliseconds:.3} ms per mention, after encoding");
        }
    }
}

/// The share of mentions that a system calls NIL; `None` if NIL is not calibrated, or without mentions.
fn share_called_nil(scores: &[Scores]) -> Option<f64> {
    let called: Vec<bool> = scores
        .iter()
        .map(|scores| scores.probabilities?.is_nil())
        .collect::<Option<_>>()?;
    let n = called.iter().filter(|&&is_nil| is_nil).count();
    (!called.is_empty()).then(|| n as f64 / called.len() as f64)
}

#[cfg(test)]
mod tests {
    use shared_model::aliases::AliasIndex;
    use shared_model::data::Mention;

    use super::*;
    use crate::systems::Probabilities;

    /// Scores the n-th candidate of every list by the n-th value.
    struct Toy {
        name: &'static str,
        values: [f32; 3],
        probabilities: Option<Probabilities>,
    }

    impl System for Toy {
        fn name(&self) -> &'static str {
            self.name
        }

        fn needs(&self) -> FeatureLevel {
            FeatureLevel::None
        }

        fn score(&self, mentions: &[EncodedMention]) -> anyhow::Result<Vec<Scores>> {
            let of_mention = |mention: &EncodedMention| Scores {
                values: self.values[..mention.candidates.len()].to_vec(),
                probabilities: self.probabilities,
            };
            Ok(mentions.iter().map(of_mention).collect())
        }
    }

    /// Three entities named Mercury, and a mention of each of `golds` among all of them.
    fn evaluate(systems: &[Box<dyn System>], golds: &[Option<&str>]) -> Value {
        let entities = ["planet", "element", "singer"].map(|id| Entity {
            id: id.to_owned(),
            name: "Mercury".to_owned(),
            aliases: Vec::new(),
            description: String::new(),
        });
        let posts: Vec<Post> = golds
            .iter()
            .enumerate()
            .map(|(number, gold)| Post {
                id: number.to_string(),
                text: format!("Mercury {number}"),
                mention: Some(Mention { start: 0, end: 7 }),
                images: Vec::new(),
                candidates: None,
                entity: gold.map(str::to_owned),
            })
            .collect();
        let mention = |post| EncodedMention {
            post,
            mention: Mention { start: 0, end: 7 },
            surface: "Mercury",
            features: Default::default(),
            candidates: vec![0, 1, 2],
        };
        let (golds, nil): (Vec<_>, Vec<_>) = posts
            .iter()
            .map(mention)
            .partition(|mention| mention.post.entity.is_some());
        let aliases = AliasIndex::new(&entities);
        let trained = HashSet::from(["planet".to_owned()]);
        let outcomes = labelled(&golds, &aliases, &entities, &trained);
        let policy = CandidatePolicy::Given;
        Evaluation::rank(systems, policy, &golds, &nil, &entities, outcomes)
            .unwrap()
            .json()
            .unwrap()
    }

    #[test]
    fn a_system_needs_no_more_than_its_trait_to_be_evaluated() {
        for (values, p_at_1, mrr, r_at_3) in [
            ([3.0, 2.0, 1.0], 0.5, 0.75, 1.0),
            ([1.0, 2.0, 3.0], 0.0, (1.0 / 3.0 + 0.5) / 2.0, 1.0),
            ([0.0; 3], 1.0 / 3.0, (1.0 + 0.5 + 1.0 / 3.0) / 3.0, 1.0),
        ] {
            let toy = |values| -> Box<dyn System> {
                Box::new(Toy {
                    name: "toy",
                    values,
                    probabilities: None,
                })
            };
            let report = evaluate(&[toy(values)], &[Some("planet"), Some("element")]);
            assert_eq!(report["system"], "toy");
            for (key, expected) in [("p@1", p_at_1), ("mrr", mrr), ("r@3", r_at_3)] {
                let found = report[key].as_f64().unwrap();
                assert!((found - expected).abs() < 1e-12, "{key}: {report}");
            }
            assert!(
                report["ece"].is_null() && report["nil"].is_null(),
                "{report}"
            );
            assert_eq!(report["seen"]["n"], 1);
            assert!(report["milliseconds_per_mention"].as_f64().unwrap() >= 0.0);
        }
    }

    #[test]
    fn every_system_with_probabilities_has_an_ece_and_figures_on_nil() {
        for (best, nil, ece, accuracy, false_alarms) in [
            (0.75, Some(0.125), 0.25, json!(0.0), json!(0.0)),
            (0.25, Some(0.5), 0.75, json!(1.0), json!(1.0)),
            (0.5, None, 0.5, Value::Null, Value::Null),
        ] {
            let toy = Toy {
                name: "toy",
                values: [3.0, 2.0, 1.0],
                probabilities: Some(Probabilities { best, nil }),
            };
            let plain = Toy {
                name: "plain",
                values: [0.0; 3],
                probabilities: None,
            };
            let systems: [Box<dyn System>; 2] = [Box::new(toy), Box::new(plain)];
            let report = evaluate(&systems, &[Some("planet"), None, None]);
            assert_eq!((&report["n"], &report["ece"]), (&json!(1), &json!(ece)));
            let expected = json!({"n": 2, "accuracy": accuracy, "false_alarms": false_alarms});
            assert_eq!(report["nil"], expected);
            let plain = &report["baselines"]["plain"];
            assert!(plain["ece"].is_null() && plain["nil"].is_null(), "{plain}");
        }
    }
}
