//! The visitor's own entities: a form, a list, a zip.

use leptos::html::Input;
use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast as _;
use web::protocol::{NewEntity, OwnCard};
use web::wording::own as wording;
use web_sys::{Blob, HtmlInputElement};

use super::pictures::list;
use crate::client::Client;
use crate::state::Adding;

/// Number of posts of an entity that the form takes, at most.
const MAX_POSTS: usize = 30;

/// The form and the list; shown once the model is loaded.
#[component]
pub(super) fn Own(client: Client) -> impl IntoView {
    let is_loaded = move || client.loaded.with(Option::is_some);
    view! {
        <Show when=is_loaded>
            <details class="card own" data-testid="own">
                <summary>{wording::TITLE}</summary>
                <p class="quiet">{wording::INTRODUCTION}</p>
                <Form client />
                <p class="status" role="status" aria-busy=move || is_busy(client).to_string() data-testid="own-status">
                    {move || status(client)}
                </p>
                <List client />
            </details>
        </Show>
    }
}

#[component]
fn Form(client: Client) -> impl IntoView {
    let (name, aliases, description, posts) = (
        RwSignal::new(String::new()),
        RwSignal::new(String::new()),
        RwSignal::new(String::new()),
        RwSignal::new(String::new()),
    );
    let files = NodeRef::<Input>::new();
    let add = move |_| {
        let pictures = files.get_untracked().and_then(|input| input.files());
        let pictures = pictures.map(|files| list(&files)).unwrap_or_default();
        let entity = NewEntity {
            name: name.get_untracked().trim().to_owned(),
            aliases: split(&aliases.get_untracked(), ','),
            description: description.get_untracked().trim().to_owned(),
            texts: split(&posts.get_untracked(), '\n'),
            files: Vec::new(),
        };
        if let Some(reason) = refusal(&entity, pictures.len()) {
            return client.adding.set(Adding::Refused(reason));
        }
        client.add_own(entity, pictures.into_iter().map(|(_, blob)| blob).collect());
    };
    Effect::new(move |_| {
        if matches!(client.adding.get(), Adding::Added | Adding::NotKept) {
            for field in [name, aliases, description, posts] {
                field.set(String::new());
            }
            if let Some(input) = files.get_untracked() {
                input.set_value("");
            }
        }
    });
    view! {
        <div class="form">
            <Field label=wording::NAME test_id="own-name" value=name />
            <Field label=wording::ALIASES test_id="own-aliases" value=aliases />
            <Field label=wording::DESCRIPTION test_id="own-description" value=description />
            <label>
                {wording::POSTS}
                <textarea
                    rows="3"
                    data-testid="own-posts"
                    prop:value=posts
                    on:input=move |event| posts.set(event_target_value(&event))
                ></textarea>
            </label>
            <label>
                {wording::PICTURES}
                <input
                    type="file"
                    multiple
                    accept="image/*"
                    data-testid="own-pictures"
                    node_ref=files
                />
            </label>
            <button type="button" class="primary" data-testid="own-add" on:click=add>{wording::ADD}</button>
        </div>
    }
}

#[component]
fn Field(label: &'static str, test_id: &'static str, value: RwSignal<String>) -> impl IntoView {
    view! {
        <label>
            {label}
            <input
                type="text"
                data-testid=test_id
                prop:value=value
                on:input=move |event| value.set(event_target_value(&event))
            />
        </label>
    }
}

#[component]
fn List(client: Client) -> impl IntoView {
    let is_empty = move || client.own.with(Vec::is_empty);
    let import = move |event: ev::Event| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(zip) = input.files().and_then(|files| files.get(0)) {
            client.import_own(zip.unchecked_into::<Blob>());
        }
        input.set_value("");
    };
    view! {
        <ul class="own-list">
            <For each=move || client.own.get() key=|card| card.clone() let:card>
                <Item client card />
            </For>
        </ul>
        <div class="own-files">
            <button type="button" class="link" data-testid="own-export" hidden=is_empty on:click=move |_| client.export_own()>
                {wording::SAVE_ALL}
            </button>
            <label class="link">
                {wording::OPEN}
                <input type="file" accept=".zip,application/zip" data-testid="own-import" on:change=import />
            </label>
        </div>
    }
}

#[component]
fn Item(client: Client, card: OwnCard) -> impl IntoView {
    let OwnCard {
        id,
        name,
        n_posts,
        n_pictures,
    } = card;
    let label = wording::take_out(&name);
    let content = match (n_posts, n_pictures) {
        (0, _) => wording::BY_DESCRIPTION.to_owned(),
        (posts, 0) => wording::posts(posts),
        (posts, pictures) => wording::posts_and_pictures(posts, pictures),
    };
    let is_own = id.clone();
    view! {
        <li data-testid="own-entity" data-entity=id>
            <span>{name}" "<span class="quiet">{content}</span></span>
            <button type="button" class="link" aria-label=label on:click=move |_| client.remove_own(is_own.clone())>
                {wording::TAKE_OUT}
            </button>
        </li>
    }
}

fn is_busy(client: Client) -> bool {
    matches!(client.adding.get(), Adding::Encoding { .. })
}

fn status(client: Client) -> String {
    match client.adding.get() {
        Adding::Idle => String::new(),
        Adding::Encoding { total: 0, .. } => wording::READING.to_owned(),
        Adding::Encoding { done, total } => wording::reading_post(done + 1, total),
        Adding::Added => wording::ADDED.to_owned(),
        Adding::NotKept => wording::NOT_KEPT.to_owned(),
        Adding::Refused(reason) => wording::nothing_added(&reason),
    }
}

/// Why an entity cannot be added.
fn refusal(entity: &NewEntity, n_pictures: usize) -> Option<String> {
    let n_posts = entity.texts.len() + n_pictures;
    if entity.name.is_empty() {
        Some(wording::NEEDS_NAME.to_owned())
    } else if n_posts == 0 && entity.description.is_empty() {
        Some(wording::NEEDS_CONTENT.to_owned())
    } else if n_posts > MAX_POSTS {
        Some(wording::too_many(n_posts, MAX_POSTS))
    } else {
        None
    }
}

fn split(text: &str, separator: char) -> Vec<String> {
    let parts = text.split(separator).map(str::trim);
    let parts = parts.filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}
