use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::class_weights;
use crate::macros::loss_config;
use crate::{ClassWeights, Loss, Result, Targets};

loss_config! {
    /// Cross entropy with class weights and label smoothing.
    ///
    /// `loss = −Σ_c w_c t̃_c log softmax(z)_c` with `t̃ = (1 − ε) t + ε / C`
    /// (Szegedy et al., CVPR 2016). PyTorch's `CrossEntropyLoss` agrees value for value; its
    /// `mean` is [`Reduction::WeightedMean`](crate::Reduction::WeightedMean) for class
    /// ids without smoothing. Weights may be zero.
    CrossEntropyConfig {
        /// Weights per class. Default: uniform.
        weights / with_weights: ClassWeights = ClassWeights::Uniform, weights;
        /// ε in `[0, 1)`. Default: 0.
        smoothing / with_smoothing: f64 = 0.0, below_one;
    }
}

impl CrossEntropyConfig {
    /// Checks the configuration and computes the weights.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<CrossEntropy> {
        self.check()?;
        Ok(CrossEntropy {
            weights: self.weights.tensor(profile, device)?,
            smoothing: self.smoothing,
        })
    }
}

/// See [`CrossEntropyConfig`].
#[derive(Debug, Clone)]
pub struct CrossEntropy {
    weights: Option<Tensor<1>>,
    smoothing: f64,
}

impl Loss for CrossEntropy {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let softmax = Softmax::default();
        if self.smoothing == 0.0 {
            return softmax.cross_entropy(logits, targets, self.weights.as_ref());
        }
        let even = self.smoothing / logits.dims()[1] as f64;
        let smooth = targets.dense(&logits) * (1.0 - self.smoothing) + even;
        softmax.cross_entropy(logits, &Targets::Soft(smooth), self.weights.as_ref())
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        class_weights(self.weights.as_ref(), logits, targets)
    }
}
