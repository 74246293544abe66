use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Poly-1 cross entropy (Leng et al., ICLR 2022).
    ///
    /// `loss = Σ_c t_c [−log p_c + ε (1 − p_c)]`, p = softmax(z): the first coefficient of
    /// cross entropy's expansion in 1 − p, moved by ε. ε = 0 is cross entropy.
    Poly1Config {
        /// ε ≥ −1. Default: 1. Values below −1 would reward mistakes.
        epsilon / with_epsilon: f64 = 1.0, at_least_minus_one;
    }
}

impl Poly1Config {
    /// Checks ε.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Poly1> {
        self.check()?;
        Ok(Poly1 { epsilon: self.epsilon })
    }
}

/// See [`Poly1Config`].
#[derive(Debug, Clone)]
pub struct Poly1 {
    epsilon: f64,
}

impl Loss for Poly1 {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        Softmax::default().map(logits, targets, None, |log_p| {
            log_p.clone().neg() + (log_p.exp().neg() + 1.0) * self.epsilon
        })
    }
}
