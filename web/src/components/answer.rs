//! The ranked candidates.

use leptos::prelude::*;
use shared_model::data::{Candidate, ScorerKind};
use web::format::{duration, percent};
use web::phase::Phase;
use web::protocol::{EntityCard, StageTimes};
use web::wording::answer as wording;

use super::cues::{Bar, CueList, Why, first_two};
use super::explanation::Explanation;
use super::known::Known;
use super::none::{NoneOfThese, is_none};
use crate::client::Client;
use crate::state::Answered;

/// The latest answer, or an introduction while there is none.
#[component]
pub(crate) fn Answer(client: Client) -> impl IntoView {
    let is_earlier = move || {
        let is_changed = matches!(client.phase.get(), Phase::Ready | Phase::Idle);
        is_changed && client.answer.with(Option::is_some)
    };
    view! {
        <section class="answer" class:stale=move || client.phase.get() != Phase::Done aria-label=wording::ANSWER>
            <Show when=is_earlier>
                <p class="quiet earlier">{wording::IS_EARLIER}</p>
            </Show>
            {move || match client.answer.get() {
                Some(answered) => view! { <Ranked client answered /> }.into_any(),
                None => view! { <Invitation /> }.into_any(),
            }}
        </section>
    }
}

#[component]
fn Invitation() -> impl IntoView {
    view! {
        <div class="card invitation">
            <h2>{wording::INVITATION}</h2>
            <p>{wording::ABOUT_NAMES}</p>
            <ol>
                <li>{wording::FIRST_WRITE}</li>
                <li>{wording::THEN_ADD_PICTURE}</li>
                <li>{wording::THEN_CHANGE}</li>
            </ol>
        </div>
    }
}

#[component]
fn Ranked(client: Client, answered: Answered) -> impl IntoView {
    let Answered {
        surface,
        answer,
        ms,
        ..
    } = answered.clone();
    let (ranking, entities) = (answer.ranking, answer.entities);
    let is_empty = ranking.candidates.is_empty();
    let nil = ranking.nil_probability;
    let calibrated = client
        .loaded
        .with_untracked(|loaded| loaded.as_ref().is_none_or(|loaded| loaded.calibrated));
    let best = ranking
        .candidates
        .first()
        .map(|candidate| candidate.probability);
    let heading = move || {
        if is_empty {
            wording::nothing_called(&surface)
        } else if is_none(client.threshold.get(), nil, best) {
            wording::means_none(&surface)
        } else {
            wording::means(&surface)
        }
    };
    let (scorer_name, scorer) = match ranking.scorer {
        ScorerKind::Imn => ("imn", wording::BY_NETWORK),
        ScorerKind::ImnNew => ("imn-new", wording::BY_NETWORK_FOR_NEW),
        ScorerKind::Prototype => ("prototype", wording::BY_PROTOTYPES),
    };
    let ranked = ranking.candidates.into_iter().zip(entities);
    let ranked: Vec<(Candidate, EntityCard)> = ranked.collect();
    let why = match (&ranked[..], first_two(&answered.answer.entities)) {
        ([first, second, ..], Some([winner, other])) => {
            let first = (winner, first.0.parts);
            let second = (other, second.0.parts);
            Some(view! { <Why first second /> })
        }
        _ => None,
    };
    let cards = ranked.into_iter();
    let cards = cards
        .map(|(candidate, card)| view! { <CandidateCard client candidate card /> })
        .collect_view();
    view! {
        <h2>{heading}</h2>
        <ol class="ranking" data-testid="ranking" data-nil-probability=nil.map(|nil| nil.to_string()).unwrap_or_default()>
            {cards}
        </ol>
        {(!is_empty).then(|| view! { <Explanation client answered /> })}
        {why}
        {is_empty.then(|| view! { <p class="quiet">{wording::PICK_ANOTHER}</p> })}
        {nil.filter(|_| !is_empty).map(|probability| view! { <NoneOfThese client probability /> })}
        {(!calibrated && !is_empty).then(|| view! {
            <p class="quiet">{wording::NOT_CALIBRATED}</p>
        })}
        {(!is_empty).then(|| view! { <p class="quiet" data-testid="scorer" data-scorer=scorer_name>{scorer}</p> })}
        {ms.map(|ms| view! { <Times ms /> })}
    }
}

#[component]
fn CandidateCard(client: Client, candidate: Candidate, card: EntityCard) -> impl IntoView {
    let (name, description) = (card.name.clone(), card.description.clone());
    let portrait = match client.thumb_addresses(card.thumbs().take(1)).pop() {
        Some(address) => view! { <img class="portrait" src=address alt="" /> }.into_any(),
        None => view! { <span class="portrait" aria-hidden="true">{name.chars().next()}</span> }
            .into_any(),
    };
    let probability = candidate.probability;
    view! {
        <li
            class="card candidate"
            data-testid="candidate"
            data-entity=candidate.entity
            data-score=candidate.score.to_string()
            data-probability=probability.to_string()
        >
            {portrait}
            <div class="about">
                <h3>{name} <span class="share">{percent(probability)}</span></h3>
                <Bar share=probability />
                <p>{description}</p>
            </div>
            <CueList cues=candidate.cues />
            <Known client card />
        </li>
    }
}

#[component]
fn Times(ms: StageTimes) -> impl IntoView {
    let stages = [
        (wording::DECODE, ms.decode),
        (wording::TEXT, ms.text),
        (wording::PICTURE, ms.image),
        (wording::BOTH, ms.joint),
        (wording::COMPARE, ms.rank),
    ];
    let has_joint = ms.joint > 0.0;
    let stages = stages
        .into_iter()
        .filter(move |(label, _)| has_joint || *label != wording::BOTH);
    let item = |(label, ms): (&'static str, f64)| {
        let shown = if ms > 0.0 {
            duration(ms)
        } else {
            "–".to_owned()
        };
        view! { <div><dt>{label}</dt><dd>{shown}</dd></div> }
    };
    view! { <dl class="times" aria-label=wording::TIMES>{stages.map(item).collect_view()}</dl> }
}
