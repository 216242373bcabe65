//! Picks the device that a bundle is opened on, and tests all that there are.
//!
//! A module without WebGPU has the CPU alone: the page starts it where there is nothing else to choose.

use shared_model::error::{Error, Result};
use shared_model::manifest::Manifest;
use shared_model::self_test::SelfTest;

use super::engine::{Engine, Files};
#[cfg(feature = "webgpu")]
use super::events::DEVICE;
use super::events::now;
#[cfg(feature = "webgpu")]
use super::{engine::cpu_picture_ms, webgpu::Gpu};
use crate::protocol::{DeviceChoice, DeviceKind, Outcome, Running, Tested};
use crate::wording::device as wording;

/// Opens the bundle on the wanted device.
///
/// [`DeviceChoice::Auto`] takes the CPU, with a notice, where WebGPU is absent, silent, fails the self-test or is slower.
///
/// # Errors
///
/// As [`Engine::on`]; with [`DeviceChoice::Webgpu`] also where WebGPU cannot be used.
#[cfg_attr(not(feature = "webgpu"), expect(unused_variables))]
pub(super) async fn open(
    manifest: &Manifest,
    files: &Files,
    choice: DeviceChoice,
    on_lost: impl Fn(String) + Send + 'static,
) -> Result<(Engine, Running)> {
    let mut notices = Vec::new();
    #[cfg(feature = "webgpu")]
    if choice != DeviceChoice::Cpu {
        match on_webgpu(manifest, files, choice, on_lost).await {
            Ok(opened) => return Ok(opened),
            Err(error) if choice == DeviceChoice::Webgpu => return Err(error),
            Err(error) => {
                DEVICE.set(Some(DeviceKind::Cpu));
                notices.push(wording::not_used(&reason(error)));
            }
        }
    }
    let (engine, self_test) = Engine::on_cpu(manifest, files).await?;
    if !self_test.passed() {
        notices.push(wording::differs(self_test.largest()));
    }
    let running = Running {
        device: DeviceKind::Cpu,
        adapter: wording::ONE_THREAD.to_owned(),
        software: false,
        self_test,
        notices,
    };
    Ok((engine, running))
}

/// Opens and tests the bundle on every device, one after the other.
pub(super) async fn test_all(manifest: &Manifest, files: &Files) -> Vec<Tested> {
    let start = now();
    let cpu = Tested {
        device: DeviceKind::Cpu,
        name: wording::ONE_THREAD.to_owned(),
        outcome: outcome(start, Engine::on_cpu(manifest, files).await).await,
    };
    #[cfg(feature = "webgpu")]
    let tested = vec![cpu, test_webgpu(manifest, files).await];
    #[cfg(not(feature = "webgpu"))]
    let tested = vec![cpu];
    tested
}

#[cfg(feature = "webgpu")]
async fn test_webgpu(manifest: &Manifest, files: &Files) -> Tested {
    let start = now();
    let (name, opened) = match Gpu::find(drop).await {
        Ok(gpu) => {
            let opened = gpu.open(manifest, files).await;
            (gpu.name, opened)
        }
        Err(error) => (String::new(), Err(error)),
    };
    Tested {
        device: DeviceKind::Webgpu,
        name,
        outcome: outcome(start, opened).await,
    }
}

#[cfg(feature = "webgpu")]
async fn on_webgpu(
    manifest: &Manifest,
    files: &Files,
    choice: DeviceChoice,
    on_lost: impl Fn(String) + Send + 'static,
) -> Result<(Engine, Running)> {
    let gpu = Gpu::find(on_lost).await?;
    let (engine, self_test) = gpu.open(manifest, files).await?;
    if !self_test.passed() {
        let difference = wording::differs_from_cpu(self_test.largest());
        return Err(Error::Device(difference));
    }
    let mut notices = Vec::new();
    if choice == DeviceChoice::Auto {
        let gpu_ms = engine.picture_ms().await?;
        let cpu_ms = cpu_picture_ms(manifest, files, &engine.golden).await?;
        let [gpu_time, cpu_time] = [gpu_ms, cpu_ms].map(crate::format::duration);
        let times = wording::times(&gpu_time, &cpu_time);
        if gpu_ms > cpu_ms {
            return Err(Error::Device(times));
        }
        notices.push(wording::used(&times));
    }
    let running = Running {
        device: DeviceKind::Webgpu,
        adapter: gpu.name,
        software: gpu.is_simulated,
        self_test,
        notices,
    };
    Ok((engine, running))
}

async fn outcome(
    start: f64,
    opened: Result<(Engine, SelfTest)>,
) -> std::result::Result<Outcome, String> {
    let (engine, self_test) = opened.map_err(reason)?;
    let prepare_ms = now() - start;
    let (text_ms, tokens) = engine.text_ms().await.map_err(reason)?;
    Ok(Outcome {
        self_test,
        prepare_ms,
        text_ms,
        tokens,
        picture_ms: engine.picture_ms().await.map_err(reason)?,
    })
}

/// An error as the end of a sentence.
fn reason(error: Error) -> String {
    match error {
        Error::Device(reason) => reason,
        error => error.to_string(),
    }
}
