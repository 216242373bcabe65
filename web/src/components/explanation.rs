//! What in the post decided: words and regions of pictures, by what the answer loses without them.

use leptos::prelude::*;
use web::phase::Phase;
use web::protocol::{Effects, GRID, WordEffect};
use web::wording::explanation as wording;
use web::wording::parts::{COLUMNS, ROWS};

use super::cues::{first_two, signed};
use crate::client::Client;
use crate::state::Answered;

/// Number of words that are listed, at most.
const LISTED: usize = 3;
/// An effect below this is rounding.
const LEAST: f32 = 5e-4;

/// The words and regions that decided, or a button that finds them.
#[component]
pub(super) fn Explanation(client: Client, answered: Answered) -> impl IntoView {
    let can_ask = move || client.loaded.with(Option::is_some) && client.phase.get() == Phase::Done;
    let ask = move || match (client.explaining.get(), can_ask()) {
        (Some(done), _) => view! {
            <p class="quiet" aria-busy="true">
                {wording::leaving_out(done)}
            </p>
        }
        .into_any(),
        (None, true) => view! {
            <button type="button" data-testid="explain" on:click=move |_| client.explain()>
                {wording::FIND}
            </button>
        }
        .into_any(),
        (None, false) => ().into_any(),
    };
    view! {
        <section class="card decided" data-testid="decided" aria-label=wording::TITLE>
            <h3>{wording::TITLE}</h3>
            {move || match client.effects.get() {
                Some(effects) => view! { <Decided answered=answered.clone() effects /> }.into_any(),
                None => ask().into_any(),
            }}
        </section>
    }
}

#[component]
fn Decided(answered: Answered, effects: Effects) -> impl IntoView {
    let Answered {
        text,
        pictures,
        answer,
        ..
    } = answered;
    let legend = match first_two(&answer.entities) {
        Some([winner, other]) => wording::legend_of_two(&winner, &other),
        None => wording::LEGEND_OF_ONE.to_owned(),
    };
    let words = effects.words.iter().map(|word| word.effect.abs());
    let greatest = words.fold(LEAST, f32::max);
    let regions = effects.pictures.iter().flatten();
    let greatest_region = regions.fold(LEAST, |most, effect| most.max(effect.abs()));
    let heat = pictures.into_iter().zip(effects.pictures);
    let heat = heat
        .map(|(address, regions)| view! { <Heat address regions greatest=greatest_region /> })
        .collect_view();
    view! {
        <p class="shaded" data-testid="shaded">{shaded(&text, &effects.words, greatest)}</p>
        {listed(&text, &effects.words).map(|words| view! { <p class="quiet">{words}</p> })}
        <div class="heats">{heat}</div>
        <p class="quiet">{legend}</p>
    }
}

/// A picture with its regions shaded.
#[component]
fn Heat(address: String, regions: Vec<f32>, greatest: f32) -> impl IntoView {
    let strongest = (0..regions.len()).max_by(|&a, &b| regions[a].total_cmp(&regions[b]));
    let strongest = strongest.filter(|&region| regions[region] >= LEAST);
    let label = strongest.map_or_else(
        || wording::YOUR_PICTURE.to_owned(),
        |region| {
            let part = |at: usize| at * ROWS.len() / GRID;
            wording::strongest_at(ROWS[part(region / GRID)], COLUMNS[part(region % GRID)])
        },
    );
    let cell = |effect: f32| {
        let share = (effect.abs() / greatest).min(1.0);
        view! {
            <span
                class:against=effect < 0.0
                data-effect=effect.to_string()
                style:opacity=format!("{:.2}", 0.75 * share)
            ></span>
        }
    };
    view! {
        <figure class="heat" data-testid="heat">
            <img src=address alt=label />
            <div class="regions" aria-hidden="true">{regions.into_iter().map(cell).collect_view()}</div>
        </figure>
    }
}

/// The text with its words shaded by their effects.
fn shaded(text: &str, words: &[WordEffect], greatest: f32) -> Vec<AnyView> {
    let characters: Vec<char> = text.chars().collect();
    let mut parts = Vec::new();
    let mut done = 0;
    for WordEffect { word: span, effect } in words {
        let Some(surface) = characters.get(span.start..span.end) else {
            continue;
        };
        let before: String = characters[done..span.start].iter().collect();
        let surface: String = surface.iter().collect();
        let share = 100.0 * (effect.abs() / greatest).min(1.0);
        let colour = format!("color-mix(in srgb, var(--strong) {share:.0}%, transparent)");
        let (fill, line) = match *effect >= 0.0 {
            true => (colour, "transparent".to_owned()),
            false => (
                "transparent".to_owned(),
                format!("color-mix(in srgb, var(--ink) {share:.0}%, transparent)"),
            ),
        };
        let word = view! {
            {before}
            <span
                title=signed(*effect)
                data-effect=effect.to_string()
                style:background-color=fill
                style:border-bottom-color=line
            >
                {surface}
            </span>
        };
        parts.push(word.into_any());
        done = span.end;
    }
    let after: String = characters[done..].iter().collect();
    parts.push(after.into_any());
    parts
}

/// The strongest words in a sentence; `None` if none matters.
fn listed(text: &str, words: &[WordEffect]) -> Option<String> {
    let mut words: Vec<&WordEffect> = words
        .iter()
        .filter(|word| word.effect.abs() >= LEAST)
        .collect();
    words.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    let shown = words.into_iter().take(LISTED).filter_map(|word| {
        let surface = word.word.surface(text).ok()?;
        Some(wording::word(surface, &signed(word.effect)))
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| wording::strongest_words(&shown.join(", ")))
}
