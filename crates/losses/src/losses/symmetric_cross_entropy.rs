use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Symmetric cross entropy for noisy labels (Wang et al., ICCV 2019).
    ///
    /// `loss = −α Σ_c t_c log p_c − β Σ_c p_c log t_c`, p = softmax(z), with log 0 = A. For
    /// class ids the second sum is `A (1 − p_y)`; soft targets have their logarithm cut at A.
    SymmetricCrossEntropyConfig {
        /// α ≥ 0, the weight of cross entropy. Default: 0.1.
        alpha / with_alpha: f64 = 0.1, non_negative;
        /// β ≥ 0, the weight of reverse cross entropy. Default: 1.
        beta / with_beta: f64 = 1.0, non_negative;
        /// A < 0, the logarithm of 0. Default: −4.
        log_zero / with_log_zero: f64 = -4.0, negative;
    }
}

impl SymmetricCrossEntropyConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _p: &ClassProfile, _d: &Device) -> Result<SymmetricCrossEntropy> {
        self.check()?;
        Ok(SymmetricCrossEntropy { config: self.clone() })
    }
}

/// See [`SymmetricCrossEntropyConfig`].
#[derive(Debug, Clone)]
pub struct SymmetricCrossEntropy {
    config: SymmetricCrossEntropyConfig,
}

impl Loss for SymmetricCrossEntropy {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let SymmetricCrossEntropyConfig { alpha, beta, log_zero } = self.config;
        let softmax = Softmax::default();
        let Targets::Soft(_) = targets else {
            return softmax.map(logits, targets, None, |log_p| {
                log_p.clone() * -alpha + (log_p.exp().neg() + 1.0) * (-log_zero * beta)
            });
        };
        let log_t = targets.dense(&logits).clamp_min(log_zero.exp()).log();
        let p = burn::tensor::activation::softmax(logits.clone(), 1);
        let reverse = (p * log_t).sum_dim(1).squeeze_dim::<1>(1) * -beta;
        softmax.cross_entropy(logits, targets, None) * alpha + reverse
    }
}
