//! The training-free scorer `prototype`: a weighted mean of the cues.

use serde::{Deserialize, Serialize};

use crate::data::Parts;
use crate::evidence::{AllCues, Observed};
use crate::lexical::LexicalCues;

/// Weights of the cues. A candidate's score depends on no other candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScorerConfig {
    /// Weight of the texts' cosine.
    pub text: f32,
    /// Weight of the post's text without the mention.
    #[serde(default)]
    pub context: f32,
    /// Weight of the same under the context encoder.
    #[serde(default)]
    pub tuned: f32,
    /// Weight of the images' cosine.
    pub image: f32,
    /// Weight of the class probabilities' cosine.
    pub classes: f32,
    /// Weight of the post's pictures against the candidate's texts.
    #[serde(default)]
    pub image_text: f32,
    /// Weight of the post's text against the candidate's pictures.
    #[serde(default)]
    pub text_image: f32,
    /// Weight of the names and words in common.
    pub lexical: f32,
    /// Share of each lexical cue in the lexical weight; they sum to 1.
    #[serde(default = "equal_parts")]
    pub lexical_parts: LexicalCues,
    /// Whether the cues are scaled by how well they separate the entities of the knowledge base at hand; earlier weights were fitted on unscaled cues.
    #[serde(default)]
    pub scaled: bool,
    /// What the score is worth by the kind of evidence, in the order of [`Evidence::ALL`](crate::evidence::Evidence::ALL).
    #[serde(default)]
    pub worth: [Worth; 6],
}

/// A line that makes the scores of candidates comparable that have other evidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// Factor of the score; at least 0.
    pub scale: f32,
    /// Added to the scaled score.
    pub offset: f32,
}

impl Default for Worth {
    fn default() -> Self {
        Self {
            scale: 1.0,
            offset: 0.0,
        }
    }
}

fn equal_parts() -> LexicalCues {
    [1.0 / 6.0; 6]
}

impl Default for ScorerConfig {
    /// Weights for data that nothing was fitted on: fitted on seven kinds of datasets with equal shares, after the same fit on six of them
    /// had been applied to the seventh (docs/results/default-weights.md).
    fn default() -> Self {
        let line = |scale, offset| Worth { scale, offset };
        Self {
            text: 1.0,
            context: 0.51,
            tuned: 0.0,
            image: 2.33,
            classes: 0.55,
            image_text: 0.57,
            text_image: 0.41,
            lexical: 3.83,
            lexical_parts: [0.15, 0.1, 0.14, 0.11, 0.1, 0.4],
            scaled: true,
            worth: [
                line(1.0, 0.0),
                line(1.03, 0.011),
                line(0.98, -0.02),
                line(1.13, -0.014),
                line(1.05, -0.002),
                line(1.21, 0.023),
            ],
        }
    }
}

impl ScorerConfig {
    /// The config whose scores rank as the sums of `weights` times cues do.
    pub fn of_weights(weights: AllCues) -> Self {
        let [
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
            parts @ ..,
        ] = weights;
        let lexical: f32 = parts.iter().sum();
        Self {
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
            lexical,
            lexical_parts: if lexical > 0.0 {
                parts.map(|part| part / lexical)
            } else {
                equal_parts()
            },
            scaled: true,
            worth: Default::default(),
        }
    }

    /// The weighted mean of all cues, on the line of their kind of evidence.
    pub fn score(&self, cues: &Observed) -> f32 {
        let Worth { scale, offset } = self.worth[cues.evidence() as usize];
        scale * self.weighted(&cues.values()) + offset
    }

    /// The weighted mean of all cues; the weight of a missing cue stays in the divisor, so that less evidence gives smaller differences.
    pub fn weighted(&self, cues: &AllCues) -> f32 {
        let total = self.total();
        if total <= 0.0 {
            return 0.0;
        }
        let parts = self.lexical_parts.map(|part| self.lexical * part);
        let weights = self.vectors().into_iter().chain(parts);
        let sum: f32 = cues
            .iter()
            .zip(weights)
            .map(|(cue, weight)| cue * weight)
            .sum();
        sum / total
    }

    /// What each cue adds to [`Self::score`]; the network's part is 0.
    pub fn parts(&self, cues: &Observed) -> Parts {
        let Worth { scale, offset } = self.worth[cues.evidence() as usize];
        let total = self.total();
        let factor = if total > 0.0 { scale / total } else { 0.0 };
        let values = cues.values();
        let [
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
            lexical @ ..,
        ] = values;
        let [
            of_text,
            of_context,
            of_tuned,
            of_image,
            of_classes,
            of_image_text,
            of_text_image,
        ] = self.vectors();
        Parts {
            text: factor * of_text * text,
            context: factor * of_context * context,
            tuned: factor * of_tuned * tuned,
            image: factor * of_image * image,
            classes: factor * of_classes * classes,
            image_text: factor * of_image_text * image_text,
            text_image: factor * of_text_image * text_image,
            lexical: factor * self.lexical * self.lexical(&lexical),
            evidence: offset,
            imn: 0.0,
        }
    }

    /// The lexical cues as one number between 0 and 1.
    pub fn lexical(&self, cues: &LexicalCues) -> f32 {
        cues.iter()
            .zip(self.lexical_parts)
            .map(|(cue, part)| cue * part)
            .sum()
    }

    /// Whether no cue has a weight: in the paper's literal form there is no training-free score.
    pub fn is_zero(&self) -> bool {
        self.total() <= 0.0
    }

    /// Whether all weights and lines are finite, and no weight or scale is below 0.
    pub(crate) fn is_valid(&self) -> bool {
        let scales = self.worth.iter().map(|worth| worth.scale);
        let weights = self.vectors().into_iter().chain([self.lexical]);
        let mut weights = weights.chain(self.lexical_parts).chain(scales);
        let mut offsets = self.worth.iter().map(|worth| worth.offset);
        weights.all(|weight| weight.is_finite() && weight >= 0.0) && offsets.all(f32::is_finite)
    }

    /// Weights of the cues that compare vectors, in the order of [`AllCues`].
    fn vectors(&self) -> [f32; 7] {
        [
            self.text,
            self.context,
            self.tuned,
            self.image,
            self.classes,
            self.image_text,
            self.text_image,
        ]
    }

    fn total(&self) -> f32 {
        self.vectors().iter().sum::<f32>() + self.lexical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_rank_as_the_weighted_sums_of_all_cues_do() {
        let weights = [
            0.5, 0.75, 0.3, 1.0, 0.25, 0.1, 1.5, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0,
        ];
        let config = ScorerConfig::of_weights(weights);
        let total: f32 = weights.iter().sum();
        for cues in [
            [
                0.1, 0.9, 0.5, -0.2, 0.3, 0.2, -0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9,
            ],
            [
                -1.0, 1.0, -1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0,
            ],
            [0.0; 13],
        ] {
            let sum: f32 = cues.iter().zip(weights).map(|(cue, w)| cue * w).sum();
            let score = config.weighted(&cues);
            assert!((sum / total - score).abs() < 1e-6, "{sum} {score}");
        }
        assert!(!config.is_zero());
        assert!(ScorerConfig::of_weights([0.0; 13]).is_zero());
    }
}
