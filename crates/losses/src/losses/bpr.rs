use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::softplus;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Bayesian personalised ranking (Rendle et al., UAI 2009).
    ///
    /// Scores `[batch, candidates]`, one row per user or query; targets are the column of
    /// the positive, or indicators. `loss = mean over pairs (i, j), t_i > t_j, of
    /// log(1 + e^{s_j − s_i})`, graded targets weighing a pair by t_i − t_j. A row without a
    /// pair costs nothing. Memory grows with batch × candidates².
    BprConfig {}
}

impl BprConfig {
    /// Nothing can be out of range.
    ///
    /// # Errors
    /// None.
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Bpr> {
        self.check()?;
        Ok(Bpr {})
    }
}

/// See [`BprConfig`].
#[derive(Debug, Clone)]
pub struct Bpr {}

impl Loss for Bpr {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [batch, n] = logits.dims();
        if let Targets::Ids(ids) = targets {
            // One positive: no need for all pairs.
            let own = logits.clone().gather(1, ids.clone().unsqueeze_dim(1));
            let rest = targets.dense(&logits).neg() + 1.0;
            let cost = softplus(logits - own) * rest;
            return cost.sum_dim(1).squeeze_dim::<1>(1) / ((n as f64) - 1.0).max(1.0);
        }
        let t = targets.dense(&logits);
        let pairs = |x: Tensor<2>| {
            let i: Tensor<3> = x.clone().unsqueeze_dim::<3>(2);
            let j: Tensor<3> = x.unsqueeze_dim::<3>(1);
            (i - j).reshape([batch, n * n])
        };
        let weights = pairs(t).clamp_min(0.0);
        let cost = (softplus(pairs(logits).neg()) * weights.clone()).sum_dim(1);
        let total = weights.sum_dim(1);
        let none = total.clone().equal_scalar(0.0);
        (cost / total.mask_fill(none, 1.0)).squeeze_dim(1)
    }
}
