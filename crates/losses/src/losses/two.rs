//! Two losses side by side, for schedules.

use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::{BatchInfo, Loss, LossConfig, Result, Targets};

#[derive(Debug)]
pub(super) struct Two {
    pub(super) first: Box<dyn Loss>,
    pub(super) then: Box<dyn Loss>,
}

impl Two {
    pub(super) fn new(
        first: &LossConfig,
        then: &LossConfig,
        profile: &ClassProfile,
        device: &Device,
    ) -> Result<Self> {
        Ok(Self { first: first.init(profile, device)?, then: then.init(profile, device)? })
    }

    pub(super) fn set_epoch(&mut self, epoch: usize) {
        self.first.set_epoch(epoch);
        self.then.set_epoch(epoch);
    }

    pub(super) fn begin_batch(&mut self, batch: &BatchInfo<'_>) {
        self.first.begin_batch(batch);
        self.then.begin_batch(batch);
    }

    pub(super) fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        self.first.end_batch(logits.clone(), targets);
        self.then.end_batch(logits, targets);
    }

    /// The length of the first state, then both.
    pub(super) fn state(&self) -> Vec<f64> {
        let (first, then) = (self.first.state(), self.then.state());
        if first.is_empty() && then.is_empty() {
            return Vec::new();
        }
        let mut state = vec![first.len() as f64];
        state.extend(first);
        state.extend(then);
        state
    }

    pub(super) fn set_state(&mut self, state: &[f64]) {
        if let Some((&n, rest)) = state.split_first() {
            let (first, then) = rest.split_at((n as usize).min(rest.len()));
            self.first.set_state(first);
            self.then.set_state(then);
        }
    }
}
