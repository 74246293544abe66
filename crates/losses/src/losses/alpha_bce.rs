use burn::tensor::activation::log_sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use serde::{Deserialize, Serialize};

use crate::{Loss, Result, Targets};

/// α-balanced binary cross entropy.
///
/// `loss = −α · y · log ŷ − (1 − α)(1 − y) · log(1 − ŷ)` with `ŷ = σ(z)`, summed over
/// the columns of an example (one column for a binary classifier, one per label for a
/// multi-label one). Its gradient is
///
/// `∂loss/∂z = −α · y · (1 − ŷ) + (1 − α)(1 − y) · ŷ`.
///
/// α = .5 is half the usual binary cross entropy. Targets are soft indicators of the
/// logits' shape, or class ids for one-vs-all training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlphaBceConfig {
    /// α in `[0, 1]`, the weight of positives. Default: 0.5.
    pub alpha: f64,
}

impl Default for AlphaBceConfig {
    fn default() -> Self {
        Self { alpha: 0.5 }
    }
}

impl AlphaBceConfig {
    /// α = .5.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
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
        ensure("alpha", self.alpha, (0.0..=1.0).contains(&self.alpha), "[0, 1]")?;
        Ok(())
    }

    /// Checks α. Profile and device are not needed but taken, so that all losses
    /// start alike.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<AlphaBce> {
        self.check()?;
        Ok(AlphaBce { alpha: self.alpha })
    }
}

/// See [`AlphaBceConfig`].
#[derive(Debug, Clone)]
pub struct AlphaBce {
    alpha: f64,
}

impl AlphaBce {
    /// The same loss on probabilities ŷ in `[0, 1]` instead of logits.
    ///
    /// Probabilities are clamped to `[1e-7, 1 − 1e-7]`, so a certain mistake costs about
    /// 16 and its gradient is 0; train on logits where you can.
    ///
    /// # Shapes
    /// Both `[batch, columns]`, result `[batch]`.
    pub fn on_probabilities(&self, probabilities: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let p = probabilities.clamp(1e-7, 1.0 - 1e-7);
        self.combine(p.clone().log(), (p.neg() + 1.0).log(), y)
    }

    fn combine(&self, log_p: Tensor<2>, log_q: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let positive = y.clone() * log_p * self.alpha;
        let negative = (y.neg() + 1.0) * log_q * (1.0 - self.alpha);
        (positive + negative).neg().sum_dim(1).squeeze_dim(1)
    }
}

impl Loss for AlphaBce {
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let y = targets.dense(&logits);
        self.combine(log_sigmoid(logits.clone()), log_sigmoid(logits.neg()), y)
    }
}
