use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::class_weights;
use crate::macros::loss_config;
use crate::{ClassWeights, Loss, Result, Targets};

/// Below the spacing of f32 at 1, so it replaces only an exact zero of 1 − p, where
/// the power's derivative would be infinite for γ < 1.
const SMALLEST_COMPLEMENT: f64 = 1e-8;

loss_config! {
    /// Focal loss over a softmax (Lin et al., ICCV 2017, in its multi-class form).
    ///
    /// `loss = −Σ_c α_c t_c (1 − p_c)^γ log p_c` with `p = softmax(z)`. γ = 0 is weighted
    /// cross entropy; α multiplies the loss and never enters p. For the sigmoid
    /// (one-vs-all) form of the paper see [`SigmoidFocalConfig`](crate::SigmoidFocalConfig).
    FocalConfig {
        /// γ ≥ 0. Default: 2, as in the paper.
        gamma / with_gamma: f64 = 2.0, non_negative;
        /// α per class. Default: uniform.
        alpha / with_alpha: ClassWeights = ClassWeights::Uniform, weights;
    }
}

impl FocalConfig {
    /// Checks the configuration and computes α.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Focal> {
        self.check()?;
        Ok(Focal { gamma: self.gamma, alpha: self.alpha.tensor(profile, device)? })
    }
}

/// See [`FocalConfig`].
#[derive(Debug, Clone)]
pub struct Focal {
    gamma: f64,
    alpha: Option<Tensor<1>>,
}

impl Loss for Focal {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let alpha = self.alpha.as_ref();
        if self.gamma == 0.0 {
            return Softmax::default().cross_entropy(logits, targets, alpha);
        }
        Softmax::default().map(logits, targets, alpha, |log_p| {
            let complement = (log_p.clone().exp().neg() + 1.0).clamp_min(SMALLEST_COMPLEMENT);
            log_p.neg() * complement.powf_scalar(self.gamma)
        })
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        class_weights(self.alpha.as_ref(), logits, targets)
    }
}
