//! `imn link`: posts in, rankings out.

use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, ensure};
use shared_model::archive::Archive;
use shared_model::batch::validate;
use shared_model::data::Post;
use shared_model::linker::{Linker, Picture};
use shared_model::own::OwnEntity;

use crate::cli::LinkArgs;
use crate::dataset::{Dataset, pictures};
use crate::device::DeviceArg;
use crate::files::{self, read_jsonl, tracked};
use crate::run::open_bundle;

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
        let start = Instant::now();
        let now = || start.elapsed().as_secs_f64() * 1e3;
        let pictures = pictures(folder, &post.images).with_context(|| named(number))?;
        let pictures: Vec<Picture> = pictures.into_iter().map(Picture::new).collect();
        let pictures: Vec<&Picture> = pictures.iter().collect();
        let answers = linker.lines(post, &pictures, now(), *names, now);
        for answer in pollster::block_on(answers).with_context(|| named(number))? {
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
    let entities: Vec<OwnEntity> = entities.map(|entity| OwnEntity::of(own, entity)).collect();
    Ok(pollster::block_on(linker.add(&entities, async || ()))?)
}
