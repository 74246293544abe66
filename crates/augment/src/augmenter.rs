use std::fmt::Debug;

use burn::tensor::Tensor;

/// Features `[batch, …]` with a distribution over the classes per row.
#[derive(Debug, Clone)]
pub struct Batch<const D: usize> {
    /// Features; the first dimension is the batch.
    pub features: Tensor<D>,
    /// Soft targets `[batch, classes]`.
    pub targets: Tensor<2>,
}

/// Changes a batch.
pub trait Augmenter<const D: usize>: Debug + Send + Sync {
    /// The changed batch, of the same shapes. The same seed draws the same.
    fn augment(&self, batch: Batch<D>, seed: u64) -> Batch<D>;
}
