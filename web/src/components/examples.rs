//! Ready-made posts.

use leptos::prelude::*;
use web::post::Example;
use web::wording::examples as wording;
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

use crate::client::Client;

/// A button for each entry of the bundle's `examples.json`; nothing if there is none.
#[component]
pub(crate) fn Examples(client: Client) -> impl IntoView {
    view! {
        {move || {
            let examples = client.examples.get();
            (!examples.is_empty()).then(|| {
                let chips = examples.into_iter().map(|example| view! { <Chip client example /> }).collect_view();
                view! {
                    <section class="gallery" aria-labelledby="examples-title">
                        <h2 id="examples-title">{wording::TITLE}</h2>
                        <ul class="examples">{chips}</ul>
                        <p class="quiet">
                            <button type="button" class="link" data-testid="start-lesson" on:click=move |_| client.show_case(Some(0))>
                                {wording::TAKE_LESSON}
                            </button>
                        </p>
                    </section>
                }
            })
        }}
    }
}

#[component]
fn Chip(client: Client, example: Example) -> impl IntoView {
    let Example { title, text, .. } = example.clone();
    let picture = example
        .images
        .first()
        .map(|image| view! { <img src=client.address(image) alt="" loading="lazy" /> });
    view! {
        <li>
            <button
                type="button"
                data-testid="example"
                on:click=move |_| {
                    client.show_example(example.clone());
                    scroll_to_post();
                }
            >
                {picture}
                <span>
                    <strong>{title}</strong>
                    <span class="quiet">{text}</span>
                </span>
            </button>
        </li>
    }
}

/// On narrow pages the post is above the examples.
fn scroll_to_post() {
    let options = ScrollIntoViewOptions::new();
    options.set_block(ScrollLogicalPosition::Nearest);
    if let Some(post) = document().get_element_by_id("post-text") {
        post.scroll_into_view_with_scroll_into_view_options(&options);
    }
}
