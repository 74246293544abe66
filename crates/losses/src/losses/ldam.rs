use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::{class_weights, constant};
use crate::macros::loss_config;
use crate::{ClassWeights, Loss, Result, Targets};

loss_config! {
    /// Label-distribution-aware margin (Cao et al., NeurIPS 2019).
    ///
    /// `loss = −w_y log softmax(s (z − Δ_y e_y))_y` with `Δ_c = m n_c^(−1/4) / max_k n_k^(−1/4)`:
    /// the rarest class gets the margin m. The paper's logits are cosines
    /// ([`CosineHead`](crate::CosineHead)), hence s; with plain logits take s = 1. Its
    /// deferred re-weighting (DRW) is [`DeferredConfig`](crate::DeferredConfig) from this loss
    /// to the same with [`ClassWeights::EffectiveNumber`]. A class without examples gets the
    /// margin of one example.
    LdamConfig {
        /// m ≥ 0. Default: 0.5.
        max_margin / with_max_margin: f64 = 0.5, non_negative;
        /// s > 0. Default: 30.
        scale / with_scale: f64 = 30.0, positive;
        /// Weights per class. Default: uniform.
        weights / with_weights: ClassWeights = ClassWeights::Uniform, weights;
    }
}

impl LdamConfig {
    /// Checks the configuration and computes margins and weights.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Ldam> {
        self.check()?;
        let raw = profile.counts().iter().map(|&n| (n.max(1) as f64).powf(-0.25));
        let largest = raw.clone().fold(0.0, f64::max);
        let margins: Vec<f64> = raw.map(|m| self.max_margin * m / largest).collect();
        Ok(Ldam {
            softmax: Softmax {
                margin: Some(constant(&margins, device)),
                scale: self.scale,
                ..Softmax::default()
            },
            weights: self.weights.tensor(profile, device)?,
        })
    }
}

/// See [`LdamConfig`].
#[derive(Debug, Clone)]
pub struct Ldam {
    softmax: Softmax,
    weights: Option<Tensor<1>>,
}

impl Loss for Ldam {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self.softmax.cross_entropy(logits, targets, self.weights.as_ref())
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        class_weights(self.weights.as_ref(), logits, targets)
    }
}
