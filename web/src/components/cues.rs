//! The cues of a candidate, and what they add to its score.

use leptos::prelude::*;
use shared_model::data::{Cues, Parts};
use web::protocol::EntityCard;
use web::wording::cues as wording;

/// Labels of the cues that are shown where they are missing, too.
const ALWAYS_SHOWN: [&str; 4] = [
    wording::WORDS,
    wording::PICTURE,
    wording::OBJECTS,
    wording::NAME,
];
/// A part below this is rounding.
const LEAST_PART: f32 = 5e-4;

/// A row per cue.
#[component]
pub(super) fn CueList(cues: Cues) -> impl IntoView {
    let values = [
        cues.text,
        cues.context,
        cues.tuned,
        cues.image,
        cues.classes,
        cues.image_text,
        cues.text_image,
        cues.lexical,
        cues.imn,
    ];
    // A cue that not every bundle or post has is left out where it is missing.
    let rows = wording::CUES.into_iter().zip(values);
    let rows = rows.filter(|((label, _), value)| value.is_some() || ALWAYS_SHOWN.contains(label));
    let row = |((label, title), value): ((&'static str, &'static str), Option<f32>)| {
        let shown = value.map_or_else(|| wording::NOT_GIVEN.to_owned(), number);
        view! {
            <div title=title class:absent=value.is_none()>
                <dt>{label}</dt>
                <dd>{shown}<Bar share=value.unwrap_or(0.0) /></dd>
            </div>
        }
    };
    view! { <dl class="cues">{rows.map(row).collect_view()}</dl> }
}

/// What sets the first candidate apart from the second: the difference of their scores, cue by cue.
#[component]
pub(super) fn Why(first: (String, Parts), second: (String, Parts)) -> impl IntoView {
    let ((winner, for_winner), (other, for_other)) = (first, second);
    let [
        text,
        context,
        tuned,
        image,
        classes,
        image_text,
        text_image,
        lexical,
        evidence,
        imn,
    ] = std::array::from_fn(|i| for_winner.array()[i] - for_other.array()[i]);
    let of_cues = [
        text, context, tuned, image, classes, image_text, text_image, lexical, imn,
    ];
    let (evidence_label, evidence_title) = wording::EVIDENCE;
    let labelled = wording::CUES.into_iter().zip(of_cues);
    let mut rows: Vec<(&str, &str, f32)> = labelled
        .map(|((label, title), difference)| (label, title, difference))
        .chain([(evidence_label, evidence_title, evidence)])
        .filter(|(_, _, difference)| difference.abs() >= LEAST_PART)
        .collect();
    rows.sort_by(|a, b| b.2.abs().total_cmp(&a.2.abs()));
    let greatest = rows.first().map_or(1.0, |row| row.2.abs());
    let row = |(label, title, difference): (&'static str, &'static str, f32)| {
        let width = format!("{:.1}%", 50.0 * difference.abs() / greatest);
        view! {
            <tr title=title data-testid="part" data-difference=difference.to_string()>
                <th scope="row">{label}</th>
                <td class="difference">
                    <span class="scale" aria-hidden="true">
                        <span class:against=difference.is_sign_negative() style:width=width></span>
                    </span>
                </td>
                <td>{signed(difference)}</td>
            </tr>
        }
    };
    let total = for_winner.sum() - for_other.sum();
    view! {
        <details class="card why" data-testid="why">
            <summary>{wording::why(&winner, &other)}</summary>
            <table>
                <caption class="quiet">
                    {wording::caption(&winner, &other)}
                </caption>
                <tbody>{rows.into_iter().map(row).collect_view()}</tbody>
                <tfoot>
                    <tr data-testid="difference" data-difference=total.to_string()>
                        <th scope="row">{wording::TOGETHER}</th>
                        <td></td>
                        <td>{signed(total)}</td>
                    </tr>
                </tfoot>
            </table>
        </details>
    }
}

/// What to call the first two candidates; `None` if there are not two. Namesakes are told apart by their places.
pub(super) fn first_two(entities: &[EntityCard]) -> Option<[String; 2]> {
    match entities {
        [first, second, ..] if first.name.to_lowercase() == second.name.to_lowercase() => Some([
            wording::THE_FIRST.to_owned(),
            wording::THE_SECOND.to_owned(),
        ]),
        [first, second, ..] => Some([first.name.clone(), second.name.clone()]),
        _ => None,
    }
}

/// A share of 1 as a bar.
#[component]
pub(super) fn Bar(share: f32) -> impl IntoView {
    let width = format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    view! { <span class="bar" aria-hidden="true"><span style:width=width></span></span> }
}

/// A number with two decimals.
pub(super) fn number(value: f32) -> String {
    format!("{value:.2}").replace('-', "\u{2212}")
}

/// A number with its sign.
pub(super) fn signed(value: f32) -> String {
    format!("{value:+.3}").replace('-', "\u{2212}")
}
