//! A file of posts without labels.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use shared_model::data::{Post, or_default, picture_paths};
use synth::posts::SourcePost;

use crate::dataset::account::Account;
use crate::dataset::duplicates::{Pictures, Texts};
use shared_model::batch::validate;

use crate::dataset::{inside, picture};
use crate::files::{read_jsonl, tracked};

/// A line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    #[serde(default, deserialize_with = "or_default")]
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    text: String,
    #[serde(default, deserialize_with = "picture_paths")]
    images: Vec<String>,
}

/// The posts of the file that are no near-duplicates of earlier ones, with the pictures that are whole.
pub(super) fn read(
    file: &Path,
    pictures: &Path,
    account: &mut Account,
) -> anyhow::Result<Vec<SourcePost>> {
    let lines: Vec<Line> = read_jsonl(file)?;
    let mut ids = HashSet::new();
    let (mut known_texts, mut known_pictures) = (Texts::default(), Pictures::new());
    let mut posts = Vec::new();
    for (number, line) in (1..).zip(tracked(lines, "posts")) {
        let Line {
            mut id,
            text,
            images,
        } = line;
        if id.is_empty() {
            id = format!("post-{number}");
        }
        let of_post = || format!("{}: {id:?}", file.display());
        ensure!(ids.insert(id.clone()), "{} appears twice", of_post());
        let mut whole = Vec::new();
        let mut is_new = known_texts.insert(&text);
        for path in images {
            inside(&path).with_context(of_post)?;
            let file = pictures.join(&path);
            if !file.is_file() {
                account.matter("picture is not there, left out", &path);
                continue;
            }
            match picture(&file) {
                Ok(picture) => {
                    is_new &= known_pictures.insert(&picture);
                    whole.push(path);
                }
                Err(error) => account.matter("corrupt picture, left out", &format!("{error:#}")),
            }
        }
        let post = Post {
            id,
            text,
            mention: None,
            images: whole,
            candidates: None,
            entity: None,
        };
        if !is_new {
            account.matter(
                "text or picture nearly that of an earlier post, left out",
                &post.id,
            );
        } else if let Err(error) = validate(&post) {
            account.matter(
                "post of no use, left out",
                &format!("{} ({error:#})", post.id),
            );
        } else {
            posts.push(SourcePost {
                id: post.id,
                text: post.text,
                images: post.images,
            });
        }
    }
    Ok(posts)
}
