//! What the page is busy with.

use crate::protocol::{DeviceChoice, DeviceKind, Stage};

/// What the page is busy with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// The model is not loaded.
    #[default]
    Idle,
    /// The model's files are being downloaded or read from the cache.
    Downloading,
    /// The model is moved to the device and tests itself.
    Preparing,
    /// The model is loaded, and there is no answer to the post as it is.
    Ready,
    /// A mention is being linked.
    Running(Option<Stage>),
    /// The answer to the post as it is.
    Done,
    /// The last action failed.
    Error,
}

impl Phase {
    /// The value of `data-state`.
    pub fn state(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Downloading | Self::Preparing => "loading",
            Self::Ready => "ready",
            Self::Running(_) => "running",
            Self::Done => "done",
            Self::Error => "error",
        }
    }

    /// Whether the model is being loaded.
    pub fn is_loading(self) -> bool {
        matches!(self, Self::Downloading | Self::Preparing)
    }

    /// The phase without an answer or an error; loading goes on.
    pub fn without_answer(self, is_loaded: bool) -> Self {
        match self {
            Self::Downloading | Self::Preparing => self,
            _ if is_loaded => Self::Ready,
            _ => Self::Idle,
        }
    }

    /// Whether the graphics processor is in use, so that a crash of the worker in this phase is blamed on it.
    pub fn is_on_gpu(self, choice: DeviceChoice, loaded_on: Option<DeviceKind>) -> bool {
        match loaded_on {
            Some(device) => device == DeviceKind::Webgpu,
            // Before this phase no device is in use.
            None => self == Self::Preparing && choice != DeviceChoice::Cpu,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_takes_the_answer_away_but_lets_loading_go_on() {
        let phases = [
            Phase::Idle,
            Phase::Downloading,
            Phase::Preparing,
            Phase::Done,
            Phase::Running(Some(Stage::Image)),
            Phase::Error,
        ];
        assert_eq!(
            phases.map(|phase| phase.without_answer(true)),
            [
                Phase::Ready,
                Phase::Downloading,
                Phase::Preparing,
                Phase::Ready,
                Phase::Ready,
                Phase::Ready
            ]
        );
        for phase in [Phase::Done, Phase::Running(None), Phase::Error] {
            assert_eq!(phase.without_answer(false), Phase::Idle, "{phase:?}");
        }
    }

    #[test]
    fn a_crash_is_blamed_on_the_graphics_processor_only_while_it_is_in_use() {
        use DeviceChoice::{Auto, Cpu, Webgpu};
        let check = |phase: Phase, choice, loaded_on, expected| {
            let on_gpu = phase.is_on_gpu(choice, loaded_on);
            assert_eq!(on_gpu, expected, "{phase:?}, {choice:?}, {loaded_on:?}");
        };
        let (cpu, gpu) = (Some(DeviceKind::Cpu), Some(DeviceKind::Webgpu));
        check(Phase::Downloading, Auto, None, false);
        check(Phase::Downloading, Webgpu, None, false);
        check(Phase::Preparing, Auto, None, true);
        check(Phase::Preparing, Webgpu, None, true);
        check(Phase::Preparing, Cpu, None, false);
        check(Phase::Running(None), Auto, gpu, true);
        check(Phase::Running(None), Auto, cpu, false);
        check(Phase::Done, Webgpu, gpu, true);
    }
}
