use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::{Loss, LossConfig, Result, Targets};

/// One loss for the first epochs, another from `epoch` on: deferred re-weighting
/// (DRW, Cao et al., NeurIPS 2019) when the second is the first with class weights.
///
/// The model first learns features from the natural distribution; the weights then
/// move only its decision.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeferredConfig {
    /// The loss of epochs `0..epoch`.
    pub first: Box<LossConfig>,
    /// The loss from `epoch` on.
    pub then: Box<LossConfig>,
    /// The first epoch of `then`. The paper switches at 80 % of the epochs.
    pub epoch: usize,
}

impl DeferredConfig {
    /// `first` before `epoch`, `then` from it on.
    #[must_use]
    pub fn new(first: impl Into<LossConfig>, then: impl Into<LossConfig>, epoch: usize) -> Self {
        Self { first: Box::new(first.into()), then: Box::new(then.into()), epoch }
    }

    /// Checks the parameters that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) naming the parameter and its range.
    pub fn check(&self) -> Result<()> {
        self.first.check()?;
        self.then.check()
    }

    /// Checks both losses.
    ///
    /// # Errors
    /// What either loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Deferred> {
        Ok(Deferred {
            first: self.first.init(profile, device)?,
            then: self.then.init(profile, device)?,
            switch: self.epoch,
            epoch: 0,
        })
    }
}

/// See [`DeferredConfig`].
#[derive(Debug)]
pub struct Deferred {
    first: Box<dyn Loss>,
    then: Box<dyn Loss>,
    switch: usize,
    epoch: usize,
}

impl Deferred {
    fn current(&self) -> &dyn Loss {
        if self.epoch < self.switch { self.first.as_ref() } else { self.then.as_ref() }
    }
}

impl Loss for Deferred {
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self.current().per_example(logits, targets)
    }

    fn class_weights(&self) -> Option<&Tensor<1>> {
        self.current().class_weights()
    }

    fn set_epoch(&mut self, epoch: usize) {
        self.epoch = epoch;
        self.first.set_epoch(epoch);
        self.then.set_epoch(epoch);
    }
}
