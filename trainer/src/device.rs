//! `--device`.

use anyhow::Context as _;
use burn::prelude::Device;
use clap::ValueEnum;

/// Where tensors are computed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DeviceArg {
    /// A GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Flex,
    /// A GPU through Vulkan, Metal or DirectX, even a simulated one.
    Wgpu,
    /// A CUDA GPU.
    Cuda,
}

impl DeviceArg {
    /// Opens the device; says on standard error which it is, where the argument alone does not.
    pub(crate) fn open(self) -> anyhow::Result<Device> {
        let (device, name) = match self {
            Self::Auto => auto(),
            Self::Flex => return Ok(Device::flex()),
            Self::Wgpu => wgpu().map(|gpu| (gpu.device, gpu.name))?,
            Self::Cuda => cuda()?,
        };
        eprintln!("device: {name}");
        Ok(device)
    }
}

/// A real GPU, else Flex. No answer from wgpu is the usual case on a server, and no error.
fn auto() -> (Device, String) {
    if let Ok(found) = cuda() {
        return found;
    }
    match wgpu() {
        Ok(gpu) if gpu.hardware => (gpu.device, gpu.name),
        _ => (Device::flex(), "the CPU, as no GPU was found".to_owned()),
    }
}

struct Gpu {
    device: Device,
    name: String,
    /// Not simulated by a CPU.
    hardware: bool,
}

#[cfg(feature = "wgpu")]
fn wgpu() -> anyhow::Result<Gpu> {
    use burn::tensor::wgpu::wgpu::DeviceType;
    let (device, setup) = Device::wgpu_options()
        .init_with_setup()
        .context("no GPU answered; try --device flex")?;
    let adapter = setup.adapter.get_info();
    Ok(Gpu {
        device,
        name: format!("{} ({:?}, wgpu)", adapter.name, adapter.backend),
        hardware: !matches!(adapter.device_type, DeviceType::Cpu | DeviceType::Other),
    })
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> anyhow::Result<Gpu> {
    anyhow::bail!("this `imn` was built without wgpu; build it with --features wgpu")
}

#[cfg(feature = "cuda")]
fn cuda() -> anyhow::Result<(Device, String)> {
    anyhow::ensure!(
        !Device::enumerate(burn::tensor::DeviceType::Cuda)
            .into_vec()
            .is_empty(),
        "no CUDA device was found; try --device flex"
    );
    Ok((Device::cuda(0), "CUDA device 0".to_owned()))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> anyhow::Result<(Device, String)> {
    anyhow::bail!("this `imn` was built without CUDA; build it with --features cuda")
}
