//! The lesson: predict, then see.

use leptos::prelude::*;
use web::lesson::{CASES, Case};
use web::wording::lesson as wording;

use crate::client::Client;

/// The case at hand, and all cases on paper; nothing outside a lesson.
#[component]
pub(super) fn Lesson(client: Client) -> impl IntoView {
    let case = move || Some((client.lesson.get()?, CASES.get(client.lesson.get()?)?));
    view! {
        {move || case().map(|(at, case)| view! { <Step client at case /> })}
        <Show when=move || client.lesson.get().is_some()>
            <Sheet />
        </Show>
    }
}

#[component]
fn Step(client: Client, at: usize, case: &'static Case) -> impl IntoView {
    let predicted = RwSignal::new(None::<usize>);
    let is_revealed = RwSignal::new(false);
    let reveal = move |_| {
        is_revealed.set(true);
        client.reveal_case(case.example);
    };
    let choices = case.choices.iter().enumerate().map(|(choice, label)| {
        view! {
            <label>
                <input
                    type="radio"
                    name="prediction"
                    data-testid="prediction"
                    disabled=is_revealed
                    prop:checked=move || predicted.get() == Some(choice)
                    on:change=move |_| predicted.set(Some(choice))
                />
                {*label}
                {move || is_revealed.get().then(|| mark(choice, predicted.get(), case.answer))}
            </label>
        }
    });
    view! {
        <section class="card lesson" data-testid="lesson" data-case=(at + 1).to_string() aria-labelledby="lesson-title">
            <p class="quiet">{wording::position(at + 1, CASES.len())}</p>
            <h2 id="lesson-title">{case.title}</h2>
            <p>{case.idea}</p>
            <fieldset>
                <legend>{case.question}</legend>
                {choices.collect_view()}
            </fieldset>
            <div class="steps">
                <button
                    type="button"
                    class="primary"
                    data-testid="reveal"
                    disabled=move || predicted.get().is_none() || is_revealed.get() || client.examples.with(Vec::is_empty)
                    on:click=reveal
                >
                    {wording::SHOW_ANSWER}
                </button>
                <button type="button" data-testid="back" disabled=at == 0 on:click=move |_| client.show_case(Some(at.saturating_sub(1)))>
                    {wording::BACK}
                </button>
                <button type="button" data-testid="next" disabled=at + 1 == CASES.len() on:click=move |_| client.show_case(Some(at + 1))>
                    {wording::NEXT}
                </button>
                <button type="button" class="link" on:click=move |_| crate::browser::print()>{wording::PRINT}</button>
                <button type="button" class="link" data-testid="end-lesson" on:click=move |_| client.show_case(None)>
                    {wording::END}
                </button>
            </div>
            <p role="status" data-testid="revealed">{move || is_revealed.get().then_some(case.reveal)}</p>
        </section>
    }
}

fn mark(choice: usize, predicted: Option<usize>, answer: usize) -> &'static str {
    match (choice == answer, predicted == Some(choice)) {
        (true, true) => wording::AS_PREDICTED,
        (true, false) => wording::ANSWER_OF_MODEL,
        (false, true) => wording::PREDICTED,
        (false, false) => "",
    }
}

/// All cases without their answers, for print.
#[component]
fn Sheet() -> impl IntoView {
    let cases = CASES.iter().map(|case| {
        let choices = case
            .choices
            .iter()
            .map(|choice| view! { <li>{*choice}</li> });
        view! {
            <li>
                <h3>{case.title}</h3>
                <p>{case.idea}</p>
                <p>{case.question}</p>
                <ul>{choices.collect_view()}</ul>
                <p>{wording::WHY}</p>
            </li>
        }
    });
    view! {
        <section class="sheet" aria-hidden="true">
            <h2>{wording::SHEET}</h2>
            <ol>{cases.collect_view()}</ol>
        </section>
    }
}
