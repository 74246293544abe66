use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use super::wrapper::forward;
use crate::loss::row;
use crate::macros::loss_config;
use crate::{ClassWeights, Loss, LossConfig, Result, Targets};

loss_config! {
    /// Any loss times a weight per example, `Σ_c t_c w_c` of its target.
    ClassWeightedConfig: wrapper {
        /// The loss.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// Weights per class. Default: balanced.
        weights / with_weights: ClassWeights = ClassWeights::Balanced, weights;
    }
}

impl ClassWeightedConfig {
    /// `loss` under `weights`.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>, weights: ClassWeights) -> Self {
        Self { loss: Box::new(loss.into()), weights }
    }

    /// Checks the loss and computes the weights.
    ///
    /// # Errors
    /// What the loss reports, and [`Error`](enum@crate::Error) for the weights.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<ClassWeighted> {
        self.check()?;
        Ok(ClassWeighted {
            inner: self.loss.init(profile, device)?,
            weights: crate::loss::constant(&self.weights.values(profile)?, device),
        })
    }
}

/// See [`ClassWeightedConfig`].
#[derive(Debug)]
pub struct ClassWeighted {
    inner: Box<dyn Loss>,
    weights: Tensor<1>,
}

impl ClassWeighted {
    fn of(&self, logits: &Tensor<2>, targets: &Targets) -> Tensor<1> {
        // One weight per class of the profile, however many columns the loss takes.
        let weights = row(&self.weights, logits);
        match targets {
            Targets::Soft(soft) if soft.dims()[1] != weights.dims()[1] => {
                // A single column: class 1 is its indicator.
                let two =
                    Targets::Ids(targets.indicators(logits).greater_elem(0.5).int().squeeze_dim(1));
                two.weigh(weights)
            }
            _ => targets.weigh(weights),
        }
    }
}

impl Loss for ClassWeighted {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let weights = self.of(&logits, targets);
        self.inner.compute(logits, targets) * weights
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        let own = self.of(logits, targets);
        Some(match self.inner.weights(logits, targets) {
            Some(inner) => inner * own,
            None => own,
        })
    }

    forward!(inner: set_epoch, begin_batch, end_batch, state);
}
