//! The device that the model runs on and its test, facts about the model, what the browser keeps.

use leptos::prelude::*;
use web::cache::Store;
use web::format::{duration, megabytes};
use web::protocol::{DeviceKind, Loaded, Outcome, Tested};
use web::wording::about as wording;

use crate::browser;
use crate::client::Client;
use crate::state::Testing;

/// The device, once the model is loaded.
#[component]
pub(crate) fn Device(client: Client) -> impl IntoView {
    let badge = |Loaded { running, .. }| {
        let (value, other, switch) = match running.device {
            DeviceKind::Cpu => ("cpu", "webgpu", wording::TRY_WEBGPU),
            DeviceKind::Webgpu => ("webgpu", "cpu", wording::USE_CPU),
        };
        let label = match running.device {
            DeviceKind::Cpu => wording::ON_CPU.to_owned(),
            DeviceKind::Webgpu if running.software => wording::ON_SIMULATED.to_owned(),
            DeviceKind::Webgpu => wording::on_webgpu(&running.adapter),
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
        wording::FROM_STORAGE.to_owned()
    } else {
        wording::downloaded(&megabytes(loaded.fetched_bytes))
    };
    let test = wording::self_test(&loaded.running.self_test);
    let facts = wording::facts(
        &loaded.name,
        loaded.n_entities,
        &origin,
        &duration(loaded.prepare_ms),
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
            <summary>{wording::MODEL}</summary>
            <p>{wording::PURPOSE}</p>
            <ul>
                <li>{wording::LIMIT_OF_KNOWLEDGE}</li>
                <li>{wording::LIMIT_OF_LANGUAGE}</li>
                <li>{wording::LIMIT_OF_PICTURES}</li>
                <li>{wording::LIMIT_OF_TRAINING}</li>
            </ul>
            <p>{test}</p>
        </details>
        <details data-testid="licences">
            <summary>{wording::LICENCES}</summary>
            <div class="licences" tabindex="0" role="region" aria-label=wording::LICENCES>
                <table>
                    <thead><tr><th scope="col">{wording::PART}</th><th scope="col">{wording::LICENCE}</th><th scope="col">{wording::SOURCE}</th></tr></thead>
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
        Testing::Failed(reason) => view! { <p>{wording::test_failed(&reason)}</p> }.into_any(),
        Testing::Done(tested) => view! { <Results tested /> }.into_any(),
    };
    view! {
        <details data-testid="self-test">
            <summary>{wording::TEST}</summary>
            <p>{wording::TEST_EXPLAINED}</p>
            <p>
                <button type="button" data-testid="test-devices" disabled=is_running on:click=move |_| client.test_devices()>
                    {move || if is_running() { wording::TESTING } else { wording::RUN_TEST }}
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
            DeviceKind::Cpu => wording::CPU,
            DeviceKind::Webgpu => wording::WEBGPU,
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
                    wording::AGREES
                } else {
                    wording::DIFFERS
                };
                let differences = [self_test.text, self_test.image, self_test.score];
                let differences = differences.map(|difference| match difference {
                    0.0 => "0".to_owned(),
                    difference => format!("{difference:.0e}"),
                });
                view! {
                    {differences.map(|difference| view! { <td>{difference}</td> }).collect_view()}
                    <td>{duration(prepare_ms)}</td>
                    <td data-ms=text_ms.to_string() title=wording::tokens(tokens)>{duration(text_ms)}</td>
                    <td data-ms=picture_ms.to_string()>{duration(picture_ms)}</td>
                    <td>{verdict}</td>
                }
                .into_any()
            }
            Err(reason) => view! { <td colspan="7">{wording::not_used(&reason)}</td> }.into_any(),
        };
        view! { <tr data-device=device><th scope="row" title=name>{device}</th>{cells}</tr> }
    };
    view! {
        <div class="licences" tabindex="0" role="region" aria-label=wording::RESULTS>
            <table class="tested" data-testid="tested">
                <thead>
                    <tr>{wording::COLUMNS.map(|heading| view! { <th scope="col">{heading}</th> }).collect_view()}</tr>
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
            Store::Page => ("clear-page", wording::THIS_PAGE),
            Store::Bundle => ("clear-cache", wording::THE_MODEL),
            Store::Own => ("clear-own", wording::OWN_ENTITIES),
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
                        aria-label=wording::delete(name)
                        on:click=move |_| client.delete_stored(store)
                    >
                        {wording::DELETE}
                    </button>
                </td>
            </tr>
        }
    };
    let list = move || {
        match client.stored.get() {
        None => ().into_any(),
        Some(Err(reason)) => view! { <p>{wording::refuses(&reason)}</p> }.into_any(),
        Some(Ok(stored)) => view! {
            <table class="stored">
                <thead><tr><th scope="col">{wording::WHAT}</th><th scope="col">{wording::SIZE}</th><td></td></tr></thead>
                <tbody>{stored.stores.into_iter().map(row).collect_view()}</tbody>
            </table>
            {stored.quota.map(|quota| view! { <p>{wording::quota(&megabytes(quota))}</p> })}
        }
        .into_any(),
    }
    };
    view! {
        <details data-testid="stored" on:toggle=move |_| client.look_up_stored()>
            <summary>{wording::KEPT}</summary>
            <p>{wording::KEPT_EXPLAINED}</p>
            <div role="status">{list}</div>
        </details>
    }
}
