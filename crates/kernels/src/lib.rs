//! Tensor operations that the losses and encoders share, written once so that they
//! can be fused in one place.

mod cross_entropy;

pub use cross_entropy::soft_cross_entropy;
