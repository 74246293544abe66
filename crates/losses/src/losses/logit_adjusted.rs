use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use counterweight_kernels::soft_cross_entropy;
use serde::{Deserialize, Serialize};

use crate::loss::row;
use crate::weights::constant;
use crate::{Loss, Result, Targets};

/// Logit-adjusted cross entropy (Menon et al., ICLR 2021).
///
/// `loss = −Σ_c t_c log softmax(z + τ log π)_c` with the class priors π. The model
/// then scores the balanced problem: use its logits as they are at test time. τ = 1
/// is balanced softmax (Ren et al., NeurIPS 2020), τ = 0 plain cross entropy. A class
/// without examples takes the prior of one example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogitAdjustedConfig {
    /// τ ≥ 0. Default: 1.
    pub tau: f64,
}

impl Default for LogitAdjustedConfig {
    fn default() -> Self {
        Self { tau: 1.0 }
    }
}

impl LogitAdjustedConfig {
    /// τ = 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets τ.
    #[must_use]
    pub fn with_tau(mut self, tau: f64) -> Self {
        self.tau = tau;
        self
    }

    /// Checks the parameters that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) naming the parameter and its range.
    pub fn check(&self) -> Result<()> {
        let ok = self.tau >= 0.0 && self.tau.is_finite();
        ensure("tau", self.tau, ok, "[0, inf)")?;
        Ok(())
    }

    /// Checks τ and computes the adjustment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a negative or infinite τ.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<LogitAdjusted> {
        self.check()?;
        let shift = profile.log_priors().into_iter().map(|p| self.tau * p);
        Ok(LogitAdjusted { shift: constant(shift.collect(), device) })
    }
}

/// See [`LogitAdjustedConfig`].
#[derive(Debug, Clone)]
pub struct LogitAdjusted {
    shift: Tensor<1>,
}

impl Loss for LogitAdjusted {
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let dense = targets.dense(&logits);
        let shift = row(&self.shift, &logits);
        soft_cross_entropy(logits + shift, dense)
    }
}
