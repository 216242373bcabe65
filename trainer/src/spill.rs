//! Pooled vectors on disk, so that building a knowledge base of any size takes the memory of one timeline.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use burn::tensor::Bytes;
use half::f16;
use shared_model::pack::Entry;
use shared_model::vectors::PooledVectors;

use crate::halves;

/// Vectors of posts or profiles in the order in which they were added, in f16, as `kb.bpk` has them.
pub(crate) struct Spill {
    /// Vectors of text, context, tuned, image, classes and joint.
    rows: [Rows; 6],
    /// Which of them each post has, one bit each.
    kinds: Vec<u8>,
}

impl Spill {
    /// Creates files in an existing folder.
    pub(crate) fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let rows = |kind: &str| Rows::create(folder.join(format!("{name}-{kind}")));
        Ok(Self {
            rows: [
                rows("text")?,
                rows("context")?,
                rows("tuned")?,
                rows("image")?,
                rows("classes")?,
                rows("joint")?,
            ],
            kinds: Vec::new(),
        })
    }

    /// Adds the vectors of a post or profile.
    pub(crate) fn push(&mut self, pooled: &PooledVectors) -> anyhow::Result<()> {
        let PooledVectors {
            text,
            context,
            tuned,
            image,
            classes,
            joint,
        } = pooled;
        let mut kinds = 0;
        let vectors = [text, context, tuned, image, classes, joint];
        for (i, vector) in vectors.into_iter().enumerate() {
            if let Some(vector) = vector {
                self.rows[i].push(vector)?;
                kinds |= 1 << i;
            }
        }
        self.kinds.push(kinds);
        Ok(())
    }

    /// Reads everything that was added, in the same order.
    pub(crate) fn replay(
        &mut self,
    ) -> anyhow::Result<impl Iterator<Item = anyhow::Result<PooledVectors>>> {
        let mut readers = Vec::new();
        for rows in &mut self.rows {
            readers.push(rows.reader()?);
        }
        Ok(self.kinds.iter().map(move |kinds| {
            let mut row = |i: usize| (kinds & (1 << i) > 0).then(|| readers[i]()).transpose();
            Ok(PooledVectors {
                text: row(0)?,
                context: row(1)?,
                tuned: row(2)?,
                image: row(3)?,
                classes: row(4)?,
                joint: row(5)?,
            })
        }))
    }

    /// Number of classes; 0 if no post has any.
    pub(crate) fn n_classes(&self) -> usize {
        self.rows[4].width
    }

    /// Entries of `kb.bpk`; their values are read when they are written.
    ///
    /// # Arguments
    ///
    /// - names: the names and widths of text, context, tuned, image, classes and joint; `None` leaves one out.
    pub(crate) fn entries(
        &mut self,
        names: [Option<(&str, usize)>; 6],
    ) -> anyhow::Result<Vec<Entry>> {
        let named = names.into_iter().zip(&mut self.rows);
        named
            .filter_map(|(named, rows)| named.map(|(name, width)| rows.entry(name, width)))
            .collect()
    }
}

/// A file of vectors of one width.
struct Rows {
    path: PathBuf,
    file: BufWriter<File>,
    n: usize,
    width: usize,
}

impl Rows {
    fn create(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self {
            file: BufWriter::new(file),
            path,
            n: 0,
            width: 0,
        })
    }

    fn push(&mut self, vector: &[f32]) -> anyhow::Result<()> {
        (self.n, self.width) = (self.n + 1, vector.len());
        let bytes: Vec<u8> = halves::bytes(vector).collect();
        let written = self.file.write_all(&bytes);
        written.with_context(|| format!("cannot write {}", self.path.display()))
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        let flushed = self.file.flush();
        flushed.with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// Reads one vector after the other.
    fn reader(&mut self) -> anyhow::Result<impl FnMut() -> anyhow::Result<Vec<f32>> + use<>> {
        self.flush()?;
        let path = self.path.clone();
        let refuse = move || format!("cannot read {}", path.display());
        let mut file = BufReader::new(File::open(&self.path).with_context(&refuse)?);
        let mut bytes = vec![0; self.width * halves::SIZE];
        Ok(move || {
            file.read_exact(&mut bytes).with_context(&refuse)?;
            Ok(halves::numbers(&bytes).map(f16::to_f32).collect())
        })
    }

    fn entry(&mut self, name: &str, width: usize) -> anyhow::Result<Entry> {
        self.flush()?;
        let n_bytes = self.n * width * halves::SIZE;
        let bytes = Bytes::from_file(&self.path, n_bytes as u64, 0);
        Ok(Entry::halves(name, [self.n, width], bytes))
    }
}

#[cfg(test)]
mod tests {
    use shared_model::kb::{CONTEXT, KbPost, KbText, KnowledgeBase, TUNED};
    use shared_model::pack::{Precision, write, writer};
    use shared_model::prototype::Selection;

    use super::*;

    fn pooled(i: usize, has_image: bool) -> PooledVectors {
        let vector = |width: usize| {
            (0..width)
                .map(|d| ((i + 3) * (d + 1)) as f32 / 64.0)
                .collect()
        };
        PooledVectors {
            text: (i != 1).then(|| vector(3)),
            context: (i == 9).then(|| vector(3)),
            tuned: (i != 2).then(|| vector(3)),
            image: has_image.then(|| vector(5)),
            classes: has_image.then(|| vector(2)),
            joint: Some(vector(4)),
        }
    }

    #[test]
    fn what_was_added_comes_back_and_is_written_as_a_knowledge_base_in_memory_is() {
        let folder = tempfile::tempdir().unwrap();
        let (mut posts, mut profiles) = (
            Spill::create(folder.path(), "post").unwrap(),
            Spill::create(folder.path(), "profile").unwrap(),
        );
        let all: Vec<PooledVectors> = (0..4).map(|i| pooled(i, i % 2 == 0)).collect();
        all.iter().for_each(|post| posts.push(post).unwrap());
        profiles.push(&pooled(9, false)).unwrap();
        let back: Vec<PooledVectors> = posts.replay().unwrap().map(Result::unwrap).collect();
        assert_eq!(back, all);

        let text = KbText {
            entities: vec![shared_model::data::Entity {
                id: "a".to_owned(),
                name: "A".to_owned(),
                aliases: Vec::new(),
                description: String::new(),
            }],
            posts: vec![
                KbPost {
                    entity: 0,
                    text: "t".to_owned(),
                    images: Vec::new()
                };
                4
            ],
            prototypes: Vec::new(),
            k: 2,
            selection: Selection::Pagerank,
        };
        let kb = KnowledgeBase::new(text, all, vec![pooled(9, false)]);
        let mut entries = posts
            .entries([
                Some(("text", 3)),
                None,
                None,
                Some(("image", 5)),
                Some(("classes", 2)),
                None,
            ])
            .unwrap();
        entries.extend(
            profiles
                .entries([
                    Some(("profile", 3)),
                    Some((CONTEXT, 3)),
                    None,
                    None,
                    None,
                    None,
                ])
                .unwrap(),
        );
        entries.extend(
            posts
                .entries([None, None, None, None, None, Some(("joint", 4))])
                .unwrap(),
        );
        let joint = [None, None, None, None, None, Some(("joint_profile", 4))];
        entries.extend(profiles.entries(joint).unwrap());
        for (rows, name) in [&mut posts, &mut profiles].into_iter().zip(TUNED) {
            let tuned = [None, None, Some((name, 3)), None, None, None];
            entries.extend(rows.entries(tuned).unwrap());
        }
        entries.extend(kb.statistics.entries());
        let path = folder.path().join("kb.bpk");
        writer(entries, &[], Precision::F16)
            .write_to_file(&path)
            .unwrap();
        let in_memory = write(kb.entries(), &[], Precision::F16).unwrap();
        assert!(std::fs::read(path).unwrap() == in_memory);
    }
}
