//! The browser's graphics processor.

use burn::prelude::Device;
use burn::tensor::wgpu::wgpu::{AdapterInfo, DeviceType};
use shared_model::error::{Error, Result};
use shared_model::manifest::Manifest;
use shared_model::self_test::SelfTest;

use super::engine::{Engine, Files, answered};
use crate::adapter::is_software;
use crate::timeout::DEVICE_SECONDS;
use crate::wording::device as wording;

/// Seconds for which a simulated adapter may be silent: it computes on the CPU, slowly.
const SIMULATED_SECONDS: u32 = 60;

/// An adapter with its device.
pub(super) struct Gpu {
    device: Device,
    /// The adapter's name.
    pub(super) name: String,
    /// It is simulated on the CPU.
    pub(super) is_simulated: bool,
}

impl Gpu {
    /// Asks the browser for its adapter.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] where there is none.
    pub(super) async fn find(on_lost: impl Fn(String) + Send + 'static) -> Result<Self> {
        let (device, setup) = answered(DEVICE_SECONDS, async {
            let opened = Device::wgpu_options().init_with_setup_async().await;
            opened.map_err(|error| Error::Device(wording::no_adapter(error)))
        })
        .await?;
        setup
            .device
            .set_device_lost_callback(move |_, message| on_lost(message));
        let info = setup.adapter.get_info();
        Ok(Self {
            device,
            name: name(&info),
            is_simulated: is_simulated(&info),
        })
    }

    /// Opens the bundle and tests it.
    ///
    /// # Errors
    ///
    /// As [`Engine::on`].
    pub(super) async fn open(
        &self,
        manifest: &Manifest,
        files: &Files,
    ) -> Result<(Engine, SelfTest)> {
        let max_silence = match self.is_simulated {
            true => SIMULATED_SECONDS,
            false => DEVICE_SECONDS,
        };
        Engine::on(manifest, files, &self.device, max_silence).await
    }
}

fn is_simulated(info: &AdapterInfo) -> bool {
    let names = format!("{} {} {}", info.name, info.driver, info.driver_info);
    info.device_type == DeviceType::Cpu || is_software(&names)
}

fn name(info: &AdapterInfo) -> String {
    match info.name.as_str() {
        "" => wording::UNNAMED.to_owned(),
        name => name.to_owned(),
    }
}
