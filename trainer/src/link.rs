//! `imn link`: posts in, rankings out.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use serde::Serialize;
use shared_model::aliases::NameMatch;
use shared_model::archive::Archive;
use shared_model::data::{Mention, Post, ScorerKind};
use shared_model::evidence::Conditions;
use shared_model::linker::{Linker, Picture, Query, TextCache};
use shared_model::own::OwnEntity;
use shared_model::stages::{StageClock, StageTimes};

use crate::cli::LinkArgs;
use crate::dataset::{Dataset, given, pictures, validate};
use crate::device::DeviceArg;
use crate::files::{self, read_jsonl, tracked};
use crate::run::open_bundle;

/// A line of the output.
#[derive(Serialize)]
struct Answer<'a> {
    id: &'a str,
    mention: Option<Mention>,
    ranking: Vec<Ranked>,
    nil_probability: Option<f32>,
    scorer: ScorerKind,
    ms: StageTimes,
}

#[derive(Serialize)]
struct Ranked {
    entity: String,
    score: f32,
    probability: f32,
}

/// Links every post; nothing is written before all went well.
pub(crate) fn link(args: &LinkArgs, device: DeviceArg) -> anyhow::Result<()> {
    let LinkArgs {
        bundle,
        input,
        output,
        with,
        names,
    } = args;
    let posts: Vec<Post> = read_jsonl(input)?;
    let folder = input.parent().unwrap_or(Path::new("."));
    let named = |number: usize| format!("{}, post {}", input.display(), number + 1);
    for (number, post) in posts.iter().enumerate() {
        validate(post).with_context(|| named(number))?;
    }
    let own = with.as_deref().map(Dataset::archive).transpose()?;
    let mut linker = open_bundle(bundle, &device.open()?)?.linker;
    if let Some(own) = own {
        add(&mut linker, &own)?;
    }

    let mut lines = Vec::new();
    for (number, post) in tracked(&posts, "posts").enumerate() {
        for answer in answers(&linker, post, *names, folder).with_context(|| named(number))? {
            serde_json::to_writer(&mut lines, &answer)?;
            lines.push(b'\n');
        }
    }
    match output {
        Some(path) => files::write(path, &lines),
        None => std::io::stdout()
            .write_all(&lines)
            .context("cannot write to standard output"),
    }
}

/// Adds the entities of an archive to the knowledge base.
fn add(linker: &mut Linker, own: &Archive) -> anyhow::Result<()> {
    for entity in &own.entities {
        let is_known = linker.kb.position(&entity.id).is_some();
        ensure!(
            !is_known,
            "--with: the bundle has an entity {:?} already",
            entity.id
        );
    }
    let entities = own.entities.iter();
    let entities: Vec<OwnEntity> = entities
        .map(|entity| OwnEntity::of(own, entity))
        .collect::<Result<_, _>>()?;
    Ok(pollster::block_on(linker.add(&entities, async || ()))?)
}

/// One answer per mention; one without a ranking if the post has none.
fn answers<'a>(
    linker: &Linker,
    post: &'a Post,
    names: NameMatch,
    folder: &Path,
) -> anyhow::Result<Vec<Answer<'a>>> {
    let start = Instant::now();
    let now = || start.elapsed().as_secs_f64() * 1e3;
    let pictures = pictures(folder, &post.images)?;
    let pictures: Vec<Picture> = pictures.into_iter().map(Picture::new).collect();
    let pictures: Vec<&Picture> = pictures.iter().collect();
    let mut decode = now();

    let mentions = match post.mention {
        Some(mention) => vec![mention],
        None => linker.aliases.mentions(&post.text),
    };
    let mut texts = TextCache::default();
    let mut answers = Vec::new();
    for mention in mentions {
        let query = Query {
            text: &post.text,
            mention,
            pictures: &pictures,
            candidates: &candidates(linker, post, mention, names)?,
            conditions: Conditions::default(),
        };
        let mut clock = StageClock::new(now);
        let ranking = linker.link(&query, &mut texts, |stage| clock.start(stage));
        let ranking = pollster::block_on(ranking)?;
        let ranked = ranking.candidates.into_iter().map(|candidate| Ranked {
            entity: candidate.entity,
            score: candidate.score,
            probability: candidate.probability,
        });
        answers.push(Answer {
            id: &post.id,
            mention: Some(mention),
            ranking: ranked.collect(),
            nil_probability: ranking.nil_probability,
            scorer: ranking.scorer,
            ms: StageTimes {
                decode: std::mem::take(&mut decode),
                ..clock.stop()
            },
        });
    }
    if answers.is_empty() {
        answers.push(Answer {
            id: &post.id,
            mention: None,
            ranking: Vec::new(),
            nil_probability: None,
            scorer: ScorerKind::Prototype,
            ms: StageTimes {
                decode,
                ..StageTimes::default()
            },
        });
    }
    Ok(answers)
}

/// The row's own candidates, else the entities that have the name.
fn candidates(
    linker: &Linker,
    post: &Post,
    mention: Mention,
    names: NameMatch,
) -> anyhow::Result<Vec<usize>> {
    let Some(ids) = &post.candidates else {
        let surface = mention.surface(&post.text)?;
        return Ok(linker.aliases.candidates(surface, names));
    };
    given(ids, |id| linker.kb.position(id))
}
