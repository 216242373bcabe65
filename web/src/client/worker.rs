//! The worker's life: started, lost, replaced.

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use web::link_request::LinkRequest;
use web::phase::Phase;
use web::protocol::{DeviceChoice, Request};

use super::Client;
use crate::connection::Connection;
use crate::state::{Adding, Batch};

impl Client {
    /// Starts a worker if none is running.
    pub(super) fn connect(self) {
        if self.inner.with_value(|inner| inner.connection.is_some()) {
            return;
        }
        match Connection::open(
            move |event, buffer| self.handle_event(event, buffer),
            move |message| self.crash(&message),
        ) {
            Ok(connection) => self
                .inner
                .update_value(|inner| inner.connection = Some(connection)),
            Err(error) => self.stop(format!(
                "This browser does not start the model's program. {error}"
            )),
        }
    }

    /// Ends the worker, and with it the model.
    pub(super) fn disconnect(self) {
        self.loaded.set(None);
        self.explaining.set(None);
        self.forget_meanings();
        self.own.set(Vec::new());
        if matches!(self.adding.get_untracked(), Adding::Encoding { .. }) {
            let reason = "The model was restarted: add it again.".to_owned();
            self.adding.set(Adding::Refused(reason));
        }
        if matches!(self.batch.get_untracked(), Batch::Running { .. }) {
            let reason = "The model was restarted: give the files again.".to_owned();
            self.batch.set(Batch::Refused(reason));
        }
        self.inner.update_value(|inner| {
            inner.connection = None;
            inner.is_started = false;
        });
    }

    /// Sends a request if there is a worker; `buffer` is moved to it.
    pub(super) fn send(self, request: &Request, buffer: Option<&ArrayBuffer>) {
        self.inner.with_value(|inner| {
            if let Some(connection) = &inner.connection {
                connection.send(request, buffer);
            }
        });
    }

    /// Shows an error after which the worker goes on.
    pub(super) fn fail(self, message: String) {
        self.request(LinkRequest::cancel);
        self.error.set(Some(message));
        self.phase.set(Phase::Error);
    }

    /// Shows an error after which the worker cannot go on. "Try again" starts another, which owes the same answer.
    pub(super) fn stop(self, message: String) {
        self.request(LinkRequest::want_again);
        self.disconnect();
        self.error.set(Some(message));
        self.phase.set(Phase::Error);
    }

    /// Goes on with a new worker on the CPU.
    pub(super) fn fall_back(self) {
        self.inner
            .update_value(|inner| inner.device = DeviceChoice::Cpu);
        self.request(LinkRequest::want_again);
        self.notice.set(Some(
            "The graphics processor stopped answering, so the model now runs on the CPU."
                .to_owned(),
        ));
        self.disconnect();
        self.phase.set(Phase::Idle);
        self.load();
    }

    /// The worker has ended by itself.
    fn crash(self, message: &str) {
        let (is_started, choice) = self
            .inner
            .with_value(|inner| (inner.is_started, inner.device));
        let loaded_on = self
            .loaded
            .with_untracked(|loaded| loaded.as_ref().map(|loaded| loaded.running.device));
        let phase = self.phase.get_untracked();
        let what = match is_started {
            true => "The model stopped unexpectedly.",
            false => "The model's program could not be started.",
        };
        match phase.is_on_gpu(choice, loaded_on) {
            true => self.fall_back(),
            false => self.stop(format!("{what} {message}")),
        }
    }
}
