use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::sup_con::Rows;
use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Balanced contrastive loss (Zhu et al., CVPR 2022).
    ///
    /// [`SupConConfig`](crate::SupConConfig) with class averaging in the denominator: every
    /// class of the batch counts once, however many rows it has there. With n_c the rows of
    /// class c other than i:
    /// `loss_i = −mean over partners p of log( e^{s_ip} / Σ_c (1/n_c) Σ_{k of c, k≠i} e^{s_ik} )`.
    /// The paper's class complement adds one learned prototype per class to every batch:
    /// concatenate the prototypes as rows with their class ids. A row without a partner
    /// costs 0.
    BalancedContrastiveConfig {
        /// T > 0. Default: 0.1.
        temperature / with_temperature: f64 = 0.1, positive;
    }
}

impl BalancedContrastiveConfig {
    /// Checks the temperature.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<BalancedContrastive> {
        self.check()?;
        Ok(BalancedContrastive { temperature: self.temperature })
    }
}

/// See [`BalancedContrastiveConfig`].
#[derive(Debug, Clone)]
pub struct BalancedContrastive {
    temperature: f64,
}

impl Loss for BalancedContrastive {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let Rows { cosines, partners, diagonal } = Rows::new(logits, &targets.classes());
        let similar = cosines / self.temperature;
        // Rows of k's class other than i: all rows of the class, without i in its own.
        let class_rows: Tensor<2> = partners.clone().sum_dim(1).transpose() + 1.0;
        let rows = (class_rows - partners.clone()).clamp_min(1.0);
        let shift = rows.log().mask_fill(diagonal, 0.0).detach();
        let n = partners.clone().sum_dim(1);
        let share = partners / n.clone().clamp_min(1.0);
        // The numerator has no 1/n: take its shift back.
        let back = (share.clone() * shift.clone()).sum_dim(1).squeeze_dim::<1>(1);
        Softmax::default().cross_entropy(similar - shift, &Targets::Soft(share), None) - back
    }
}
