//! Drawings as SVG text, and as PNG.

use std::error::Error;
use std::sync::{Arc, LazyLock};

use anyhow::{Context as _, anyhow};
use plotters::coord::Shift;
use plotters::prelude::*;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::fontdb::{Database, Family, Query};
use resvg::usvg::{Options, Tree};

/// A surface to draw on.
pub(crate) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// What drawing returns.
pub(crate) type Drawn<'a> = Result<(), Box<dyn Error + 'a>>;

/// Colour of a single series.
pub(crate) const BLUE: RGBColor = RGBColor(47, 95, 152);
/// Colour of lines to compare with.
pub(crate) const GREY: RGBColor = RGBColor(120, 120, 120);
/// Colours of lines.
pub(crate) const COLOURS: [RGBColor; 8] = [
    BLUE,
    RGBColor(190, 92, 30),
    RGBColor(40, 125, 85),
    RGBColor(130, 70, 140),
    RGBColor(165, 130, 20),
    RGBColor(40, 150, 170),
    RGBColor(190, 60, 90),
    RGBColor(70, 60, 50),
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

/// A name in a legend, with the room that Plotters' estimate of its width lacks.
pub(crate) fn label(name: &str) -> String {
    format!("{name}   ")
}

static FONTS: LazyLock<Arc<Database>> = LazyLock::new(|| Arc::new(fonts()));

/// Pixels of a PNG per pixel of its SVG.
const SCALE: f32 = 2.0;

/// A drawing as PNG, at twice its size; `None` if no font is installed, as its labels would be missing.
pub(crate) fn png(svg: &str) -> anyhow::Result<Option<Vec<u8>>> {
    if FONTS.is_empty() {
        return Ok(None);
    }
    let options = Options {
        fontdb: FONTS.clone(),
        ..Options::default()
    };
    let tree = Tree::from_str(svg, &options)?;
    let size = tree.size().to_int_size().scale_by(SCALE);
    let size = size.context("the drawing has no size")?;
    let mut pixels = Pixmap::new(size.width(), size.height()).context("the drawing has no size")?;
    let scale = Transform::from_scale(SCALE, SCALE);
    resvg::render(&tree, scale, &mut pixels.as_mut());
    Ok(Some(pixels.encode_png()?))
}

/// The installed fonts, one of which is the sans serif of the drawings.
fn fonts() -> Database {
    let mut fonts = Database::new();
    fonts.load_system_fonts();
    let sans_serif = Query {
        families: &[Family::SansSerif],
        ..Query::default()
    };
    if fonts.query(&sans_serif).is_none() {
        let names = || fonts.faces().flat_map(|face| &face.families);
        let is_sans = |name: &str| name.contains("Sans") && !name.contains("Mono");
        let sans = names().find(|(name, _)| is_sans(name));
        let name = sans.or(names().next()).map(|(name, _)| name.clone());
        if let Some(name) = name {
            fonts.set_sans_serif_family(name);
        }
    }
    fonts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_has_the_text_of_its_drawing() {
        let drawing = |text: &str| {
            draw((80, 20), "a word", |area| {
                area.draw(&Text::new(text, (4, 4), ("sans-serif", 12)))?;
                Ok(())
            })
        };
        let ink = |text: &str| {
            let png = png(&drawing(text).unwrap()).unwrap();
            assert_eq!(png.is_none(), FONTS.is_empty());
            let png = image::load_from_memory(&png?).unwrap().into_luma8();
            assert_eq!(png.dimensions(), (160, 40));
            Some(png.pixels().filter(|pixel| pixel.0[0] < 128).count())
        };
        assert!(ink("").is_none_or(|n| n == 0));
        assert!(ink("word").is_none_or(|n| n > 20));
    }
}
