use super::{ByClass, IndexSampler};
use crate::Result;

/// Class-aware sampling (Shen et al., ECCV 2016): every class equally often, its rows in
/// shuffled rounds.
#[derive(Debug, Clone)]
pub struct ClassAware(ByClass);

impl ClassAware {
    /// A sampler for the labels of a data set.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(labels: &[usize], seed: u64) -> Result<Self> {
        Ok(Self(ByClass::new(labels, seed, |_| 1.0)?))
    }
}

impl IndexSampler for ClassAware {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        self.0.epoch(epoch)
    }
}
