//! The README and the guide in `docs/`, whose code is compiled and run as doctests.

#[doc = include_str!("../README.md")]
mod readme {}

#[doc = include_str!("../docs/introduction.md")]
mod introduction {}

#[doc = include_str!("../docs/core.md")]
mod core {}

#[doc = include_str!("../docs/losses.md")]
mod losses {}

#[doc = include_str!("../docs/losses_compared.md")]
mod losses_compared {}

#[doc = include_str!("../docs/samplers.md")]
mod samplers {}

#[doc = include_str!("../docs/augment.md")]
mod augment {}

#[doc = include_str!("../docs/metrics.md")]
mod metrics {}

#[doc = include_str!("../docs/tuner.md")]
mod tuner {}

#[doc = include_str!("../docs/encoder.md")]
mod encoder {}

#[doc = include_str!("../docs/kernels.md")]
mod kernels {}

#[doc = include_str!("../docs/recipes.md")]
mod recipes {}

#[doc = include_str!("../docs/devices.md")]
mod devices {}

#[doc = include_str!("../docs/gpu.md")]
mod gpu {}
