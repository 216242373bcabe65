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
    /// Opens the device.
    pub(crate) fn open(self) -> anyhow::Result<Device> {
        match self {
            Self::Auto => Ok(auto()),
            Self::Flex => Ok(Device::flex()),
            Self::Wgpu => wgpu().map(|(device, _)| device),
            Self::Cuda => cuda(),
        }
    }
}

/// A real GPU, else Flex. No answer from wgpu is the usual case on a server, and no error.
fn auto() -> Device {
    if cfg!(feature = "cuda")
        && let Ok(device) = cuda()
    {
        return device;
    }
    match wgpu() {
        Ok((device, true)) => device,
        _ => Device::flex(),
    }
}

/// The device, and whether it is hardware.
#[cfg(feature = "wgpu")]
fn wgpu() -> anyhow::Result<(Device, bool)> {
    use burn::tensor::wgpu::wgpu::DeviceType;
    let (device, setup) = Device::wgpu_options()
        .init_with_setup()
        .context("no GPU answered; try --device flex")?;
    let hardware = !matches!(
        setup.adapter.get_info().device_type,
        DeviceType::Cpu | DeviceType::Other
    );
    Ok((device, hardware))
}

#[cfg(not(feature = "wgpu"))]
fn wgpu() -> anyhow::Result<(Device, bool)> {
    anyhow::bail!("this `imn` was built without wgpu; build it with --features wgpu")
}

#[cfg(feature = "cuda")]
fn cuda() -> anyhow::Result<Device> {
    anyhow::ensure!(
        !Device::enumerate(burn::tensor::DeviceType::Cuda)
            .into_vec()
            .is_empty(),
        "no CUDA device was found; try --device flex"
    );
    Ok(Device::cuda(0))
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> anyhow::Result<Device> {
    anyhow::bail!("this `imn` was built without CUDA; build it with --features cuda")
}
