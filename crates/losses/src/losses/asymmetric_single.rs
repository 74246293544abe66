use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::log_softmax;

use crate::loss::filled;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Asymmetric loss over a softmax (Ridnik et al., ICCV 2021, single-label form of the
    /// authors' code).
    ///
    /// `loss = −Σ_c t̃_c [t_c (1 − p_c)^γ⁺ + (1 − t_c) p_c^γ⁻] log p_c` with
    /// `t̃ = (1 − ε) t + ε / C`, p = softmax(z).
    AsymmetricSingleConfig {
        /// γ⁺ ≥ 0. Default: 0.
        gamma_positive / with_gamma_positive: f64 = 0.0, non_negative;
        /// γ⁻ ≥ 0. Default: 4.
        gamma_negative / with_gamma_negative: f64 = 4.0, non_negative;
        /// ε in `[0, 1)`. Default: 0.1.
        smoothing / with_smoothing: f64 = 0.1, below_one;
    }
}

impl AsymmetricSingleConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _p: &ClassProfile, _d: &Device) -> Result<AsymmetricSingle> {
        self.check()?;
        Ok(AsymmetricSingle { config: self.clone() })
    }
}

/// See [`AsymmetricSingleConfig`].
#[derive(Debug, Clone)]
pub struct AsymmetricSingle {
    config: AsymmetricSingleConfig,
}

impl Loss for AsymmetricSingle {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let AsymmetricSingleConfig { gamma_positive, gamma_negative, smoothing } = self.config;
        let classes = logits.dims()[1] as f64;
        let t = targets.dense(&logits);
        let none = filled(0.0, &logits);
        let log_p = log_softmax(logits, none, 1.0);
        let mut weights = t.clone();
        if gamma_positive > 0.0 {
            // Kept off 0, where the power's derivative is infinite for γ < 1.
            let rest = (log_p.clone().exp().neg() + 1.0).clamp_min(1e-8);
            weights = weights * rest.powf_scalar(gamma_positive);
        }
        let others = (log_p.clone() * gamma_negative).exp();
        let weights = weights + (t.clone().neg() + 1.0) * others;
        let smooth = t * (1.0 - smoothing) + smoothing / classes;
        (smooth * weights * log_p).neg().sum_dim(1).squeeze_dim(1)
    }
}
