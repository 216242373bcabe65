//! Many posts at once.

use leptos::{ev, prelude::*};
use web::wording::batch as wording;
use web_sys::HtmlInputElement;

use super::pictures::list;
use crate::client::Client;
use crate::state::Batch;

/// A field for files, and what became of them; shown once the model is loaded.
#[component]
pub(super) fn Many(client: Client) -> impl IntoView {
    let is_loaded = move || client.loaded.with(Option::is_some);
    view! {
        <Show when=is_loaded>
            <details class="card batch" data-testid="batch">
                <summary>{wording::TITLE}</summary>
                <p class="quiet">
                    {wording::BEFORE_COMMAND}
                    <code>{wording::COMMAND}</code>
                    {wording::AFTER_COMMAND}
                </p>
                <label>
                    {wording::FILES}
                    <input
                        type="file"
                        multiple
                        accept=".jsonl,.json,image/*"
                        data-testid="batch-files"
                        on:change=move |event: ev::Event| {
                            let input: HtmlInputElement = event_target(&event);
                            if let Some(files) = input.files() {
                                client.link_files(list(&files));
                            }
                            input.set_value("");
                        }
                    />
                </label>
                <p class="status" role="status" data-testid="batch-status">{move || status(client)}</p>
                <button
                    type="button"
                    data-testid="batch-save"
                    hidden=move || !matches!(client.batch.get(), Batch::Done { .. })
                    on:click=move |_| client.save_batch()
                >
                    {wording::SAVE}
                </button>
            </details>
        </Show>
    }
}

fn status(client: Client) -> String {
    match client.batch.get() {
        Batch::Idle => String::new(),
        Batch::Running { total: 0, .. } => wording::READING.to_owned(),
        Batch::Running { done, total } => wording::done(done, total),
        Batch::Refused(reason) => reason,
        Batch::Done {
            n_mentions,
            figures,
        } if figures.n == 0 => wording::mentions(n_mentions),
        Batch::Done {
            n_mentions,
            figures,
        } => wording::figures(n_mentions, &figures),
    }
}
