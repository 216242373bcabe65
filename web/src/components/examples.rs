//! Ready-made posts.

use leptos::prelude::*;

use crate::client::Client;
use crate::state::Example;

/// A chip for each entry of the bundle's `examples.json`; nothing if there is none.
#[component]
pub(crate) fn Examples(client: Client) -> impl IntoView {
    let examples = LocalResource::new(move || client.examples());
    view! {
        {move || {
            examples.get().filter(|examples| !examples.is_empty()).map(|examples| {
                let chips = examples.into_iter().map(|example| view! { <Chip client example /> }).collect_view();
                view! {
                    <section aria-labelledby="examples-title">
                        <h2 id="examples-title">"Or try one of these"</h2>
                        <ul class="examples">{chips}</ul>
                    </section>
                }
            })
        }}
    }
}

#[component]
fn Chip(client: Client, example: Example) -> impl IntoView {
    let picture = example.images.first().map(|image| view! { <img src=client.address(image) alt="" loading="lazy" /> });
    view! {
        <li>
            <button
                type="button"
                data-testid="example"
                on:click={
                    let example = example.clone();
                    move |_| client.show_example(example.clone())
                }
            >
                {picture}
                <span>
                    <strong>{example.title}</strong>
                    <span class="quiet">{example.text}</span>
                </span>
            </button>
        </li>
    }
}
