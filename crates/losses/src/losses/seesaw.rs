use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::{constant, row};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Seesaw loss (Wang et al., CVPR 2021).
    ///
    /// `loss = −log( e^{z_y} / (e^{z_y} + Σ_{j≠y} S_yj e^{z_j}) )` with `S = M C`: mitigation
    /// `M_yj = min(1, n_j / n_y)^p` spares rarer classes the push of frequent ones, and
    /// compensation `C_yj = max(1, p_j / p_y)^q` restores it where j is already taken for y.
    /// S carries no gradient. Counts come from the profile, where the paper accumulates
    /// them while training; soft targets average over the classes.
    SeesawConfig {
        /// p ≥ 0. Default: 0.8.
        mitigation / with_mitigation: f64 = 0.8, non_negative;
        /// q ≥ 0. Default: 2.
        compensation / with_compensation: f64 = 2.0, non_negative;
    }
}

impl SeesawConfig {
    /// Checks the parameters and takes the counts.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Seesaw> {
        self.check()?;
        let logs: Vec<f64> = profile.counts().iter().map(|&n| (n.max(1) as f64).ln()).collect();
        Ok(Seesaw { config: self.clone(), log_counts: constant(&logs, device) })
    }
}

/// See [`SeesawConfig`].
#[derive(Debug, Clone)]
pub struct Seesaw {
    config: SeesawConfig,
    log_counts: Tensor<1>,
}

impl Loss for Seesaw {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let counts = row(&self.log_counts, &logits);
        // With the logits' own class at hand, log M and log C are differences of rows.
        let own = targets.weigh(counts.clone()).unsqueeze_dim::<2>(1);
        let mitigation = (counts - own).clamp_max(0.0) * self.config.mitigation;
        let fixed = logits.clone().detach();
        let own = targets.pick(fixed.clone()).unsqueeze_dim::<2>(1);
        let compensation = (fixed - own).clamp_min(0.0) * self.config.compensation;
        let shift = (mitigation + compensation).detach();
        // The target's own factor is 1.
        let shift = shift * (targets.dense(&logits).neg() + 1.0);
        Softmax::default().cross_entropy(logits + shift, targets, None)
    }
}
