//! What a training came to, as it is printed.

use serde::Serialize;
use shared_model::calibration::Calibration;
use shared_model::imn::TrainedImn;
use shared_model::scorer::{ScorerConfig, Worth};

use super::calibrate::{CalibrationErrors, Measured, Scored};
use super::data::TrainingSet;
use shared_model::gold_rank::{GoldRank, TIE_RULE};

/// Result of a training.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    fitted_on: usize,
    validated_on: usize,
    /// Whether the scorer was fitted on held-out mentions, as the context encoder knows the others.
    fitted_on_held_out: bool,
    /// Mentions whose gold is no candidate, or the only one: nothing to learn from.
    left_out: usize,
    nil_mentions: usize,
    p_at_1_before: f64,
    p_at_1: f64,
    tie_rule: &'static str,
    scorer: ScorerConfig,
    /// Temperature and NIL logit.
    pub(super) calibration: Calibration,
    /// Expected calibration errors on the lists that the calibration was fitted on; `None` without a network.
    calibration_error: Option<CalibrationErrors>,
    imn: Option<TrainedImn>,
}

impl Report {
    /// # Arguments
    ///
    /// - scored: held-out mentions under the default weights, and under the result.
    /// - is_fitted: whether the scorer was fitted.
    /// - network: a trained network with its calibration errors.
    pub(super) fn new(
        sets: &[TrainingSet],
        [before, after]: [&[Scored]; 2],
        scorer: ScorerConfig,
        is_fitted: bool,
        calibration: Calibration,
        network: Option<(TrainedImn, CalibrationErrors)>,
    ) -> Self {
        let (imn, calibration_error) = network.unzip();
        let count = |part: fn(&TrainingSet) -> usize| sets.iter().map(part).sum::<usize>();
        let fitted_on = if is_fitted {
            count(|set| set.fit_of_scorer().count())
        } else {
            count(|set| set.fit().count())
        };
        Self {
            fitted_on,
            validated_on: count(|set| set.examples.len() - set.fit().count()),
            fitted_on_held_out: is_fitted && sets.iter().any(TrainingSet::is_scorer_fitted_on_held),
            left_out: count(|set| set.left_out),
            nil_mentions: count(|set| set.nil.len()),
            p_at_1_before: p_at_1(before),
            p_at_1: p_at_1(after),
            tie_rule: TIE_RULE,
            scorer,
            calibration,
            calibration_error,
            imn,
        }
    }

    pub(super) fn print(&self, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            out!("{}", serde_json::to_string_pretty(self)?);
            return Ok(());
        }
        out!(
            "fitted on {} mentions{}, {} held out, {} NIL, {} left out (their entity is no candidate or the only one)",
            self.fitted_on,
            if self.fitted_on_held_out {
                ", the held-out ones where the context encoder knows the others"
            } else {
                ""
            },
            self.validated_on,
            self.nil_mentions,
            self.left_out
        );
        out!(
            "P@1 on {}: {:.3} before, {:.3} after",
            if self.validated_on > 0 && !self.fitted_on_held_out {
                "the held-out mentions"
            } else {
                "the same mentions"
            },
            self.p_at_1_before,
            self.p_at_1
        );
        self.print_scorer();
        if let Some(imn) = &self.imn {
            out!(
                "IMN: weight {:.3} for entities that it was trained on, {:.3} for others",
                imn.seen.weight,
                imn.new.weight
            );
        }
        let Calibration {
            temperature,
            nil_logit,
            ..
        } = self.calibration;
        let nil = nil_logit.map_or("none (no NIL mentions)".to_owned(), |nil| {
            format!("{nil:.2}")
        });
        out!("temperature {temperature:.4}, NIL logit {nil}");
        if let Some(CalibrationErrors { known, mixed, new }) = &self.calibration_error {
            let shown = |Measured { n, ece }: &Measured| match ece {
                Some(ece) => format!("{ece:.3} (n = {n})"),
                None => "- (n = 0)".to_owned(),
            };
            out!(
                "expected calibration error on lists of known candidates {}, of new ones {}, of both {}",
                shown(known),
                shown(new),
                shown(mixed)
            );
        }
        Ok(())
    }

    fn print_scorer(&self) {
        let ScorerConfig {
            text,
            context,
            tuned,
            image,
            classes,
            image_text,
            text_image,
            lexical,
            lexical_parts,
            scaled: _,
            worth,
        } = self.scorer;
        out!(
            "weights: text {text:.2}, context {context:.2}, tuned {tuned:.2}, image {image:.2}, classes {classes:.2}, \
             image against text {image_text:.2}, text against image {text_image:.2}, lexical {lexical:.2}"
        );
        let names = [
            "fuzzy ratio",
            "exact name",
            "mention's words",
            "surname",
            "words",
            "n-grams",
        ];
        let parts: Vec<String> = names
            .iter()
            .zip(lexical_parts)
            .map(|(name, part)| format!("{name} {part:.2}"))
            .collect();
        out!("lexical: {}", parts.join(", "));
        let names = [
            "both",
            "texts",
            "pictures",
            "image against text",
            "text against image",
            "names alone",
        ];
        let lines = names.iter().zip(worth);
        let lines: Vec<String> = lines
            .map(|(name, Worth { scale, offset })| format!("{name} {scale:.2} {offset:+.3}"))
            .collect();
        out!("scale and offset by evidence: {}", lines.join(", "));
    }
}

/// P@1 of the mentions with an entity, ties as `imn eval` counts them.
fn p_at_1(scored: &[Scored]) -> f64 {
    let golds = scored.iter().filter_map(|row| Some((row, row.gold?)));
    let firsts = golds.map(|(row, gold)| GoldRank::of(&row.scores, gold).recall_at(1));
    let (n, sum) = firsts.fold((0, 0.0), |(n, sum), first| (n + 1, sum + first));
    sum / f64::from(n.max(1))
}
