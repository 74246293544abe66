use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::logit_adjusted::{Unseen, adjustment};
use crate::family::Softmax;
use crate::loss::{class_weights, constant, row};
use crate::macros::loss_config;
use crate::{ClassWeights, Loss, Result, Targets};

loss_config! {
    /// Vector-scaling (VS) loss (Kini et al., NeurIPS 2021).
    ///
    /// `loss = −w_y log softmax(Δ ⊙ z + ι)_y` with `Δ_c = (n_c / max n)^γ` and
    /// `ι_c = τ log π_c`: logit adjustment and the multiplicative CDT loss (Ye et al. 2020)
    /// in one. γ = 0 is logit adjustment. A class without examples counts as one example
    /// in Δ and is excluded by ι.
    VectorScalingConfig {
        /// γ ≥ 0. Default: 0.15, the paper's for CIFAR.
        gamma / with_gamma: f64 = 0.15, non_negative;
        /// τ ≥ 0. Default: 1.
        tau / with_tau: f64 = 1.0, non_negative;
        /// Weights per class. Default: uniform.
        weights / with_weights: ClassWeights = ClassWeights::Uniform, weights;
    }
}

impl VectorScalingConfig {
    /// Checks the configuration and computes scales, shifts and weights.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<VectorScaling> {
        self.check()?;
        let largest = profile.counts().iter().copied().max().unwrap_or(1).max(1) as f64;
        let scales: Vec<f64> = (profile.counts().iter())
            .map(|&n| (n.max(1) as f64 / largest).powf(self.gamma))
            .collect();
        let shift = adjustment(profile, self.tau, Unseen::Exclude);
        Ok(VectorScaling {
            scales: constant(&scales, device),
            softmax: Softmax::shifted(constant(&shift, device)),
            weights: self.weights.tensor(profile, device)?,
        })
    }
}

/// See [`VectorScalingConfig`].
#[derive(Debug, Clone)]
pub struct VectorScaling {
    scales: Tensor<1>,
    softmax: Softmax,
    weights: Option<Tensor<1>>,
}

impl Loss for VectorScaling {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let scales = row(&self.scales, &logits);
        self.softmax.cross_entropy(logits * scales, targets, self.weights.as_ref())
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        class_weights(self.weights.as_ref(), logits, targets)
    }
}
