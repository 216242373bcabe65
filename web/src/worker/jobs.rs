//! Requests that take long: own entities, many posts, all names of a post.

use std::cell::Cell;

use crate::protocol::{DeviceKind, Event, Meaning, Question};
use crate::wording;
use gloo_timers::future::TimeoutFuture;
use shared_model::archive::Archive;
use shared_model::data::Mention;
use shared_model::error::{Error, Result};
use shared_model::own::OwnEntity;

use super::batch;
use super::engine::Engine;
use super::events::{DEVICE, Queue, now, send};
use super::own::Own;

/// What the mentions mean, until another request comes.
pub(crate) async fn meanings(
    engine: &mut Engine,
    question: &Question,
    mentions: Vec<Mention>,
    inbox: &Queue,
) -> Result<Vec<Meaning>> {
    let mut meanings = Vec::new();
    for mention in mentions {
        // Messages arrive while the worker pauses.
        TimeoutFuture::new(0).await;
        if !inbox.borrow().waiting.is_empty() {
            break;
        }
        let question = Question {
            mention,
            ..question.clone()
        };
        let (answer, _) = engine.link(&question, now, |_| ()).await?;
        let best = answer.ranking.candidates.first();
        meanings.push(Meaning {
            mention,
            best: best.map(|best| best.probability),
            nil: answer.ranking.nil_probability,
            entity: answer.entities.into_iter().next().map(|card| {
                let is_described = !card.description.is_empty();
                if is_described {
                    card.description
                } else {
                    card.name
                }
            }),
        });
    }
    Ok(meanings)
}

/// Links all posts of a file, until another request comes.
pub(crate) async fn link_batch(engine: &Engine, name: &str, inbox: &Queue) -> Result<()> {
    let posts = engine.files.posts(name)?;
    let mut lines = Vec::new();
    for (done, post) in posts.iter().enumerate() {
        let total = posts.len();
        send(&Event::Batched { done, total }, None);
        // Messages arrive while the worker pauses.
        TimeoutFuture::new(0).await;
        if !inbox.borrow().waiting.is_empty() {
            return Err(Error::file(name, wording::batch::STOPPED));
        }
        let of_post = engine.lines(post, now).await;
        let of_post = of_post.map_err(|error| match error {
            Error::Device(reason) => Error::Device(reason),
            error => Error::file(wording::batch::post(name, done + 1), error),
        })?;
        let gold = post.entity.as_deref();
        lines.extend(of_post.into_iter().map(|line| (line, gold)));
    }
    let (bytes, figures) = batch::written(&lines);
    let with_mention = lines.iter().filter(|(line, _)| line.mention.is_some());
    let n_mentions = with_mention.count();
    send(
        &Event::BatchDone {
            n_mentions,
            figures,
        },
        Some(&bytes),
    );
    Ok(())
}

/// Adds the own entities of an earlier visit. Where that fails they stay in the browser's store, untouched.
pub(crate) async fn restore_own(engine: &mut Engine) {
    let restored = match Own::kept().await {
        Ok(None) => return tell_own(&engine.own).await,
        Ok(Some(zip)) => add_own(engine, Archive::read(&zip)).await,
        Err(reason) => {
            let message = wording::own::kept_unreadable(&reason);
            send(&Event::OwnRefused { message }, None);
            false
        }
    };
    engine.own.is_locked = !restored;
}

/// Adds own entities, all or none; says which.
pub(crate) async fn add_own(engine: &mut Engine, archive: Result<Archive>) -> bool {
    let total = archive.as_ref().map_or(0, |archive| archive.timeline.len());
    let done = Cell::new(0);
    let on_post = async || {
        let event = Event::Encoding {
            done: done.get(),
            total,
        };
        send(&event, None);
        done.set(done.get() + 1);
    };
    let added = match archive {
        Ok(archive) => engine.add_own(archive, on_post).await,
        Err(error) => Err(error),
    };
    match added {
        Ok(paths) => {
            for path in paths {
                let bytes = engine.own.archive.pictures[&path].as_slice();
                let path = format!("{}{path}", OwnEntity::FOLDER);
                send(&Event::Thumb { path }, Some(bytes));
            }
            tell_own(&engine.own).await;
            true
        }
        Err(Error::Device(_)) if DEVICE.get() == Some(DeviceKind::Webgpu) => {
            send(&Event::DeviceLost, None);
            false
        }
        Err(error) => {
            let message = error.to_string();
            send(&Event::OwnRefused { message }, None);
            false
        }
    }
}

/// Keeps the own entities and tells the page of them.
pub(crate) async fn tell_own(own: &Own) {
    let own = Event::Own {
        is_kept: own.keep().await,
        entities: own.cards(),
    };
    send(&own, None);
}
