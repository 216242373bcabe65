//! The post's text, the names found in it, and the choice of the name to link.

use leptos::html::Textarea;
use leptos::{ev, prelude::*};
use shared_model::data::Mention;
use web::format::percent;
use web::post::Name;
use web::selection::{scalar_offset, selected_words};
use web::wording::composer as wording;

use super::none::is_none;

use crate::client::Client;

/// A text field whose names are marked, and a button for each of them.
#[component]
pub(crate) fn Composer(client: Client) -> impl IntoView {
    let field = NodeRef::<Textarea>::new();
    let selection = RwSignal::new(None);
    let range = move || {
        let field = field.get_untracked()?;
        let start = field.selection_start().ok()??;
        Some((start, field.selection_end().ok()??))
    };
    // The event is fired at the document and bubbles to the window. The page is never unmounted: its listeners stay.
    window_event_listener_untyped("selectionchange", move |_| {
        let words = |(start, end)| {
            client
                .text
                .with_untracked(|text| selected_words(text, start, end))
        };
        selection.set(range().and_then(words));
    });
    let choose_at_caret = move |_| {
        if let Some((start, end)) = range()
            && start == end
        {
            let caret = client
                .text
                .with_untracked(|text| scalar_offset(text, start));
            let under = |name: &&Name| name.mention.start < caret && caret < name.mention.end;
            let name = client
                .found
                .with_untracked(|found| found.iter().find(under).cloned());
            name.filter(|name| !is_chosen(client, name))
                .into_iter()
                .for_each(|name| client.choose(name));
        }
    };
    view! {
        <label for="post-text">{wording::POST}</label>
        <div class="text">
            <div class="mirror" aria-hidden="true">{move || marked(client)}</div>
            <textarea
                id="post-text"
                data-testid="post-text"
                node_ref=field
                rows="3"
                placeholder=wording::SAMPLE
                aria-describedby="post-help"
                prop:value=client.text
                on:input=move |event| client.set_text(event_target_value(&event))
                on:click=choose_at_caret
                on:keydown=move |event: ev::KeyboardEvent| {
                    if event.key() == "Enter" && (event.ctrl_key() || event.meta_key()) {
                        event.prevent_default();
                        client.run();
                    }
                }
            ></textarea>
        </div>
        <div class="names">
            <span id="post-help" class="quiet">{move || help(client)}</span>
            <For each=move || client.found.get() key=|name| (name.mention, name.surface.clone()) let:name>
                <NameButton client name by_hand=false />
            </For>
            <button
                type="button"
                class="link"
                data-testid="link-all"
                hidden=move || client.found.with(Vec::len) < 2 || client.loaded.with(Option::is_none)
                on:click=move |_| client.link_all()
            >
                {wording::ASK_ALL}
            </button>
            {move || by_hand(client).map(|name| view! { <NameButton client name by_hand=true /> })}
            <button
                type="button"
                class="link"
                data-testid="link-selection"
                hidden=move || selection.get().is_none()
                on:click=move |_| {
                    if let Some(mention) = selection.get_untracked() {
                        client.choose_by_hand(mention);
                    }
                }
            >
                {wording::LINK_SELECTION}
            </button>
        </div>
    }
}

#[component]
fn NameButton(client: Client, name: Name, by_hand: bool) -> impl IntoView {
    let mention = name.mention;
    let Mention { start, end } = mention;
    let surface = name.surface.clone();
    let choice = name.clone();
    view! {
        <button
            type="button"
            class="name"
            data-testid=if by_hand { "mention-by-hand" } else { "mention" }
            data-start=start.to_string()
            data-end=end.to_string()
            aria-pressed=move || is_chosen(client, &name).to_string()
            on:click=move |_| {
                if by_hand {
                    client.choose_by_hand(choice.mention);
                } else {
                    client.choose(choice.clone());
                }
            }
        >
            {surface}
            {move || meaning(client, mention).map(|meaning| view! { <span class="meaning">{meaning}</span> })}
        </button>
    }
}

fn is_chosen(client: Client, name: &Name) -> bool {
    client
        .chosen
        .with(|chosen| chosen.as_ref().is_some_and(|chosen| chosen.name == *name))
}

/// What a mention means, where all were asked for.
fn meaning(client: Client, mention: Mention) -> Option<String> {
    client.meanings.with(|meanings| {
        let mut meanings = meanings.iter();
        let meaning = meanings.find(|meaning| meaning.mention == mention)?;
        let (entity, probability) = match is_none(client.threshold.get(), meaning.nil, meaning.best)
        {
            true => (wording::NONE_KNOWN, meaning.nil),
            false => (meaning.entity.as_deref()?, meaning.best),
        };
        let probability = percent(probability.unwrap_or_default());
        Some(format!("{probability} {entity}"))
    })
}

/// The name that the visitor selected.
fn by_hand(client: Client) -> Option<Name> {
    let chosen = client.chosen.get().filter(|chosen| chosen.by_hand);
    chosen.map(|chosen| chosen.name)
}

fn help(client: Client) -> &'static str {
    match (
        client.found.with(Vec::is_empty) && by_hand(client).is_none(),
        client.text.with(|text| text.trim().is_empty()),
    ) {
        (false, _) => wording::WHO_IS,
        (true, true) => wording::MARKED_AS_YOU_TYPE,
        (true, false) if client.loaded.with(Option::is_none) => wording::MARKED_ONCE_LOADED,
        (true, false) => wording::NO_NAME_YET,
    }
}

/// The text with its names in `<mark>`s: it lies behind the transparent text field and gives it its height.
fn marked(client: Client) -> Vec<AnyView> {
    let text: Vec<char> = client.text.with(|text| text.chars().collect());
    let mut names = client.found.get();
    names.extend(by_hand(client));
    names.sort_by_key(|name| name.mention.start);
    let mut parts = Vec::new();
    let mut done = 0;
    for name in names {
        let Mention { start, end } = name.mention;
        if start < done || end > text.len() {
            continue;
        }
        let before: String = text[done..start].iter().collect();
        let chosen = is_chosen(client, &name);
        parts.push(view! { {before}<mark class:chosen=chosen>{name.surface}</mark> }.into_any());
        done = end;
    }
    let after: String = text[done..].iter().collect();
    // A last empty line has no height of its own.
    parts.push(view! { {after}"\u{200b}" }.into_any());
    parts
}
