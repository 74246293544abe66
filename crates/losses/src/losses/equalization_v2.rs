use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::{columns, constant};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Equalisation loss v2 (Tan et al., CVPR 2021).
    ///
    /// Binary cross entropy per class with weights from the gradients seen so far: with
    /// `g = Σ positive gradients / Σ negative gradients` of a class and
    /// `f(g) = 1 / (1 + e^{−γ (g − μ)})`, negatives weigh f(g) and positives
    /// `1 + α (1 − f(g))`. The sums grow in [`Loss::end_batch`] and belong to the loss's
    /// state; before the first batch every class weighs as if balanced (g = 1). Summed over
    /// columns.
    EqualizationV2Config {
        /// γ > 0. Default: 12.
        gamma / with_gamma: f64 = 12.0, positive;
        /// μ ≥ 0. Default: 0.8.
        mu / with_mu: f64 = 0.8, non_negative;
        /// α ≥ 0. Default: 4.
        alpha / with_alpha: f64 = 4.0, non_negative;
    }
}

impl EqualizationV2Config {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<EqualizationV2> {
        self.check()?;
        let none = constant(&vec![0.0; profile.classes()], device);
        Ok(EqualizationV2 { config: self.clone(), positive: none.clone(), negative: none })
    }
}

/// See [`EqualizationV2Config`].
#[derive(Debug, Clone)]
pub struct EqualizationV2 {
    config: EqualizationV2Config,
    positive: Tensor<1>,
    negative: Tensor<1>,
}

impl EqualizationV2 {
    /// Weights of positives and negatives, `[1, classes]`.
    fn both(&self, logits: &Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let EqualizationV2Config { gamma, mu, alpha } = self.config;
        let (p, n) = (columns(&self.positive, logits), columns(&self.negative, logits));
        // The authors start both sums near 0, which makes the first ratio 1.
        let ratio = (p + 1e-10) / (n + 1e-10);
        // A logistic of a huge ratio is 1; the clamp keeps the exponential finite.
        let f = ((ratio - mu).clamp(-50.0 / gamma, 50.0 / gamma) * -gamma).exp();
        let f = (f + 1.0).recip();
        ((f.clone().neg() + 1.0) * alpha + 1.0, f)
    }
}

impl Loss for EqualizationV2 {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (positive, negative) = self.both(&logits);
        sigmoid(logits, targets, positive, negative, BinaryFocal::PLAIN)
    }

    fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        let t = targets.indicators(&logits);
        let (positive, negative) = self.both(&logits);
        let gap = (burn::tensor::activation::sigmoid(logits) - t.clone()).abs();
        let sum = |x: Tensor<2>| x.sum_dim(0).squeeze_dim::<1>(0);
        let up = sum(gap.clone() * t.clone() * positive);
        let down = sum(gap * (t.neg() + 1.0) * negative);
        let like = |x: &Tensor<1>, y: &Tensor<1>| x.clone().to_device(&y.device()).cast(y.dtype());
        self.positive = like(&self.positive, &up) + up;
        self.negative = like(&self.negative, &down) + down;
    }

    fn state(&self) -> Vec<f64> {
        [super::read(Some(&self.positive)), super::read(Some(&self.negative))].concat()
    }

    fn set_state(&mut self, state: &[f64]) {
        let device = self.positive.device();
        let (positive, negative) = state.split_at(state.len() / 2);
        self.positive = constant(positive, &device);
        self.negative = constant(negative, &device);
    }
}
