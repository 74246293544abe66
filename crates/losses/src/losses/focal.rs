use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use serde::{Deserialize, Serialize};

use crate::loss::row;
use crate::{ClassWeights, Loss, Result, Targets};

/// Below the spacing of f32 at 1, so it replaces only an exact zero of 1 − p, where
/// the power's derivative would be infinite for γ < 1.
const SMALLEST_COMPLEMENT: f64 = 1e-8;

/// Focal loss over a softmax (Lin et al., ICCV 2017, in its multi-class form).
///
/// `loss = −Σ_c α_c t_c (1 − p_c)^γ log p_c` with `p = softmax(z)`. γ = 0 is weighted
/// cross entropy. For the sigmoid (one-vs-all) form of the paper see
/// [`SigmoidFocalConfig`](crate::SigmoidFocalConfig).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FocalConfig {
    /// γ ≥ 0. Default: 2, as in the paper.
    pub gamma: f64,
    /// α per class. Default: uniform.
    pub alpha: ClassWeights,
}

impl Default for FocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: ClassWeights::Uniform }
    }
}

impl FocalConfig {
    /// γ = 2, uniform α.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets γ.
    #[must_use]
    pub fn with_gamma(mut self, gamma: f64) -> Self {
        self.gamma = gamma;
        self
    }

    /// Sets α.
    #[must_use]
    pub fn with_alpha(mut self, alpha: ClassWeights) -> Self {
        self.alpha = alpha;
        self
    }

    /// Checks the parameters that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) naming the parameter and its range.
    pub fn check(&self) -> Result<()> {
        let ok = self.gamma >= 0.0 && self.gamma.is_finite();
        ensure("gamma", self.gamma, ok, "[0, inf)")?;
        self.alpha.check()
    }

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
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let alpha = self.alpha.as_ref().map(|a| row(a, &logits));
        let log_p = log_softmax(logits, 1);
        let mut values = log_p.clone().neg();
        if self.gamma > 0.0 {
            let complement = (log_p.exp().neg() + 1.0).clamp_min(SMALLEST_COMPLEMENT);
            values = values * complement.powf_scalar(self.gamma);
        }
        if let Some(alpha) = alpha {
            values = values * alpha;
        }
        targets.pick(values)
    }

    fn class_weights(&self) -> Option<&Tensor<1>> {
        self.alpha.as_ref()
    }
}
