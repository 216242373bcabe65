//! What if: the same post with less to go by, or with other prototypes.

use leptos::{ev, prelude::*};
use shared_model::cover::PARTS;
use web::post::{Picture, PictureState};
use web::protocol::{Choice, Conditions};
use web::wording::parts::{COLUMNS, ROWS};
use web::wording::what_if as wording;
use web_sys::HtmlInputElement;

use crate::client::Client;

/// Largest number of prototypes that can be asked for.
const MAX_K: usize = 20;

/// Switches for what the ranking may use; shown with an answer of the model.
#[component]
pub(super) fn WhatIf(client: Client) -> impl IntoView {
    let is_shown =
        move || client.loaded.with(Option::is_some) && client.answer.with(Option::is_some);
    view! { <Show when=is_shown><Switches client /></Show> }
}

#[component]
fn Switches(client: Client) -> impl IntoView {
    let has_network = client
        .loaded
        .with_untracked(|loaded| loaded.as_ref().is_some_and(|loaded| loaded.has_network));
    let in_bundle = move || {
        client
            .loaded
            .with(|loaded| loaded.as_ref().map(|loaded| loaded.prototypes))
    };
    let address = RwSignal::new(String::new());
    let select = move |event: ev::FocusEvent| {
        let input: HtmlInputElement = event_target(&event);
        input.select();
    };
    let is_changed = move || {
        let is_covered = |picture: &Picture| !picture.covered.is_empty();
        client.conditions.get() != Conditions::default()
            || client.prototypes.get() != in_bundle()
            || client
                .pictures
                .with(|pictures| pictures.iter().any(is_covered))
    };
    let reset = move |_| client.use_everything();
    view! {
        <details class="card what-if" data-testid="what-if">
            <summary>{wording::TITLE}</summary>
            <fieldset>
                <legend>{wording::OF_POST}</legend>
                <Switch client label=wording::TEXT test_id="post-has-text" of=|conditions| &mut conditions.post.text />
                <Switch client label=wording::PICTURES test_id="post-has-image" of=|conditions| &mut conditions.post.image />
            </fieldset>
            <fieldset>
                <legend>{wording::OF_CANDIDATES}</legend>
                <Switch client label=wording::TEXTS test_id="candidate-has-text" of=|conditions| &mut conditions.candidate.text />
                <Switch client label=wording::PICTURES test_id="candidate-has-image" of=|conditions| &mut conditions.candidate.image />
            </fieldset>
            <Covers client />
            {has_network.then(|| view! {
                <fieldset>
                    <legend>{wording::NETWORK}</legend>
                    <Switch client label=wording::TAKES_PART test_id="with-network" of=|conditions| &mut conditions.network />
                </fieldset>
            })}
            <fieldset>
                <legend>{wording::PROTOTYPES}</legend>
                <Prototypes client />
            </fieldset>
            <button type="button" class="link" data-testid="reset" hidden=move || !is_changed() on:click=reset>
                {wording::USE_EVERYTHING}
            </button>
            <p class="quiet">
                <button type="button" class="link" data-testid="share" on:click=move |_| address.set(client.link())>
                    {wording::SHARE}
                </button>
                {wording::WITHOUT_PICTURES}
            </p>
            <input
                type="text"
                readonly
                aria-label=wording::LINK
                data-testid="shared-link"
                hidden=move || address.with(String::is_empty)
                prop:value=address
                on:focus=select
            />
        </details>
    }
}

/// The post's pictures, with parts to cover.
#[component]
fn Covers(client: Client) -> impl IntoView {
    let ready = move || {
        let mut pictures = client.pictures.get();
        pictures.retain(|picture| picture.state == PictureState::Ready);
        pictures
    };
    view! {
        <Show when=move || !ready().is_empty()>
            <fieldset>
                <legend>{wording::WITHOUT_PARTS}</legend>
                <For each=ready key=|picture| picture.id let:picture>
                    <Cover client picture />
                </For>
            </fieldset>
        </Show>
    }
}

#[component]
fn Cover(client: Client, picture: Picture) -> impl IntoView {
    let Picture {
        id, name, address, ..
    } = picture;
    let is_covered = move |part| {
        client.pictures.with(|pictures| {
            let mut pictures = pictures.iter().filter(|picture| picture.id == id);
            pictures.any(|picture| picture.covered.contains(&part))
        })
    };
    let part = |row: &str, column: &str, part: usize| {
        view! {
            <button
                type="button"
                data-testid="cover"
                aria-label=wording::cover(row, column)
                aria-pressed=move || is_covered(part).to_string()
                on:click=move |_| client.toggle_cover(id, part)
            />
        }
    };
    let parts = ROWS.into_iter().enumerate().flat_map(|(y, row)| {
        let columns = COLUMNS.into_iter().enumerate();
        columns.map(move |(x, column)| part(row, column, y * PARTS + x))
    });
    view! {
        <div class="cover" role="group" aria-label=wording::parts_of(&name)>
            <img src=address alt="" />
            {parts.collect_view()}
        </div>
    }
}

#[component]
fn Switch(
    client: Client,
    label: &'static str,
    test_id: &'static str,
    of: fn(&mut Conditions) -> &mut bool,
) -> impl IntoView {
    view! {
        <label>
            <input
                type="checkbox"
                data-testid=test_id
                prop:checked=move || *of(&mut client.conditions.get())
                on:change=move |event| client.set_conditions(|conditions| *of(conditions) = event_target_checked(&event))
            />
            {label}
        </label>
    }
}

/// How many posts stand for a candidate, and how they are chosen.
#[component]
fn Prototypes(client: Client) -> impl IntoView {
    let choice = move || {
        client.prototypes.get().unwrap_or(Choice {
            k: 1,
            by_pagerank: true,
        })
    };
    let set = move |change: &dyn Fn(&mut Choice)| {
        let mut choice = choice();
        change(&mut choice);
        client.choose_prototypes(choice);
    };
    view! {
        <label class="k">
            <span>{move || wording::at_most(choice().k)}</span>
            <input
                type="range"
                min="1"
                max=MAX_K
                data-testid="k"
                prop:value=move || choice().k.to_string()
                on:change=move |event| {
                    if let Ok(k) = event_target_value(&event).parse() {
                        set(&|choice| choice.k = k);
                    }
                }
            />
        </label>
        <label>
            <input
                type="checkbox"
                data-testid="by-pagerank"
                prop:checked=move || choice().by_pagerank
                on:change=move |event| {
                    let by_pagerank = event_target_checked(&event);
                    set(&|choice| choice.by_pagerank = by_pagerank);
                }
            />
            {wording::BY_PAGERANK}
        </label>
    }
}
