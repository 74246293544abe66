use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::class_weights;
use crate::macros::loss_config;
use crate::{BatchInfo, ClassWeights, Loss, Result, Targets};

loss_config! {
    /// Influence-balanced loss (Park et al., ICCV 2021).
    ///
    /// `loss = λ_y CE / (Σ_c |p_c − t_c| · Σ_k |h_k| + ε) · α`: each example is divided by
    /// its influence on the last layer, with h what that layer received, from
    /// [`BatchInfo::features`] (1 when the batch brings none). The divisor carries no
    /// gradient. The paper trains with cross entropy first and switches, which is
    /// [`DeferredConfig`](crate::DeferredConfig).
    InfluenceBalancedConfig {
        /// α > 0. Default: 1000, as in the authors' code; it offsets the feature norms.
        alpha / with_alpha: f64 = 1000.0, positive;
        /// ε > 0. Default: 0.001.
        epsilon / with_epsilon: f64 = 1e-3, positive;
        /// λ per class. Default: uniform; the paper normalises inverse counts.
        weights / with_weights: ClassWeights = ClassWeights::Uniform, weights;
    }
}

impl InfluenceBalancedConfig {
    /// Checks the parameters and computes the weights.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<InfluenceBalanced> {
        self.check()?;
        Ok(InfluenceBalanced {
            config: self.clone(),
            weights: self.weights.tensor(profile, device)?,
            norms: None,
        })
    }
}

/// See [`InfluenceBalancedConfig`].
#[derive(Debug, Clone)]
pub struct InfluenceBalanced {
    config: InfluenceBalancedConfig,
    weights: Option<Tensor<1>>,
    norms: Option<Tensor<2>>,
}

impl Loss for InfluenceBalanced {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let fixed = logits.clone().detach();
        let gap = (softmax(fixed, 1) - targets.dense(&logits)).abs().sum_dim(1);
        let influence = match &self.norms {
            Some(norms) => gap * norms.clone().cast(logits.dtype()),
            None => gap,
        };
        let factor = (influence + self.config.epsilon).recip() * self.config.alpha;
        let factor = factor.detach().squeeze_dim::<1>(1);
        Softmax::default().cross_entropy(logits, targets, self.weights.as_ref()) * factor
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        class_weights(self.weights.as_ref(), logits, targets)
    }

    fn begin_batch(&mut self, batch: &BatchInfo<'_>) {
        self.norms = batch.features.map(|h| h.clone().detach().abs().sum_dim(1));
    }
}
