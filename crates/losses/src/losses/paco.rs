use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::sup_con::Rows;
use crate::family::Softmax;
use crate::loss::{constant, row};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Parametric contrastive learning, PaCo (Cui et al., ICCV 2021).
    ///
    /// Takes `[batch, classes + features]`: the logits of a classifier whose weights are the
    /// class centres, then the embeddings (normalised here). With `s_ij = e_i · e_j / T`, all
    /// logits and similarities to other rows share one softmax q, and
    /// `loss_i = −Σ_k w_k log q_k / Σ_k w_k` with weight β for the true class's logit and α
    /// for each row of the same class: centres keep the tail from being crowded out.
    /// The logits are adjusted by log π, as in the authors' code.
    PaCoConfig {
        /// α ≥ 0. Default: 0.05.
        alpha / with_alpha: f64 = 0.05, non_negative;
        /// β > 0. Default: 1.
        beta / with_beta: f64 = 1.0, positive;
        /// T > 0. Default: 0.2.
        temperature / with_temperature: f64 = 0.2, positive;
        /// Add log π to the class logits. Default: yes.
        adjust / with_adjust: bool = true, any;
    }
}

impl PaCoConfig {
    /// Checks the parameters and takes the priors.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<PaCo> {
        self.check()?;
        let shift = profile.log_priors().into_iter().map(|p| if self.adjust { p } else { 0.0 });
        let shift: Vec<f64> = shift.collect();
        Ok(PaCo { config: self.clone(), shift: constant(&shift, device) })
    }
}

/// See [`PaCoConfig`].
#[derive(Debug, Clone)]
pub struct PaCo {
    config: PaCoConfig,
    shift: Tensor<1>,
}

impl Loss for PaCo {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [batch, columns] = logits.dims();
        let classes = self.shift.dims()[0];
        assert!(columns > classes, "PaCo takes class logits followed by embeddings");
        let centres = logits.clone().slice([0..batch, 0..classes]);
        let embeddings = logits.slice([0..batch, classes..columns]);
        let Rows { cosines, partners, .. } = Rows::new(embeddings, &targets.classes());
        let similar = cosines / self.config.temperature;
        let own = targets.dense(&centres) * self.config.beta;
        let centres = centres.clone() + row(&self.shift, &centres);
        let weights = Tensor::cat(vec![own, partners * self.config.alpha], 1);
        let weights = weights.clone() / weights.sum_dim(1);
        let u = Tensor::cat(vec![centres, similar], 1);
        Softmax::default().cross_entropy(u, &Targets::Soft(weights), None)
    }
}
