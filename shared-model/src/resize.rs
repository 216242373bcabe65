//! Antialiased resizing, bit for bit as in Pillow, which the reference preprocessing of the encoders uses: fixed-point weights, rows before columns, rounded to u8 between the two passes.
//!
//! Pillow 13 chooses the order of the passes by the sizes; all versions before it resize rows first, as this module does.
//! The crates for resizing round differently: a third of the bytes differ by one, which changes the image encoder's logits by 0.01.

use std::borrow::Cow;

use image::RgbImage;

/// Fractional bits of a fixed-point weight.
const PRECISION: u32 = 32 - 8 - 2;

/// The kernel of [`resize`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Triangle filter.
    Bilinear,
    /// Cubic filter with a = -0.5.
    Bicubic,
}

impl Filter {
    /// Radius of the kernel in pixels of the smaller picture.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn value(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// Resizes the whole picture.
pub fn resize(picture: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let mut picture = Cow::Borrowed(picture);
    if picture.width() != width {
        picture = Cow::Owned(resize_rows(&picture, width, filter));
    }
    if picture.height() != height {
        picture = Cow::Owned(resize_columns(&picture, height, filter));
    }
    picture.into_owned()
}

/// Source pixels of one target pixel: the first one, and the weights from there on.
struct Taps {
    first: usize,
    weights: Vec<i32>,
}

fn taps(source: u32, target: u32, filter: Filter) -> Vec<Taps> {
    let scale = f64::from(source) / f64::from(target);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..target)
        .map(|pixel| {
            let centre = (f64::from(pixel) + 0.5) * scale;
            let first = (centre - support + 0.5).max(0.0) as usize;
            let end = ((centre + support + 0.5) as usize).min(source as usize);
            let weights: Vec<f64> = (first..end)
                .map(|tap| filter.value((tap as f64 - centre + 0.5) / stretch))
                .collect();
            let sum: f64 = weights.iter().sum();
            let fixed = |weight: &f64| (weight / sum * f64::from(1 << PRECISION)).round() as i32;
            Taps {
                first,
                weights: weights.iter().map(fixed).collect(),
            }
        })
        .collect()
}

fn resize_rows(picture: &RgbImage, width: u32, filter: Filter) -> RgbImage {
    let taps = taps(picture.width(), width, filter);
    let mut bytes = Vec::with_capacity(3 * width as usize * picture.height() as usize);
    for row in picture.as_raw().chunks_exact(3 * picture.width() as usize) {
        for Taps { first, weights } in &taps {
            let mut sums = [1 << (PRECISION - 1); 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            bytes.extend(sums.map(rounded));
        }
    }
    RgbImage::from_raw(width, picture.height(), bytes).expect("three bytes per pixel")
}

fn resize_columns(picture: &RgbImage, height: u32, filter: Filter) -> RgbImage {
    let stride = 3 * picture.width() as usize;
    let source = picture.as_raw();
    let mut bytes = Vec::with_capacity(stride * height as usize);
    let mut sums = vec![0; stride];
    for Taps { first, weights } in taps(picture.height(), height, filter) {
        sums.fill(1 << (PRECISION - 1));
        for (row, weight) in source[stride * first..].chunks_exact(stride).zip(&weights) {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += i32::from(*value) * weight;
            }
        }
        bytes.extend(sums.iter().copied().map(rounded));
    }
    RgbImage::from_raw(picture.width(), height, bytes).expect("three bytes per pixel")
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn a_flat_picture_stays_flat_and_a_size_is_kept() {
        let flat = RgbImage::from_pixel(7, 5, Rgb([12, 200, 255]));
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            for (width, height) in [(7, 5), (3, 9), (40, 1), (1, 1)] {
                let resized = resize(&flat, width, height, filter);
                assert_eq!(resized.dimensions(), (width, height));
                assert!(
                    resized.pixels().all(|pixel| pixel.0 == [12, 200, 255]),
                    "{filter:?} {width} x {height}"
                );
            }
        }
    }

    #[test]
    fn halving_averages() {
        let picture = RgbImage::from_fn(4, 1, |x, _| {
            Rgb([[0, 0, 0], [0, 0, 0], [240; 3], [240; 3]][x as usize])
        });
        // The triangle reaches one target pixel to each side: weights 3, 3 and 1 of 7 at the border.
        let halved = resize(&picture, 2, 1, Filter::Bilinear);
        assert_eq!(
            [halved.get_pixel(0, 0).0[0], halved.get_pixel(1, 0).0[0]],
            [34, 206]
        );
    }
}
