use counterweight_core::ensure;

use super::{ByClass, IndexSampler};
use crate::Result;

/// Sampling by the effective number of samples (Cui et al., CVPR 2019): every row weighs
/// `(1 − β) / (1 − β^n)`, n the count of its class. β = 0 is natural frequency, β → 1
/// class-aware.
#[derive(Debug, Clone)]
pub struct EffectiveNumber(ByClass);

impl EffectiveNumber {
    /// A sampler for the labels of a data set.
    ///
    /// # Errors
    /// When there are none, or for β outside `[0, 1)`.
    pub fn new(labels: &[usize], beta: f64, seed: u64) -> Result<Self> {
        ensure("beta", beta, (0.0..1.0).contains(&beta), "[0, 1)")?;
        let weight = |n: f64| n * (1.0 - beta) / (1.0 - beta.powf(n));
        Ok(Self(ByClass::new(labels, seed, weight)?))
    }
}

impl IndexSampler for EffectiveNumber {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.0.epoch(epoch)
    }
}
