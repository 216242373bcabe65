//! A list of senses, and a folder of photographs for each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::Path;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use serde_json::Value;
use shared_model::data::{Entity, or_default};
use synth::photos::{Class, MIN_PHOTOS, Photo, split};

use crate::dataset::account::Account;
use crate::dataset::duplicates::Pictures;
use crate::dataset::{inside, picture_of};
use crate::files::{list, read, read_jsonl, tracked};

/// A list of senses.
pub(super) struct Senses<'a> {
    list: &'a Path,
    senses: Vec<Sense>,
    /// The column of the names that senses share.
    alias: Option<&'a str>,
}

/// A line of the list.
#[derive(Debug, Deserialize)]
struct Sense {
    id: String,
    name: String,
    #[serde(default, deserialize_with = "or_default")]
    aliases: Vec<String>,
    gloss: Option<String>,
    sentences: Option<Vec<String>>,
    /// All other columns; `photos` is a folder below that of all photographs, or a number.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl Sense {
    /// A column that holds text.
    fn column(&self, name: &str) -> Option<&str> {
        let text = self.others.get(name)?.as_str()?;
        Some(text.trim()).filter(|text| !text.is_empty())
    }

    /// The folder of its photographs.
    fn photos(&self) -> &str {
        let photos = self.others.get("photos").and_then(Value::as_str);
        photos.unwrap_or(&self.id)
    }

    fn class(
        self,
        have_sentences: bool,
        alias: Option<&str>,
        photos: Vec<Photo>,
    ) -> anyhow::Result<Class> {
        let gloss = self.gloss.as_deref().or(self.column("description"));
        ensure!(
            gloss.is_some() || self.sentences.is_some(),
            "neither a gloss nor sentences"
        );
        let mut description = gloss.unwrap_or_default().to_owned();
        let shared_name = alias.map(|alias| {
            let name = self.column(alias).map(shared_name);
            name.with_context(|| format!("no text in its column {alias:?}"))
        });
        let shared_name = shared_name.transpose()?;
        let mut sentences = self.sentences.unwrap_or_default();
        ensure!(
            sentences.iter().all(|sentence| !sentence.trim().is_empty()),
            "one of its sentences is empty"
        );
        if have_sentences && sentences.is_empty() {
            // What posts say must not be the entity's description.
            sentences = split(&std::mem::take(&mut description));
        }
        let entity = Entity {
            id: self.id,
            name: self.name,
            aliases: self.aliases,
            description,
        };
        Ok(if have_sentences {
            Class::with_sentences(entity, sentences, shared_name, photos)?
        } else {
            Class::new(entity, photos)?
        })
    }
}

/// A shared name as texts have it: a single capitalised word is a common noun, without the capital.
fn shared_name(name: &str) -> String {
    let mut letters = name.chars();
    let is_capitalised = letters.next().is_some_and(char::is_uppercase);
    if is_capitalised && letters.all(char::is_lowercase) {
        name.to_lowercase()
    } else {
        name.to_owned()
    }
}

impl<'a> Senses<'a> {
    /// Reads the list.
    pub(super) fn read(list: &'a Path, alias: Option<&'a str>) -> anyhow::Result<Self> {
        let senses: Vec<Sense> = read_jsonl(list)?;
        ensure!(!senses.is_empty(), "{}: no senses", list.display());
        if let Some(alias) = alias {
            let has = |column: &str| senses.iter().any(|sense| sense.column(column).is_some());
            let mut columns: BTreeSet<&String> = senses
                .iter()
                .flat_map(|sense| sense.others.keys())
                .collect();
            columns.retain(|column| has(column));
            ensure!(
                has(alias),
                "{}: no column {alias:?} with texts; those with texts are {columns:?}",
                list.display()
            );
        }
        Ok(Self {
            list,
            senses,
            alias,
        })
    }

    /// Whether texts are sentences of the list; they are made from words of the glosses otherwise.
    pub(super) fn have_sentences(&self) -> bool {
        self.alias.is_some() || self.senses.iter().any(|sense| sense.sentences.is_some())
    }

    /// Looks at every photograph.
    pub(super) fn classes(
        self,
        folder: &Path,
        account: &mut Account,
    ) -> anyhow::Result<Vec<Class>> {
        let have_sentences = self.have_sentences();
        let (mut ids, mut folders) = (HashSet::new(), HashSet::new());
        let mut classes = Vec::with_capacity(self.senses.len());
        for sense in tracked(self.senses, "photographs") {
            let of_sense = format!("{}: {:?}", self.list.display(), sense.id);
            ensure!(!sense.name.trim().is_empty(), "{of_sense} has no name");
            ensure!(ids.insert(sense.id.clone()), "{of_sense} appears twice");
            let photos = sense.photos().to_owned();
            inside(&photos).with_context(|| of_sense.clone())?;
            ensure!(
                folders.insert(photos.clone()),
                "{of_sense}: another sense has the photos {photos:?}"
            );
            let class = photographs(folder, Path::new(&photos), account)
                .and_then(|photos| sense.class(have_sentences, self.alias, photos));
            classes.push(class.context(of_sense)?);
        }
        Ok(classes)
    }
}

/// The whole pictures of a folder below `all`, without near-duplicates.
fn photographs(all: &Path, folder: &Path, account: &mut Account) -> anyhow::Result<Vec<Photo>> {
    let full = all.join(folder);
    let shown = full.display();
    let mut files = list(&full)?;
    files.retain(|file| file.is_file());
    let n = files.len();
    ensure!(n > 0, "{shown} holds no pictures");
    let mut so_far = Pictures::new();
    let mut photos = Vec::new();
    for file in files {
        let name = file.display().to_string();
        let bytes = read(&file)?;
        let decoded = picture_of(&bytes, &name)
            .and_then(|picture| Ok((picture, image::guess_format(&bytes)?)));
        match decoded {
            Err(error) => account.matter("corrupt picture, left out", &format!("{error:#}")),
            Ok((picture, _)) if !so_far.insert(&picture) => account.matter(
                "nearly the same photograph as another of its class, left out",
                &name,
            ),
            Ok((_, format)) => photos.push(Photo {
                file: folder.join(file.file_name().unwrap_or_default()),
                extension: format.extensions_str()[0],
            }),
        }
    }
    ensure!(
        photos.len() >= MIN_PHOTOS,
        "{shown} has {} of {n} files that are different whole pictures; each class takes {MIN_PHOTOS}",
        photos.len()
    );
    Ok(photos)
}
