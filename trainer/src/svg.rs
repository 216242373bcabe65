//! Drawings as SVG text.

use std::error::Error;

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;

/// A surface to draw on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What drawing returns.
pub(crate) type Drawn<'a> = Result<(), Box<dyn Error + 'a>>;

/// Colour of what has no other beside it.
pub(crate) const BLUE: RGBColor = RGBColor(47, 95, 152);
/// Colour of lines to compare with.
pub(crate) const GREY: RGBColor = RGBColor(120, 120, 120);
/// Colours of lines.
pub(crate) const COLOURS: [RGBColor; 5] = [
    BLUE,
    RGBColor(190, 92, 30),
    RGBColor(40, 125, 85),
    RGBColor(130, 70, 140),
    RGBColor(90, 90, 90),
];

/// A drawing on white.
///
/// # Arguments
///
/// - size: width and height in pixels.
/// - what: what is drawn, for the error.
pub(crate) fn draw(
    size: (u32, u32),
    what: &str,
    on: impl for<'a> FnOnce(&Area<'a>) -> Drawn<'a>,
) -> anyhow::Result<String> {
    let mut svg = String::new();
    let drawn = || -> Drawn<'_> {
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.fill(&WHITE)?;
        on(&area)?;
        area.present()?;
        Ok(())
    };
    drawn().map_err(|error| anyhow!("cannot draw {what}: {error}"))?;
    Ok(svg)
}
