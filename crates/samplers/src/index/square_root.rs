use super::{ByClass, IndexSampler};
use crate::Result;

/// Square-root sampling (Mahajan et al., ECCV 2018): classes in proportion to the square root
/// of their count, between natural frequency and class-aware.
#[derive(Debug, Clone)]
pub struct SquareRoot(ByClass);

impl SquareRoot {
    /// A sampler for the labels of a data set.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(labels: &[usize], seed: u64) -> Result<Self> {
        Ok(Self(ByClass::new(labels, seed, f64::sqrt)?))
    }
}

impl IndexSampler for SquareRoot {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.0.epoch(epoch)
    }
}
