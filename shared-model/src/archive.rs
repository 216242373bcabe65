//! A dataset folder in one zip: how a visitor's own entities are kept, handed over, and read by the command line.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{Cursor, Read as _, Write as _};

use serde::Serialize;
use serde::de::DeserializeOwned;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use crate::data::{Entity, TimelinePost};
use crate::error::{Error, Result};
use crate::paths::{is_inside, relative};
use crate::tokenizer::MAX_CHARACTERS;

/// Largest sum of the unpacked files, in bytes.
pub const MAX_BYTES: u64 = 300_000_000;
/// Largest number of files.
pub const MAX_FILES: usize = 10_000;
/// Largest number of entities.
pub const MAX_ENTITIES: usize = 1_000;

/// Largest number of posts of one entity, as the graph of their similarities grows with its square.
pub const MAX_POSTS: usize = 500;
/// Largest number of posts of all entities.
pub const MAX_ALL_POSTS: usize = 10_000;

/// What `dataset.json` says of a visitor's own entities.
const INFO: &str = r#"{"format":1,"name":"Own entities","licence":"Not stated","source":"Made in the page","candidate_policy":"given"}"#;

/// Entities with their timelines and the files of their pictures.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Archive {
    /// All entities.
    pub entities: Vec<Entity>,
    /// All posts.
    pub timeline: Vec<TimelinePost>,
    /// Picture files by their paths.
    pub pictures: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Reads a zip; the folder may be at its root or the only one there. Files that no post names are left out.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming the first file, or line of it, that is missing, malformed, too large or outside the folder.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let mut files = unpack(bytes)?;
        let entities: Vec<Entity> = lines(&mut files, "entities.jsonl")?
            .ok_or_else(|| Error::file("entities.jsonl", "is not in the zip"))?;
        let mut ids = HashSet::new();
        for Entity { id, name, .. } in &entities {
            if id.is_empty() || name.trim().is_empty() || !ids.insert(id.as_str()) {
                return Err(Error::file(
                    "entities.jsonl",
                    format!("{id:?} has no id, no name, or is there twice"),
                ));
            }
        }
        let timeline: Vec<TimelinePost> = lines(&mut files, "timeline.jsonl")?.unwrap_or_default();
        let mut pictures = BTreeMap::new();
        for (at, post) in timeline.iter().enumerate() {
            let refuse =
                |reason: String| Error::file(format!("timeline.jsonl, line {}", at + 1), reason);
            if !ids.contains(post.entity.as_str()) {
                return Err(refuse(format!("no entity {:?}", post.entity)));
            }
            let length = post.text.chars().count();
            if length > MAX_CHARACTERS {
                return Err(refuse(format!(
                    "the text has {length} characters; at most {MAX_CHARACTERS} are read"
                )));
            }
            for path in &post.images {
                if !is_inside(path) {
                    return Err(refuse(format!("the path {path:?} leaves the folder")));
                }
                if let Some(bytes) = files.remove(path) {
                    pictures.insert(path.clone(), bytes);
                } else if !pictures.contains_key(path) {
                    return Err(refuse(format!("{path} is not in the zip")));
                }
            }
        }
        let archive = Self {
            entities,
            timeline,
            pictures,
        };
        archive.check()?;
        Ok(archive)
    }

    /// Refuses more than [`Self::read`] would read again.
    ///
    /// # Errors
    ///
    /// [`Error::File`] naming what is too much.
    pub fn check(&self) -> Result<()> {
        let refuse = |n: usize, what: &str, most: usize| {
            Err(Error::file(
                "zip",
                format!("{n} {what}; at most {most} are read"),
            ))
        };
        let (n_entities, n_posts) = (self.entities.len(), self.timeline.len());
        if n_entities > MAX_ENTITIES {
            return refuse(n_entities, "entities", MAX_ENTITIES);
        }
        if n_posts > MAX_ALL_POSTS {
            return refuse(n_posts, "posts", MAX_ALL_POSTS);
        }
        let mut of_entities: HashMap<&str, usize> = HashMap::new();
        for post in &self.timeline {
            *of_entities.entry(&post.entity).or_default() += 1;
        }
        if let Some((id, n)) = of_entities.into_iter().find(|(_, n)| *n > MAX_POSTS) {
            return refuse(n, &format!("posts of {id:?}"), MAX_POSTS);
        }
        let megabytes = self.pictures.values().map(Vec::len).sum::<usize>() / 1_000_000;
        let most = (MAX_BYTES / 2_000_000) as usize;
        if megabytes > most {
            return refuse(megabytes, "MB of pictures", most);
        }
        Ok(())
    }

    /// The zip.
    ///
    /// # Errors
    ///
    /// [`Error::File`] if the files are too many or too large for a zip.
    pub fn write(&self) -> Result<Vec<u8>> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, bytes) in self.files() {
            // Pictures are compressed already.
            let method = match bytes {
                Cow::Owned(_) => CompressionMethod::Deflated,
                Cow::Borrowed(_) => CompressionMethod::Stored,
            };
            let options = SimpleFileOptions::default().compression_method(method);
            let started = zip.start_file(path, options);
            started.map_err(|error| Error::file(path, error))?;
            let written = zip.write_all(&bytes);
            written.map_err(|error| Error::file(path, error))?;
        }
        let written = zip.finish().map_err(|error| Error::file("zip", error))?;
        Ok(written.into_inner())
    }

    /// The files of the dataset folder by their paths.
    pub fn files(&self) -> impl Iterator<Item = (&str, Cow<'_, [u8]>)> {
        let texts = [
            ("dataset.json", INFO.as_bytes().to_vec()),
            ("entities.jsonl", json_lines(&self.entities)),
            ("timeline.jsonl", json_lines(&self.timeline)),
        ];
        let texts = texts
            .into_iter()
            .map(|(path, bytes)| (path, Cow::Owned(bytes)));
        let pictures = self.pictures.iter();
        let pictures = pictures.map(|(path, bytes)| (path.as_str(), Cow::Borrowed(&bytes[..])));
        texts.chain(pictures)
    }

    /// The posts of an entity.
    pub fn posts<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a TimelinePost> {
        self.timeline.iter().filter(move |post| post.entity == id)
    }

    /// Takes the entities of another archive over, under ids and picture paths that are free; returns the new ids.
    ///
    /// # Arguments
    ///
    /// - is_taken: whether an id is taken elsewhere.
    pub fn take(&mut self, other: Self, is_taken: impl Fn(&str) -> bool) -> Vec<String> {
        let Self {
            entities,
            timeline,
            pictures,
        } = other;
        let mut ids = HashMap::new();
        for mut entity in entities {
            let is_free =
                |id: &String| !is_taken(id) && self.entities.iter().all(|known| known.id != *id);
            let names = std::iter::once(entity.id.clone());
            let others = (2..).map(|n| format!("{}-{n}", entity.id));
            let id = names.chain(others).find(is_free).expect("endless");
            ids.insert(std::mem::replace(&mut entity.id, id.clone()), id);
            self.entities.push(entity);
        }
        let mut paths: HashMap<String, String> = HashMap::new();
        for (path, bytes) in pictures {
            let mut free = path.clone();
            for n in 2.. {
                if !self.pictures.contains_key(&free) {
                    break;
                }
                let (stem, ending) = path.rsplit_once('.').unwrap_or((&path, ""));
                free = format!("{stem}-{n}.{ending}");
            }
            self.pictures.insert(free.clone(), bytes);
            paths.insert(path, free);
        }
        for mut post in timeline {
            post.entity.clone_from(&ids[&post.entity]);
            for path in &mut post.images {
                path.clone_from(&paths[path.as_str()]);
            }
            self.timeline.push(post);
        }
        let mut ids: Vec<String> = ids.into_values().collect();
        ids.sort();
        ids
    }

    /// Takes an entity with its posts out; pictures that others use stay.
    pub fn remove(&mut self, id: &str) {
        self.entities.retain(|entity| entity.id != id);
        self.timeline.retain(|post| post.entity != id);
        let used: HashSet<&String> = self.timeline.iter().flat_map(|post| &post.images).collect();
        self.pictures.retain(|path, _| used.contains(path));
    }
}

/// The files by their paths inside the folder.
fn unpack(bytes: &[u8]) -> Result<HashMap<String, Vec<u8>>> {
    let refuse = |reason: &dyn std::fmt::Display| Error::file("zip", reason);
    let mut zip = ZipArchive::new(Cursor::new(bytes)).map_err(|error| refuse(&error))?;
    if zip.len() > MAX_FILES {
        let n = zip.len();
        return Err(refuse(&format!("{n} files; at most {MAX_FILES} are read")));
    }
    let names = zip.file_names();
    let names: Vec<String> = names
        .map(|name| name.map(|name| name.into_owned()))
        .collect::<Result<_, _>>()
        .map_err(|error| refuse(&error))?;
    let root = root(&names);
    let mut files = HashMap::new();
    let mut left = MAX_BYTES;
    for at in 0..zip.len() {
        let file = zip.by_index(at).map_err(|error| refuse(&error))?;
        if file.is_dir() {
            continue;
        }
        let name = file.name().map_err(|error| refuse(&error))?.into_owned();
        let Some(path) = name.strip_prefix(root) else {
            continue;
        };
        let path = relative(path).map_err(|error| Error::file(&name, error))?;
        let mut bytes = Vec::new();
        // What the zip says of the size is not believed.
        let read = file.take(left + 1).read_to_end(&mut bytes);
        read.map_err(|error| Error::file(&name, error))?;
        left = left
            .checked_sub(bytes.len() as u64)
            .ok_or_else(|| refuse(&format!("more than {} MB unpacked", MAX_BYTES / 1_000_000)))?;
        files.insert(path, bytes);
    }
    Ok(files)
}

/// The folder that `entities.jsonl` is in, with its final `/`, or nothing.
fn root(names: &[String]) -> &str {
    let mut names = names.iter();
    let found = names.find_map(|name| name.strip_suffix("entities.jsonl"));
    found
        .filter(|root| root.is_empty() || root.ends_with('/'))
        .unwrap_or_default()
}

fn lines<T: DeserializeOwned>(
    files: &mut HashMap<String, Vec<u8>>,
    path: &str,
) -> Result<Option<Vec<T>>> {
    let Some(bytes) = files.remove(path) else {
        return Ok(None);
    };
    let text = String::from_utf8(bytes).map_err(|_| Error::file(path, "is not UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let rows = text.lines().enumerate();
    let rows = rows.filter(|(_, line)| !line.trim().is_empty());
    let rows = rows.map(|(at, line)| {
        serde_json::from_str(line)
            .map_err(|error| Error::file(format!("{path}, line {}", at + 1), error))
    });
    rows.collect::<Result<_>>().map(Some)
}

fn json_lines(rows: &[impl Serialize]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut bytes, row).expect("plain values");
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let entity = |id: &str| Entity {
            id: id.to_owned(),
            name: "Minka".to_owned(),
            aliases: vec!["Minki".to_owned()],
            description: "our cat".to_owned(),
        };
        let post = |entity: &str, text: &str, images: &[&str]| TimelinePost {
            entity: entity.to_owned(),
            text: text.to_owned(),
            images: images.iter().map(|path| (*path).to_owned()).collect(),
            id: None,
        };
        Archive {
            entities: vec![entity("a"), entity("b")],
            timeline: vec![
                post(
                    "a",
                    "Minka on the sofa 🐈",
                    &["images/1.jpg", "images/2.jpg"],
                ),
                post("b", "", &["images/2.jpg"]),
            ],
            pictures: BTreeMap::from([
                ("images/1.jpg".to_owned(), vec![1, 2, 3]),
                ("images/2.jpg".to_owned(), vec![4]),
            ]),
        }
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (path, bytes) in files {
            zip.start_file(*path, SimpleFileOptions::default()).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    #[test]
    fn a_zip_gives_back_what_was_written() {
        let archive = archive();
        assert_eq!(Archive::read(&archive.write().unwrap()).unwrap(), archive);
        let mut left = archive.clone();
        left.remove("a");
        assert_eq!(left.entities.len(), 1);
        assert_eq!(left.pictures.keys().collect::<Vec<_>>(), ["images/2.jpg"]);
        assert_eq!(left.posts("b").count(), 1);
    }

    #[test]
    fn ids_and_paths_that_are_taken_are_changed() {
        let mut both = archive();
        let ids = both.take(archive(), |id| id == "a-2");
        assert_eq!(ids, ["a-3", "b-2"]);
        assert_eq!(both.entities.len(), 4);
        assert_eq!(both.pictures.len(), 4);
        let post = both.posts("a-3").next().unwrap();
        assert_eq!(post.images, ["images/1-2.jpg", "images/2-2.jpg"]);
        assert_eq!(both.pictures["images/2-2.jpg"], [4]);
        assert_eq!(Archive::read(&both.write().unwrap()).unwrap(), both);
    }

    #[test]
    fn the_folder_may_be_inside_another() {
        let entity = br#"{"id":"a","name":"A"}"#;
        let read = Archive::read(&zip(&[
            ("mine/entities.jsonl", entity),
            (
                "mine/timeline.jsonl",
                br#"{"entity":"a","images":["b.png"]}"#,
            ),
            ("mine/b.png", b"png"),
            ("mine/c.png", b"unused"),
            ("__MACOSX/x", b""),
        ]));
        let read = read.unwrap();
        assert_eq!(read.pictures.keys().collect::<Vec<_>>(), ["b.png"]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let entities: (&str, &[u8]) = ("entities.jsonl", br#"{"id":"a","name":"A"}"#);
        let refused = |files: &[(&str, &[u8])], said: &str| {
            let error = Archive::read(&zip(files)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        };
        refused(&[("a.txt", b"")], "entities.jsonl: is not in the zip");
        refused(&[("entities.jsonl", b"\n{")], "entities.jsonl, line 2");
        refused(
            &[("entities.jsonl", br#"{"id":"a","name":" "}"#)],
            "no name",
        );
        for (post, said) in [
            (&br#"{"entity":"b"}"#[..], "line 1: no entity \"b\""),
            (
                br#"{"entity":"a","images":["b.png"]}"#,
                "b.png is not in the zip",
            ),
            (
                br#"{"entity":"a","images":["../b.png"]}"#,
                "leaves the folder",
            ),
        ] {
            refused(&[entities, ("timeline.jsonl", post)], said);
        }
        refused(&[entities, ("../x.png", b"")], "..");
        let many = [&br#"{"entity":"a","text":"b"}"#[..], b"\n"]
            .concat()
            .repeat(MAX_POSTS + 1);
        refused(
            &[entities, ("timeline.jsonl", &many)],
            "501 posts of \"a\"; at most 500",
        );
        let error = Archive::read(b"no zip").unwrap_err().to_string();
        assert!(error.starts_with("zip: "), "{error}");
        assert!(Archive::read(&archive().write().unwrap()[..200]).is_err());
    }
}
