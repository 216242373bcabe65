//! Tables as SVG: bars with intervals, P@1 over a quantity, or probabilities.

use anyhow::Context as _;
use plotters::prelude::*;

use super::FigureKind;
use super::compare::Table;
use super::confidence;
use super::row::Row;
use crate::svg::{self, Area, BLUE, COLOURS, Drawn};

const WIDTH: u32 = 860;
/// A caption is broken at this many characters.
const LINE: usize = 120;

/// A figure of a table, as SVG. Title and caption are part of it.
///
/// # Errors
///
/// If a line figure has no row with a place on its axis, or a figure of probabilities no row that has them.
pub(super) fn draw(table: &Table, kind: FigureKind) -> anyhow::Result<String> {
    let height = match kind {
        FigureKind::Bars => 110 + 34 * table.rows.len() as u32,
        FigureKind::K | FigureKind::Share | FigureKind::Confidence => 400,
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
            FigureKind::K => lines(&plot, table, "k, number of prototypes per modality"),
            FigureKind::Share => lines(&plot, table, "share of the train mentions, per cent"),
            FigureKind::Confidence => confidence::draw(&plot, &table.title, &table.confidences()),
        }
    })
}

/// P@1 over all mentions, a bar per row.
fn bars<'a>(area: &Area<'a>, table: &Table) -> Drawn<'a> {
    let n = table.rows.len() as f64;
    // Name and value, at some seven pixels per character.
    let names = table.rows.iter().map(|row| row.name.chars().count());
    let label_width = 7 * (names.max().unwrap_or(0) as u32 + 6);
    let mut chart = ChartBuilder::on(area)
        .caption(&table.title, ("sans-serif", 18))
        .margin(10)
        .margin_right(28)
        .x_label_area_size(40)
        .y_label_area_size(label_width.max(190))
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

/// P@1 over all mentions against the places of the rows that have one; the places are equally far from each other.
fn lines<'a>(area: &Area<'a>, table: &Table, axis: &str) -> Drawn<'a> {
    let points: Vec<(&str, f64, f64, [f64; 2])> = table
        .rows
        .iter()
        .filter_map(|row| {
            let (value, ends) = percents(row)?;
            Some((row.line.as_str(), row.at?, value, ends))
        })
        .collect();
    let mut names: Vec<&str> = points.iter().map(|(line, ..)| *line).collect();
    names.sort_unstable();
    names.dedup();
    let mut places: Vec<f64> = points.iter().map(|point| point.1).collect();
    places.sort_by(f64::total_cmp);
    places.dedup();
    let last = places.len().checked_sub(1).context("no row says `at`")?;
    let low = points.iter().map(|point| point.3[0]);
    let low = low.fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|point| point.3[1]);
    let high = high.fold(f64::NEG_INFINITY, f64::max);
    let mut chart = ChartBuilder::on(area)
        .caption(&table.title, ("sans-serif", 18))
        .margin(10)
        .margin_right(28)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0..last, (low - 1.0).max(0.0)..(high + 1.0).min(100.0))?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .x_labels(places.len())
        .x_label_formatter(&|&place| places[place].to_string())
        .x_desc(axis)
        .y_desc("P@1, per cent, with 95 % intervals")
        .draw()?;
    for (i, name) in names.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let own = places.iter().enumerate().flat_map(|(place, at)| {
            let here = points.iter().filter(move |point| point.1 == *at);
            here.filter(|point| point.0 == *name)
                .map(move |&(_, _, value, ends)| (place, value, ends))
        });
        let own: Vec<(usize, f64, [f64; 2])> = own.collect();
        let values = own.iter().map(|&(place, value, _)| (place, value));
        let drawn = LineSeries::new(values.clone(), colour.stroke_width(2));
        let drawn = chart.draw_series(drawn)?;
        if !name.is_empty() {
            let key = move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour);
            drawn.label(svg::label(name)).legend(key);
        }
        chart.draw_series(own.iter().map(|&(place, _, [low, high])| {
            PathElement::new([(place, low), (place, high)], colour.stroke_width(1))
        }))?;
        chart.draw_series(values.map(|point| Circle::new(point, 3, colour.filled())))?;
    }
    if names.iter().any(|name| !name.is_empty()) {
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::LowerRight)
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
