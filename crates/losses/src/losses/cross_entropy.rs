use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use counterweight_kernels::soft_cross_entropy;
use serde::{Deserialize, Serialize};

use crate::loss::row;
use crate::{ClassWeights, Loss, Result, Targets};

/// Cross entropy with class weights and label smoothing.
///
/// `loss = −Σ_c w_c t̃_c log softmax(z)_c` with `t̃ = (1 − ε) t + ε / C`
/// (Szegedy et al. 2016). PyTorch's `CrossEntropyLoss` agrees value for value; its
/// `mean` is [`Reduction::WeightedMean`](crate::Reduction::WeightedMean) for class
/// ids without smoothing. Weights may be zero.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropyConfig {
    /// Weights per class. Default: uniform.
    pub weights: ClassWeights,
    /// ε in `[0, 1)`. Default: 0.
    pub smoothing: f64,
}

impl CrossEntropyConfig {
    /// Plain cross entropy.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the class weights.
    #[must_use]
    pub fn with_weights(mut self, weights: ClassWeights) -> Self {
        self.weights = weights;
        self
    }

    /// Sets the label smoothing ε.
    #[must_use]
    pub fn with_smoothing(mut self, smoothing: f64) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// Checks the parameters that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) naming the parameter and its range.
    pub fn check(&self) -> Result<()> {
        let ok = (0.0..1.0).contains(&self.smoothing);
        ensure("smoothing", self.smoothing, ok, "[0, 1)")?;
        self.weights.check()
    }

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
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let classes = logits.dims()[1] as f64;
        let mut dense = targets.dense(&logits);
        if self.smoothing > 0.0 {
            dense = dense * (1.0 - self.smoothing) + self.smoothing / classes;
        }
        if let Some(weights) = &self.weights {
            dense = dense * row(weights, &logits);
        }
        soft_cross_entropy(logits, dense)
    }

    fn class_weights(&self) -> Option<&Tensor<1>> {
        self.weights.as_ref()
    }
}
