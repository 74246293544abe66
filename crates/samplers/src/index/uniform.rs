use counterweight_core::{derive, rng};
use rand::seq::SliceRandom;

use super::IndexSampler;
use crate::Result;

/// Every row once per epoch, in a new order each time.
#[derive(Debug, Clone)]
pub struct Uniform {
    len: usize,
    seed: u64,
}

impl Uniform {
    /// A sampler over as many rows as there are labels.
    ///
    /// # Errors
    /// When there are none.
    pub fn new(labels: &[usize], seed: u64) -> Result<Self> {
        if labels.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "labels" }.into());
        }
        Ok(Self { len: labels.len(), seed })
    }
}

impl IndexSampler for Uniform {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.len).collect();
        rows.shuffle(&mut rng(derive(self.seed, epoch as u64)));
        rows
    }
}
