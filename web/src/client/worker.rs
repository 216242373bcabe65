//! The worker's life: started, lost, replaced.

use js_sys::ArrayBuffer;
use leptos::prelude::*;
use web::adapter::Adapter;
use web::link_request::LinkRequest;
use web::phase::Phase;
use web::protocol::{DeviceChoice, Request};
use web::wording::{batch, device, model, own};

use super::Client;
use crate::connection::{Connection, Program};
use crate::state::{Adding, Batch};

impl Client {
    /// Finds out which program the worker runs, and starts it.
    pub(super) async fn choose_program(self) {
        let choice = self.inner.with_value(|inner| inner.device);
        let adapter = match choice {
            DeviceChoice::Cpu => None,
            DeviceChoice::Auto | DeviceChoice::Webgpu => Some(Adapter::find().await),
        };
        let (program, refusal) = match adapter {
            None => (Program::Cpu, None),
            Some(Err(reason)) => (Program::Cpu, Some(reason)),
            Some(Ok(Adapter { name, is_simulated })) => {
                if is_simulated && choice == DeviceChoice::Auto {
                    let reason = device::only_simulates(&name);
                    (Program::Cpu, Some(reason))
                } else {
                    (Program::Webgpu, None)
                }
            }
        };
        self.inner.update_value(|inner| {
            inner.program = Some(program);
            inner.refusal = refusal;
        });
        self.connect();
    }

    /// The device that the program is asked for.
    pub(super) fn device(self) -> DeviceChoice {
        self.inner.with_value(|inner| match inner.program {
            Some(Program::Cpu) => DeviceChoice::Cpu,
            Some(Program::Webgpu) | None => inner.device,
        })
    }

    /// Starts a worker if none is running. Until it is known which program it runs, nothing is started.
    pub(super) fn connect(self) {
        let program = self
            .inner
            .with_value(|inner| inner.program.filter(|_| inner.connection.is_none()));
        let Some(program) = program else {
            return;
        };
        match Connection::open(
            program,
            move |event, buffer| self.handle_event(event, buffer),
            move |message| self.crash(&message),
        ) {
            Ok(connection) => self
                .inner
                .update_value(|inner| inner.connection = Some(connection)),
            Err(error) => self.stop(model::program_refused(&error)),
        }
    }

    /// Ends the worker, and with it the model.
    pub(super) fn disconnect(self) {
        self.loaded.set(None);
        self.explaining.set(None);
        self.forget_meanings();
        self.own.set(Vec::new());
        if matches!(self.adding.get_untracked(), Adding::Encoding { .. }) {
            let reason = own::MODEL_RESTARTED.to_owned();
            self.adding.set(Adding::Refused(reason));
        }
        if matches!(self.batch.get_untracked(), Batch::Running { .. }) {
            let reason = batch::MODEL_RESTARTED.to_owned();
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
            .update_value(|inner| inner.program = Some(Program::Cpu));
        self.request(LinkRequest::want_again);
        self.notice.set(Some(device::FELL_BACK.to_owned()));
        self.disconnect();
        self.phase.set(Phase::Idle);
        self.load();
    }

    /// The worker has ended by itself.
    fn crash(self, message: &str) {
        let (is_started, program) = self
            .inner
            .with_value(|inner| (inner.is_started, inner.program));
        if !is_started && program == Some(Program::Webgpu) {
            // Without a network the other program may be the only one that is kept.
            self.inner.update_value(|inner| {
                inner.program = Some(Program::Cpu);
                inner.refusal = Some(device::NOT_STARTED.to_owned());
            });
            self.disconnect();
            return self.connect();
        }
        let loaded_on = self
            .loaded
            .with_untracked(|loaded| loaded.as_ref().map(|loaded| loaded.running.device));
        let phase = self.phase.get_untracked();
        let what = match is_started {
            true => model::STOPPED,
            false => model::NOT_STARTED,
        };
        match phase.is_on_gpu(self.device(), loaded_on) {
            true => self.fall_back(),
            false => self.stop(format!("{what} {message}")),
        }
    }
}
