//! The test of all devices, in a worker of its own.

use leptos::prelude::*;
use leptos::task::spawn_local;
use web::adapter::Adapter;
use web::protocol::{DeviceKind, Event, Request, Tested};

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
            let adapter = Adapter::find().await;
            let program = match adapter {
                Ok(_) => Program::Webgpu,
                Err(_) => Program::Cpu,
            };
            let absent = adapter.err();
            let connection = Connection::open(
                program,
                move |event, _| self.take_test_event(event, absent.as_deref()),
                move |reason| self.end_test(Testing::Failed(reason)),
            );
            match connection {
                Ok(connection) => self
                    .inner
                    .update_value(|inner| inner.tester = Some(connection)),
                Err(reason) => self.end_test(Testing::Failed(reason)),
            }
        });
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
            Event::DeviceLost => {
                let reason = "The graphics processor stopped answering.";
                self.end_test(Testing::Failed(reason.to_owned()));
            }
            _ => {}
        }
    }

    fn end_test(self, testing: Testing) {
        self.testing.set(testing);
        self.inner.update_value(|inner| inner.tester = None);
    }
}
