//! Many posts at once.

use leptos::{ev, prelude::*};
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
                <summary>"Many posts at once"</summary>
                <p class="quiet">
                    "A file of posts, one JSON object per line, together with their pictures. The result is the file that "
                    <code>"imn link"</code>
                    " writes; where posts name their entity, it is counted how often the first candidate is right."
                </p>
                <label>
                    "Posts (.jsonl) and pictures: "
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
                    "Save the results"
                </button>
            </details>
        </Show>
    }
}

fn status(client: Client) -> String {
    match client.batch.get() {
        Batch::Idle => String::new(),
        Batch::Running { total: 0, .. } => "Reading the files.".to_owned(),
        Batch::Running { done, total } => format!("{done} of {total} posts."),
        Batch::Refused(reason) => reason,
        Batch::Done {
            n_mentions,
            figures,
        } if figures.n == 0 => {
            format!("{n_mentions} mentions. No post names its entity.")
        }
        Batch::Done {
            n_mentions,
            figures,
        } => format!(
            "{n_mentions} mentions. Of {} with an entity: P@1 {:.3}, R@3 {:.3}, R@10 {:.3}, MRR {:.3}.",
            figures.n, figures.p_at_1, figures.r_at_3, figures.r_at_10, figures.mrr
        ),
    }
}
