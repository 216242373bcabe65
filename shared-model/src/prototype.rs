//! Prototypes: the k most central posts of a timeline in one modality (paper §3.3).

use crate::math::{dot, normalised};

const DAMPING: f64 = 0.85;
const TOLERANCE: f64 = 1e-6;
const MAX_ROUNDS: usize = 100;

/// Two posts of an entity whose centred vectors are closer than this count once.
const NEAR_DUPLICATE: f32 = 0.98;

/// A chosen post and its PageRank.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Chosen {
    /// Index into the vectors that were given.
    pub post: usize,
    /// PageRank; all posts of a timeline sum to 1.
    pub rank: f32,
}

/// How posts are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selection {
    /// By PageRank over the cosine graph.
    Pagerank,
    /// By a seeded draw: the paper's ablation.
    Random {
        /// Seed of the draw.
        seed: u64,
    },
}

/// Chooses at most `k` of `vectors`, highest PageRank first.
///
/// # Arguments
///
/// - vectors: one centred vector a post, in any scale, all of one width.
///
/// Near-duplicates count once: the first of them stands for all.
pub fn choose(vectors: &[&[f32]], k: usize, selection: Selection) -> Vec<Chosen> {
    let units: Vec<Vec<f32>> = vectors.iter().map(|vector| normalised(vector)).collect();
    let mut distinct: Vec<usize> = Vec::new();
    for post in 0..units.len() {
        if distinct
            .iter()
            .all(|&other| dot(&units[other], &units[post]) < NEAR_DUPLICATE)
        {
            distinct.push(post);
        }
    }

    let n = distinct.len();
    let mut edges = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..i {
            let weight = dot(&units[distinct[i]], &units[distinct[j]]).max(0.0);
            edges[i * n + j] = weight;
            edges[j * n + i] = weight;
        }
    }
    let ranks = pagerank(&edges, n);

    let mut order: Vec<usize> = (0..n).collect();
    match selection {
        Selection::Pagerank => {
            order.sort_by(|&a, &b| ranks[b].total_cmp(&ranks[a]).then(a.cmp(&b)))
        }
        Selection::Random { seed } => order.sort_by_key(|&post| mix(seed ^ mix(post as u64 + 1))),
    }
    order.truncate(k);
    order
        .into_iter()
        .map(|i| Chosen {
            post: distinct[i],
            rank: ranks[i],
        })
        .collect()
}

/// PageRank of a weighted directed graph: damping 0.85, rows normalised, dangling rows uniform, until the L1 change is below 1e-6 or for 100 rounds.
///
/// # Arguments
///
/// - edges: `[n, n]` row-major, `edges[i * n + j]` the non-negative weight from i to j.
pub fn pagerank(edges: &[f32], n: usize) -> Vec<f32> {
    assert_eq!(edges.len(), n * n, "edges must be [n, n]");
    let out: Vec<f64> = edges
        .chunks(n.max(1))
        .map(|row| row.iter().map(|&weight| f64::from(weight)).sum())
        .collect();
    let mut ranks = vec![1.0 / n as f64; n];
    for _ in 0..MAX_ROUNDS {
        let dangling: f64 = (0..n).filter(|&i| out[i] == 0.0).map(|i| ranks[i]).sum();
        let base = (1.0 - DAMPING + DAMPING * dangling) / n as f64;
        let mut next = vec![base; n];
        for i in (0..n).filter(|&i| out[i] > 0.0) {
            let share = DAMPING * ranks[i] / out[i];
            for (to, &weight) in next.iter_mut().zip(&edges[i * n..(i + 1) * n]) {
                *to += share * f64::from(weight);
            }
        }
        let change: f64 = next.iter().zip(&ranks).map(|(a, b)| (a - b).abs()).sum();
        ranks = next;
        if change < TOLERANCE {
            break;
        }
    }
    ranks.into_iter().map(|rank| rank as f32).collect()
}

/// SplitMix64's finaliser: a seeded order without a generator's state.
fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_ranks_its_hub_first() {
        // Node 0 is linked both ways with all others.
        let n = 4;
        let mut edges = vec![0.0; n * n];
        for i in 1..n {
            edges[i] = 1.0;
            edges[i * n] = 1.0;
        }
        let ranks = pagerank(&edges, n);
        assert!(ranks[0] > 2.0 * ranks[1]);
        assert!((ranks.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert_eq!(ranks[1], ranks[3]);
    }

    #[test]
    fn an_empty_graph_has_no_ranks_and_a_dangling_one_uniform_ones() {
        assert!(pagerank(&[], 0).is_empty());
        assert_eq!(pagerank(&[0.0; 4], 2), [0.5, 0.5]);
    }

    #[test]
    fn the_central_post_comes_first_and_duplicates_count_once() {
        let vectors: [&[f32]; 5] = [
            &[1.0, 0.6],
            &[1.0, 0.0],
            &[1.0, 0.0],
            &[1.0, -0.6],
            &[-1.0, 0.1],
        ];
        let chosen = choose(&vectors, 3, Selection::Pagerank);
        assert_eq!(chosen[0].post, 1);
        assert!(
            chosen.iter().all(|chosen| chosen.post != 2),
            "a duplicate was chosen"
        );
        assert_eq!(chosen.len(), 3);
    }

    #[test]
    fn ties_fall_to_the_lower_index() {
        let vectors: [&[f32]; 3] = [&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]];
        let posts: Vec<usize> = choose(&vectors, 2, Selection::Pagerank)
            .iter()
            .map(|chosen| chosen.post)
            .collect();
        assert_eq!(posts, [0, 1]);
    }

    #[test]
    fn the_random_choice_depends_on_its_seed_alone() {
        let vectors: Vec<Vec<f32>> = (0..12)
            .map(|i| (0..12).map(|j| f32::from(u8::from(i == j))).collect())
            .collect();
        let vectors: Vec<&[f32]> = vectors.iter().map(Vec::as_slice).collect();
        let draw = |seed| choose(&vectors, 6, Selection::Random { seed });
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }
}
