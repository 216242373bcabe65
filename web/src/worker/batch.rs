//! Many posts at once: a JSON-lines file and its pictures to the lines of `imn link`.

use std::collections::HashMap;

use shared_model::aliases::NameMatch;
use shared_model::batch::{Figures, Line, validate};
use shared_model::data::{MAX_IMAGES, Post};
use shared_model::error::{Error, Result};
use shared_model::image::decode;
use shared_model::linker::{Linker, Picture};

use crate::wording::batch as wording;

/// Number of posts that are linked, at most.
const MAX_POSTS: usize = 10_000;

/// Files that the visitor gave, by their names.
#[derive(Default)]
pub(crate) struct Files(HashMap<String, Vec<u8>>);

impl Files {
    pub(crate) fn add(&mut self, name: String, bytes: Vec<u8>) {
        self.0.insert(name, bytes);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// A picture by its path, or by its name alone: browsers give files without their folders.
    fn picture(&self, path: &str) -> Result<&[u8]> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let found = self.0.get(path).or_else(|| self.0.get(name));
        let found = found.ok_or_else(|| Error::file(path, wording::PICTURE_NOT_GIVEN))?;
        Ok(found)
    }

    /// The posts of a file, all of them checked before the first is linked.
    pub(crate) fn posts(&self, name: &str) -> Result<Vec<Post>> {
        let bytes = self.0.get(name).map_or(&[][..], Vec::as_slice);
        let text = std::str::from_utf8(bytes).map_err(|_| Error::file(name, wording::NOT_UTF8))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rows = text.lines().filter(|line| !line.trim().is_empty());
        let mut posts = Vec::new();
        for (number, row) in rows.enumerate() {
            let at =
                |error: &dyn std::fmt::Display| Error::file(wording::post(name, number + 1), error);
            let post: Post = serde_json::from_str(row).map_err(|error| at(&error))?;
            validate(&post).map_err(|error| at(&error))?;
            for path in post.images.iter().take(MAX_IMAGES) {
                self.picture(path).map_err(|error| at(&error))?;
            }
            posts.push(post);
        }
        match posts.len() {
            0 => Err(Error::file(name, wording::NO_POSTS)),
            n if n > MAX_POSTS => Err(Error::file(name, wording::too_many(n, MAX_POSTS))),
            _ => Ok(posts),
        }
    }

    /// The lines of a post.
    pub(crate) async fn lines<'a>(
        &self,
        linker: &Linker,
        post: &'a Post,
        now: impl Fn() -> f64 + Copy,
    ) -> Result<Vec<Line<'a>>> {
        let start = now();
        let pictures = post.images.iter().take(MAX_IMAGES).map(|path| {
            let decoded = decode(self.picture(path)?);
            decoded
                .map(Picture::new)
                .map_err(|error| Error::file(path, error))
        });
        let pictures: Vec<Picture> = pictures.collect::<Result<_>>()?;
        let pictures: Vec<&Picture> = pictures.iter().collect();
        let decode = now() - start;
        let names = NameMatch::Similar;
        linker.lines(post, &pictures, decode, names, now).await
    }
}

/// JSON lines, and the figures over those whose post has a gold.
pub(crate) fn written(lines: &[(Line<'_>, Option<&str>)]) -> (Vec<u8>, Figures) {
    let mut bytes = Vec::new();
    for (line, _) in lines {
        serde_json::to_writer(&mut bytes, line).expect("plain values");
        bytes.push(b'\n');
    }
    let pairs = lines.iter().map(|(line, gold)| (line, *gold));
    (bytes, Figures::of(pairs))
}
