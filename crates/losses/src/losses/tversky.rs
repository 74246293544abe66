use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::dice::{Overlap, overlap_loss};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Tversky loss (Salehi et al., MLMI 2017) and focal Tversky loss (Abraham and Khan,
    /// ISBI 2019) on sigmoids.
    ///
    /// `loss = (1 − T)^γ` with `T = (Σ p t + s) / (Σ p t + α Σ p (1 − t) + β Σ (1 − p) t + s)`,
    /// p = σ(z): α weighs false positives, β misses. γ = 1 is the Tversky loss, α = β = .5
    /// then Dice with half its smoothing; the focal paper's exponent is 1/γ' with γ' = 4/3,
    /// here γ = 0.75 ([`focal`](Self::focal)).
    TverskyConfig {
        /// α ≥ 0. Default: 0.3.
        alpha / with_alpha: f64 = 0.3, non_negative;
        /// β ≥ 0. Default: 0.7.
        beta / with_beta: f64 = 0.7, non_negative;
        /// γ > 0. Default: 1.
        gamma / with_gamma: f64 = 1.0, positive;
        /// s > 0. Default: 1.
        smooth / with_smooth: f64 = 1.0, positive;
        /// No loss for an absent target. Default: no.
        ignore_absent / with_ignore_absent: bool = false, any;
        /// Over what the overlap is taken. Default: each example.
        over / with_over: Overlap = Overlap::Example, any;
    }
}

impl TverskyConfig {
    /// Focal Tversky with the paper's γ = 3/4.
    #[must_use]
    pub fn focal() -> Self {
        Self::new().with_gamma(0.75)
    }

    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Tversky> {
        self.check()?;
        Ok(Tversky { config: self.clone() })
    }
}

/// See [`TverskyConfig`].
#[derive(Debug, Clone)]
pub struct Tversky {
    config: TverskyConfig,
}

impl Loss for Tversky {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let TverskyConfig { alpha, beta, gamma, smooth, ignore_absent, over } = self.config;
        let t = targets.indicators(&logits);
        let p = sigmoid(logits);
        overlap_loss(p, t, over, ignore_absent, |p, t, sum| {
            let both = sum(p.clone() * t.clone());
            let false_positives = sum(p.clone() * (t.clone().neg() + 1.0)) * alpha;
            let misses = sum((p.neg() + 1.0) * t) * beta;
            let wrong = false_positives + misses;
            // 1 − T as a quotient: no cancellation, and the power sees no exact 0.
            let loss = wrong.clone() / (both + wrong + smooth);
            if gamma == 1.0 { loss } else { loss.clamp_min(1e-12).powf_scalar(gamma) }
        })
    }
}
