use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::two::Two;
use super::wrapper::forward;
use crate::macros::loss_config;
use crate::{Loss, LossConfig, Result, Targets};

loss_config! {
    /// One loss for the first epochs, another from `epoch` on: deferred re-weighting
    /// (DRW, Cao et al., NeurIPS 2019) when the second is the first with class weights.
    ///
    /// The model first learns features from the natural distribution; the weights then
    /// move only its decision.
    DeferredConfig: wrapper {
        /// The loss of epochs `0..epoch`.
        first / with_first: Box<LossConfig> = Box::default(), inner;
        /// The loss from `epoch` on.
        then / with_then: Box<LossConfig> = Box::default(), inner;
        /// The first epoch of `then`. The paper switches at 80 % of the epochs.
        epoch / with_epoch: usize = 0, any;
    }
}

impl DeferredConfig {
    /// `first` before `epoch`, `then` from it on.
    #[must_use]
    pub fn new(first: impl Into<LossConfig>, then: impl Into<LossConfig>, epoch: usize) -> Self {
        Self { first: Box::new(first.into()), then: Box::new(then.into()), epoch }
    }

    /// Checks both losses.
    ///
    /// # Errors
    /// What either loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Deferred> {
        Ok(Deferred {
            both: Two::new(&self.first, &self.then, profile, device)?,
            switch: self.epoch,
            epoch: 0,
        })
    }
}

/// See [`DeferredConfig`].
#[derive(Debug)]
pub struct Deferred {
    both: Two,
    switch: usize,
    epoch: usize,
}

impl Deferred {
    fn current(&self) -> &dyn Loss {
        if self.epoch < self.switch { self.both.first.as_ref() } else { self.both.then.as_ref() }
    }
}

impl Loss for Deferred {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self.current().compute(logits, targets)
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        self.current().weights(logits, targets)
    }

    fn set_epoch(&mut self, epoch: usize) {
        self.epoch = epoch;
        self.both.set_epoch(epoch);
    }

    forward!(both: begin_batch, end_batch, state);
}
