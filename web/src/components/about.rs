//! The device that the model runs on, facts about the model, and a button that deletes it.

use leptos::prelude::*;
use web::format::{duration, megabytes};
use web::protocol::{DeviceKind, Loaded};

use crate::browser;
use crate::client::Client;

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

/// Notices about this device, facts about the model, licences, and the button that deletes the model.
#[component]
pub(crate) fn About(client: Client) -> impl IntoView {
    view! { <footer>{move || client.loaded.get().map(|loaded| view! { <Facts client loaded /> })}</footer> }
}

#[component]
fn Facts(client: Client, loaded: Loaded) -> impl IntoView {
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
            <p>{test}</p>
            {loaded.is_kept.then(|| view! {
                <p>
                    <button type="button" data-testid="clear-cache" on:click=move |_| client.clear_cache()>
                        "Delete the stored model"
                    </button>
                </p>
            })}
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
