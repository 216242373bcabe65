//! Pictures with parts that are covered.

use image::{Rgb, RgbImage};

/// Number of parts of a picture per side.
pub const PARTS: usize = 3;

/// A picture with some of its [`PARTS`] x [`PARTS`] parts, row by row, filled with its mean colour.
///
/// Positions of no part are ignored.
pub fn covered(picture: &RgbImage, parts: &[usize]) -> RgbImage {
    let colour = mean_colour(picture);
    let mut covered = picture.clone();
    let [width, height] = [picture.width(), picture.height()].map(|side| side as usize);
    for (x, y, pixel) in covered.enumerate_pixels_mut() {
        let part = (y as usize * PARTS / height) * PARTS + x as usize * PARTS / width;
        if parts.contains(&part) {
            *pixel = colour;
        }
    }
    covered
}

pub(crate) fn mean_colour(picture: &RgbImage) -> Rgb<u8> {
    let n = u64::from(picture.width()) * u64::from(picture.height());
    let mut sums = [0u64; 3];
    for pixel in picture.pixels() {
        for (sum, value) in sums.iter_mut().zip(pixel.0) {
            *sum += u64::from(value);
        }
    }
    Rgb(sums.map(|sum| (sum / n.max(1)) as u8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_are_filled_and_the_rest_stays() {
        let picture = RgbImage::from_fn(7, 4, |x, _| Rgb([10 * x as u8, 0, 200]));
        assert_eq!(covered(&picture, &[]), picture);
        let mean = mean_colour(&picture);
        assert_eq!(mean, Rgb([30, 0, 200]));
        let all: Vec<usize> = (0..PARTS * PARTS).collect();
        assert!(covered(&picture, &all).pixels().all(|&pixel| pixel == mean));
        // Top right: the first two rows, the last two columns.
        let corner = covered(&picture, &[2, 99]);
        for (x, y, &pixel) in corner.enumerate_pixels() {
            let expected = if x >= 5 && y < 2 {
                mean
            } else {
                *picture.get_pixel(x, y)
            };
            assert_eq!(pixel, expected, "{x} {y}");
        }
    }
}
