//! Bytes of a JPEG, PNG or WebP file to oriented RGB, and RGB to the encoders' planes.

mod foreign;
mod jpeg;

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder as _, ImageError, ImageFormat, ImageReader, Rgb};

pub use image::RgbImage;

use crate::error::{Error, Result};

/// Larger pictures are refused by their header, before anything is allocated.
///
/// Decoding takes 3 bytes per pixel of a JPEG (195 MB at most), up to 9 of a progressive JPEG and up to 12 of a PNG with 16 bits and transparency.
pub const MAX_PIXELS: u64 = 65_000_000;

/// Larger pictures are halved in width and height: 48 megapixels keep 36 MB instead of 144.
const MAX_KEPT_PIXELS: u64 = 40_000_000;

/// Decodes a picture, rotated as its EXIF data says, transparency laid over white.
///
/// What follows the first image of a JPEG file, such as the video of a motion photo, is not read.
/// A picture of more than 40 megapixels is returned at half its width and height.
///
/// # Errors
///
/// [`Error::Image`] for anything but a whole JPEG, PNG or WebP of at most [`MAX_PIXELS`].
pub fn decode(bytes: &[u8]) -> Result<RgbImage> {
    let format = supported_format(bytes)?;
    let refuse = |error: ImageError| {
        Error::Image(match error {
            ImageError::Unsupported(error) => {
                format!("{error}; save it as an ordinary {}", name(format))
            }
            error => format!("damaged or incomplete {}: {error}", name(format)),
        })
    };
    let bytes = if format == ImageFormat::Jpeg {
        jpeg::first_image(bytes).ok_or_else(|| {
            Error::Image("damaged or incomplete JPEG: it breaks off before its end".into())
        })?
    } else {
        bytes
    };

    let mut decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(refuse)?;
    let (width, height) = decoder.dimensions();
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return Err(Error::Image(format!(
            "{width} x {height} is {:.1} megapixels; at most {} are read: make it smaller",
            pixels as f64 / 1e6,
            MAX_PIXELS / 1_000_000
        )));
    }
    let orientation = decoder.orientation().map_err(refuse)?;
    let mut picture = over_white(DynamicImage::from_decoder(decoder).map_err(refuse)?);
    if pixels > MAX_KEPT_PIXELS {
        let half = |side: u32| (side / 2).max(1);
        picture = image::imageops::thumbnail(&picture, half(width), half(height));
    }
    let mut picture = DynamicImage::from(picture);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

fn supported_format(bytes: &[u8]) -> Result<ImageFormat> {
    if bytes.is_empty() {
        return Err(Error::Image("the file is empty".into()));
    }
    match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => Ok(format),
        _ => {
            Err(Error::Image(foreign::refusal(bytes).unwrap_or_else(|| {
                "not a JPEG, PNG or WebP file".to_owned()
            })))
        }
    }
}

/// `(value - mean) / std` per channel, planes first: `[3, height, width]`.
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

    /// APP1 with one tag: orientation 6, a quarter turn clockwise.
    const QUARTER_TURN: &[u8] =
        b"\xFF\xE1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";

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
        check_refused(b"This is no picture.", "not a JPEG, PNG or WebP");
        check_refused(b"<svg/>", "SVG pictures cannot be read; save it as PNG");
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let bytes = encoded(&gradient(), format);
            check_refused(&bytes[..bytes.len() * 2 / 3], "damaged or incomplete");
        }
    }

    #[test]
    fn what_phones_append_to_a_jpeg_is_not_read() {
        let jpeg = encoded(&gradient(), ImageFormat::Jpeg);
        let video = b"\0\0\0\x18ftypmp42\0\0\0\0isommp42\0\0\0\x20mdat";
        let expected = decode(&jpeg).unwrap();
        for appended in [
            // Videos whose bytes look like a start of scan, and like a picture that breaks off.
            [&video[..], b"\xFF\xDA\x01\x02\x03"].concat(),
            [&video[..], &jpeg[..jpeg.len() / 2]].concat(),
            [&video[..], b"\xFF\xD9\xFF\xD8\xFF\xDA"].concat(),
            // A gain map and a preview, the second broken.
            [&jpeg[..], &jpeg[..jpeg.len() - 2]].concat(),
            vec![0; 5000],
        ] {
            let photo = [&jpeg[..], &appended].concat();
            assert_eq!(decode(&photo).unwrap(), expected, "{:x?}", &appended[..24]);
        }
        // A thumbnail in the header is not the picture's end.
        let thumbnail = b"\xFF\xE1\x00\x0A\xFF\xD8\xFF\xDA\x00\x02\xFF\xD9";
        let mut cut = jpeg[..jpeg.len() / 2].to_vec();
        cut.splice(2..2, thumbnail.iter().copied());
        check_refused(&cut, "breaks off");
        check_refused(&jpeg[..jpeg.len() - 1], "breaks off");
    }

    #[test]
    fn a_huge_picture_is_refused_by_its_header() {
        let mut png = encoded(&gradient(), ImageFormat::Png);
        png[16..20].copy_from_slice(&10_000_u32.to_be_bytes());
        png[20..24].copy_from_slice(&7_000_u32.to_be_bytes());
        let crc = crc32(&png[12..29]);
        png[29..33].copy_from_slice(&crc.to_be_bytes());
        check_refused(&png, "10000 x 7000 is 70.0 megapixels; at most 65");

        let mut jpeg = encoded(&gradient(), ImageFormat::Jpeg);
        let frame = jpeg.windows(2).position(|pair| pair == [0xFF, 0xC0]);
        jpeg[frame.unwrap() + 5..][..4].fill(0xFF);
        check_refused(&jpeg, "65535 x 65535 is 4294.8 megapixels");

        // A lossless WebP: 14 bits of width - 1 and of height - 1 behind the signature 0x2F.
        let mut webp = encoded(&gradient(), ImageFormat::WebP);
        assert_eq!(webp[20], 0x2F);
        webp[21..25].copy_from_slice(&(0x3FFE_u32 | 0x3FFE << 14).to_le_bytes());
        check_refused(&webp, "16383 x 16383 is 268.4 megapixels");
    }

    #[test]
    fn photos_of_48_megapixels_are_halved() {
        let photo = RgbImage::from_fn(8000, 6000, |x, y| Rgb([(x / 40) as u8, (y / 30) as u8, 90]));
        let mut jpeg = encoded(&photo.into(), ImageFormat::Jpeg);
        let picture = decode(&jpeg).unwrap();
        assert_eq!(picture.dimensions(), (4000, 3000));
        let [r, g, b] = picture.get_pixel(3000, 1000).0;
        assert!(
            r.abs_diff(150) < 4 && g.abs_diff(66) < 4 && b.abs_diff(90) < 4,
            "{r} {g} {b}"
        );
        jpeg.splice(2..2, QUARTER_TURN.iter().copied());
        assert_eq!(decode(&jpeg).unwrap().dimensions(), (3000, 4000));

        for (width, height, halved) in
            [(8161, 6145, (4080, 3072)), (50_000_000, 1, (25_000_000, 1))]
        {
            let photo = image::GrayImage::from_pixel(width, height, image::Luma([200]));
            let picture = decode(&encoded(&photo.into(), ImageFormat::Png)).unwrap();
            assert_eq!(picture.dimensions(), halved);
            assert!(picture.pixels().all(|pixel| pixel.0 == [200; 3]));
        }
        let photo = image::GrayImage::new(8000, 5000);
        let picture = decode(&encoded(&photo.into(), ImageFormat::Png)).unwrap();
        assert_eq!(picture.dimensions(), (8000, 5000), "40 megapixels stay");
    }

    #[test]
    fn transparency_lies_over_white() {
        let picture = image::RgbaImage::from_pixel(2, 2, image::Rgba([0, 0, 0, 0]));
        let decoded = decode(&encoded(&picture.into(), ImageFormat::Png)).unwrap();
        assert_eq!(decoded.get_pixel(0, 0).0, [255; 3]);
    }

    #[test]
    fn exif_orientation_turns_the_picture() {
        let mut jpeg = encoded(&gradient(), ImageFormat::Jpeg);
        jpeg.splice(2..2, QUARTER_TURN.iter().copied());
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
