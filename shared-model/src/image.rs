//! Bytes of a JPEG, PNG or WebP to oriented RGB, and RGB to the encoders' planes.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageFormat, ImageReader, Rgb};

pub use image::RgbImage;

use crate::error::{Error, Result};

/// Larger pictures are refused before they are decoded.
pub const MAX_PIXELS: u64 = 40_000_000;

/// Decodes a picture, turned as its EXIF data says, transparency laid over white.
///
/// # Errors
///
/// [`Error::Image`] for anything but a whole JPEG, PNG or WebP of at most [`MAX_PIXELS`].
pub fn decode(bytes: &[u8]) -> Result<RgbImage> {
    if bytes.is_empty() {
        return Err(Error::Image("the file is empty".into()));
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => format,
        _ => return Err(Error::Image("not a JPEG, PNG or WebP file".into())),
    };
    let damaged = |error: image::ImageError| {
        Error::Image(format!("damaged or incomplete {}: {error}", name(format)))
    };
    if format == ImageFormat::Jpeg && !jpeg_is_whole(bytes) {
        return Err(Error::Image(
            "damaged or incomplete JPEG: it breaks off before its end".into(),
        ));
    }

    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(Error::Image(format!(
            "{width} x {height} is {:.1} megapixels; at most {} are read",
            pixels as f64 / 1e6,
            MAX_PIXELS / 1_000_000
        )));
    }
    let orientation = decoder.orientation().map_err(damaged)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

/// `(value - mean) / std` a channel, planes first: `[3, height, width]`.
pub fn normalise(picture: &RgbImage, mean: [f32; 3], std: [f32; 3]) -> Vec<f32> {
    let mut planes = Vec::with_capacity(picture.as_raw().len());
    for channel in 0..3 {
        let (mean, std) = (mean[channel], std[channel]);
        planes.extend(
            picture
                .pixels()
                .map(|pixel| (f32::from(pixel.0[channel]) - mean) / std),
        );
    }
    planes
}

fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, alpha] = rgba.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|value| ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8))
    })
}

/// Whether an end-of-image marker follows the last scan. The decoder fills a missing rest with grey.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xFF, marker]);
    matches!((last(0xDA), last(0xD9)), (Some(scan), Some(end)) if scan < end)
}

fn name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        _ => "WebP",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient() -> DynamicImage {
        RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 90])).into()
    }

    #[track_caller]
    fn check_refused(bytes: &[u8], reason: &str) {
        let error = decode(bytes).unwrap_err().to_string();
        assert!(error.contains(reason), "{error:?} does not say {reason:?}");
    }

    #[test]
    fn all_three_formats_decode() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let picture = decode(&encoded(&gradient(), format)).unwrap();
            assert_eq!(picture.dimensions(), (40, 30), "{format:?}");
            assert!(
                picture.get_pixel(30, 10).0[0].abs_diff(180) < 12,
                "{format:?}"
            );
        }
    }

    #[test]
    fn bad_bytes_are_refused() {
        check_refused(b"", "empty");
        check_refused(b"<svg/>", "not a JPEG, PNG or WebP");
        check_refused(b"GIF89a\x01\x00\x01\x00", "not a JPEG, PNG or WebP");
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let bytes = encoded(&gradient(), format);
            check_refused(&bytes[..bytes.len() * 2 / 3], "damaged or incomplete");
        }
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        // Signature and IHDR of a 10,000 x 5,000 PNG, and nothing more.
        let mut png = encoded(&gradient(), ImageFormat::Png);
        png[16..20].copy_from_slice(&10_000u32.to_be_bytes());
        png[20..24].copy_from_slice(&5_000u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        check_refused(&png, "50.0 megapixels");
    }

    #[test]
    fn transparency_lies_over_white() {
        let picture = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 0]));
        let decoded = decode(&encoded(&picture.into(), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn exif_orientation_turns_the_picture() {
        // APP1 with one tag: orientation 6, a quarter turn clockwise.
        let exif = b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let mut jpeg = encoded(&gradient(), ImageFormat::Jpeg);
        jpeg.splice(2..2, exif.iter().copied());
        assert_eq!(decode(&jpeg).unwrap().dimensions(), (30, 40));
    }

    fn crc32(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, &byte| {
            (0..8).fold(crc ^ u32::from(byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        })
    }
}
