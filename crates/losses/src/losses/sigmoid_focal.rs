use burn::tensor::activation::{log_sigmoid, sigmoid};
use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use serde::{Deserialize, Serialize};

use crate::{Loss, Result, Targets};

/// Sigmoid focal loss for multi-label or one-vs-all training (Lin et al., ICCV 2017).
///
/// With `p = σ(z)`, summed over the classes of an example:
/// `loss = −Σ_c [α t (1 − p)^γ log p + (1 − α)(1 − t) p^γ log(1 − p)]`.
/// For targets of 0 and 1 this is torchvision's `sigmoid_focal_loss` summed over
/// classes; its `mean` also divides by the number of classes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidFocalConfig {
    /// γ ≥ 0. Default: 2.
    pub gamma: f64,
    /// α in `[0, 1]`, the weight of positives. Default: 0.25, as in the paper.
    pub alpha: f64,
}

impl Default for SigmoidFocalConfig {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25 }
    }
}

impl SigmoidFocalConfig {
    /// γ = 2, α = .25.
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
    pub fn with_alpha(mut self, alpha: f64) -> Self {
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
        ensure("alpha", self.alpha, (0.0..=1.0).contains(&self.alpha), "[0, 1]")?;
        Ok(())
    }

    /// Checks the configuration. Profile and device are not needed but taken, so that all losses
    /// start alike.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<SigmoidFocal> {
        self.check()?;
        Ok(SigmoidFocal { gamma: self.gamma, alpha: self.alpha })
    }
}

/// See [`SigmoidFocalConfig`].
#[derive(Debug, Clone)]
pub struct SigmoidFocal {
    gamma: f64,
    alpha: f64,
}

impl SigmoidFocal {
    /// `−weight · σ(−z)^γ · log σ(z)`.
    fn side(&self, logits: Tensor<2>, weight: f64) -> Tensor<2> {
        let surprise = log_sigmoid(logits.clone()).neg() * weight;
        if self.gamma == 0.0 {
            return surprise;
        }
        // An exact zero has an infinite derivative for γ < 1.
        let miss = sigmoid(logits.neg()).clamp_min(f64::from(f32::MIN_POSITIVE));
        surprise * miss.powf_scalar(self.gamma)
    }
}

impl Loss for SigmoidFocal {
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let t = targets.dense(&logits);
        let positive = self.side(logits.clone(), self.alpha);
        let negative = self.side(logits.neg(), 1.0 - self.alpha);
        let values = t.clone() * positive + (t.neg() + 1.0) * negative;
        values.sum_dim(1).squeeze_dim(1)
    }
}
