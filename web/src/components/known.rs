//! What the model knows about a candidate: its prototypes beside the visitor's post, and how alike they are.

use std::f64::consts::TAU;

use leptos::prelude::*;
use web::format::percent;
use web::protocol::{CardPost, EntityCard};
use web::wording::known as wording;

use super::cues::{Bar, number};
use crate::client::Client;

/// Width and height of the graph's coordinates.
const SIZE: f64 = 120.0;
/// Links weaker than this are left out.
const WEAKEST_LINK: f32 = 0.1;

/// Texts and pictures of a candidate, the closest to the post first, and the graph that PageRank runs on.
#[component]
pub(super) fn Known(client: Client, card: EntityCard) -> impl IntoView {
    let pictures = closest_first(&card.pictures);
    let pictures = pictures.into_iter().flat_map(|post| {
        let addresses = client.thumb_addresses(&post.images);
        let (name, note) = (card.name.clone(), note(post));
        addresses.into_iter().map(move |address| {
            view! {
                <figure>
                    <img src=address alt=wording::picture_of(&name) />
                    <figcaption>{note.clone()}</figcaption>
                </figure>
            }
        })
    });
    let posts = closest_first(&card.posts).into_iter().map(|post| {
        view! {
            <li>
                {post.text.clone()}
                {post.similarity.map(|similarity| view! { <Bar share=similarity /> })}
                <span class="quiet">{note(post)}</span>
            </li>
        }
    });
    let graph = (card.posts.len() > 2).then(|| view! { <Graph card=card.clone() /> });
    view! {
        <details data-testid="known">
            <summary>{wording::TITLE}</summary>
            <div class="thumbs">{pictures.collect_view()}</div>
            <ul>{posts.collect_view()}</ul>
            {graph}
        </details>
    }
}

/// The similarity graph of the texts: a circle per post, larger with its PageRank; a line per similarity.
#[component]
fn Graph(card: EntityCard) -> impl IntoView {
    let n = card.posts.len() as f64;
    let place = |at: usize| {
        let angle = TAU * at as f64 / n;
        let radius = 0.38 * SIZE;
        (
            SIZE / 2.0 + radius * angle.sin(),
            SIZE / 2.0 - radius * angle.cos(),
        )
    };
    let links = card.links.iter().filter(|link| link.weight >= WEAKEST_LINK);
    let links = links.map(|link| {
        let ((x1, y1), (x2, y2)) = (place(link.from), place(link.to));
        let width = 3.0 * link.weight;
        view! { <line x1=x1 y1=y1 x2=x2 y2=y2 stroke-width=width /> }
    });
    let nodes = card.posts.iter().enumerate().map(|(at, post)| {
        let (cx, cy) = place(at);
        let r = 2.5 + 18.0 * post.rank;
        view! { <circle cx=cx cy=cy r=r><title>{post.text.clone()}</title></circle> }
    });
    let label = wording::graph(card.posts.len(), &card.name);
    view! {
        <figure class="graph">
            <svg viewBox=format!("0 0 {SIZE} {SIZE}") role="img" aria-label=label>
                {links.collect_view()}
                {nodes.collect_view()}
            </svg>
            <figcaption class="quiet">
                {wording::GRAPH_CAPTION}
            </figcaption>
        </figure>
    }
}

fn closest_first(posts: &[CardPost]) -> Vec<&CardPost> {
    let mut posts: Vec<&CardPost> = posts.iter().collect();
    let similarity = |post: &CardPost| post.similarity.unwrap_or_default();
    posts.sort_by(|a, b| similarity(b).total_cmp(&similarity(a)));
    posts
}

fn note(post: &CardPost) -> String {
    let rank = wording::rank(&percent(post.rank));
    match post.similarity {
        Some(similarity) => wording::similarity_and_rank(&number(similarity), &rank),
        None => rank,
    }
}
