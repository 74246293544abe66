//! Devices that another process or machine serves.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use burn::backend::DispatchDevice;
use burn::remote::RemoteHost;
use burn::tensor::Device;

use crate::{Error, Result};

/// Burn's own variable for the server, and where it looks without it.
const VARIABLE: &str = "BURN_REMOTE_ADDRESS";
const ADDRESS: &str = "ws://127.0.0.1:3000";

/// The device behind `:ADDRESS#NUMBER`, each part with a default, or why there is none.
pub(super) fn device(name: &str) -> std::result::Result<Device, String> {
    let (address, number) = match name.split_once('#') {
        Some((address, number)) => {
            let number = number.parse::<usize>();
            (address, number.map_err(|_| "after '#' stands a number from 0".to_owned())?)
        }
        None => (name, 0),
    };
    let address = match address.strip_prefix(':') {
        Some(address) if !address.is_empty() => address.to_owned(),
        None if address.is_empty() => std::env::var(VARIABLE).unwrap_or_else(|_| ADDRESS.into()),
        _ => return Err("after remote stands ':' and an address".to_owned()),
    };
    let options = Device::remote_options(&RemoteHost::websocket(&address)).device_index(number);
    options.init().map_err(|e| format!("{address}: {e}"))
}

/// Whether another process computes for a device.
pub(super) fn is_remote(device: &Device) -> bool {
    matches!(device.clone().without_autodiff().as_dispatch(), DispatchDevice::Remote(_))
}

/// As [`super::guarded`].
pub(super) fn guarded<T>(devices: &[Device], work: impl FnOnce() -> Result<T>) -> Result<T> {
    // What the work leaves half done is not used after an error.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| match lost(devices) {
        Some(reason) => Err(Error::Device { reason }),
        None => resume_unwind(panic),
    })
}

/// Why a device no longer answers, for the first that does not.
fn lost(devices: &[Device]) -> Option<String> {
    let answers = |device: &Device| match catch_unwind(|| device.sync()) {
        Ok(Ok(())) => None,
        Ok(Err(e)) => Some(format!("{device:?} no longer answers: {e}")),
        Err(_) => Some(format!("{device:?} no longer answers")),
    };
    devices.iter().filter(|device| is_remote(device)).find_map(answers)
}
