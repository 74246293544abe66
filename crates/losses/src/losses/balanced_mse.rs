use burn::tensor::{Device, Int, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::log_prob;

use crate::loss::filled;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Balanced mean squared error by batch Monte Carlo (Ren et al., CVPR 2022, "BMC").
    ///
    /// `loss_i = −2σ² log softmax_j(−‖prediction_i − target_j‖² / 2σ²)_i` over the targets of
    /// the batch: each target competes with those of the others, which undoes the training
    /// set's distribution of targets. σ is the noise of the predictions; the factor 2σ² keeps
    /// the scale of a squared error. Soft targets hold the values `[batch, outputs]`.
    BalancedMseConfig {
        /// σ > 0, in units of the target. Default: 1.
        noise / with_noise: f64 = 1.0, positive;
    }
}

impl BalancedMseConfig {
    /// Checks σ.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<BalancedMse> {
        self.check()?;
        Ok(BalancedMse { variance: self.noise * self.noise })
    }
}

/// See [`BalancedMseConfig`].
#[derive(Debug, Clone)]
pub struct BalancedMse {
    variance: f64,
}

impl Loss for BalancedMse {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [batch, outputs] = logits.dims();
        let t = targets.indicators(&logits);
        let mut distance = Tensor::zeros([batch, batch], (&logits.device(), logits.dtype()));
        for k in 0..outputs {
            let at = |x: &Tensor<2>| x.clone().slice([0..batch, k..k + 1]);
            distance = distance + (at(&logits) - at(&t).transpose()).square();
        }
        let diagonal = Tensor::<1, Int>::arange(0..batch as i64, &logits.device());
        let none = filled(0.0, &distance);
        let scale = -0.5 / self.variance;
        log_prob(distance, diagonal, none.clone(), none, scale) * (-2.0 * self.variance)
    }
}
