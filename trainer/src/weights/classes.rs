//! Class embeddings: the classes of the default image encoder, encoded by the text encoder of a weight folder.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;
use shared_model::classes::ClassTable;
use shared_model::hash::sha256;
use shared_model::pack::{Pack, Precision, write};
use shared_model::text::BertConfig;
use shared_model::tokenizer::Encoded;

use super::{CLASSES, MADE_WITH, Origin, config, is_of_text};
use crate::files::{read, read_lines, write as write_file};

/// Number of classes that are encoded at once.
const BATCH: usize = 50;

/// Whether the folder has class embeddings of its text encoder.
pub(super) fn are_current(folder: &Path) -> anyhow::Result<bool> {
    let path = folder.join(CLASSES);
    if !path.exists() {
        return Ok(false);
    }
    let pack = Pack::read(&path.display().to_string(), read(&path)?)?;
    Ok(is_of_text(&pack, &sha256(&read(&folder.join("text.bpk"))?)))
}

/// Encodes the classes with the text encoder of the weight folder `to`.
///
/// # Arguments
///
/// - synsets, lemmas, definitions: files that list the WordNet ids of the classes in order, and per id, after a tab, its words and its gloss.
pub(super) fn classes(
    [synsets, lemmas, definitions]: [&Path; 3],
    to: &Path,
    origin: &Origin,
) -> anyhow::Result<()> {
    let path = to.join("text.bpk");
    let bytes = read(&path)?;
    let encoded_by = sha256(&bytes);
    let pack = Pack::read(&path.display().to_string(), bytes)?;
    let sizes: BertConfig = config(&pack)?;
    let tokenizer = sizes.tokenizer(&read(&to.join("tokenizer.json"))?)?;
    let device = Device::flex();
    let bert = sizes.load(&pack, &device)?;

    let (lemmas, definitions) = (table(lemmas)?, table(definitions)?);
    let mut labels = Vec::new();
    let mut texts: Vec<Encoded> = Vec::new();
    for synset in read_lines(synsets, |_, line| Ok(line.to_owned()))? {
        let of = |table: &HashMap<String, String>| {
            let found = table.get(&synset).cloned();
            found.with_context(|| format!("no words for the class {synset}"))
        };
        let words = of(&lemmas)?;
        let text = format!("{words}. {}", of(&definitions)?);
        texts.push(tokenizer.encode(&text, None)?);
        labels.push(words.split(',').next().unwrap_or(&words).to_owned());
    }
    ensure!(!labels.is_empty(), "{} lists no class", synsets.display());
    let mut vectors = Vec::new();
    for batch in texts.chunks(BATCH) {
        let (ids, mask) = shared_model::tensors::pad(batch, &device);
        let pooled = bert.pooled(ids, mask);
        let values = pollster::block_on(shared_model::tensors::read(pooled))?;
        vectors.extend(values.chunks(sizes.d_model).map(<[f32]>::to_vec));
    }
    let metadata = [
        ("licence", origin.licence),
        ("source", origin.source),
        (MADE_WITH, &encoded_by),
    ];
    let entries = ClassTable::new(labels, &vectors).entries();
    write_file(
        &to.join(CLASSES),
        &write(entries, &metadata, Precision::F32)?,
    )
}

/// Reads lines of a key and a value with a tab between them.
fn table(path: &Path) -> anyhow::Result<HashMap<String, String>> {
    let rows = read_lines(path, |_, line| {
        let (key, value) = line.split_once('\t').context("a line without a tab")?;
        Ok((key.to_owned(), value.to_owned()))
    })?;
    Ok(rows.into_iter().collect())
}
