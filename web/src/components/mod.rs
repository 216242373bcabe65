//! The parts of the page.

mod about;
mod answer;
mod composer;
mod examples;
mod pictures;
mod progress;

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
                <p>"One name, several meanings. Write a post, add a picture, and this page tells who or what is meant."</p>
            </div>
            <about::Device client />
        </header>
        <main>
            <form class="card composer" aria-label="Post" on:submit=move |event| event.prevent_default()>
                <composer::Composer client />
                <pictures::Pictures client />
                <progress::Run client />
            </form>
            <answer::Answer client />
            <examples::Examples client />
        </main>
        <about::About client />
    }
}

/// A share of 1 as a person reads it.
fn percent(share: f32) -> String {
    match share * 100.0 {
        percent if percent > 99.0 && percent < 100.0 => "> 99%".to_owned(),
        percent if percent > 0.0 && percent < 1.0 => "< 1%".to_owned(),
        percent => format!("{percent:.0}%"),
    }
}

/// A number of bytes as a person reads it.
fn megabytes(bytes: u64) -> String {
    let megabytes = bytes as f64 / 1e6;
    let decimals = if megabytes < 9.95 { 1 } else { 0 };
    format!("{megabytes:.decimals$} MB")
}

/// A time as a person reads it.
fn duration(ms: f64) -> String {
    if ms < 1000.0 {
        format!("{ms:.0} ms")
    } else {
        format!("{:.1} s", ms / 1000.0)
    }
}
