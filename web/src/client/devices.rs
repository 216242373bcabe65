//! The test of all devices, in a worker of its own.

use leptos::prelude::*;
use leptos::task::spawn_local;
use web::adapter::Adapter;
use web::protocol::{DeviceKind, Event, Request, Tested};
use web::wording::device::NOT_STARTED_OR_STOPPED;

use super::Client;
use crate::connection::{Connection, Program};
use crate::state::Testing;

impl Client {
    /// Tests every device that the browser offers.
    pub(crate) fn test_devices(self) {
        if self.testing.get_untracked() == Testing::Running {
            return;
        }
        self.testing.set(Testing::Running);
        spawn_local(async move {
            match Adapter::find().await {
                Ok(_) => self.open_tester(Program::Webgpu, None),
                Err(reason) => self.open_tester(Program::Cpu, Some(reason)),
            }
        });
    }

    /// # Arguments
    ///
    /// - absent: why there is no WebGPU, for a program that has none.
    fn open_tester(self, program: Program, absent: Option<String>) {
        let connection = Connection::open(
            program,
            move |event, _| self.take_test_event(event, absent.as_deref()),
            move |reason| match program {
                Program::Webgpu => {
                    self.open_tester(Program::Cpu, Some(NOT_STARTED_OR_STOPPED.to_owned()));
                }
                Program::Cpu if reason.is_empty() => {
                    self.end_test(Testing::Failed(NOT_STARTED_OR_STOPPED.to_owned()));
                }
                Program::Cpu => self.end_test(Testing::Failed(reason)),
            },
        );
        match connection {
            Ok(connection) => self
                .inner
                .update_value(|inner| inner.tester = Some(connection)),
            Err(reason) => self.end_test(Testing::Failed(reason)),
        }
    }

    fn take_test_event(self, event: Event, absent: Option<&str>) {
        match event {
            Event::Hello => {
                let test = Request::TestDevices {
                    base: self.base.get_value(),
                };
                self.inner.with_value(|inner| {
                    if let Some(tester) = &inner.tester {
                        tester.send(&test, None);
                    }
                });
            }
            Event::Tested(mut tested) => {
                tested.extend(absent.map(|reason| Tested {
                    device: DeviceKind::Webgpu,
                    name: String::new(),
                    outcome: Err(reason.to_owned()),
                }));
                self.end_test(Testing::Done(tested));
            }
            Event::Error { message, .. } => self.end_test(Testing::Failed(message)),
            _ => {}
        }
    }

    fn end_test(self, testing: Testing) {
        self.testing.set(testing);
        self.inner.update_value(|inner| inner.tester = None);
    }
}
