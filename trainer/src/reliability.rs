//! Reliability diagrams as SVG: how often answers are right, by how sure they are.

use plotters::prelude::*;

use crate::metrics::{Bin, bins};
use crate::svg::{self, Area, BLUE, Drawn, GREY};

const SIDE: u32 = 460;

/// Draws the share of right answers in equal bins of the confidence, with the number of answers of each bin.
///
/// # Arguments
///
/// - answers: confidence and correctness, both between 0 and 1.
pub(crate) fn diagram(title: &str, answers: &[(f64, f64)]) -> anyhow::Result<String> {
    let bins = bins(answers);
    svg::draw((SIDE, SIDE), "the diagram", |area| draw(area, title, &bins))
}

fn draw<'a>(area: &Area<'a>, title: &str, bins: &[Bin]) -> Drawn<'a> {
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 15))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .max_light_lines(0)
        .x_desc("probability of the best candidate")
        .y_desc("share of right answers")
        .draw()?;
    chart.draw_series([PathElement::new([(0.0, 0.0), (1.0, 1.0)], GREY)])?;
    let points = bins.iter().map(|bin| (bin.confidence, bin.accuracy));
    chart.draw_series(LineSeries::new(points.clone(), BLUE.stroke_width(2)))?;
    chart.draw_series(points.map(|point| Circle::new(point, 4, BLUE.filled())))?;
    chart.draw_series(bins.iter().map(|bin| {
        let font = ("sans-serif", 11).into_font().color(&GREY);
        Text::new(
            bin.n.to_string(),
            (bin.confidence + 0.015, bin.accuracy),
            font,
        )
    }))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diagram_has_a_point_per_bin_with_answers() {
        let svg = diagram("a < b", &[(0.61, 1.0), (0.65, 0.0), (1.0, 1.0)]).unwrap();
        assert!(svg.starts_with("<svg") && svg.contains("a &lt; b"), "{svg}");
        assert_eq!(svg.matches("<circle").count(), 2);
    }
}
