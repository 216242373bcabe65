//! How much each kind of comparison tells in a knowledge base, learned from its own timelines: each post is matched with its owner.
//!
//! Texts separate bird species well and groceries poorly; pictures do the opposite. No label takes part.

use crate::adam::{Adam, STEPS, softmax};
use crate::evidence::{AllCues, Observed};

const KINDS: usize = 5;
/// Weights of the cues beside which the factors are fitted, in the order of [`AllCues`]; names take no part.
///
/// They are those of the default scorer of 2026-11-26, and part of the run and bundle formats: with others, every stored scorer
/// would get other factors than it was fitted with.
const REFERENCE: AllCues = [
    1.0, 0.51, 0.0, 2.33, 0.55, 0.57, 0.41, 0.0, 0.0, 0.0, 0.0, 0.38, 1.53,
];
/// Pulls the logarithms of the factors towards 0.
const DECAY: f64 = 0.03;
/// Number of posts below which the pull more than doubles.
const FEW_POSTS: f64 = 50.0;

/// Factors of cues by what they compare; 1 where nothing is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scales {
    /// Vectors of texts.
    texts: f32,
    /// Words and n-grams.
    words: f32,
    /// Pictures.
    pictures: f32,
    /// Pictures of the post, texts of the candidate.
    image_text: f32,
    /// Text of the post, pictures of the candidate.
    text_image: f32,
}

impl Default for Scales {
    fn default() -> Self {
        Self::of([1.0; KINDS])
    }
}

impl Scales {
    /// The likeliest factors beside the reference weights, with a temperature of their own.
    ///
    /// # Arguments
    ///
    /// - posts: cues of the candidates of each post, the owner first.
    pub(crate) fn fit(posts: &[Vec<Observed>]) -> Self {
        if posts.is_empty() {
            return Self::default();
        }
        let rows: Vec<Vec<[f64; KINDS]>> = posts
            .iter()
            .map(|candidates| {
                let candidates = candidates.iter();
                candidates.map(parts).collect()
            })
            .collect();
        let n = rows.len() as f64;
        let decay = DECAY * (1.0 + FEW_POSTS / n);
        // The logarithms of the factors, then that of 1 / T.
        let mut values = [0.0; KINDS + 1];
        values[KINDS] = 20f64.ln();
        let mut adam = Adam::default();
        for _ in 0..STEPS {
            let sharpness = values[KINDS].exp();
            let mut gradient = values.map(|value| decay * value);
            gradient[KINDS] = 0.0;
            let factors: [f64; KINDS] = std::array::from_fn(|kind| sharpness * values[kind].exp());
            for row in &rows {
                let terms = row.iter().map(|parts| {
                    let terms: [f64; KINDS] =
                        std::array::from_fn(|kind| factors[kind] * parts[kind]);
                    terms
                });
                let terms: Vec<[f64; KINDS]> = terms.collect();
                let logits: Vec<f64> = terms.iter().map(|terms| terms.iter().sum()).collect();
                let mut errors = softmax(&logits);
                errors[0] -= 1.0;
                for ((terms, logit), error) in terms.iter().zip(&logits).zip(&errors) {
                    for (gradient, term) in gradient.iter_mut().zip(terms) {
                        *gradient += error * term / n;
                    }
                    gradient[KINDS] += error * logit / n;
                }
            }
            adam.step(&mut values, &gradient);
        }
        let [factors @ .., _] = values;
        Self::of(factors.map(|value| value.exp() as f32))
    }

    fn of([texts, words, pictures, image_text, text_image]: [f32; KINDS]) -> Self {
        Self {
            texts,
            words,
            pictures,
            image_text,
            text_image,
        }
    }

    /// The cues times their factors.
    pub(crate) fn apply(&self, cues: Observed) -> Observed {
        let Self {
            texts,
            words,
            pictures,
            image_text,
            text_image,
        } = *self;
        let factors = [
            texts, texts, texts, pictures, pictures, image_text, text_image,
        ];
        let [names @ .., shared_words, shared_grams] = cues.lexical;
        let [ratio, exact, tokens, surname] = names;
        Observed {
            vectors: cues.vectors.zip(factors, |cue, factor| Some(cue * factor)),
            lexical: [
                ratio,
                exact,
                tokens,
                surname,
                shared_words * words,
                shared_grams * words,
            ],
            ..cues
        }
    }
}

/// What each kind of comparison adds to the score.
fn parts(cues: &Observed) -> [f64; KINDS] {
    let mut terms = cues.values();
    let weighted = terms.iter_mut().zip(REFERENCE);
    weighted.for_each(|(cue, weight)| *cue *= weight);
    let [
        text,
        context,
        tuned,
        image,
        classes,
        image_text,
        text_image,
        lexical @ ..,
    ] = terms;
    let [_, _, _, _, words, grams] = lexical;
    let sums = [
        text + context + tuned,
        words + grams,
        image + classes,
        image_text,
        text_image,
    ];
    sums.map(f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::VectorCues;

    /// Posts of four candidates; texts and pictures agree with the owner as often as said, of ten.
    fn posts(n: usize, texts: usize, pictures: usize) -> Vec<Vec<Observed>> {
        let alike = |candidate: usize, is_right: bool| {
            let speaks_for = usize::from(!is_right);
            if candidate == speaks_for { 0.3 } else { 0.1 }
        };
        let candidate = |post: usize, i: usize| {
            let text = Some(alike(i, post % 10 < texts));
            let image = Some(alike(i, (post / 10 + post) % 10 < pictures));
            Observed {
                vectors: VectorCues::of([text, text, None, image, None, None, None].into_iter()),
                lexical: [0.0; 6],
                has_words: true,
            }
        };
        let posts = 0..n;
        posts
            .map(|post| (0..4).map(|i| candidate(post, i)).collect())
            .collect()
    }

    #[test]
    fn what_finds_the_owners_counts_more_and_what_misses_them_less() {
        let birds = Scales::fit(&posts(200, 9, 3));
        assert!(birds.texts > 1.1 && birds.pictures < 0.7, "{birds:?}");
        let groceries = Scales::fit(&posts(200, 3, 9));
        assert!(
            groceries.texts < 0.7 && groceries.pictures > 1.1,
            "{groceries:?}"
        );
        assert_eq!(groceries.image_text, 1.0);
        // Fewer posts tell less.
        let few = Scales::fit(&posts(10, 3, 9));
        assert!(few.texts > groceries.texts && few.texts < 1.0, "{few:?}");
        assert_eq!(Scales::fit(&[]), Scales::default());
    }

    #[test]
    fn the_names_keep_their_scale_and_a_missing_cue_stays_missing() {
        let scales = Scales::of([2.0, 3.0, 5.0, 7.0, 11.0]);
        let cues = Observed {
            vectors: VectorCues::of(
                [
                    Some(0.1),
                    None,
                    Some(0.2),
                    Some(0.3),
                    Some(0.4),
                    Some(0.5),
                    Some(0.6),
                ]
                .into_iter(),
            ),
            lexical: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            has_words: true,
        };
        let scaled = scales.apply(cues);
        let expected = [
            Some(0.2),
            None,
            Some(0.4),
            Some(1.5),
            Some(2.0),
            Some(3.5),
            Some(6.6),
        ];
        for (found, expected) in scaled.vectors.array().into_iter().zip(expected) {
            assert_eq!(found.is_some(), expected.is_some());
            let gap = found.unwrap_or_default() - expected.unwrap_or_default();
            assert!(gap.abs() < 1e-6, "{found:?} {expected:?}");
        }
        assert_eq!(scaled.lexical[..4], [0.1, 0.2, 0.3, 0.4]);
        assert_eq!(scaled.lexical[4..], [1.5, 0.6 * 3.0]);
        assert_eq!(Scales::default().apply(cues), cues);
    }
}
