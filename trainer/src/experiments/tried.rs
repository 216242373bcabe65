//! What was tried per training: settings, and their learning curves.

use plotters::prelude::*;
use serde_json::{Value, json};

use super::trainings::{HELD_OUT, Training, Tried};
use crate::learn::evaluations;
use crate::svg::{self, Area, COLOURS, Drawn};

/// Size of the panel of one training.
const PANEL: (u32, u32) = (430, 250);
/// Number of panels side by side.
const COLUMNS: usize = 2;

/// The settings of all trainings, as a table.
pub(super) fn table(trainings: &[Training]) -> String {
    let mut table = "| training, first seed | setting | held-out MRR | best step | steps | seconds | chosen |\n|---|---|---|---|---|---|---|\n".to_owned();
    for training in trainings {
        for tried in &training.tried {
            let (Some(outcome), Some(held_out)) = (&tried.outcome, tried.held_out()) else {
                continue;
            };
            let seconds = tried.seconds.map(|seconds| format!("{seconds:.0}"));
            table += &format!(
                "| {} | {} | {held_out:.4} | {} | {} | {} | {} |\n",
                training.name,
                tried.flags,
                outcome.best_step,
                outcome.steps,
                seconds.as_deref().unwrap_or("-"),
                if tried.is_chosen { "yes" } else { "" },
            );
        }
    }
    table
}

/// The settings of all trainings as they are written to `results.json`.
pub(super) fn json(trainings: &[Training]) -> Value {
    let tried = |training: &Training, tried: &Tried| {
        let outcome = tried.outcome.as_ref();
        json!({
            "training": training.name, "setting": tried.flags, "held_out_mrr": tried.held_out(),
            "best_step": outcome.map(|outcome| outcome.best_step),
            "steps": outcome.map(|outcome| outcome.steps),
            "seconds": tried.seconds, "chosen": tried.is_chosen,
        })
    };
    trainings
        .iter()
        .flat_map(|training| training.tried.iter().map(move |one| tried(training, one)))
        .collect()
}

/// The learning curves, as SVG: a panel per training, a line per setting.
pub(super) fn curves(trainings: &[Training]) -> anyhow::Result<String> {
    let rows = trainings.len().div_ceil(COLUMNS);
    let size = (PANEL.0 * COLUMNS as u32, PANEL.1 * rows as u32);
    svg::draw(size, "the learning curves", |area| {
        let areas = area.split_evenly((rows, COLUMNS));
        for (area, training) in areas.iter().zip(trainings) {
            panel(area, training)?;
        }
        Ok(())
    })
}

fn panel<'a>(area: &Area<'a>, training: &Training) -> Drawn<'a> {
    let line = |tried: &Tried| match &tried.curve {
        Some(file) => evaluations(file, HELD_OUT),
        None => Ok(Vec::new()),
    };
    let lines: Vec<Vec<(f64, f64)>> = training.tried.iter().map(line).collect::<Result<_, _>>()?;
    let points = || lines.iter().flatten();
    let right = points().map(|point| point.0).fold(1.0, f64::max);
    let low = points().map(|point| point.1).fold(f64::INFINITY, f64::min);
    let high = points()
        .map(|point| point.1)
        .fold(f64::NEG_INFINITY, f64::max);
    if low > high {
        return Ok(());
    }
    let margin = ((high - low) * 0.08).max(1e-3);
    let mut chart = ChartBuilder::on(area)
        .caption(&training.name, ("sans-serif", 16))
        .margin(8)
        .margin_right(16)
        .x_label_area_size(34)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..right, low - margin..high + margin)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_desc("step")
        .y_desc("held out, MRR")
        .x_label_formatter(&|step| format!("{step:.0}"))
        .draw()?;
    for (i, (line, tried)) in lines.iter().zip(&training.tried).enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let drawn = LineSeries::new(line.iter().copied(), colour.stroke_width(2));
        let drawn = chart.draw_series(drawn)?;
        if !tried.flags.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour);
            let name = svg::label(&tried.flags.replace("--", ""));
            drawn.label(name).legend(key);
        }
    }
    if training.tried.iter().any(|tried| !tried.flags.is_empty()) {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
    }
    Ok(())
}
