use burn::module::Module;
use burn::tensor::{Device, Tensor};
use counterweight_kernels::dropout;

/// Dropout while training: on a device that differentiates.
#[derive(Module, Debug)]
pub(crate) struct Dropout {
    pub(crate) prob: f64,
}

impl Dropout {
    pub(crate) fn new(prob: f64) -> Self {
        Self { prob }
    }

    /// What is dropped on this device.
    pub(crate) fn share(&self, device: &Device) -> f64 {
        if device.is_autodiff() { self.prob } else { 0.0 }
    }

    pub(crate) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let share = self.share(&x.device());
        dropout(x, share)
    }
}
