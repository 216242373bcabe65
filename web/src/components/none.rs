//! "None of these": its probability, and from which one on it is the answer.

use leptos::prelude::*;
use web::format::percent;
use web::protocol::Refusal;
use web::wording::none as wording;

use crate::client::Client;

/// The probability, with a threshold where its costs are known.
#[component]
pub(super) fn NoneOfThese(client: Client, probability: f32) -> impl IntoView {
    let refusals = client.loaded.with_untracked(|loaded| {
        let loaded = loaded.as_ref();
        loaded
            .map(|loaded| loaded.refusals.clone())
            .unwrap_or_default()
    });
    let threshold = (!refusals.is_empty()).then(|| view! { <Threshold client refusals /> });
    view! {
        <p class="nil">{wording::PROBABILITY}<b>{percent(probability)}</b></p>
        {threshold}
    }
}

#[component]
fn Threshold(client: Client, refusals: Vec<Refusal>) -> impl IntoView {
    let thresholds: Vec<f32> = refusals.iter().map(|refusal| refusal.threshold).collect();
    let options = thresholds.iter().map(|threshold| {
        let threshold = *threshold;
        view! {
            <option value=threshold.to_string() selected=move || client.threshold.get() == Some(threshold)>
                {wording::from(&percent(threshold))}
            </option>
        }
    });
    let cost = move || {
        let chosen = client.threshold.get()?;
        let mut refusals = refusals.iter();
        let Refusal { found, refused, .. } =
            refusals.find(|refusal| refusal.threshold == chosen)?;
        Some(wording::cost(&percent(*found), &percent(*refused)))
    };
    view! {
        <details class="card threshold" data-testid="threshold">
            <summary>{wording::WHEN}</summary>
            <label>
                {wording::IT_IS}
                <select
                    data-testid="nil-threshold"
                    on:change=move |event| client.threshold.set(event_target_value(&event).parse().ok())
                >
                    <option value="" selected=move || client.threshold.get().is_none()>
                        {wording::WHERE_LIKELIEST}
                    </option>
                    {options.collect_view()}
                </select>
            </label>
            <p class="quiet" role="status" data-testid="nil-cost">{cost}</p>
        </details>
    }
}

/// Whether "none of these" is the answer.
pub(super) fn is_none(threshold: Option<f32>, nil: Option<f32>, best: Option<f32>) -> bool {
    match (threshold, nil) {
        (Some(threshold), Some(nil)) => nil >= threshold,
        _ => nil > best,
    }
}
