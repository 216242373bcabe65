//! Four photographs in one picture.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, replace, resize};
use image::{ImageResult, RgbImage};

/// Side of a photograph in a montage: four fill what the compact encoder looks at.
const TILE: u32 = 112;
const JPEG_QUALITY: u8 = 88;

/// Joins four photographs, two by two and row by row, in a JPEG file.
///
/// # Errors
///
/// Those of the encoder.
pub fn montage(photos: &[RgbImage; 4]) -> ImageResult<Vec<u8>> {
    let mut whole = RgbImage::new(2 * TILE, 2 * TILE);
    for (i, photo) in (0_u32..).zip(photos) {
        let tile = resize(photo, TILE, TILE, FilterType::CatmullRom);
        let (x, y) = (i % 2 * TILE, i / 2 * TILE);
        replace(&mut whole, &tile, i64::from(x), i64::from(y));
    }
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY).encode_image(&whole)?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    #[test]
    fn a_montage_shows_four_photographs_whole() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]];
        let photos = colours.map(|colour| RgbImage::from_pixel(30, 20, Rgb(colour)));
        let whole = shared_model::image::decode(&montage(&photos).unwrap()).unwrap();
        assert_eq!(whole.dimensions(), (2 * TILE, 2 * TILE));
        for (i, colour) in (0_u32..).zip(colours) {
            let centre = whole.get_pixel(i % 2 * TILE + 50, i / 2 * TILE + 50);
            for (got, want) in centre.0.into_iter().zip(colour) {
                assert!(got.abs_diff(want) < 10, "{i}: {centre:?}");
            }
        }
    }
}
