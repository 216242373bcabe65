//! `--device`, and `imn serve-device`.

use std::str::FromStr;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;

/// The value of `--device`: one device, or several among which `imn train` divides its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceArg {
    text: String,
    names: Vec<DeviceName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum DeviceName {
    /// A GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Flex,
    /// A GPU by Vulkan, Metal or DirectX, even a simulated one.
    Wgpu,
    /// A CUDA GPU, by its number.
    Cuda(usize),
    /// PyTorch's libraries, on the CPU or on a CUDA GPU with its number.
    LibTorch(Option<usize>),
    /// The devices of an `imn serve-device`, by its address.
    Remote(String),
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(list: &str) -> Result<Self, String> {
        let names = list.split(',').map(DeviceName::of);
        let refuse = || "expected auto, flex, wgpu, cuda, cuda:1, libtorch, libtorch:0 or the address of an `imn serve-device` like ws://host:3000";
        let names: Option<Vec<DeviceName>> = names.collect();
        Ok(Self {
            text: list.to_owned(),
            names: names.ok_or_else(|| refuse().to_owned())?,
        })
    }
}

impl DeviceName {
    fn of(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "flex" => Some(Self::Flex),
            "wgpu" => Some(Self::Wgpu),
            "cuda" => Some(Self::Cuda(0)),
            "libtorch" => Some(Self::LibTorch(None)),
            _ if name.starts_with("ws://") => Some(Self::Remote(name.to_owned())),
            _ => match name.split_once(':')? {
                ("cuda", number) => number.parse().ok().map(Self::Cuda),
                ("libtorch", number) => number.parse().ok().map(|gpu| Self::LibTorch(Some(gpu))),
                _ => None,
            },
        }
    }

    /// Opens the devices, and prints on standard error which one was found, unless it is `flex`.
    fn open(&self) -> anyhow::Result<Vec<Device>> {
        let (device, name) = match self {
            Self::Auto => auto(),
            Self::Flex => return Ok(vec![Device::flex()]),
            Self::Wgpu => wgpu().map(|gpu| (gpu.device, gpu.name))?,
            Self::Cuda(number) => cuda(*number)?,
            Self::LibTorch(gpu) => libtorch(*gpu)?,
            Self::Remote(address) => return remote::devices(address),
        };
        eprintln!("device: {name}");
        Ok(vec![device])
    }
}

impl DeviceArg {
    /// The argument as it was given.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Opens the device of a command that uses only one.
    pub(crate) fn open(&self) -> anyhow::Result<Device> {
        ensure!(
            self.names.len() == 1,
            "--device: only knowledge and task learning and `imn serve-device` use several devices; name one"
        );
        let first = self.names[0].open()?.into_iter().next();
        first.context("--device: the server offers no device")
    }

    /// Opens all devices, in the order of their names.
    pub(crate) fn open_all(&self) -> anyhow::Result<Vec<Device>> {
        let devices = self.names.iter().map(DeviceName::open);
        Ok(devices.collect::<anyhow::Result<Vec<_>>>()?.concat())
    }
}

/// A real GPU, else the CPU. On a server it is usual that wgpu finds none: no error.
fn auto() -> (Device, String) {
    if let Ok(found) = cuda(0) {
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
fn cuda(number: usize) -> anyhow::Result<(Device, String)> {
    let found = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    ensure!(
        number < found.len(),
        "CUDA device {number} was not found among {}; try --device flex",
        found.len()
    );
    Ok((Device::cuda(number), format!("CUDA device {number}")))
}

#[cfg(not(feature = "cuda"))]
fn cuda(_: usize) -> anyhow::Result<(Device, String)> {
    anyhow::bail!("this `imn` was built without CUDA; build it with --features cuda")
}

#[cfg(feature = "libtorch")]
#[expect(
    deprecated,
    reason = "Burn keeps its LibTorch backend until CubeCL replaces it"
)]
fn libtorch(gpu: Option<usize>) -> anyhow::Result<(Device, String)> {
    let Some(number) = gpu else {
        return Ok((Device::libtorch(), "the CPU (LibTorch)".to_owned()));
    };
    let found = Device::enumerate(burn::tensor::DeviceType::LibTorch).into_vec();
    ensure!(
        found.contains(&Device::libtorch_cuda(number)),
        "LibTorch finds no CUDA device {number}; try --device libtorch, which is the CPU"
    );
    let name = format!("CUDA device {number} (LibTorch)");
    Ok((Device::libtorch_cuda(number), name))
}

#[cfg(not(feature = "libtorch"))]
fn libtorch(_: Option<usize>) -> anyhow::Result<(Device, String)> {
    anyhow::bail!("this `imn` was built without LibTorch; build it with --features libtorch")
}

pub(crate) use remote::serve;

#[cfg(feature = "remote")]
mod remote {
    use std::net::{TcpListener, TcpStream};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use anyhow::Context as _;
    use burn::prelude::Device;
    use burn::remote::RemoteHost;
    use burn::server::{RemoteServer, WebSocketTransport};

    use super::DeviceArg;

    /// How long a server may take to answer.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Connects to all devices that a server offers.
    pub(super) fn devices(address: &str) -> anyhow::Result<Vec<Device>> {
        let (answer, answered) = mpsc::channel();
        let url = address.to_owned();
        // A port that takes connections and says nothing would hold this thread for good.
        thread::spawn(move || answer.send(connect(&url)));
        let devices = answered.recv_timeout(PATIENCE);
        let devices = devices
            .with_context(|| format!("{address}: no answer in {} seconds", PATIENCE.as_secs()))?;
        devices.with_context(|| format!("{address}: no `imn serve-device` answers there"))
    }

    fn connect(url: &str) -> anyhow::Result<Vec<Device>> {
        // Burn would try a closed port anew for 16 seconds.
        let host = url.trim_start_matches("ws://");
        TcpStream::connect(host.split('/').next().unwrap_or(host))?;
        Ok(RemoteHost::websocket(url).devices()?.into_vec())
    }

    /// Offers devices to trainers on other machines, until the program is stopped.
    pub(crate) fn serve(listen: &str, device: &DeviceArg) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            eprintln!(
                "warning: any machine that can reach {address} can compute on this one, unencrypted and without a password; use it in trusted networks only"
            );
        }
        let server = RemoteServer::new(device.open_all()?);
        if address.ip().is_unspecified() {
            out!(
                "ws://HOST:{}, with this machine's name for HOST",
                address.port()
            );
        } else {
            out!("ws://{address}");
        }
        server.serve(WebSocketTransport::from_listener(listener))?;
        Ok(())
    }
}

#[cfg(not(feature = "remote"))]
mod remote {
    use burn::prelude::Device;

    use super::DeviceArg;

    const REFUSAL: &str =
        "this `imn` was built without remote devices; build it with --features remote";

    pub(super) fn devices(_: &str) -> anyhow::Result<Vec<Device>> {
        anyhow::bail!(REFUSAL)
    }

    pub(crate) fn serve(_: &str, _: &DeviceArg) -> anyhow::Result<()> {
        anyhow::bail!(REFUSAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_device() {
        let names = "flex,cuda:1,libtorch,libtorch:0,ws://host:3000".parse();
        let remote = DeviceName::Remote("ws://host:3000".to_owned());
        let expected = vec![
            DeviceName::Flex,
            DeviceName::Cuda(1),
            DeviceName::LibTorch(None),
            DeviceName::LibTorch(Some(0)),
            remote,
        ];
        assert_eq!(names.map(|arg: DeviceArg| arg.names), Ok(expected));
        for wrong in [
            "",
            "gpu",
            "flex,",
            "cuda:one",
            "libtorch:",
            "http://host:3000",
        ] {
            assert!(wrong.parse::<DeviceArg>().is_err(), "{wrong:?}");
        }
    }
}
