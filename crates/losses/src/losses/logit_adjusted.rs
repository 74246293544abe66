use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::family::Softmax;
use crate::loss::{MASKED, constant};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// The prior of a class without examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unseen {
    /// None: the class cannot be predicted in training, and does not change the gradient
    /// of the others.
    #[default]
    Exclude,
    /// That of one example.
    One,
}

loss_config! {
    /// Logit-adjusted cross entropy (Menon et al., ICLR 2021).
    ///
    /// `loss = −Σ_c t_c log softmax(z + τ log π)_c` with the class priors π. The model
    /// then scores the balanced problem: use its logits as they are at test time. τ = 1
    /// is balanced softmax (Ren et al., NeurIPS 2020), τ = 0 plain cross entropy.
    LogitAdjustedConfig {
        /// τ ≥ 0. Default: 1.
        tau / with_tau: f64 = 1.0, non_negative;
        /// What a class without examples gets (when τ > 0). Default: exclude.
        unseen / with_unseen: Unseen = Unseen::Exclude, any;
    }
}

impl LogitAdjustedConfig {
    /// Checks τ and computes the adjustment.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a negative or infinite τ.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<LogitAdjusted> {
        self.check()?;
        let shift = adjustment(profile, self.tau, self.unseen);
        Ok(LogitAdjusted { softmax: Softmax::shifted(constant(&shift, device)) })
    }
}

/// `τ log π` per class.
pub(super) fn adjustment(profile: &ClassProfile, tau: f64, unseen: Unseen) -> Vec<f64> {
    let counts = profile.counts().iter();
    let priors = profile.log_priors().into_iter();
    counts
        .zip(priors)
        .map(|(&n, prior)| match unseen {
            Unseen::Exclude if n == 0 && tau > 0.0 => MASKED,
            _ => tau * prior,
        })
        .collect()
}

/// See [`LogitAdjustedConfig`].
#[derive(Debug, Clone)]
pub struct LogitAdjusted {
    softmax: Softmax,
}

impl Loss for LogitAdjusted {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self.softmax.cross_entropy(logits, targets, None)
    }
}
