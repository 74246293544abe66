use counterweight_core::ensure;

use super::{ByClass, IndexSampler};
use crate::Result;

/// Progressively balanced sampling (Kang et al., ICLR 2020): natural frequency in the first
/// epoch, class-aware from the last on, `p = (1 − s) p_natural + s / C` with
/// `s = epoch / (epochs − 1)` between.
#[derive(Debug, Clone)]
pub struct Progressive {
    classes: ByClass,
    epochs: usize,
}

impl Progressive {
    /// A sampler for the labels of a data set, balanced after `epochs` epochs.
    ///
    /// # Errors
    /// When there are no labels, or for fewer than 2 epochs.
    pub fn new(labels: &[usize], epochs: usize, seed: u64) -> Result<Self> {
        ensure("epochs", epochs as f64, epochs >= 2, "[2, inf)")?;
        Ok(Self { classes: ByClass::new(labels, seed, |n| n)?, epochs })
    }
}

impl IndexSampler for Progressive {
    fn epoch(&self, epoch: usize) -> Vec<usize> {
        let share = (epoch as f64 / (self.epochs - 1) as f64).min(1.0);
        let counts = self.classes.weights();
        let (rows, classes) = (counts.iter().sum::<f64>(), counts.len() as f64);
        let weights = counts.iter().map(|n| (1.0 - share) * n / rows + share / classes);
        self.classes.draw(epoch, &weights.collect::<Vec<_>>())
    }
}
