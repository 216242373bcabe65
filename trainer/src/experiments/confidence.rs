//! The probabilities of a row: how well they fit its answers, and what is gained by leaving the least certain ones out.

use anyhow::anyhow;
use plotters::prelude::*;
use serde_json::{Value, json};

use super::reader::Evaluated;
use crate::evaluate::Nil;
use crate::metrics::{bins, confidences, expected_calibration_error};
use crate::statistics::mean;
use crate::svg::{Area, COLOURS, Drawn, GREY};

/// Share of the mentions that is answered in the column of selective answers.
const COVERAGE: f64 = 0.8;

/// The probabilities of a row.
#[derive(Debug)]
pub(super) struct Confidence {
    /// Confidence and correctness of the answers of each run; one per mention with a gold.
    runs: Vec<Vec<(f64, f64)>>,
    /// Number of mentions without a gold; 0 for files of outcomes.
    n_nil: usize,
    /// Share of them that is called NIL, mean over the runs; `None` if a run is a file of outcomes or has no calibrated NIL,
    /// or if there is no such mention.
    nil_recall: Option<f64>,
    /// Share of the mentions with a gold that is called NIL, mean over the runs; `None` if a run is a file of outcomes or has
    /// no calibrated NIL.
    false_alarms: Option<f64>,
}

impl Confidence {
    /// The probabilities of the answers of a system in each run; `None` for a system without probabilities.
    pub(super) fn of(system: &str, runs: &[Evaluated]) -> Option<Self> {
        let answers = |run: &Evaluated| {
            let answers = run.outcomes.iter().map(|outcome| outcome.answer(system));
            let answers = confidences(answers.collect::<Option<Vec<_>>>()?);
            answers.filter(|answers| !answers.is_empty())
        };
        let nil = || runs.iter().map(|run| run.nil.get(system));
        let mean_of = |figure: fn(&Nil) -> Option<f64>| {
            let figures: Option<Vec<f64>> = nil().map(|nil| figure(nil?)).collect();
            figures.map(|figures| mean(&figures))
        };
        Some(Self {
            runs: runs.iter().map(answers).collect::<Option<_>>()?,
            n_nil: nil().flatten().next().map_or(0, |nil| nil.n),
            nil_recall: mean_of(|nil| nil.accuracy),
            false_alarms: mean_of(|nil| nil.false_alarms),
        })
    }

    /// Expected calibration error, mean over the runs.
    fn calibration_error(&self) -> f64 {
        let errors = self.runs.iter().map(|run| expected_calibration_error(run));
        let errors: Option<Vec<f64>> = errors.collect();
        mean(&errors.expect("every run has answers"))
    }

    /// Coverage and risk, the latter a mean over the runs: the share of wrong answers among the n most confident ones, for every n.
    fn risks(&self) -> Vec<(f64, f64)> {
        let runs: Vec<Vec<f64>> = self.runs.iter().map(|run| risks(run)).collect();
        let n_mentions = runs[0].len();
        let of = |i: usize| mean(&runs.iter().map(|run| run[i]).collect::<Vec<_>>());
        (0..n_mentions)
            .map(|i| ((i + 1) as f64 / n_mentions as f64, of(i)))
            .collect()
    }

    /// Area under the risk-coverage curve: the mean risk over all coverages (Geifman, Uziel and El-Yaniv, 2019).
    fn area_under_risk(&self) -> f64 {
        let risks = self.risks().into_iter();
        mean(&risks.map(|(_, risk)| risk).collect::<Vec<_>>())
    }

    /// P@1 of the most confident [`COVERAGE`] of the answers.
    fn selective(&self) -> f64 {
        let risks = self.risks();
        let n = (COVERAGE * risks.len() as f64).ceil() as usize;
        1.0 - risks[n.max(1) - 1].1
    }

    /// The figures as they are written to `results.json`: shares between 0 and 1.
    pub(super) fn json(&self) -> Value {
        json!({
            "ece": self.calibration_error(), "aurc": self.area_under_risk(),
            "selective": {"coverage": COVERAGE, "p@1": self.selective()},
            "nil": {"n": self.n_nil, "recall": self.nil_recall, "false_positive_rate": self.false_alarms},
        })
    }
}

/// The share of wrong answers among the n most confident ones, for every n; of equally confident ones, the expected value over
/// their orders.
fn risks(answers: &[(f64, f64)]) -> Vec<f64> {
    let mut answers = answers.to_vec();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut risks = Vec::with_capacity(answers.len());
    let mut errors = 0.0;
    for equal in answers.chunk_by(|a, b| a.0 == b.0) {
        let wrong: f64 = equal.iter().map(|(_, correct)| 1.0 - correct).sum();
        for _ in equal {
            errors += wrong / equal.len() as f64;
            risks.push(errors / (risks.len() + 1) as f64);
        }
    }
    risks
}

/// Rows, by name, as a table in Markdown; empty without any.
pub(super) fn markdown(rows: &[(&str, &Confidence)]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let coverage = 100.0 * COVERAGE;
    let mut text = format!(
        "\n| probabilities of | ECE | AURC | P@1 at {coverage:.0} % coverage | NIL recall | NIL false positives |\n\
         |---|---|---|---|---|---|\n"
    );
    let percent = |share: Option<f64>| match share {
        Some(share) => format!("{:.1}", 100.0 * share),
        None => "-".to_owned(),
    };
    for (name, row) in rows {
        let recall = match row.nil_recall {
            Some(_) => format!("{} ({})", percent(row.nil_recall), row.n_nil),
            None => "-".to_owned(),
        };
        text += &format!(
            "| {name} | {:.3} | {:.3} | {} | {recall} | {} |\n",
            row.calibration_error(),
            row.area_under_risk(),
            percent(Some(row.selective())),
            percent(row.false_alarms),
        );
    }
    text + "\nECE and AURC (fractions) are of the mentions with a gold, each answered by its best candidate. \
            A dash: NIL is not calibrated, does not occur, or is not in a file of outcomes.\n"
}

/// Two panels with a line per row: the reliability diagram of the answers of all runs, and the risk by coverage.
///
/// # Errors
///
/// If there is no row.
pub(super) fn draw<'a>(area: &Area<'a>, title: &str, rows: &[(&str, &Confidence)]) -> Drawn<'a> {
    if rows.is_empty() {
        return Err(anyhow!("no row has probabilities").into());
    }
    let area = area.titled(title, ("sans-serif", 18))?;
    let (left, right) = area.split_horizontally(400);
    let (mut reliability, mut risk) = (Vec::new(), Vec::new());
    for (i, (name, confidence)) in rows.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let bins = bins(&confidence.runs.concat()).into_iter();
        reliability.push(Line {
            name: "",
            colour,
            points: bins.map(|bin| (bin.confidence, bin.accuracy)).collect(),
        });
        let risks = confidence.risks();
        // More points than that are no finer on paper.
        let step = risks.len().div_ceil(400);
        risk.push(Line {
            name,
            colour,
            points: risks.into_iter().rev().step_by(step).collect(),
        });
    }
    let axes = [
        "probability of the best candidate",
        "share of right answers",
    ];
    let mut chart = panel(&left, axes, 1.0)?;
    chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], GREY)])?;
    draw_lines(&mut chart, &reliability, 3)?;

    // The risk of the first few answers is all or nothing.
    let steady = |point: &&(f64, f64)| point.0 >= 0.05;
    let highest = risk.iter().flat_map(|line| &line.points).filter(steady);
    let highest = highest.map(|point| point.1).fold(0.01, f64::max);
    let axes = [
        "coverage: share of the mentions that are answered",
        "risk: share of wrong answers",
    ];
    let mut chart = panel(&right, axes, highest)?;
    draw_lines(&mut chart, &risk, 0)?;
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .border_style(BLACK)
        .background_style(WHITE)
        .draw()?;
    Ok(())
}

/// Axes of shares.
type Chart<'a, 'b> = ChartContext<
    'b,
    SVGBackend<'a>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

struct Line<'a> {
    /// Name in the key; empty for none.
    name: &'a str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Empty axes: x from 0 to 1, y from 0 to `highest`.
fn panel<'a, 'b>(
    area: &'b Area<'a>,
    [x_axis, y_axis]: [&str; 2],
    highest: f64,
) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error + 'a>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..1.0, 0.0..highest)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc(x_axis)
        .y_desc(y_axis)
        .draw()?;
    Ok(chart)
}

/// Draws lines, with a key for those that have a name.
///
/// # Arguments
///
/// - size: radius of the points in pixels; 0 for none.
fn draw_lines<'a>(chart: &mut Chart<'a, '_>, lines: &[Line], size: u32) -> Drawn<'a> {
    for &Line {
        name,
        colour,
        ref points,
    } in lines
    {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        let line = chart.draw_series(line.point_size(size))?;
        if !name.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour);
            line.label(name).legend(key);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcomes::{Answer, Outcome};
    use shared_model::gold_rank::GoldRank;
    use std::collections::BTreeMap;

    /// A run of one system, by the confidence and correctness of its answers.
    fn run(answers: &[(f64, bool)], nil: Option<Nil>) -> Evaluated {
        let outcome = |&(confidence, is_right): &(f64, bool)| Outcome {
            id: String::new(),
            entity: "gold".to_owned(),
            seen: true,
            ambiguous: false,
            renamed: false,
            repeated: false,
            list: None,
            systems: vec![Answer {
                name: "system".to_owned(),
                rank: Some(GoldRank::of(&[1.0, 0.0], usize::from(!is_right))),
                n: 2,
                confidence: Some(confidence),
            }],
        };
        Evaluated {
            outcomes: answers.iter().map(outcome).collect(),
            nil: nil
                .map(|nil| ("system", nil))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
        }
    }

    #[test]
    fn figures_are_means_over_the_runs() {
        let nil = |accuracy, false_alarms| {
            Some(Nil {
                n: 4,
                accuracy: Some(accuracy),
                false_alarms: Some(false_alarms),
            })
        };
        let first = [
            (0.9, true),
            (0.2, false),
            (0.8, true),
            (0.5, false),
            (0.95, true),
        ];
        let second = [(1.0, true); 5];
        let runs = [run(&first, nil(0.5, 0.25)), run(&second, nil(1.0, 0.0))];
        let confidence = Confidence::of("system", &runs).unwrap();
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} is not {b}");
        // The least confident of five answers is left out; one of the other four is wrong.
        near(confidence.selective(), (0.75 + 1.0) / 2.0);
        near(confidence.area_under_risk(), (0.25 + 0.4) / 5.0 / 2.0);
        // The gaps of the bins are 0.15 (two answers), 0.2, 0.2 and 0.5.
        near(
            confidence.calibration_error(),
            (0.15 + 0.2 + 0.2 + 0.5) / 5.0 / 2.0,
        );
        let figures = confidence.json();
        assert_eq!(figures["nil"]["recall"], 0.75);
        assert_eq!(figures["nil"]["false_positive_rate"], 0.125);
        let table = markdown(&[("system", &confidence)]);
        assert!(table.contains("| 87.5 | 75.0 (4) | 12.5 |\n"), "{table}");

        let runs = [run(&first, nil(0.5, 0.25)), run(&second, None)];
        let of_a_file = Confidence::of("system", &runs).unwrap();
        let table = markdown(&[("system", &of_a_file)]);
        assert!(table.contains("| 87.5 | - | - |\n"), "{table}");
        assert!(Confidence::of("other", &runs).is_none());
    }

    #[test]
    fn the_order_of_equally_confident_answers_does_not_matter() {
        let expected = [0.5, 0.5, 1.0 / 3.0];
        assert_eq!(risks(&[(0.9, 1.0), (0.9, 0.0), (0.1, 1.0)]), expected);
        assert_eq!(risks(&[(0.1, 1.0), (0.9, 0.0), (0.9, 1.0)]), expected);
    }
}
