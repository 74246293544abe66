use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::softplus;
use crate::loss::{columns, constant};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Distribution-balanced loss for long-tailed multi-label data (Wu et al., ECCV 2020).
    ///
    /// `loss = Σ_c r_c [t log(1 + e^{−u}) + (1/λ)(1 − t) log(1 + e^{λ u})]` with
    /// `u_c = z_c − κ log(N / n_c − 1)`, and re-balanced weights
    /// `r_c = α + σ(β (s_c − μ))`, `s_c = (1/n_c) / Σ_{k: t_k} (1/n_k)`: the chance to draw the
    /// example for class c against that of drawing it for any of its labels. λ makes
    /// negatives fade sooner. Counts n are positives per column, N the examples, from the
    /// profile. Summed over columns; the paper divides by their number. A row without
    /// labels has s = 1 / n_c.
    DistributionBalancedConfig {
        /// α ≥ 0. Default: 0.1.
        alpha / with_alpha: f64 = 0.1, non_negative;
        /// β > 0. Default: 10.
        beta / with_beta: f64 = 10.0, positive;
        /// μ in `[0, 1]`. Default: 0.2, the paper's for COCO.
        mu / with_mu: f64 = 0.2, unit;
        /// κ ≥ 0. Default: 0.05.
        kappa / with_kappa: f64 = 0.05, non_negative;
        /// λ > 0. Default: 2.
        lambda / with_lambda: f64 = 2.0, positive;
    }
}

impl DistributionBalancedConfig {
    /// Checks the parameters and computes what the counts give.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<DistributionBalanced> {
        self.check()?;
        let total = profile.total() as f64;
        let counts = profile.counts().iter().map(|&n| n.max(1) as f64);
        // A column positive in every row has no odds; half an example keeps them finite.
        let bias: Vec<f64> =
            counts.clone().map(|n| self.kappa * ((total - n).max(0.5) / n).ln()).collect();
        let inverse: Vec<f64> = counts.map(f64::recip).collect();
        Ok(DistributionBalanced {
            config: self.clone(),
            bias: constant(&bias, device),
            inverse: constant(&inverse, device),
        })
    }
}

/// See [`DistributionBalancedConfig`].
#[derive(Debug, Clone)]
pub struct DistributionBalanced {
    config: DistributionBalancedConfig,
    bias: Tensor<1>,
    inverse: Tensor<1>,
}

impl Loss for DistributionBalanced {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let DistributionBalancedConfig { alpha, beta, mu, lambda, .. } = self.config;
        let t = targets.indicators(&logits);
        let inverse = columns(&self.inverse, &logits);
        let any = (t.clone() * inverse.clone()).sum_dim(1);
        let none = any.clone().equal_scalar(0.0);
        let share = inverse / any.mask_fill(none, 1.0);
        let weights = burn::tensor::activation::sigmoid((share - mu) * beta) + alpha;
        let u = logits.clone() - columns(&self.bias, &logits);
        let positive = t.clone() * softplus(u.clone().neg());
        let negative = (t.neg() + 1.0) * softplus(u * lambda) / lambda;
        ((positive + negative) * weights).sum_dim(1).squeeze_dim(1)
    }
}
