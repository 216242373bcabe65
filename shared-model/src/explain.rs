//! What in a post decided, by occlusion: how much less the first candidate leads without a word, or without a region of a picture
//! (Zeiler and Fergus 2014, section 3.2).

use std::sync::Arc;

use image::{Rgb, RgbImage};

use crate::cover::mean_colour;
use crate::data::{Effects, Mention, WordEffect};
use crate::error::{Error, Result};
use crate::evidence::Sides;
use crate::linker::{Linker, Query, TextCache};
use crate::resize::{Filter, resize};
use crate::vectors::PostVectors;

/// Number of regions of a picture per side.
pub const GRID: usize = 7;
/// Number of words that are left out, at most; those nearest to the mention.
const MAX_WORDS: usize = 40;
/// Side of the square picture that the regions are cut from, in pixels: what the default image encoder reads.
const SIDE: u32 = 224;

/// A post with its lead: the score of one candidate less that of another.
#[derive(Debug)]
pub struct Occlusion<'a> {
    linker: &'a Linker,
    query: Query<'a>,
    post: PostVectors,
    /// The pictures as squares, whole.
    pictures: Vec<RgbImage>,
    lead: f32,
}

impl<'a> Occlusion<'a> {
    /// Encodes the post as it is.
    ///
    /// # Arguments
    ///
    /// - query: its candidates are the first and the second, or the first alone: the lead is then its score.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn new(
        linker: &'a Linker,
        query: Query<'a>,
        texts: &mut TextCache,
    ) -> Result<Occlusion<'a>> {
        let mut post = linker.encode(&query, texts, |_| ()).await?;
        let pictures = query.pictures.iter().take(post.images.len());
        let pictures: Vec<RgbImage> = pictures
            .map(|picture| resize(picture.pixels(), SIDE, SIDE, Filter::Bicubic))
            .collect();
        if !pictures.is_empty() {
            // Whole pictures are compared with covered ones of the same size.
            let whole = linker.encoders.images(&pictures).await?;
            post.images = whole.into_iter().map(Arc::new).collect();
        }
        let mut occlusion = Self {
            linker,
            query,
            post: post.clone(),
            pictures,
            lead: 0.0,
        };
        occlusion.joined(&mut post, &query).await?;
        occlusion.lead = occlusion.lead(post, &query).await?;
        Ok(occlusion)
    }

    /// The effects of all words and regions; `None` if it was stopped.
    ///
    /// # Arguments
    ///
    /// - go_on: called between two steps; `false` stops.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn effects(&self, mut go_on: impl AsyncFnMut() -> bool) -> Result<Option<Effects>> {
        let mut effects = Effects::default();
        for word in self.words() {
            if !go_on().await {
                return Ok(None);
            }
            let effect = self.without_words(&[word]).await?;
            effects.words.push(WordEffect { word, effect });
        }
        for picture in 0..self.post.images.len() {
            let mut regions = Vec::new();
            for row in 0..GRID {
                if !go_on().await {
                    return Ok(None);
                }
                let cells: Vec<[usize; 1]> =
                    (0..GRID).map(|column| [row * GRID + column]).collect();
                let cells: Vec<&[usize]> = cells.iter().map(|cell| &cell[..]).collect();
                regions.extend(self.without_regions(picture, &cells).await?);
            }
            effects.pictures.push(regions);
        }
        Ok(Some(effects))
    }

    /// The words of the text but for the mention.
    fn words(&self) -> Vec<Mention> {
        if !self.query.conditions.post.text {
            return Vec::new();
        }
        let mention = self.query.mention;
        let mut words = words(self.query.text);
        words.retain(|word| word.end <= mention.start || word.start >= mention.end);
        let distance = |word: &Mention| {
            let before = mention.start.saturating_sub(word.end);
            before.max(word.start.saturating_sub(mention.end))
        };
        words.sort_by_key(distance);
        words.truncate(MAX_WORDS);
        words.sort_by_key(|word| word.start);
        words
    }

    /// How much smaller the lead is without these words, none of which overlaps the mention.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn without_words(&self, left_out: &[Mention]) -> Result<f32> {
        let Mention { start, end } = self.query.mention;
        let is_left = |at: usize| {
            left_out
                .iter()
                .all(|word| at < word.start || at >= word.end)
        };
        let characters = self.query.text.chars().enumerate();
        let text: String = characters
            .filter(|(at, _)| is_left(*at))
            .map(|(_, character)| character)
            .collect();
        let n_before = (0..start).filter(|&at| !is_left(at)).count();
        let query = Query {
            text: &text,
            mention: Mention {
                start: start - n_before,
                end: end - n_before,
            },
            pictures: &[],
            ..self.query
        };
        let mut post = self
            .linker
            .encode(&query, &mut TextCache::default(), |_| ())
            .await?;
        post.images.clone_from(&self.post.images);
        self.joined(&mut post, &query).await?;
        Ok(self.lead - self.lead(post, &query).await?)
    }

    /// How much smaller the lead is without regions of a picture, for each of `left_out`; all are encoded at once.
    ///
    /// # Arguments
    ///
    /// - left_out: positions of regions, each with half of its neighbours, filled with the picture's mean colour.
    ///
    /// # Errors
    ///
    /// As [`Linker::link`].
    pub async fn without_regions(&self, picture: usize, left_out: &[&[usize]]) -> Result<Vec<f32>> {
        let small = &self.pictures[picture];
        let colour = mean_colour(small);
        let covered = left_out.iter().map(|regions| {
            let mut covered = small.clone();
            regions
                .iter()
                .for_each(|&region| cover(&mut covered, region, colour));
            covered
        });
        let vectors = self
            .linker
            .encoders
            .images(&covered.collect::<Vec<_>>())
            .await?;
        let mut effects = Vec::new();
        for vectors in vectors {
            let mut post = self.post.clone();
            post.images[picture] = Arc::new(vectors);
            self.joined(&mut post, &self.query).await?;
            effects.push(self.lead - self.lead(post, &self.query).await?);
        }
        Ok(effects)
    }

    async fn joined(&self, post: &mut PostVectors, query: &Query<'_>) -> Result<()> {
        if query.conditions.post != Sides::ALL {
            return Ok(());
        }
        let encoders = &self.linker.encoders;
        let encoded = encoders.tokenizer.encode(query.text, Some(query.mention))?;
        let surface = query.mention.surface(query.text)?;
        encoders.join(post, &encoded, Some(surface)).await
    }

    async fn lead(&self, post: PostVectors, query: &Query<'_>) -> Result<f32> {
        let readings = self.linker.read(vec![post]).await?;
        let ranking = match self.linker.rank(&readings[0], query) {
            // Without its only word, a post has nothing to go by.
            Err(Error::EmptyPost) => return Ok(0.0),
            ranking => ranking?,
        };
        let score = |position: usize| {
            let id = &self.linker.kb.text.entities[position].id;
            let mut candidates = ranking.candidates.iter();
            candidates
                .find(|candidate| candidate.entity == *id)
                .map_or(0.0, |candidate| candidate.score)
        };
        Ok(match self.query.candidates {
            [] => 0.0,
            [first] => score(*first),
            [first, second, ..] => score(*first) - score(*second),
        })
    }
}

/// Runs of characters between white space, without the punctuation around them.
fn words(text: &str) -> Vec<Mention> {
    let characters: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let length = characters[at..]
            .iter()
            .take_while(|character| !character.is_whitespace())
            .count();
        let end = at + length;
        let is_part = |i: &usize| !characters[*i].is_ascii_punctuation();
        let (first, last) = ((at..end).find(is_part), (at..end).rev().find(is_part));
        if let Some((start, last)) = first.zip(last) {
            words.push(Mention {
                start,
                end: last + 1,
            });
        }
        at = end + 1;
    }
    words
}

/// Fills a region, and half of each of its neighbours, with a colour.
fn cover(picture: &mut RgbImage, region: usize, colour: Rgb<u8>) {
    let (row, column) = ((region / GRID) as u32, (region % GRID) as u32);
    let cell = SIDE / GRID as u32;
    let span =
        |at: u32| (at * cell).saturating_sub(cell / 2)..((at + 1) * cell + cell / 2).min(SIDE);
    for y in span(row) {
        for x in span(column) {
            picture.put_pixel(x, y, colour);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_have_no_punctuation_around_them() {
        let text = "Saw a «jaguar» — today!! #wild don't 🐆 …";
        let found: Vec<String> = words(text)
            .into_iter()
            .map(|word| word.surface(text).unwrap().to_owned())
            .collect();
        assert_eq!(
            found,
            [
                "Saw",
                "a",
                "«jaguar»",
                "—",
                "today",
                "wild",
                "don't",
                "🐆",
                "…"
            ]
        );
        assert!(words("  !? ").is_empty());
    }

    #[test]
    fn a_region_is_covered_with_half_of_its_neighbours() {
        let mut picture = RgbImage::from_pixel(SIDE, SIDE, Rgb([200, 10, 0]));
        assert_eq!(mean_colour(&picture), Rgb([200, 10, 0]));
        cover(&mut picture, GRID + 2, Rgb([1, 2, 3]));
        let covered = picture.enumerate_pixels();
        let covered = covered.filter(|(_, _, pixel)| **pixel == Rgb([1, 2, 3]));
        let places: Vec<(u32, u32)> = covered.map(|(x, y, _)| (x, y)).collect();
        assert_eq!(places.len(), 64 * 64);
        assert_eq!(places[0], (48, 16));
        assert_eq!(places[places.len() - 1], (111, 79));
    }
}
