//! The probabilities of a row: how well they fit its answers, and what is gained by leaving the least certain ones out.

use plotters::prelude::*;
use serde_json::{Value, json};

use super::reader::Evaluated;
use crate::metrics::{confidences, expected_calibration_error};
use crate::reliability::bins;
use crate::svg::{Area, COLOURS, Drawn, GREY};

/// Share of the mentions that is answered in the column of selective answers.
const ANSWERED: f64 = 0.8;

/// The probabilities of a row.
#[derive(Debug)]
pub(super) struct Confidence {
    /// Confidence and correctness of the answers of each run.
    runs: Vec<Vec<(f64, f64)>>,
    /// Share of the mentions without a gold that is called NIL, mean over the runs; `None` if NIL is not calibrated or does not occur.
    nil_recall: Option<f64>,
    /// Share of the mentions with a gold that is called NIL, mean over the runs.
    false_alarms: Option<f64>,
}

/// Figures of the probabilities, means over the runs.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Figures {
    /// Expected calibration error.
    calibration_error: f64,
    /// Area under the risk-coverage curve: the mean error of the surest answers over all coverages (Geifman and El-Yaniv, 2017).
    risk: f64,
    /// P@1 of the surest [`ANSWERED`] of the answers.
    selective: f64,
    nil_recall: Option<f64>,
    false_alarms: Option<f64>,
}

impl Confidence {
    /// The probabilities of the answers of a system in each run; `None` for a system without probabilities.
    pub(super) fn of(system: &str, runs: &[Evaluated]) -> Option<Self> {
        let answers = |run: &Evaluated| {
            let answers = run.outcomes.iter().map(|outcome| outcome.answer(system));
            confidences(answers.collect::<Option<Vec<_>>>()?)
        };
        let nil = |figure: fn(&Evaluated, &str) -> Option<f64>| {
            let figures: Option<Vec<f64>> = runs.iter().map(|run| figure(run, system)).collect();
            figures.map(|figures| mean(&figures))
        };
        Some(Self {
            runs: runs.iter().map(answers).collect::<Option<_>>()?,
            nil_recall: nil(|run, system| run.nil.get(system)?.accuracy),
            false_alarms: nil(|run, system| run.nil.get(system)?.false_alarms),
        })
    }

    fn figures(&self) -> Figures {
        let over_runs = |figure: fn(&[(f64, f64)]) -> f64| {
            mean(&self.runs.iter().map(|run| figure(run)).collect::<Vec<_>>())
        };
        Figures {
            calibration_error: over_runs(|run| expected_calibration_error(run).unwrap_or_default()),
            risk: over_runs(|run| {
                let risks: Vec<f64> = risks(run).into_iter().map(|(_, risk)| risk).collect();
                mean(&risks)
            }),
            selective: over_runs(|run| {
                let n = (ANSWERED * run.len() as f64).ceil().max(1.0) as usize;
                1.0 - risks(run)[n - 1].1
            }),
            nil_recall: self.nil_recall,
            false_alarms: self.false_alarms,
        }
    }

    /// The figures as they are written to `results.json`: shares between 0 and 1.
    pub(super) fn json(&self) -> Value {
        let figures = self.figures();
        json!({
            "ece": figures.calibration_error, "risk_coverage_area": figures.risk,
            "selective_p@1": figures.selective,
            "nil": {"accuracy": figures.nil_recall, "false_alarms": figures.false_alarms},
        })
    }
}

/// Coverage and risk: the error of the n surest answers, for every n.
fn risks(answers: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut answers = answers.to_vec();
    answers.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut errors = 0.0;
    let risk = |(i, (_, correct)): (usize, &(f64, f64))| {
        errors += 1.0 - correct;
        let n = (i + 1) as f64;
        (n / answers.len() as f64, errors / n)
    };
    answers.iter().enumerate().map(risk).collect()
}

/// Rows, by name, as a table in Markdown; empty without any.
pub(super) fn markdown(rows: &[(&str, &Confidence)]) -> String {
    let mut text = String::new();
    for (name, confidence) in rows {
        if text.is_empty() {
            text = format!(
                "\n| probabilities | calibration error | area under risk-coverage | P@1 of the surest {:.0} % | NIL called NIL | others called NIL |\n\
                 |---|---|---|---|---|---|\n",
                100.0 * ANSWERED
            );
        }
        let figures = confidence.figures();
        let percent = |share: Option<f64>| match share {
            Some(share) => format!("{:.1}", 100.0 * share),
            None => "-".to_owned(),
        };
        text += &format!(
            "| {name} | {:.3} | {:.3} | {} | {} | {} |\n",
            figures.calibration_error,
            figures.risk,
            percent(Some(figures.selective)),
            percent(figures.nil_recall),
            percent(figures.false_alarms),
        );
    }
    text
}

/// Two panels with a line per row: the reliability diagram, and the risk by coverage.
pub(super) fn draw<'a>(area: &Area<'a>, title: &str, rows: &[(&str, &Confidence)]) -> Drawn<'a> {
    let area = area.titled(title, ("sans-serif", 18))?;
    let (left, right) = area.split_horizontally(400);
    let mut reliability = vec![Line {
        name: "",
        colour: GREY,
        points: vec![(0.0, 0.0), (1.0, 1.0)],
    }];
    let mut risk = Vec::new();
    for (i, (name, confidence)) in rows.iter().enumerate() {
        let answers = confidence.runs.concat();
        let colour = COLOURS[i % COLOURS.len()];
        let bins = bins(&answers).into_iter();
        reliability.push(Line {
            name: "",
            colour,
            points: bins.map(|bin| (bin.confidence, bin.accuracy)).collect(),
        });
        risk.push(Line {
            name,
            colour,
            points: risks(&answers),
        });
    }
    let axes = [
        "probability of the best candidate",
        "share of right answers",
    ];
    panel(&left, axes, 1.0, &reliability)?;
    let highest = risk.iter().flat_map(|line| &line.points);
    let highest = highest.map(|point| point.1).fold(0.01, f64::max);
    let axes = [
        "coverage: share of mentions that are answered",
        "risk: share of wrong answers",
    ];
    panel(&right, axes, highest, &risk)
}

struct Line<'a> {
    /// Name in the key; empty for none.
    name: &'a str,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// Lines over values between 0 and 1.
fn panel<'a>(
    area: &Area<'a>,
    [x_axis, y_axis]: [&str; 2],
    highest: f64,
    lines: &[Line],
) -> Drawn<'a> {
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
    for &Line {
        name,
        colour,
        ref points,
    } in lines
    {
        let line = LineSeries::new(points.iter().copied(), colour.stroke_width(2));
        let line = chart.draw_series(line)?;
        if !name.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour);
            line.label(name).legend(key);
        }
    }
    if lines.iter().any(|line| !line.name.is_empty()) {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
    }
    Ok(())
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn risk_falls_with_the_answers_that_are_left_out() {
        let run = vec![(0.9, 1.0), (0.2, 0.0), (0.8, 1.0), (0.5, 0.0)];
        let expected = [(0.25, 0.0), (0.5, 0.0), (0.75, 1.0 / 3.0), (1.0, 0.5)];
        assert_eq!(risks(&run), expected);
        let confidence = Confidence {
            runs: vec![run, vec![(1.0, 1.0)]],
            nil_recall: Some(0.5),
            false_alarms: None,
        };
        let figures = confidence.figures();
        // Four of four answers are the surest 80 %; the other run is always right.
        assert_eq!(figures.selective, (0.5 + 1.0) / 2.0);
        assert!((figures.risk - (1.0 / 3.0 + 0.5) / 4.0 / 2.0).abs() < 1e-12);
        // The gaps of the bins are -0.1, -0.2, 0.2 and 0.5.
        assert!((figures.calibration_error - 1.0 / 4.0 / 2.0).abs() < 1e-12);
        assert_eq!(confidence.json()["nil"]["accuracy"], 0.5);
    }
}
