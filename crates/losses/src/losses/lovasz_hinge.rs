use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::dice::Overlap;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Lovász hinge, the convex surrogate of the Jaccard loss (Berman et al., CVPR 2018).
    ///
    /// With margins `e = 1 − z (2t − 1)` sorted downwards, `loss = Σ_i relu(e_i) Δ_i`, Δ_i being
    /// what the i-th error adds to the Jaccard loss `1 − intersection / union`. Targets are
    /// 0 or 1 (class ids one against all). The order carries no gradient. Sorting may
    /// happen on the host, as burn's backends do it.
    LovaszHingeConfig {
        /// Over what the overlap is taken. Default: each example.
        over / with_over: Overlap = Overlap::Example, any;
    }
}

impl LovaszHingeConfig {
    /// Nothing can be out of range.
    ///
    /// # Errors
    /// None.
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<LovaszHinge> {
        self.check()?;
        Ok(LovaszHinge { over: self.over })
    }
}

/// See [`LovaszHingeConfig`].
#[derive(Debug, Clone)]
pub struct LovaszHinge {
    over: Overlap,
}

impl Loss for LovaszHinge {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let batch = logits.dims()[0];
        let t = targets.indicators(&logits);
        let rows = |x: Tensor<2>| match self.over {
            Overlap::Example => x,
            Overlap::Column => x.transpose(),
        };
        let (z, t) = (rows(logits), rows(t));
        let errors = (z * (t.clone() * 2.0 - 1.0)).neg() + 1.0;
        let order = errors.clone().detach().argsort_descending(1);
        let errors = errors.gather(1, order.clone());
        let t = t.gather(1, order);
        let total = t.clone().sum_dim(1);
        let missed = t.clone().cumsum(1);
        let union = total.clone() + (t.neg() + 1.0).cumsum(1);
        // With the k worst entries wrong: intersection = total − missed.
        let jaccard = ((total - missed) / union).neg() + 1.0;
        let [r, n] = jaccard.dims();
        let steps = if n == 1 {
            jaccard
        } else {
            let first = jaccard.clone().slice([0..r, 0..1]);
            let later = jaccard.clone().slice([0..r, 1..n]) - jaccard.slice([0..r, 0..n - 1]);
            Tensor::cat(vec![first, later], 1)
        };
        let loss = (relu(errors) * steps.detach()).sum_dim(1);
        match self.over {
            Overlap::Example => loss.squeeze_dim(1),
            Overlap::Column => loss.mean_dim(0).expand([batch, 1]).squeeze_dim(1),
        }
    }
}
