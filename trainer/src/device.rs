//! `--device`, and `imn serve-device`.

use std::str::FromStr;

use anyhow::{Context as _, ensure};
use burn::prelude::Device;

use crate::cli::ServeArgs;

/// Where tensors are computed: a device, or several among which `imn train` divides its batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeviceArg(Vec<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// A GPU if there is one, else the CPU.
    Auto,
    /// The CPU.
    Flex,
    /// A GPU through Vulkan, Metal or DirectX, even a simulated one.
    Wgpu,
    /// A CUDA GPU, by its number.
    Cuda(usize),
    /// What an `imn serve-device` offers, by its address.
    Remote(String),
}

impl FromStr for DeviceArg {
    type Err = String;

    fn from_str(names: &str) -> Result<Self, String> {
        let places = names.split(',').map(Place::of);
        let refuse = || "expected auto, flex, wgpu, cuda, cuda:1 or the address of an `imn serve-device` like ws://host:3000";
        let places: Option<Vec<Place>> = places.collect();
        places.map(Self).ok_or_else(|| refuse().to_owned())
    }
}

impl Place {
    fn of(name: &str) -> Option<Self> {
        match name {
            "auto" => Some(Self::Auto),
            "flex" => Some(Self::Flex),
            "wgpu" => Some(Self::Wgpu),
            "cuda" => Some(Self::Cuda(0)),
            _ if name.starts_with("ws://") => Some(Self::Remote(name.to_owned())),
            _ => name.strip_prefix("cuda:")?.parse().ok().map(Self::Cuda),
        }
    }

    /// Opens its devices; says on standard error which they are, where the name alone does not.
    fn open(&self) -> anyhow::Result<Vec<Device>> {
        let (device, name) = match self {
            Self::Auto => auto(),
            Self::Flex => return Ok(vec![Device::flex()]),
            Self::Wgpu => wgpu().map(|gpu| (gpu.device, gpu.name))?,
            Self::Cuda(number) => cuda(*number)?,
            Self::Remote(address) => return remote::devices(address),
        };
        eprintln!("device: {name}");
        Ok(vec![device])
    }
}

impl DeviceArg {
    /// Opens the one device of a command that takes no more.
    pub(crate) fn open(&self) -> anyhow::Result<Device> {
        ensure!(
            self.0.len() == 1,
            "--device: several are for knowledge and task learning and for `imn serve-device`; name one"
        );
        let first = self.0[0].open()?.into_iter().next();
        first.context("--device: the server offers none")
    }

    /// Opens all, in their order.
    pub(crate) fn open_all(&self) -> anyhow::Result<Vec<Device>> {
        let devices = self.0.iter().map(Place::open);
        Ok(devices.collect::<anyhow::Result<Vec<_>>>()?.concat())
    }
}

/// A real GPU, else Flex. No answer from wgpu is the usual case on a server, and no error.
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

/// Offers devices to trainers elsewhere, until it is stopped.
pub(crate) fn serve(args: &ServeArgs, device: &DeviceArg) -> anyhow::Result<()> {
    remote::serve(&args.listen, device)
}

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

    /// A server that is there answers within it.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// All that the server offers.
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

    pub(super) fn serve(listen: &str, device: &DeviceArg) -> anyhow::Result<()> {
        let listener =
            TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            eprintln!(
                "warning: whoever reaches {address} can compute on this machine, unencrypted and without a password: trusted networks only"
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

    pub(super) fn serve(_: &str, _: &DeviceArg) -> anyhow::Result<()> {
        anyhow::bail!(REFUSAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_each_place() {
        let places = "flex,cuda:1,ws://host:3000".parse();
        let remote = Place::Remote("ws://host:3000".to_owned());
        let expected = DeviceArg(vec![Place::Flex, Place::Cuda(1), remote]);
        assert_eq!(places, Ok(expected));
        for wrong in ["", "gpu", "flex,", "cuda:one", "http://host:3000"] {
            assert!(wrong.parse::<DeviceArg>().is_err(), "{wrong:?}");
        }
    }
}
