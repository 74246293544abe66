use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::wrapper::forward;
use crate::loss::{constant, row};
use crate::macros::loss_config;
use crate::{Loss, LossConfig, Result, Targets, inverse_propensities};

loss_config! {
    /// Any loss weighted by inverse propensity scores, IPS (Schnabel et al., ICML 2016).
    ///
    /// An item (class) that was shown in proportion to its popularity has the propensity
    /// `p_c = (n_c / max n)^η` (Yang et al., RecSys 2018); an example of it counts
    /// `1 / max(p_c, clip)`. Self-normalised, weights are divided by their mean over the batch
    /// (Swaminathan and Joachims, NeurIPS 2015): less variance for a small bias.
    InversePropensityConfig: wrapper {
        /// The loss.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// η in `[0, 1]`. Default: 0.5.
        power / with_power: f64 = 0.5, unit;
        /// The least propensity, in `(0, 1]`. Default: 0.01.
        clip / with_clip: f64 = 0.01, positive_unit;
        /// Divide by the batch's mean weight. Default: yes.
        self_normalized / with_self_normalized: bool = true, any;
    }
}

impl InversePropensityConfig {
    /// `loss` with the defaults.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>) -> Self {
        Self { loss: Box::new(loss.into()), ..Self::default() }
    }

    /// Checks the parameters and the loss, and computes the weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), and what the loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<InversePropensity> {
        self.check()?;
        let most = profile.counts().iter().copied().max().unwrap_or(1).max(1) as f64;
        let propensities: Vec<f64> =
            profile.counts().iter().map(|&n| (n.max(1) as f64 / most).powf(self.power)).collect();
        let weights = inverse_propensities(&propensities, self.clip)?;
        Ok(InversePropensity {
            inner: self.loss.init(profile, device)?,
            weights: constant(&weights, device),
            self_normalized: self.self_normalized,
        })
    }
}

/// See [`InversePropensityConfig`].
#[derive(Debug)]
pub struct InversePropensity {
    inner: Box<dyn Loss>,
    weights: Tensor<1>,
    self_normalized: bool,
}

impl Loss for InversePropensity {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let all = row(&self.weights, &logits).squeeze_dim::<1>(0);
        let mut weights = all.select(0, targets.classes());
        if self.self_normalized {
            weights = weights.clone() / weights.mean();
        }
        self.inner.compute(logits, targets) * weights
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        self.inner.weights(logits, targets)
    }

    forward!(inner: set_epoch, begin_batch, end_batch, state);
}
