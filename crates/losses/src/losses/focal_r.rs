use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// The error that a regression loss is built on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RegressionError {
    /// `|e|`.
    #[default]
    Absolute,
    /// `e²`.
    Squared,
}

loss_config! {
    /// Focal regression, focal-R (Yang et al., ICML 2021).
    ///
    /// `loss = Σ_outputs (2 σ(β |e|) − 1)^γ · error(e)` with `e = prediction − target`: small
    /// errors fade. γ = 0 is the plain absolute or squared error. Soft targets hold the
    /// values `[batch, outputs]`. The paper's code takes the mean over outputs.
    FocalRConfig {
        /// The error. Default: absolute.
        error / with_error: RegressionError = RegressionError::Absolute, any;
        /// β > 0. Default: 0.2.
        beta / with_beta: f64 = 0.2, positive;
        /// γ ≥ 0. Default: 1.
        gamma / with_gamma: f64 = 1.0, non_negative;
    }
}

impl FocalRConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<FocalR> {
        self.check()?;
        Ok(FocalR { config: self.clone() })
    }
}

/// See [`FocalRConfig`].
#[derive(Debug, Clone)]
pub struct FocalR {
    config: FocalRConfig,
}

impl Loss for FocalR {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let FocalRConfig { error, beta, gamma } = self.config;
        let gap = (logits.clone() - targets.indicators(&logits)).abs();
        let cost = match error {
            RegressionError::Absolute => gap.clone(),
            RegressionError::Squared => gap.clone().square(),
        };
        let cost = if gamma == 0.0 {
            cost
        } else {
            // Kept off 0, where the power's derivative is infinite for γ < 1.
            let share = (sigmoid(gap * beta) * 2.0 - 1.0).clamp_min(1e-12);
            cost * share.powf_scalar(gamma)
        };
        cost.sum_dim(1).squeeze_dim(1)
    }
}
