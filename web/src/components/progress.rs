//! The button that links, the state of the page, and its errors.

use leptos::prelude::*;
use web::format::{duration, megabytes, percent};
use web::phase::Phase;
use web::protocol::{Stage, StageTimes};
use web::wording::progress as wording;

use super::none::is_none;
use crate::browser;
use crate::client::Client;
use crate::state::Answered;

/// The button, the status, the download and the error.
#[component]
pub(crate) fn Run(client: Client) -> impl IntoView {
    view! {
        <div class="run">
            <button
                type="button"
                class="primary"
                data-testid="run"
                title=wording::SHORTCUT
                aria-keyshortcuts="Control+Enter"
                on:click=move |_| client.run()
            >
                {move || question(client)}
            </button>
            <p
                class="status"
                role="status"
                aria-live="polite"
                data-testid="status"
                data-state=move || client.phase.get().state()
            >
                {move || status(client)}
                <span class="unseen">{move || spoken(client)}</span>
            </p>
        </div>
        <Show when=move || needs_model(client)>
            <p class="quiet">
                <button type="button" class="link" data-testid="load" on:click=move |_| client.load()>
                    {wording::ONLY_DOWNLOAD}
                </button>
            </p>
        </Show>
        <Show when=move || client.phase.get().is_loading()>
            <Download client />
        </Show>
        <p class="notice quiet" role="status">{client.notice}</p>
        {move || client.error.get().map(|message| view! { <Failure client message /> })}
        <p class="promise">{wording::PROMISE}</p>
    }
}

#[component]
fn Download(client: Client) -> impl IntoView {
    let total = move || client.model_bytes.get().unwrap_or(0).max(1);
    let loaded = move || client.loaded_bytes.get().min(total());
    let share = move || loaded() as f32 / total() as f32;
    view! {
        <div class="download" data-testid="download">
            <progress aria-label=wording::DOWNLOAD max="1" prop:value=share></progress>
            <span>{move || wording::loaded(&megabytes(loaded()), &megabytes(total()), &percent(share()))}</span>
            <button type="button" class="link" data-testid="cancel" on:click=move |_| client.cancel()>
                {wording::CANCEL}
            </button>
        </div>
    }
}

#[component]
fn Failure(client: Client, message: String) -> impl IntoView {
    let on_gpu = browser::query("device").as_deref() == Some("webgpu");
    view! {
        <div class="error" role="alert">
            <p data-testid="error">{message}</p>
            <Show when=move || client.loaded.with(Option::is_none)>
                <button type="button" data-testid="retry" on:click=move |_| client.load()>{wording::TRY_AGAIN}</button>
            </Show>
            {on_gpu.then(|| view! { <a href=browser::address_with("device", "cpu")>{wording::USE_CPU}</a> })}
        </div>
    }
}

/// Whether a download is the next step: before it, examples alone have answers.
fn needs_model(client: Client) -> bool {
    let is_loaded = client.loaded.with(Option::is_some);
    match client.phase.get() {
        Phase::Idle => true,
        Phase::Done => !is_loaded,
        _ => false,
    }
}

/// The button's words.
fn question(client: Client) -> String {
    match client.chosen.get() {
        _ if needs_model(client) => wording::DOWNLOAD_AND_ANSWER.to_owned(),
        Some(chosen) => wording::which(&chosen.name.surface),
        None => wording::WHICH_ONE.to_owned(),
    }
}

fn status(client: Client) -> String {
    if let Some(hint) = client.hint.get() {
        return hint.to_owned();
    }
    match client.phase.get() {
        Phase::Idle => before_download(client.model_bytes.get(), client.is_kept.get()),
        Phase::Downloading => wording::LOADING.to_owned(),
        Phase::Preparing => wording::PREPARING.to_owned(),
        Phase::Ready => wording::READY.to_owned(),
        Phase::Running(None) => wording::ONE_MOMENT.to_owned(),
        Phase::Running(Some(Stage::Text)) => wording::READING_TEXT.to_owned(),
        Phase::Running(Some(Stage::Image)) => wording::LOOKING.to_owned(),
        Phase::Running(Some(Stage::Joint)) => wording::READING_BOTH.to_owned(),
        Phase::Running(Some(Stage::Rank)) => wording::COMPARING.to_owned(),
        Phase::Done => {
            let ms = client.answer.with(|answer| answer.as_ref()?.ms);
            ms.map_or_else(|| prepared(client.model_bytes.get()), took)
        }
        Phase::Error => wording::FAILED.to_owned(),
    }
}

/// What a download costs.
fn before_download(model_bytes: Option<u64>, is_kept: Option<bool>) -> String {
    let size = model_bytes.map(|bytes| wording::size(&megabytes(bytes)));
    let storage = is_kept.map(|is_kept| match is_kept {
        true => wording::IS_KEPT,
        false => wording::IS_NOT_KEPT,
    });
    let sentences = [size.as_deref(), storage];
    sentences
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// What an answer that came with the page says, and what another one costs.
fn prepared(model_bytes: Option<u64>) -> String {
    let size = model_bytes.map(megabytes);
    wording::prepared(size.as_deref())
}

fn took(ms: StageTimes) -> String {
    let ms = ms.decode + ms.text + ms.image + ms.joint + ms.rank;
    wording::took(&duration(ms))
}

/// The answer for screen readers.
fn spoken(client: Client) -> Option<String> {
    if client.phase.get() != Phase::Done {
        return None;
    }
    let Answered {
        surface, answer, ..
    } = client.answer.get()?;
    let (Some(best), Some(card)) = (answer.ranking.candidates.first(), answer.entities.first())
    else {
        return Some(wording::nothing_called(&surface));
    };
    let nil = answer.ranking.nil_probability;
    if is_none(client.threshold.get(), nil, Some(best.probability)) {
        return Some(wording::means_none(&surface));
    }
    let probability = percent(best.probability);
    Some(wording::means(
        &surface,
        &card.name,
        &card.description,
        &probability,
    ))
}
