//! What the model runs on, where it comes from, and how to get rid of it.

use leptos::prelude::*;
use web::protocol::{DeviceKind, Loaded};

use super::{duration, megabytes};
use crate::browser;
use crate::client::Client;

/// The badge of the device, once the model is on it.
#[component]
pub(crate) fn Device(client: Client) -> impl IntoView {
    let badge = |loaded: Loaded| {
        let (value, other, switch) = match loaded.device {
            DeviceKind::Cpu => ("cpu", "webgpu", "Try WebGPU"),
            DeviceKind::Webgpu => ("webgpu", "cpu", "Use the CPU"),
        };
        let label = match loaded.device {
            DeviceKind::Cpu => "CPU · WebAssembly".to_owned(),
            DeviceKind::Webgpu if loaded.software => "WebGPU (simulated)".to_owned(),
            DeviceKind::Webgpu => format!("WebGPU · {}", loaded.adapter),
        };
        view! {
            <p class="device">
                <span data-testid="device" data-device=value title=loaded.adapter>{label}</span>
                <a href=browser::address_with("device", other)>{switch}</a>
            </p>
        }
    };
    move || client.loaded.get().map(badge)
}

/// What is special on this device, the model's facts, licences, and the button that deletes it.
#[component]
pub(crate) fn About(client: Client) -> impl IntoView {
    view! { <footer>{move || client.loaded.get().map(|loaded| view! { <Facts client loaded /> })}</footer> }
}

#[component]
fn Facts(client: Client, loaded: Loaded) -> impl IntoView {
    let origin = if loaded.fetched_bytes == 0 {
        "It came from this browser's storage".to_owned()
    } else {
        format!("{} came over the network", megabytes(loaded.fetched_bytes))
    };
    let test = loaded.self_test.map(|test| {
        format!(
            "Its self-test here differs from the machine that exported it by {:.0e} (text), {:.0e} (picture) and {:.0e} (score).",
            test.text, test.image, test.score
        )
    });
    let facts = format!(
        "{}: {} people, places and things. {origin}, and preparing it took {}.",
        loaded.name,
        loaded.entities.len(),
        duration(loaded.prepare_ms)
    );
    let notices = loaded
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
            <p>{test}</p>
            <p>
                <button type="button" data-testid="clear-cache" on:click=move |_| client.clear_cache()>
                    "Delete the stored model"
                </button>
            </p>
        </details>
        <details data-testid="licences">
            <summary>"Licences and sources"</summary>
            <div class="licences">
                <table>
                    <thead><tr><th scope="col">"Part"</th><th scope="col">"Licence"</th><th scope="col">"Source"</th></tr></thead>
                    <tbody>{loaded.licences.into_iter().map(licence).collect_view()}</tbody>
                </table>
            </div>
        </details>
    }
}
