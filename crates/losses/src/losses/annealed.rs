use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::two::Two;
use super::wrapper::forward;
use crate::macros::loss_config;
use crate::{Loss, LossConfig, Result, Targets};

loss_config! {
    /// A gradual change from one loss to another.
    ///
    /// `loss = (1 − a) first + a then`, with a = 0 until epoch `from`, growing linearly to 1 at
    /// epoch `to`.
    AnnealedConfig: wrapper {
        /// The loss at the start.
        first / with_first: Box<LossConfig> = Box::default(), inner;
        /// The loss at the end.
        then / with_then: Box<LossConfig> = Box::default(), inner;
        /// The last epoch of `first` alone. Default: 0.
        from / with_from: usize = 0, any;
        /// The first epoch of `then` alone. Default: 10. At or before `from`, the change
        /// is sudden.
        to / with_to: usize = 10, any;
    }
}

impl AnnealedConfig {
    /// From `first` alone at epoch `from` to `then` alone at epoch `to`.
    #[must_use]
    pub fn new(
        first: impl Into<LossConfig>,
        then: impl Into<LossConfig>,
        from: usize,
        to: usize,
    ) -> Self {
        Self { first: Box::new(first.into()), then: Box::new(then.into()), from, to }
    }

    /// Checks both losses.
    ///
    /// # Errors
    /// What either loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Annealed> {
        Ok(Annealed {
            both: Two::new(&self.first, &self.then, profile, device)?,
            from: self.from,
            to: self.to,
            epoch: 0,
        })
    }
}

/// See [`AnnealedConfig`].
#[derive(Debug)]
pub struct Annealed {
    both: Two,
    from: usize,
    to: usize,
    epoch: usize,
}

impl Annealed {
    /// a, the share of the second loss.
    fn share(&self) -> f64 {
        match self.epoch.checked_sub(self.from) {
            None | Some(0) => 0.0,
            Some(_) if self.epoch >= self.to => 1.0,
            Some(past) => past as f64 / (self.to - self.from) as f64,
        }
    }

    fn blend(&self, f: impl Fn(&dyn Loss) -> Option<Tensor<1>>) -> Option<Tensor<1>> {
        let share = self.share();
        if share == 0.0 {
            return f(self.both.first.as_ref());
        }
        if share == 1.0 {
            return f(self.both.then.as_ref());
        }
        match (f(self.both.first.as_ref()), f(self.both.then.as_ref())) {
            (Some(first), Some(then)) => Some(first * (1.0 - share) + then * share),
            (Some(first), None) => Some(first * (1.0 - share) + share),
            (None, Some(then)) => Some(then * share + (1.0 - share)),
            (None, None) => None,
        }
    }
}

impl Loss for Annealed {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let loss = self.blend(|loss| Some(loss.compute(logits.clone(), targets)));
        loss.unwrap_or_else(|| unreachable!("both losses have values"))
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        self.blend(|loss| loss.weights(logits, targets))
    }

    fn set_epoch(&mut self, epoch: usize) {
        self.epoch = epoch;
        self.both.set_epoch(epoch);
    }

    forward!(both: begin_batch, end_batch, state);
}
