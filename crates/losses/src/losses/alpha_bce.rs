use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::filled;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// α-balanced binary cross entropy.
    ///
    /// `loss = −α · y · log ŷ − (1 − α)(1 − y) · log(1 − ŷ)` with `ŷ = σ(z)`, summed over
    /// the columns of an example (one column for a binary classifier, one per label for a
    /// multi-label one). Its gradient is
    ///
    /// `∂loss/∂z = −α · y · (1 − ŷ) + (1 − α)(1 − y) · ŷ`.
    ///
    /// α is the weight of the positive class (class 1), as in torchvision and the focal
    /// loss paper; Keras' `class_weight` and scikit-learn's name weights per class instead, and
    /// some code calls the weight of negatives α. α = .5 is half the usual binary cross
    /// entropy.
    AlphaBceConfig {
        /// α in `[0, 1]`, the weight of positives. Default: 0.5.
        alpha / with_alpha: f64 = 0.5, unit;
    }
}

impl AlphaBceConfig {
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
    /// Its gradient is `∂loss/∂ŷ = −α · y / ŷ + (1 − α)(1 − y) / (1 − ŷ)`. Probabilities are
    /// clamped to `[1e-7, 1 − 1e-7]`, so a certain mistake costs about 16 and its gradient
    /// is 0; train on logits where you can.
    ///
    /// # Shapes
    /// Both `[batch, columns]`, result `[batch]`.
    pub fn on_probabilities(&self, probabilities: Tensor<2>, y: Tensor<2>) -> Tensor<1> {
        let p = probabilities.clamp(1e-7, 1.0 - 1e-7);
        let positive = y.clone() * p.clone().log() * self.alpha;
        let negative = (y.neg() + 1.0) * (p.neg() + 1.0).log() * (1.0 - self.alpha);
        (positive + negative).neg().sum_dim(1).squeeze_dim(1)
    }
}

impl Loss for AlphaBce {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (positive, negative) = (filled(self.alpha, &logits), filled(1.0 - self.alpha, &logits));
        sigmoid(logits, targets, positive, negative, BinaryFocal::PLAIN)
    }
}
