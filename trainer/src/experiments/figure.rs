//! Tables as SVG: bars with intervals, or P@1 over a quantity.

use anyhow::Context as _;
use plotters::prelude::*;

use super::FigureKind;
use super::compare::Table;
use super::row::Row;
use crate::svg::{self, Area, Drawn};

const WIDTH: u32 = 860;
const BLUE: RGBColor = RGBColor(47, 95, 152);
/// Colours of lines.
pub(super) const COLOURS: [RGBColor; 5] = [
    BLUE,
    RGBColor(190, 92, 30),
    RGBColor(40, 125, 85),
    RGBColor(130, 70, 140),
    RGBColor(90, 90, 90),
];
/// A caption is broken at this many characters.
const LINE: usize = 120;

/// A figure of a table, as SVG. Title and caption are part of it.
///
/// # Errors
///
/// If a line figure has no row with a place on its axis.
pub(super) fn draw(table: &Table, kind: FigureKind) -> anyhow::Result<String> {
    let height = match kind {
        FigureKind::Bars => 110 + 34 * table.rows.len() as u32,
        FigureKind::K | FigureKind::Share => 400,
    };
    let caption = broken(&table.caption);
    let foot = 16 * caption.len() as u32 + 8;
    svg::draw((WIDTH, height + foot), "the figure", |area| {
        let (plot, below) = area.split_vertically(height);
        for (i, line) in caption.iter().enumerate() {
            let style = ("sans-serif", 12).into_font();
            below.draw(&Text::new(line.as_str(), (12, 16 * i as i32), style))?;
        }
        match kind {
            FigureKind::Bars => bars(&plot, table),
            FigureKind::K => lines(&plot, table, "k, prototypes a modality"),
            FigureKind::Share => lines(&plot, table, "share of the training data"),
        }
    })
}

/// P@1 over all mentions, a bar a row.
fn bars<'a>(area: &Area<'a>, table: &Table) -> Drawn<'a> {
    let n = table.rows.len() as f64;
    let mut chart = ChartBuilder::on(area)
        .caption(&table.title, ("sans-serif", 18))
        .margin(10)
        .margin_right(28)
        .x_label_area_size(40)
        .y_label_area_size(190)
        .build_cartesian_2d(0.0..100.0, 0.0..n)?;
    chart
        .configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_max_light_lines(0)
        .x_desc("P@1, per cent, with 95 % intervals")
        .draw()?;
    for (i, row) in table.rows.iter().enumerate() {
        let Some((value, [low, high])) = percents(row) else {
            continue;
        };
        let middle = n - 0.5 - i as f64;
        let bar = [(0.0, middle - 0.3), (value, middle + 0.3)];
        chart.draw_series([Rectangle::new(bar, BLUE.mix(0.6).filled())])?;
        let whisker = vec![(low, middle), (high, middle)];
        chart.draw_series([PathElement::new(whisker, BLACK.stroke_width(2))])?;
        let (_, y) = chart.backend_coord(&(0.0, middle));
        let (_, top) = area.get_base_pixel();
        let label = format!("{}  {value:.1}", row.name);
        area.draw(&Text::new(
            label,
            (12, y - top - 7),
            ("sans-serif", 13).into_font(),
        ))?;
    }
    Ok(())
}

/// P@1 over all mentions against the places of the rows that have one.
fn lines<'a>(area: &Area<'a>, table: &Table, axis: &str) -> Drawn<'a> {
    let mut points: Vec<(&str, f64, f64, [f64; 2])> = table
        .rows
        .iter()
        .filter_map(|row| {
            let (value, ends) = percents(row)?;
            Some((row.line.as_str(), row.at?, value, ends))
        })
        .collect();
    points.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut names: Vec<&str> = points.iter().map(|(line, ..)| *line).collect();
    names.sort_unstable();
    names.dedup();
    let extreme = |values: &mut dyn Iterator<Item = f64>, pick: fn(f64, f64) -> f64| {
        values.reduce(pick).context("no row says `at`")
    };
    let right = extreme(&mut points.iter().map(|point| point.1), f64::max)?;
    let low = extreme(&mut points.iter().map(|point| point.3[0]), f64::min)?;
    let high = extreme(&mut points.iter().map(|point| point.3[1]), f64::max)?;
    let mut chart = ChartBuilder::on(area)
        .caption(&table.title, ("sans-serif", 18))
        .margin(10)
        .margin_right(28)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(
            0.0..right * 1.05,
            (low - 1.0).max(0.0)..(high + 1.0).min(100.0),
        )?;
    chart
        .configure_mesh()
        .x_desc(axis)
        .y_desc("P@1, per cent, with 95 % intervals")
        .draw()?;
    for (i, name) in names.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let own = || points.iter().filter(|(line, ..)| line == name);
        let places = own().map(|&(_, at, value, _)| (at, value));
        let drawn = chart.draw_series(LineSeries::new(places, colour.stroke_width(2)))?;
        if !name.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour);
            drawn.label(*name).legend(key);
        }
        chart.draw_series(own().map(|&(_, at, _, [low, high])| {
            PathElement::new([(at, low), (at, high)], colour.stroke_width(1))
        }))?;
        chart.draw_series(
            own().map(|&(_, at, value, _)| Circle::new((at, value), 3, colour.filled())),
        )?;
    }
    if names.iter().any(|name| !name.is_empty()) {
        chart
            .configure_series_labels()
            .border_style(BLACK)
            .background_style(WHITE)
            .draw()?;
    }
    Ok(())
}

/// P@1 over all mentions and its interval.
fn percents(row: &Row) -> Option<(f64, [f64; 2])> {
    let (value, ends) = row.p_at_1[0]?;
    Some((100.0 * value, ends.map(|end| 100.0 * end)))
}

/// Lines of at most [`LINE`] characters.
fn broken(caption: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in caption.split(' ') {
        let last = lines.last_mut().filter(|line| {
            line.is_empty() || line.chars().count() + 1 + word.chars().count() <= LINE
        });
        match last {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) => {
                line.push(' ');
                line.push_str(word);
            }
            None => lines.push(word.to_owned()),
        }
    }
    lines
}
