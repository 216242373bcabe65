//! The post's pictures: picked, dropped or pasted.

use leptos::{ev, prelude::*};
use wasm_bindgen::JsCast as _;
use web::post::{Picture, PictureState};
use web::wording::pictures as wording;
use web_sys::{Blob, DataTransfer, FileList, HtmlInputElement};

use crate::client::Client;

/// Thumbnails and the button that adds more.
#[component]
pub(crate) fn Pictures(client: Client) -> impl IntoView {
    let dragging = RwSignal::new(false);
    // The page is never unmounted: its listeners stay.
    window_event_listener(ev::dragover, move |event| {
        if event
            .data_transfer()
            .is_some_and(|data| data.types().includes(&"Files".into(), 0))
        {
            event.prevent_default();
            dragging.set(true);
        }
    });
    window_event_listener(ev::dragleave, move |event| {
        if event.related_target().is_none() {
            dragging.set(false);
        }
    });
    let take = move |event: &ev::Event, data: Option<DataTransfer>| {
        let files = data.and_then(|data| data.files());
        if let Some(files) = files.filter(|files| files.length() > 0) {
            event.prevent_default();
            client.add_pictures(list(&files));
        }
    };
    window_event_listener(ev::drop, move |event| {
        dragging.set(false);
        take(&event, event.data_transfer());
    });
    window_event_listener(ev::paste, move |event| {
        take(&event, event.clipboard_data());
    });
    let pick = move |event: ev::Event| {
        let input: HtmlInputElement = event_target(&event);
        if let Some(files) = input.files() {
            client.add_pictures(list(&files));
        }
        // The same file may be picked again.
        input.set_value("");
    };
    view! {
        <ul class="pictures" aria-label=wording::PICTURES>
            <For each=move || client.pictures.get() key=|picture| (picture.id, picture.state.clone()) let:picture>
                <Thumbnail client picture />
            </For>
            <li class="add">
                <label>
                    <input
                        type="file"
                        multiple
                        accept="image/*"
                        data-testid="image-input"
                        aria-label=wording::ADD_SEVERAL
                        on:change=pick
                    />
                    <span aria-hidden="true" class="plus">"+"</span>
                    <span>{wording::ADD}</span>
                    <span class="quiet">{wording::DROP_OR_PASTE}</span>
                </label>
            </li>
            <li class="add camera">
                <label>
                    <input
                        type="file"
                        accept="image/*"
                        capture="environment"
                        data-testid="camera-input"
                        aria-label=wording::TAKE
                        on:change=pick
                    />
                    <span aria-hidden="true" class="plus">"+"</span>
                    <span>{wording::TAKE}</span>
                </label>
            </li>
        </ul>
        <div class="drop" hidden=move || !dragging.get() aria-hidden="true">{wording::DROP_ANYWHERE}</div>
    }
}

#[component]
fn Thumbnail(client: Client, picture: Picture) -> impl IntoView {
    let Picture {
        id,
        name,
        address,
        state,
        ..
    } = picture;
    let label = wording::remove(&name);
    let preview = match state {
        PictureState::Refused(reason) => view! {
            <p class="refused" role="alert" data-testid="error"><strong>{name}</strong>": "{reason}</p>
        }
        .into_any(),
        _ => view! { <img src=address alt=name /> }.into_any(),
    };
    view! {
        <li data-testid="picture">
            {preview}
            <button type="button" class="remove" aria-label=label title=wording::REMOVE on:click=move |_| client.remove_picture(id)>
                "×"
            </button>
        </li>
    }
}

/// The files of a list, each with its name.
pub(super) fn list(files: &FileList) -> Vec<(String, Blob)> {
    let files = (0..files.length()).filter_map(|index| files.get(index));
    files
        .map(|file| (file.name(), file.unchecked_into()))
        .collect()
}
