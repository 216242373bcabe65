//! The device that the model runs on and its test, facts about the model, what the browser keeps.

use leptos::prelude::*;
use web::cache::Store;
use web::format::{duration, megabytes};
use web::protocol::{DeviceKind, Loaded, Outcome, Tested};

use crate::browser;
use crate::client::Client;
use crate::state::Testing;

/// The device, once the model is loaded.
#[component]
pub(crate) fn Device(client: Client) -> impl IntoView {
    let badge = |Loaded { running, .. }| {
        let (value, other, switch) = match running.device {
            DeviceKind::Cpu => ("cpu", "webgpu", "Try WebGPU"),
            DeviceKind::Webgpu => ("webgpu", "cpu", "Use the CPU"),
        };
        let label = match running.device {
            DeviceKind::Cpu => "CPU · WebAssembly".to_owned(),
            DeviceKind::Webgpu if running.software => "WebGPU (simulated)".to_owned(),
            DeviceKind::Webgpu => format!("WebGPU · {}", running.adapter),
        };
        view! {
            <p class="device">
                <span data-testid="device" data-device=value title=running.adapter>{label}</span>
                <a href=browser::address_with("device", other)>{switch}</a>
            </p>
        }
    };
    move || client.loaded.get().map(badge)
}

/// Notices about this device, facts about the model, its test, what is kept, licences.
#[component]
pub(crate) fn About(client: Client) -> impl IntoView {
    view! {
        <footer>
            {move || client.loaded.get().map(|loaded| view! { <Facts loaded /> })}
            <Test client />
            <Stored client />
        </footer>
    }
}

#[component]
fn Facts(loaded: Loaded) -> impl IntoView {
    let origin = if loaded.fetched_bytes == 0 {
        "It came from this browser's storage".to_owned()
    } else {
        format!("{} of it were downloaded", megabytes(loaded.fetched_bytes))
    };
    let test = loaded.running.self_test;
    let test = format!(
        "On this device its results differ from those of the machine that exported it by at most {:.0e} (text), {:.0e} (picture) and {:.0e} (score).",
        test.text, test.image, test.score
    );
    let facts = format!(
        "{}: {} people, places and things. {origin}, and preparing it took {}.",
        loaded.name,
        loaded.n_entities,
        duration(loaded.prepare_ms)
    );
    let notices = loaded
        .running
        .notices
        .into_iter()
        .map(|notice| view! { <p>{notice}</p> })
        .collect_view();
    let licence = |licence: shared_model::manifest::Licence| {
        view! { <tr><td>{licence.file}</td><td>{licence.licence}</td><td>{licence.source}</td></tr> }
    };
    view! {
        {notices}
        <p>{facts}</p>
        <details data-testid="about">
            <summary>"About this model"</summary>
            <p>
                "It ranks the people, places and things that share a name, by comparing your post with earlier posts about each. "
                "It is meant for showing and teaching how words and pictures resolve a name, not for identifying people or deciding about them."
            </p>
            <ul>
                <li>"It knows what is in its knowledge base. A post about something else often gets a known answer all the same."</li>
                <li>"It reads English best; other languages work as far as they share words with it."</li>
                <li>"Where the picture and the words contradict each other, the picture nearly always wins, with great confidence."</li>
                <li>"It has learned the associations of its training texts, stereotypes included."</li>
            </ul>
            <p>{test}</p>
        </details>
        <details data-testid="licences">
            <summary>"Licences and sources"</summary>
            <div class="licences" tabindex="0" role="region" aria-label="Licences and sources">
                <table>
                    <thead><tr><th scope="col">"Part"</th><th scope="col">"Licence"</th><th scope="col">"Source"</th></tr></thead>
                    <tbody>{loaded.licences.into_iter().map(licence).collect_view()}</tbody>
                </table>
            </div>
        </details>
    }
}

/// The self-test on every device of this machine.
#[component]
fn Test(client: Client) -> impl IntoView {
    let is_running = move || client.testing.get() == Testing::Running;
    let result = move || match client.testing.get() {
        Testing::Idle | Testing::Running => ().into_any(),
        Testing::Failed(reason) => {
            view! { <p>{format!("The test did not end: {reason}")}</p> }.into_any()
        }
        Testing::Done(tested) => view! { <Results tested /> }.into_any(),
    };
    view! {
        <details data-testid="self-test">
            <summary>"Test this device"</summary>
            <p>
                "A post with a picture goes through the model on the CPU and, where there is one, on the graphics processor. "
                "The largest differences from what the exporting machine computed must stay below 0.005 for text and picture and 0.001 for the score."
            </p>
            <p>
                <button type="button" data-testid="test-devices" disabled=is_running on:click=move |_| client.test_devices()>
                    {move || if is_running() { "Testing …" } else { "Run the test" }}
                </button>
            </p>
            <div role="status">{result}</div>
        </details>
    }
}

#[component]
fn Results(tested: Vec<Tested>) -> impl IntoView {
    let row = |Tested {
                   device,
                   name,
                   outcome,
               }: Tested| {
        let device = match device {
            DeviceKind::Cpu => "CPU",
            DeviceKind::Webgpu => "WebGPU",
        };
        let cells = match outcome {
            Ok(outcome) => {
                let Outcome {
                    self_test,
                    prepare_ms,
                    text_ms,
                    tokens,
                    picture_ms,
                } = outcome;
                let verdict = if self_test.passed() {
                    "agrees"
                } else {
                    "differs"
                };
                let differences = [self_test.text, self_test.image, self_test.score];
                let differences = differences.map(|difference| match difference {
                    0.0 => "0".to_owned(),
                    difference => format!("{difference:.0e}"),
                });
                view! {
                    {differences.map(|difference| view! { <td>{difference}</td> }).collect_view()}
                    <td>{duration(prepare_ms)}</td>
                    <td data-ms=text_ms.to_string() title=format!("{tokens} tokens")>{duration(text_ms)}</td>
                    <td data-ms=picture_ms.to_string()>{duration(picture_ms)}</td>
                    <td>{verdict}</td>
                }
                .into_any()
            }
            Err(reason) => {
                view! { <td colspan="7">{format!("not used: {reason}")}</td> }.into_any()
            }
        };
        view! { <tr data-device=device><th scope="row" title=name>{device}</th>{cells}</tr> }
    };
    view! {
        <div class="licences" tabindex="0" role="region" aria-label="Results of the test">
            <table data-testid="tested">
                <thead>
                    <tr>
                        <th scope="col">"Device"</th>
                        <th scope="col">"Text, difference"</th>
                        <th scope="col">"Picture, difference"</th>
                        <th scope="col">"Score, difference"</th>
                        <th scope="col">"Preparing"</th>
                        <th scope="col">"A text"</th>
                        <th scope="col">"A picture"</th>
                        <th scope="col">"Verdict"</th>
                    </tr>
                </thead>
                <tbody>{tested.into_iter().map(row).collect_view()}</tbody>
            </table>
        </div>
    }
}

/// What the browser keeps, with buttons that delete it.
#[component]
fn Stored(client: Client) -> impl IntoView {
    let row = move |(store, bytes): (Store, u64)| {
        let (id, name) = match store {
            Store::Page => ("clear-page", "This page, for visits without a network"),
            Store::Bundle => ("clear-cache", "The model"),
            Store::Own => ("clear-own", "Your own entities"),
        };
        view! {
            <tr>
                <th scope="row">{name}</th>
                <td>{megabytes(bytes)}</td>
                <td>
                    <button
                        type="button"
                        data-testid=id
                        disabled=bytes == 0
                        aria-label=format!("Delete: {name}")
                        on:click=move |_| client.delete_stored(store)
                    >
                        "Delete"
                    </button>
                </td>
            </tr>
        }
    };
    let list = move || {
        match client.stored.get() {
        None => ().into_any(),
        Some(Err(reason)) => view! { <p>{format!("The browser refuses: {reason}.")}</p> }.into_any(),
        Some(Ok(stored)) => view! {
            <table class="stored">
                <thead><tr><th scope="col">"What"</th><th scope="col">"Size"</th><td></td></tr></thead>
                <tbody>{stored.stores.into_iter().map(row).collect_view()}</tbody>
            </table>
            {stored.quota.map(|quota| view! { <p>{format!("This browser lets the page keep up to {}.", megabytes(quota))}</p> })}
        }
        .into_any(),
    }
    };
    view! {
        <details data-testid="stored" on:toggle=move |_| client.look_up_stored()>
            <summary>"What this browser keeps"</summary>
            <p>"Everything stays in this browser. What is deleted here is downloaded again by the next visit that needs it; own entities are gone."</p>
            <div role="status">{list}</div>
        </details>
    }
}
