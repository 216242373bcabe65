//! The pictures of a world: photographs as they are, and montages of two classes.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::PathBuf;

use anyhow::Context as _;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, replace, resize};

use crate::dataset::picture;
use crate::dataset::staging::Staging;
use crate::files::read;

/// Side of a montage's photographs: four fill what the compact encoder looks at.
const TILE: u32 = 112;
const JPEG_QUALITY: u8 = 88;

/// What a post shows.
#[derive(Debug)]
pub(super) enum Shown {
    /// A photograph.
    Photo(PathBuf),
    /// Two by two photographs in one picture.
    Montage([PathBuf; 4]),
}

/// Writes pictures into a dataset folder under numbers, a photograph once however often it is shown.
pub(super) struct Album<'a> {
    staging: &'a Staging,
    photos: HashMap<PathBuf, String>,
    /// Pictures so far.
    pub(super) n: usize,
}

impl<'a> Album<'a> {
    pub(super) fn new(staging: &'a Staging) -> Self {
        Self {
            staging,
            photos: HashMap::new(),
            n: 0,
        }
    }

    /// The path of a picture in the dataset folder.
    pub(super) fn add(&mut self, shown: Shown) -> anyhow::Result<String> {
        match shown {
            Shown::Photo(file) => {
                if let Some(path) = self.photos.get(&file) {
                    return Ok(path.clone());
                }
                let bytes = read(&file)?;
                let format =
                    image::guess_format(&bytes).with_context(|| file.display().to_string())?;
                let extension = format.extensions_str()[0];
                let path = self.write(extension, &bytes)?;
                self.photos.insert(file, path.clone());
                Ok(path)
            }
            Shown::Montage(files) => {
                let mut tiles = Vec::new();
                for file in &files {
                    tiles.push(picture(file)?);
                }
                self.write("jpg", &montage(&tiles)?)
            }
        }
    }

    fn write(&mut self, extension: &str, bytes: &[u8]) -> anyhow::Result<String> {
        self.n += 1;
        let path = format!("images/{:06}.{extension}", self.n);
        self.staging.picture(&path, bytes)?;
        Ok(path)
    }
}

/// Row by row.
fn montage(pictures: &[RgbImage]) -> anyhow::Result<Vec<u8>> {
    let mut whole = RgbImage::new(2 * TILE, 2 * TILE);
    for (i, picture) in (0_u32..).zip(pictures) {
        let tile = resize(picture, TILE, TILE, FilterType::CatmullRom);
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
    fn a_montage_shows_four_pictures_whole() {
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 250]];
        let pictures = colours.map(|colour| RgbImage::from_pixel(30, 20, Rgb(colour)));
        let whole = shared_model::image::decode(&montage(&pictures).unwrap()).unwrap();
        assert_eq!(whole.dimensions(), (2 * TILE, 2 * TILE));
        for (i, colour) in (0_u32..).zip(colours) {
            let centre = whole.get_pixel(i % 2 * TILE + 50, i / 2 * TILE + 50);
            for (got, want) in centre.0.into_iter().zip(colour) {
                assert!(got.abs_diff(want) < 10, "{i}: {centre:?}");
            }
        }
    }
}
