//! Choosing a device by name.
//!
//! The names are burn's: `cuda`, `metal`, `rocm`, `vulkan`, `wgpu`, `tch`, `flex`, `ndarray`,
//! each with the Cargo feature of that name. `cuda:1` is the second card, and
//! `remote:ws://host:3000` (feature `remote`) the first device that burn's `RemoteServer` serves there.
//!
//! ```
//! use counterweight::device;
//!
//! let device = device::from_env()?;
//! assert!(device::available().iter().any(|found| found.device == device));
//! assert!(device::named("flex").is_ok());
//! assert!(device::named("abacus").is_err());
//! # Ok::<(), counterweight::Error>(())
//! ```

use burn::tensor::{Device, DeviceType};

use crate::{Error, Result};

#[cfg(feature = "remote")]
mod remote;

/// The variable by which burn is told its device.
const VARIABLE: &str = "BURN_DEVICE";

/// A backend of this build.
struct Backend {
    name: &'static str,
    /// Lists what the machine has of it.
    kind: DeviceType,
    /// The device burn chooses where no number is given.
    default: fn() -> Device,
    /// Whether it runs on the CPU itself, not on a card.
    cpu: bool,
}

/// The backends of this build, in the order of burn's own default.
fn backends() -> Vec<Backend> {
    vec![
        #[cfg(feature = "cuda")]
        Backend { name: "cuda", kind: DeviceType::Cuda, default: || Device::cuda(0), cpu: false },
        #[cfg(feature = "metal")]
        Backend {
            name: "metal",
            kind: DeviceType::Metal,
            default: || Device::metal(Default::default()),
            cpu: false,
        },
        #[cfg(feature = "rocm")]
        Backend { name: "rocm", kind: DeviceType::Rocm, default: || Device::rocm(0), cpu: false },
        #[cfg(feature = "vulkan")]
        Backend {
            name: "vulkan",
            kind: DeviceType::Vulkan,
            default: || Device::vulkan(Default::default()),
            cpu: false,
        },
        #[cfg(feature = "wgpu")]
        Backend {
            name: "wgpu",
            kind: DeviceType::Wgpu,
            default: || Device::wgpu(Default::default()),
            cpu: false,
        },
        #[cfg(feature = "tch")]
        Backend {
            name: "tch",
            kind: DeviceType::LibTorch,
            default: || Device::libtorch(),
            cpu: true,
        },
        #[cfg(feature = "flex")]
        Backend { name: "flex", kind: DeviceType::Flex, default: Device::flex, cpu: true },
        #[cfg(feature = "ndarray")]
        Backend {
            name: "ndarray",
            kind: DeviceType::NdArray,
            default: || {
                // Burn deprecates the backend, which we still serve.
                #[allow(deprecated)]
                Device::ndarray()
            },
            cpu: true,
        },
    ]
}

/// A device that this machine has and this build can use.
#[derive(Debug, Clone)]
pub struct Found {
    /// What [`named`] calls it: `cuda:0`, `flex`.
    pub name: String,
    /// What it calls itself, empty for the CPU backends.
    pub description: String,
    /// Whether it is a card, and not the processor or a driver that draws in software.
    pub card: bool,
    /// The device.
    pub device: Device,
}

/// Every device of this machine that this build can use, the fastest kinds first. One card has
/// an entry for each backend that reaches it. Each is opened, to ask for its name; one whose driver
/// lists it but does not open it is left out.
#[must_use]
pub fn available() -> Vec<Found> {
    let mut found = Vec::new();
    for backend in backends() {
        if backend.cpu {
            let (name, device) = (backend.name.to_owned(), (backend.default)());
            found.push(Found { name, description: String::new(), card: false, device });
            continue;
        }
        let devices = Device::enumerate(backend.kind).into_vec();
        found.extend(devices.into_iter().enumerate().filter_map(|(i, device)| {
            let (description, card) = describe(&device)?;
            Some(Found { name: format!("{}:{i}", backend.name), description, card, device })
        }));
    }
    found
}

/// What a device calls itself, and whether it is a card; none where its driver lists it but does
/// not open it, at which burn panics.
#[cfg(feature = "cube")]
fn describe(device: &Device) -> Option<(String, bool)> {
    let identity = std::panic::catch_unwind(|| device.identity()).ok()?;
    Some(identity.map_or((String::new(), false), |it| (it.name, it.physical.is_some())))
}

#[cfg(not(feature = "cube"))]
fn describe(_: &Device) -> Option<(String, bool)> {
    Some((String::new(), false))
}

/// The device of a name: a backend's own choice (`cuda`), or one of its devices by number
/// (`cuda:1`). Letters may be capital.
///
/// With the feature `remote` also `remote:ADDRESS`, the first device that a server of burn's
/// `RemoteServer` has at a WebSocket's address, and `remote:ADDRESS#1`, its second; `remote` alone
/// is the address in burn's own variable `BURN_REMOTE_ADDRESS`, else `ws://127.0.0.1:3000`. The
/// connection is not encrypted; for burn's other way, and for tokens, see `burn::remote`.
///
/// # Errors
/// [`Error::NoDevice`] for a name burn does not know, a backend that is not in this build, a
/// device that the machine does not have or its driver does not open, and a server that does not
/// answer.
pub fn named(name: &str) -> Result<Device> {
    let none = |reason: String| Error::NoDevice { name: name.to_owned(), reason };
    #[cfg(feature = "remote")]
    if let Some(address) = name.strip_prefix("remote") {
        return remote::device(address).map_err(none);
    }
    let lower = name.to_lowercase();
    let (kind, number) = match lower.split_once(':') {
        Some((kind, number)) => {
            let number = number.parse::<usize>();
            (kind, Some(number.map_err(|_| none("after ':' stands a number from 0".to_owned()))?))
        }
        None => (lower.as_str(), None),
    };
    let all = backends();
    let Some(backend) = all.iter().find(|backend| backend.name == kind) else {
        let built: Vec<&str> = all.iter().map(|backend| backend.name).collect();
        let built = built.join(", ");
        return Err(none(format!(
            "this build has {built}; others are Cargo features of that name"
        )));
    };
    if backend.cpu {
        return match number {
            None | Some(0) => Ok((backend.default)()),
            Some(_) => Err(none(format!("{kind} has one device, 0"))),
        };
    }
    let devices = Device::enumerate(backend.kind.clone()).into_vec();
    let device = match number {
        _ if devices.is_empty() => {
            return Err(none("this machine has no driver or no card for it".into()));
        }
        None => (backend.default)(),
        Some(number) => {
            let last = devices.len() - 1;
            let device = devices.into_iter().nth(number);
            device.ok_or_else(|| none(format!("the numbers on this machine are 0 to {last}")))?
        }
    };
    describe(&device).ok_or_else(|| none("its driver does not open it".to_owned()))?;
    Ok(device)
}

/// The device that the variable `BURN_DEVICE` names, as for burn itself and with a number where
/// wanted (`cuda:1`). Without it the first card of [`available`], else the processor.
///
/// Burn's own `Device::default()` takes the first backend of the build, a driver that draws in
/// software too, and panics where the machine has no driver.
///
/// # Errors
/// As [`named`], and when the build has no backend at all.
pub fn from_env() -> Result<Device> {
    if let Some(name) = std::env::var_os(VARIABLE) {
        return named(&name.to_string_lossy());
    }
    let (processors, cards): (Vec<Backend>, Vec<Backend>) =
        backends().into_iter().partition(|backend| backend.cpu);
    // One after the other, since looking at a device opens it.
    let first = cards.into_iter().find_map(|backend| {
        let devices = Device::enumerate(backend.kind).into_vec();
        devices.into_iter().find(|device| describe(device).is_some_and(|(_, card)| card))
    });
    let processor = || processors.first().map(|backend| (backend.default)());
    let any = || available().into_iter().next().map(|found| found.device);
    first.or_else(processor).or_else(any).ok_or_else(|| Error::NoDevice {
        name: VARIABLE.to_owned(),
        reason: "neither a card nor a backend for the processor, such as flex".to_owned(),
    })
}

/// Runs what uses these devices. Burn panics where the connection to a device that another
/// process serves is lost; that becomes [`Error::Device`], and any other panic goes on.
pub(crate) fn guarded<T>(devices: &[Device], work: impl FnOnce() -> Result<T>) -> Result<T> {
    #[cfg(feature = "remote")]
    if devices.iter().any(remote::is_remote) {
        return remote::guarded(devices, work);
    }
    let _ = devices;
    work()
}
