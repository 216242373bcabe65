//! What a visitor sees.

mod about;
mod answer;
mod batch;
mod composer;
mod cues;
mod examples;
mod explanation;
mod known;
mod lesson;
mod none;
mod own;
mod pictures;
mod progress;
mod what_if;

use leptos::prelude::*;

use crate::client::Client;

/// The page.
#[component]
pub(crate) fn Page() -> impl IntoView {
    let client = Client::start();
    view! {
        <header class="masthead">
            <div>
                <h1>"Which " <em>"jaguar"</em> "?"</h1>
                <p>"One name, several meanings. Write a post, add a picture, and this page tells you who or what is meant."</p>
            </div>
            <about::Device client />
        </header>
        <lesson::Lesson client />
        <main>
            <form class="card composer" aria-label="Post" on:submit=move |event| event.prevent_default()>
                <composer::Composer client />
                <pictures::Pictures client />
                <progress::Run client />
            </form>
            <div class="answers">
                <answer::Answer client />
                <what_if::WhatIf client />
                <own::Own client />
                <batch::Many client />
            </div>
            <examples::Examples client />
        </main>
        <about::About client />
    }
}
