use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::wrapper::forward;
use crate::macros::loss_config;
use crate::{Loss, LossConfig, Result, Targets};

loss_config! {
    /// Any loss on smoothed targets (Szegedy et al., CVPR 2016).
    ///
    /// `t̃ = (1 − ε) t + ε / C` over the columns; one column, a binary indicator, becomes
    /// `(1 − ε) t + ε / 2`.
    SmoothedConfig: wrapper {
        /// The loss.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// ε in `[0, 1)`. Default: 0.1.
        smoothing / with_smoothing: f64 = 0.1, below_one;
    }
}

impl SmoothedConfig {
    /// `loss` with ε.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>, smoothing: f64) -> Self {
        Self { loss: Box::new(loss.into()), smoothing }
    }

    /// Checks ε and the loss.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange), and what the loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Smoothed> {
        self.check()?;
        Ok(Smoothed { inner: self.loss.init(profile, device)?, smoothing: self.smoothing })
    }
}

/// See [`SmoothedConfig`].
#[derive(Debug)]
pub struct Smoothed {
    inner: Box<dyn Loss>,
    smoothing: f64,
}

impl Smoothed {
    fn smooth(&self, logits: &Tensor<2>, targets: &Targets) -> Targets {
        if self.smoothing == 0.0 {
            return targets.clone();
        }
        let columns = logits.dims()[1].max(2) as f64;
        let t = targets.indicators(logits);
        Targets::Soft(t * (1.0 - self.smoothing) + self.smoothing / columns)
    }
}

impl Loss for Smoothed {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let targets = self.smooth(&logits, targets);
        self.inner.compute(logits, &targets)
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        self.inner.weights(logits, targets)
    }

    forward!(inner: set_epoch, begin_batch, end_batch, state);
}
