use counterweight_core::{ensure, ensure_length};

use super::{ByClass, IndexSampler};
use crate::Result;

/// Classes in proportion to weights of your choice.
#[derive(Debug, Clone)]
pub struct Weighted(ByClass);

impl Weighted {
    /// A sampler for the labels of a data set; `weights` are the classes' shares of an epoch,
    /// in class-id order.
    ///
    /// # Errors
    /// When there are no labels or fewer weights than classes, for a weight that is negative or
    /// not finite, or when no class with rows has a weight.
    pub fn new(labels: &[usize], weights: &[f64], seed: u64) -> Result<Self> {
        for &w in weights {
            ensure("weight", w, w >= 0.0 && w.is_finite(), "[0, inf)")?;
        }
        let classes = labels.iter().max().map_or(0, |&c| c.saturating_add(1));
        // More weights than classes seen are fine: a class may have no rows here.
        ensure_length("weights", weights.len(), classes.max(weights.len()))?;
        let mut sampler = ByClass::new(labels, seed, |n| n)?;
        sampler.set_weights(weights);
        let sum: f64 = sampler.weights().iter().sum();
        ensure("sum of weights", sum, sum > 0.0, "(0, inf)")?;
        Ok(Self(sampler))
    }
}

impl IndexSampler for Weighted {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.0.epoch(epoch)
    }
}
