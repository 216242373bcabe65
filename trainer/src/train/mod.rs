//! `imn train`: fits the training-free scorer, then trains the IMN beside it: knowledge learning, task learning, and what it weighs.

mod batch;
mod blend;
mod fit;
mod metric;
mod network;
mod readout;
mod settings;
#[cfg(test)]
mod tests;
mod text;
mod world;

use std::collections::BTreeSet;

use anyhow::{Context as _, ensure};
use burn::module::Module as _;
use burn::prelude::Device;
use serde::Serialize;
use shared_model::calibration::Calibration;
use shared_model::imn::{NetworkTerm, TrainedImn};
use shared_model::manifest::Training;
use shared_model::pack::{Entry, Pack, Precision, write};
use shared_model::scorer::ScorerConfig;

use self::blend::{Blend, Held};
use self::fit::{Row, Scored};
use self::metric::MetricStage;
use self::network::{ImnStage, Placed, Setup, shared};
use self::settings::Settings;
use self::world::{Example, Part, World};
use crate::cli::{StageArg, TrainArgs};
use crate::dataset::Dataset;
use crate::device::DeviceArg;
use crate::features::FeatureLevel;
use crate::files;
use crate::learn::{Plan, learn};
use crate::prototypes::PrototypeSettings;
use crate::run::{EncoderOrigin, LearnedSystem, Network};
use crate::write_run::{Fitted, write_run};

/// Mentions that BatchNorm needs at once.
const MIN_BATCH: usize = 8;

/// What the training came to.
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
    imn: Option<TrainedImn>,
}

/// Trains, and writes a run that can be evaluated and exported.
pub(crate) fn train(args: TrainArgs, device: DeviceArg, as_json: bool) -> anyhow::Result<()> {
    if args.stage == StageArg::Text {
        return text::train(&args, device, as_json);
    }
    let datasets = args
        .datasets
        .iter()
        .map(|folder| Dataset::open(folder))
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        args.shares.is_empty()
            || (args.shares.len() == datasets.len()
                && args
                    .shares
                    .iter()
                    .all(|share| *share >= 0.0 && share.is_finite())
                && args.shares.iter().sum::<f64>() > 0.0),
        "--shares takes a number for each of the {} datasets, none below 0 and one above it",
        datasets.len()
    );
    let origin = EncoderOrigin::of(args.model.clone())?;
    let devices = device.open_all()?;
    let n = args.accumulate as usize * devices.len();
    let batch = args.batch as usize;
    ensure!(
        batch.is_multiple_of(n) && batch / n >= MIN_BATCH,
        "--batch {batch} is not {n} equal parts of {MIN_BATCH} or more: {} to a device, {} devices",
        args.accumulate,
        devices.len()
    );
    let model = origin.load(&devices[0])?;
    let wanted = match args.stage {
        StageArg::Knowledge | StageArg::Task => FeatureLevel::Tokens,
        _ => FeatureLevel::Pooled,
    };
    let mut worlds = datasets
        .iter()
        .map(|dataset| {
            let prototyping = PrototypeSettings::of(&args.choice);
            World::open(
                dataset,
                &model.encoders,
                &model.fingerprint,
                prototyping,
                wanted,
            )
            .with_context(|| dataset.folder.display().to_string())
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        worlds.iter().any(|world| !world.examples.is_empty()),
        "no dataset has a train.jsonl; `imn prototypes` makes a run without training"
    );
    let settings = Settings::of(&args, &worlds, n);
    for world in &mut worlds {
        let examples = world.examples.iter_mut().chain(&mut world.nil);
        examples
            .flat_map(|example| &mut example.cues)
            .for_each(|cues| settings.mask(cues));
    }
    ensure!(
        args.stage == StageArg::Prototype || !settings.imn.inputs.is_empty(),
        "no dataset has what --modalities names"
    );
    let teaches = |(world, share): (&World, &f64)| {
        let mut examples = world.examples.iter();
        *share > 0.0 && examples.any(|example| example.part == Part::Fit)
    };
    ensure!(
        worlds.iter().zip(&settings.shares).any(teaches),
        "no dataset with a share above 0 has train mentions"
    );
    begin(&args, &settings)?;

    let fitted = if args.keep_scorer {
        model.scorer
    } else {
        fit_scorer(&worlds, &settings)
    };
    let scored = scored(&worlds, &fitted, None);
    let (temperature, _) = fit::calibration(&scored);
    let devices: Vec<Device> = devices.into_iter().map(Device::autodiff).collect();
    let setup = Setup {
        worlds: &worlds,
        settings: &settings,
        scorer: fitted,
        temperature: f64::from(temperature),
        device: &devices[0],
        helpers: &devices[1..],
    };
    let trained = match args.stage {
        StageArg::Knowledge | StageArg::Task => Some(train_network(&setup, &datasets, &args)?),
        _ => None,
    };
    let policy = datasets[0].info.candidate_policy.name();
    let calibrate = |scored: &[Scored]| {
        let (temperature, nil_logit) = fit::calibration(scored);
        Calibration {
            policy: policy.to_owned(),
            temperature,
            nil_logit,
        }
    };
    // Before and after are told of the same mentions.
    let limit = trained.as_ref().map(|_| settings.validation);
    let before = self::scored(&worlds, &ScorerConfig::default(), limit);
    let (scored, calibration, network) = match trained {
        None => {
            let calibration = calibrate(&scored);
            (scored, calibration, None)
        }
        Some(Trained { network, held, nil }) => {
            let (seen, new) = (network.trained.seen.weight, network.trained.new.weight);
            // Each score is calibrated on its own lists: what is NIL among known entities says little of new ones.
            let with = |weight, is_seen: bool| {
                let rows = |rows: &[Held], is_gold: bool| -> Vec<Scored> {
                    let rows = rows.iter().filter(|row| row.is_seen == is_seen);
                    rows.map(|row| Scored {
                        scores: row.scores(weight),
                        gold: is_gold.then_some(row.gold),
                    })
                    .collect()
                };
                let golds = rows(&held, true);
                (!golds.is_empty()).then(|| [golds, rows(&nil, false)].concat())
            };
            let of_new = with(new, false).or_else(|| with(new, true));
            let calibration = calibrate(&of_new.context("nothing is held out")?);
            (blended(&held, (seen, new)), calibration, Some(network))
        }
    };
    let count = |part: fn(&World) -> usize| worlds.iter().map(part).sum::<usize>();
    let fitted_on = count(|world| {
        let examples = world.examples.iter();
        examples.filter(|example| example.part == Part::Fit).count()
    });
    let report = Report {
        fitted_on,
        validated_on: count(|world| world.examples.len()) - fitted_on,
        left_out: count(|world| world.left_out),
        nil_mentions: count(|world| world.nil.len()),
        p_at_1_before: p_at_1(&before),
        p_at_1: p_at_1(&scored),
        scorer: fitted,
        calibration,
        imn: network.as_ref().map(|network| network.trained.clone()),
    };
    let fitted = Fitted {
        encoders: origin,
        scorer: report.scorer,
        calibration: Some(report.calibration.clone()),
        systems: network.map(LearnedSystem::Imn).into_iter().collect(),
    };
    let dataset = datasets.into_iter().next();
    let world = worlds.into_iter().next();
    let dataset = dataset.context("clap requires a dataset")?;
    let kb = world.context("clap requires a dataset")?.kb;
    let vectors = kb.entries();
    write_run(dataset, kb.text, vectors, fitted, &args.run)?;
    if as_json {
        out!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

/// Writes `train.toml`. A new run leaves no checkpoint of an older one behind; a resumed one must have its settings.
fn begin(args: &TrainArgs, settings: &impl Serialize) -> anyhow::Result<()> {
    let (path, text) = (args.run.join("train.toml"), toml::to_string(settings)?);
    if args.resume {
        let same = !path.exists() || files::read(&path)? == text.as_bytes();
        ensure!(
            same,
            "{}: the run was begun with other settings; resume it with these, or begin another",
            path.display()
        );
    } else {
        for stage in ["metric", "knowledge", "task", "text"] {
            let checkpoint = args.run.join(format!("checkpoint-{stage}.bpk"));
            if checkpoint.exists() {
                std::fs::remove_file(&checkpoint)
                    .with_context(|| format!("cannot remove {}", checkpoint.display()))?;
            }
        }
    }
    files::write(&path, text.as_bytes())
}

/// The scorer's weights; none in the paper's form, which has no such scorer beside it.
fn fit_scorer(worlds: &[World], settings: &Settings) -> ScorerConfig {
    if settings.paper {
        return ScorerConfig::of_weights(Default::default());
    }
    let mut rows = Vec::new();
    for (world, share) in worlds.iter().zip(&settings.shares) {
        let examples = world.examples.iter();
        let examples = examples.filter(|example| example.part == Part::Fit);
        let share = share / examples.clone().count().max(1) as f64;
        rows.extend(examples.map(|example| Row {
            cues: example.cues.clone(),
            gold: example.gold,
            share,
        }));
    }
    ScorerConfig::of_weights(fit::weights(&rows))
}

/// The held-out posts under the training-free scorer, at most `limit` a world and part; all posts if none is held out.
fn scored(worlds: &[World], scorer: &ScorerConfig, limit: Option<usize>) -> Vec<Scored> {
    let placed = held_out(worlds, limit);
    let gold = placed
        .iter()
        .map(|(_, example)| (*example, Some(example.gold)));
    let nil = worlds.iter().flat_map(|world| &world.nil);
    let nil = nil.filter(|example| example.part != Part::Fit);
    gold.chain(nil.map(|example| (example, None)))
        .map(|(example, gold)| Scored {
            scores: example.cues.iter().map(|cues| scorer.score(cues)).collect(),
            gold,
        })
        .collect()
}

/// The held-out posts, at most `limit` a world and part; all posts if none is held out.
fn held_out(worlds: &[World], limit: Option<usize>) -> Vec<Placed<'_>> {
    let of = |parts: &[Part]| {
        let mut placed: Vec<Placed> = Vec::new();
        for (position, world) in worlds.iter().enumerate() {
            for part in parts {
                let examples = world.examples.iter();
                let examples = examples.filter(|example| example.part == *part);
                let n = examples.clone().count();
                let step = limit.map_or(1, |limit| n.div_ceil(limit).max(1));
                placed.extend(examples.step_by(step).map(|example| (position, example)));
            }
        }
        placed
    };
    let held = of(&[Part::Seen, Part::New]);
    if held.is_empty() {
        of(&[Part::Fit])
    } else {
        held
    }
}

/// A trained network with the held-out posts under it.
struct Trained {
    network: Network,
    held: Vec<Held>,
    nil: Vec<Held>,
}

/// Knowledge learning, then task learning.
fn train_network(setup: &Setup, datasets: &[Dataset], args: &TrainArgs) -> anyhow::Result<Trained> {
    let Setup {
        worlds,
        settings,
        device,
        ..
    } = setup;
    device.seed(settings.seed);
    let mut network = settings.imn.init(device);
    if settings.imn.readout {
        let inner = (*device).clone().inner();
        let matrices = readout::readout(&settings.imn, worlds, &inner);
        let matrices = matrices.into_iter();
        network = network.with_readout(
            matrices
                .map(|matrix| burn::tensor::Tensor::from_inner(matrix).require_grad())
                .collect(),
        );
    }
    let posts: Vec<Vec<Example>> = worlds
        .iter()
        .map(|world| {
            let mut posts = world.posts(settings.seed);
            let cues = posts.iter_mut().flat_map(|example| &mut example.cues);
            cues.for_each(|cues| settings.mask(cues));
            posts
        })
        .collect();
    let held = held_out(worlds, Some(settings.validation));
    let knowledge: Vec<Vec<Placed>> = posts
        .iter()
        .enumerate()
        .map(|(world, posts)| posts.iter().map(|example| (world, example)).collect())
        .collect();
    let task: Vec<Vec<Placed>> = worlds
        .iter()
        .enumerate()
        .map(|(position, world)| {
            let examples = world.examples.iter();
            let examples = examples.filter(|example| example.part == Part::Fit);
            examples.map(|example| (position, example)).collect()
        })
        .collect();

    let plan = |name: &str, steps: usize| Plan {
        name: name.to_owned(),
        seed: settings.seed,
        steps,
        evaluate_every: settings.evaluate_every,
        patience: settings.patience,
    };
    if settings.imn.readout && settings.metric_steps > 0 {
        let examples = task.iter().zip(&knowledge).map(|(task, posts)| {
            let chosen = if task.is_empty() { posts } else { task };
            chosen.clone()
        });
        let examples = shared(examples.collect(), &settings.shares);
        let mut stage = MetricStage::new(setup, examples, held.clone(), network);
        let plan = plan("metric", settings.metric_steps);
        let outcome = learn(&mut stage, &plan, &args.run, args.resume)?;
        eprintln!(
            "metric: the best of {} steps was {}",
            outcome.steps, outcome.best_step
        );
        network = stage.into_network();
    }
    let mut plans = Vec::new();
    if knowledge.iter().any(|examples| !examples.is_empty()) && settings.knowledge_steps > 0 {
        plans.push(("knowledge", knowledge, settings.knowledge_steps));
    }
    if args.stage == StageArg::Task {
        plans.push(("task", task, settings.task_steps));
    }
    plans.retain(|(_, examples, _)| {
        let examples = examples.iter().zip(&settings.shares);
        examples
            .into_iter()
            .any(|(examples, share)| !examples.is_empty() && *share > 0.0)
    });
    ensure!(
        !plans.is_empty(),
        "no entity has two timeline posts: nothing for knowledge learning"
    );
    let (mut blend, mut cosines, mut nil) = (Blend::default(), Vec::new(), Vec::new());
    for (name, examples, steps) in plans {
        let examples = shared(examples, &settings.shares);
        let mut stage = ImnStage::new(name, setup, examples, held.clone(), network);
        let outcome = learn(&mut stage, &plan(name, steps), &args.run, args.resume)?;
        eprintln!(
            "{name}: the best of {} steps was {}",
            outcome.steps, outcome.best_step
        );
        (cosines, blend) = stage.settle()?;
        let nil_posts: Vec<Placed> = worlds
            .iter()
            .enumerate()
            .flat_map(|(position, world)| {
                // Thinned out as the mentions with an entity are, or NIL would seem more frequent than it is.
                [Part::Seen, Part::New].into_iter().flat_map(move |part| {
                    let examples = world.examples.iter();
                    let n = examples.filter(|example| example.part == part).count();
                    let step = n.div_ceil(settings.validation).max(1);
                    let nil = world.nil.iter().filter(move |example| example.part == part);
                    nil.step_by(step).map(move |example| (position, example))
                })
            })
            .collect();
        nil = stage.cosines(&nil_posts)?;
        network = stage.into_network();
    }

    if !settings.paper && held.iter().all(|(_, example)| example.part == Part::Fit) {
        // What was learned by heart proves nothing.
        blend = Blend::default();
    }
    let used = datasets.iter().zip(&settings.shares);
    let used = used.filter(|(_, share)| **share > 0.0);
    let training = Training {
        entities: trained_entities(worlds, &posts, &settings.shares),
        datasets: used
            .map(|(dataset, _)| format!("{} ({})", dataset.info.name, dataset.info.licence))
            .collect(),
        gain: blend.gain,
    };
    let bytes = write(Entry::of_module(&network.valid()), &[], Precision::F32)?;
    Ok(Trained {
        network: Network {
            pack: Pack::read("imn.bpk", bytes)?,
            trained: TrainedImn {
                config: settings.imn.clone(),
                seen: NetworkTerm {
                    weight: blend.seen,
                    background: 0.0,
                },
                new: NetworkTerm {
                    weight: blend.new,
                    background: 0.0,
                },
            },
            training,
        },
        held: cosines,
        nil,
    })
}

/// Ids of the golds that were trained on. An id that stands for an untrained entity in one of the datasets is not among them.
fn trained_entities(worlds: &[World], posts: &[Vec<Example>], shares: &[f64]) -> Vec<String> {
    let mut trained = BTreeSet::new();
    let mut untrained = BTreeSet::new();
    for ((world, posts), share) in worlds.iter().zip(posts).zip(shares) {
        let golds: BTreeSet<usize> = if *share <= 0.0 {
            BTreeSet::new()
        } else if world.examples.is_empty() {
            let posts = posts.iter();
            posts
                .map(|example| example.candidates[example.gold])
                .collect()
        } else {
            world.trained.iter().copied().collect()
        };
        for (position, entity) in world.kb.text.entities.iter().enumerate() {
            let ids = if golds.contains(&position) {
                &mut trained
            } else {
                &mut untrained
            };
            ids.insert(entity.id.as_str());
        }
    }
    trained
        .difference(&untrained)
        .map(|id| (*id).to_owned())
        .collect()
}

/// Held-out posts with an entity under the score that the run will have.
fn blended(held: &[Held], (seen, new): (f32, f32)) -> Vec<Scored> {
    held.iter()
        .map(|held| Scored {
            scores: held.scores(if held.is_seen { seen } else { new }),
            gold: Some(held.gold),
        })
        .collect()
}

/// How often the gold stands alone at the top.
fn p_at_1(scored: &[Scored]) -> f64 {
    let golds = scored
        .iter()
        .filter_map(|row| Some((&row.scores, row.gold?)));
    let right = golds.clone().filter(|(scores, gold)| {
        (0..scores.len()).all(|i| i == *gold || scores[i] < scores[*gold])
    });
    right.count() as f64 / golds.count().max(1) as f64
}

impl Report {
    fn print(&self) {
        out!(
            "fitted on {} mentions, {} held out, {} NIL, {} left out (their entity is no candidate or the only one)",
            self.fitted_on,
            self.validated_on,
            self.nil_mentions,
            self.left_out
        );
        out!(
            "P@1 on {}: {:.3} before, {:.3} after",
            if self.validated_on > 0 {
                "the held-out mentions"
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
        out!(
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
        out!("lexical: {}", parts.join(", "));
        if let Some(imn) = &self.imn {
            out!(
                "IMN: weight {:.3} among entities it trained on, {:.3} among others",
                imn.seen.weight,
                imn.new.weight
            );
        }
        let Calibration {
            temperature,
            nil_logit,
            ..
        } = self.calibration;
        let nil = nil_logit.map_or("none (no NIL mentions)".to_owned(), |nil| {
            format!("{nil:.2}")
        });
        out!("temperature {temperature:.4}, NIL logit {nil}");
    }
}
