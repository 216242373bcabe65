//! Stages of a link, and how long each took by the caller's clock.

use serde::{Deserialize, Serialize};

/// What a link does next; a step whose result is cached does not occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Encodes the text.
    Text,
    /// Encodes a picture.
    Image,
    /// Encodes text, mention and pictures together.
    Joint,
    /// Compares the post with the candidates.
    Rank,
}

/// Milliseconds per stage; 0 for a stage that did not occur.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct StageTimes {
    /// Picture files to pixels.
    pub decode: f64,
    /// Text encoder.
    pub text: f64,
    /// Image encoder.
    pub image: f64,
    /// Joint encoder.
    pub joint: f64,
    /// Scores.
    pub rank: f64,
}

/// Adds up the time of each stage. The model reads no clock, so the caller brings one.
#[derive(Debug)]
pub struct StageClock<N> {
    now: N,
    times: StageTimes,
    running: Option<(Stage, f64)>,
}

impl<N: Fn() -> f64> StageClock<N> {
    /// Nothing is running yet.
    ///
    /// # Arguments
    ///
    /// - now: milliseconds since some moment.
    pub fn new(now: N) -> Self {
        Self {
            now,
            times: StageTimes::default(),
            running: None,
        }
    }

    /// Ends the running stage and starts another.
    pub fn start(&mut self, stage: Stage) {
        let now = (self.now)();
        self.end(now);
        self.running = Some((stage, now));
    }

    /// Ends the running stage and returns all times.
    pub fn stop(mut self) -> StageTimes {
        let now = (self.now)();
        self.end(now);
        self.times
    }

    fn end(&mut self, now: f64) {
        if let Some((stage, start)) = self.running.take() {
            *match stage {
                Stage::Text => &mut self.times.text,
                Stage::Image => &mut self.times.image,
                Stage::Joint => &mut self.times.joint,
                Stage::Rank => &mut self.times.rank,
            } += now - start;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn each_stage_gets_the_time_until_the_next_one() {
        let time = Cell::new(0.0);
        let mut clock = StageClock::new(|| time.get());
        let mut at = |ms: f64, stage| {
            time.set(ms);
            clock.start(stage);
        };
        at(5.0, Stage::Image);
        at(7.0, Stage::Image);
        at(11.0, Stage::Rank);
        time.set(12.0);
        let expected = StageTimes {
            image: 6.0,
            rank: 1.0,
            ..StageTimes::default()
        };
        assert_eq!(clock.stop(), expected);
    }
}
