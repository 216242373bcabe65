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
use web::wording;

use crate::client::Client;

/// The page.
#[component]
pub(crate) fn Page() -> impl IntoView {
    let client = Client::start();
    view! {
        <header class="masthead">
            <div>
                <h1>{wording::page::QUESTION_START}<em>{wording::page::QUESTION_NAME}</em>{wording::page::QUESTION_END}</h1>
                <p>{wording::page::INTRODUCTION}</p>
            </div>
            <about::Device client />
        </header>
        <lesson::Lesson client />
        <main>
            <form class="card composer" aria-label=wording::composer::POST on:submit=move |event| event.prevent_default()>
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
