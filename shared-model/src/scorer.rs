//! The training-free scorer `prototype`: a weighted mean of the cues.

use serde::{Deserialize, Serialize};

use crate::cues::AllCues;
use crate::lexical::LexicalCues;

/// Weights of the cues. A candidate's score depends on no other candidate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScorerConfig {
    /// Weight of the texts' cosine.
    pub text: f32,
    /// Weight of the images' cosine.
    pub image: f32,
    /// Weight of the class probabilities' cosine.
    pub classes: f32,
    /// Weight of the names and words in common.
    pub lexical: f32,
    /// Share of each lexical cue in the lexical weight; they sum to 1.
    #[serde(default = "equal_parts")]
    pub lexical_parts: LexicalCues,
}

fn equal_parts() -> LexicalCues {
    [1.0 / 6.0; 6]
}

impl Default for ScorerConfig {
    fn default() -> Self {
        Self {
            text: 1.0,
            image: 1.0,
            classes: 0.5,
            lexical: 0.5,
            lexical_parts: equal_parts(),
        }
    }
}

impl ScorerConfig {
    /// The config whose scores rank as the sums of `weights` times cues do.
    pub fn of_weights([text, image, classes, parts @ ..]: AllCues) -> Self {
        let lexical: f32 = parts.iter().sum();
        Self {
            text,
            image,
            classes,
            lexical,
            lexical_parts: if lexical > 0.0 {
                parts.map(|part| part / lexical)
            } else {
                equal_parts()
            },
        }
    }

    /// The weighted mean of all cues; the weight of a cue that the post lacks stays in the divisor, so that less evidence gives smaller differences.
    pub fn score(&self, [text, image, classes, lexical @ ..]: &AllCues) -> f32 {
        let total = self.text + self.image + self.classes + self.lexical;
        if total > 0.0 {
            let sum = self.text * text
                + self.image * image
                + self.classes * classes
                + self.lexical * self.lexical(lexical);
            sum / total
        } else {
            0.0
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
        self.text + self.image + self.classes + self.lexical <= 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_rank_as_the_weighted_sums_of_all_cues_do() {
        let weights = [0.5, 1.0, 0.25, 0.0, 2.0, 0.0, 0.0, 1.0, 3.0];
        let config = ScorerConfig::of_weights(weights);
        let total: f32 = weights.iter().sum();
        for cues in [
            [0.1, -0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
            [-1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
            [0.0; 9],
        ] {
            let sum: f32 = cues.iter().zip(weights).map(|(cue, w)| cue * w).sum();
            let score = config.score(&cues);
            assert!((sum / total - score).abs() < 1e-6, "{sum} {score}");
        }
        assert!(!config.is_zero());
        assert!(ScorerConfig::of_weights([0.0; 9]).is_zero());
    }
}
