use counterweight_core::ensure;

use super::{ByClass, IndexSampler};
use crate::Result;

/// Repeat-factor sampling (Gupta et al., CVPR 2019, LVIS): rows of a class with frequency f
/// below the threshold t weigh `sqrt(t / f)`, all others 1.
///
/// An epoch keeps the length of the data; the classes' shares are those of LVIS's longer one.
#[derive(Debug, Clone)]
pub struct RepeatFactor(ByClass);

impl RepeatFactor {
    /// A sampler for the labels of a data set; LVIS takes a threshold of 0.001.
    ///
    /// # Errors
    /// When there are none, or for a threshold outside (0, 1].
    pub fn new(labels: &[usize], threshold: f64, seed: u64) -> Result<Self> {
        ensure("threshold", threshold, threshold > 0.0 && threshold <= 1.0, "(0, 1]")?;
        let total = labels.len() as f64;
        let weight = |n: f64| n * (threshold / (n / total)).sqrt().max(1.0);
        Ok(Self(ByClass::new(labels, seed, weight)?))
    }
}

impl IndexSampler for RepeatFactor {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.0.epoch(epoch)
    }
}
