use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Generalised cross entropy for noisy labels (Zhang and Sabuncu, NeurIPS 2018).
    ///
    /// `loss = Σ_c t_c (1 − p_c^q) / q`, p = softmax(z): cross entropy as q → 0, mean
    /// absolute error at q = 1. Bounded by 1 / q, so a wrong label cannot dominate; a rare
    /// class looks like wrong labels to it, so use it with class weights.
    GeneralizedCrossEntropyConfig {
        /// q in `(0, 1]`. Default: 0.7.
        q / with_q: f64 = 0.7, positive_unit;
    }
}

impl GeneralizedCrossEntropyConfig {
    /// Checks q.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _p: &ClassProfile, _d: &Device) -> Result<GeneralizedCrossEntropy> {
        self.check()?;
        Ok(GeneralizedCrossEntropy { q: self.q })
    }
}

/// See [`GeneralizedCrossEntropyConfig`].
#[derive(Debug, Clone)]
pub struct GeneralizedCrossEntropy {
    q: f64,
}

impl Loss for GeneralizedCrossEntropy {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        Softmax::default()
            .map(logits, targets, None, |log_p| ((log_p * self.q).exp().neg() + 1.0) / self.q)
    }
}
