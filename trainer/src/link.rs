//! `imn link`: posts in, rankings out.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;
use shared_model::bundle::Bundle;
use shared_model::data::{Mention, Post};
use shared_model::linker::PostVectors;

use crate::dataset::{pictures, validate};
use crate::device::DeviceArg;
use crate::files::{self, progress, read_jsonl};
use crate::run::open_bundle;

/// A line of the output.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    mention: Option<Mention>,
    ranking: Vec<Ranked>,
    nil_probability: Option<f32>,
    scorer: String,
    ms: Milliseconds,
}

#[derive(Serialize)]
struct Ranked {
    entity: String,
    score: f32,
    probability: f32,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Milliseconds {
    decode: f64,
    text: f64,
    image: f64,
    joint: f64,
    rank: f64,
}

/// Links every post; nothing is written before all went well.
pub(crate) fn link(
    bundle: &Path,
    input: &Path,
    output: Option<&Path>,
    device: DeviceArg,
) -> anyhow::Result<()> {
    let posts: Vec<Post> = read_jsonl(input)?;
    let folder = input.parent().unwrap_or(Path::new("."));
    for (number, post) in posts.iter().enumerate() {
        validate(post).with_context(|| format!("{}, post {}", input.display(), number + 1))?;
    }
    let bundle = open_bundle(bundle, &device.open()?)?;

    let bar = progress(posts.len(), "posts");
    let mut lines = Vec::new();
    for (number, post) in posts.iter().enumerate() {
        let answers = answer(&bundle, post, folder)
            .with_context(|| format!("{}, post {}", input.display(), number + 1))?;
        for answer in answers {
            serde_json::to_writer(&mut lines, &answer)?;
            lines.push(b'\n');
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    match output {
        Some(path) => files::write(path, &lines),
        None => std::io::stdout()
            .write_all(&lines)
            .context("cannot write to standard output"),
    }
}

fn answer<'a>(bundle: &Bundle, post: &'a Post, folder: &Path) -> anyhow::Result<Vec<Answer<'a>>> {
    let linker = &bundle.linker;
    let mentions = match post.mention {
        Some(mention) => vec![mention],
        None => linker.aliases.mentions(&post.text),
    };
    let mut ms = Milliseconds::default();
    let pictures = timed(&mut ms.decode, || pictures(folder, &post.images))?;
    let images = timed(&mut ms.image, || {
        let encode = |picture| pollster::block_on(linker.encoders.image(picture));
        pictures.iter().map(encode).collect::<Result<Vec<_>, _>>()
    })?;
    let answers: Vec<Answer> = mentions
        .into_iter()
        .map(|mention| {
            let mut ms = ms;
            let encoders = &linker.encoders;
            let encoded = encoders.tokenizer.encode(&post.text, Some(mention))?;
            let text = timed(&mut ms.text, || pollster::block_on(encoders.text(&encoded)))?;
            let mut vectors = PostVectors {
                text: Some(text),
                images: images.clone(),
                joint: None,
            };
            let surface = mention.surface(&post.text)?;
            timed(&mut ms.joint, || {
                pollster::block_on(encoders.join(&mut vectors, &encoded, Some(surface)))
            })?;
            let candidates = candidates(bundle, post, mention)?;
            let ranking = timed(&mut ms.rank, || {
                let readings = pollster::block_on(linker.read(&[vectors]))?;
                linker.rank(&readings[0], &post.text, mention, &candidates)
            })?;
            Ok(Answer {
                id: &post.id,
                mention: Some(mention),
                ranking: ranking
                    .candidates
                    .into_iter()
                    .map(|candidate| Ranked {
                        entity: candidate.entity,
                        score: candidate.score,
                        probability: candidate.probability,
                    })
                    .collect(),
                nil_probability: ranking.nil_probability,
                scorer: ranking.scorer,
                ms,
            })
        })
        .collect::<anyhow::Result<_>>()?;
    Ok(if answers.is_empty() {
        vec![nothing_found(post, ms)]
    } else {
        answers
    })
}

/// The row's own candidates, else the bearers of the name.
fn candidates(bundle: &Bundle, post: &Post, mention: Mention) -> anyhow::Result<Vec<usize>> {
    let linker = &bundle.linker;
    match &post.candidates {
        None => Ok(linker.aliases.candidates(mention.surface(&post.text)?)),
        Some(ids) => ids
            .iter()
            .map(|id| {
                linker.kb.position(id).with_context(|| {
                    format!("the candidate {id:?} is not in the bundle's knowledge base")
                })
            })
            .collect(),
    }
}

/// A post in which nobody is named.
fn nothing_found(post: &Post, ms: Milliseconds) -> Answer<'_> {
    Answer {
        id: &post.id,
        mention: None,
        ranking: Vec::new(),
        nil_probability: None,
        scorer: "prototype".to_owned(),
        ms,
    }
}

fn timed<T>(ms: &mut f64, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    *ms += start.elapsed().as_secs_f64() * 1e3;
    result
}
