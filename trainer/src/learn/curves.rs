//! `curves-<stage>.svg`: the loss above, the watched figure below.

use std::path::Path;

use plotters::prelude::*;

use super::metrics::{Line, Part};
use crate::files;
use crate::svg::{self, Area, Drawn};

const SIZE: (u32, u32) = (960, 760);
/// Steps that the thick line averages over.
const WINDOW: usize = 20;
const THIN: RGBColor = RGBColor(170, 190, 215);
const THICK: RGBColor = RGBColor(25, 80, 150);
const LARGE: u32 = 26;
const SMALL: u32 = 20;

/// A panel.
struct Panel<'a> {
    title: String,
    label: &'a str,
    /// As measured.
    thin: Vec<(f64, f64)>,
    /// To be read.
    thick: Vec<(f64, f64)>,
}

/// Replaces the picture.
pub(crate) fn draw(
    path: &Path,
    stage: &str,
    lines: &[Line],
    loss: &str,
    watched: &str,
) -> anyhow::Result<()> {
    let points = |part: Part, name: &str| -> Vec<(f64, f64)> {
        lines
            .iter()
            .filter(|line| line.part == part)
            .filter_map(|line| Some((line.step as f64, line.figure(name)?)))
            .collect()
    };
    let losses = points(Part::Train, loss);
    let panels = [
        Panel {
            title: format!("{stage}: {loss} a step, and its mean over {WINDOW}"),
            label: loss,
            thick: smooth(&losses),
            thin: losses,
        },
        Panel {
            title: format!("{stage}: {watched}, held out"),
            label: watched,
            thin: Vec::new(),
            thick: points(Part::Dev, watched),
        },
    ];
    let svg = svg::draw(SIZE, &format!("the curves of {stage}"), |area| {
        for (area, panel) in area.split_evenly((2, 1)).iter().zip(&panels) {
            panel.draw(area)?;
        }
        Ok(())
    })?;
    files::write(path, svg.as_bytes())
}

impl Panel<'_> {
    fn draw<'a>(&self, area: &Area<'a>) -> Drawn<'a> {
        let all = || self.thin.iter().chain(&self.thick);
        let last = all().map(|(step, _)| *step).fold(1.0, f64::max);
        let low = all().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
        let high = all().map(|(_, y)| *y).fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let margin = ((high - low) * 0.05).max(1e-6);
        let mut chart = ChartBuilder::on(area)
            .caption(&self.title, ("sans-serif", LARGE))
            .margin(14)
            .x_label_area_size(56)
            .y_label_area_size(96)
            .build_cartesian_2d(0.0..last, low - margin..high + margin)?;
        chart
            .configure_mesh()
            .light_line_style(TRANSPARENT)
            .x_desc("step")
            .y_desc(self.label)
            .x_label_formatter(&|step| format!("{step:.0}"))
            .axis_desc_style(("sans-serif", LARGE))
            .label_style(("sans-serif", SMALL))
            .draw()?;
        chart.draw_series(LineSeries::new(self.thin.iter().copied(), THIN))?;
        let style = THICK.stroke_width(2);
        chart.draw_series(LineSeries::new(self.thick.iter().copied(), style))?;
        Ok(())
    }
}

/// The mean over the last [`WINDOW`] points.
fn smooth(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    (0..points.len())
        .map(|i| {
            let window = &points[(i + 1).saturating_sub(WINDOW)..=i];
            let sum: f64 = window.iter().map(|(_, y)| y).sum();
            (points[i].0, sum / window.len() as f64)
        })
        .collect()
}
