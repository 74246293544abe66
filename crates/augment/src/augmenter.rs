use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::rng;
use rand::seq::SliceRandom;

/// Features `[batch, …]` with a distribution over the classes per row.
#[derive(Debug, Clone)]
pub struct Batch<const D: usize> {
    /// Features; the first dimension is the batch.
    pub features: Tensor<D>,
    /// Soft targets `[batch, classes]`; labels of multi-label data or values of a regression
    /// are mixed the same way.
    pub targets: Tensor<2>,
}

impl<const D: usize> Batch<D> {
    /// Rows.
    pub fn rows(&self) -> usize {
        self.features.dims()[0]
    }

    /// These rows, in this order; a row may be taken more than once.
    ///
    /// # Panics
    /// When an index is not below the rows.
    pub fn select(&self, rows: &[usize]) -> Self {
        Self { features: take(&self.features, rows), targets: take(&self.targets, rows) }
    }
}

/// Rows of a tensor.
pub(crate) fn take<const D: usize>(x: &Tensor<D>, rows: &[usize]) -> Tensor<D> {
    x.clone().select(0, index(rows, &x.device()))
}

/// Row numbers on a device.
pub(crate) fn index(rows: &[usize], device: &Device) -> Tensor<1, Int> {
    let n = rows.len();
    let rows: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
    Tensor::from_data(TensorData::new(rows, [n]), device)
}

/// Changes a batch.
pub trait Augmenter<const D: usize>: Debug + Send + Sync {
    /// The changed batch, of the same shapes. The same seed draws the same, on every device.
    fn augment(&self, batch: Batch<D>, seed: u64) -> Batch<D>;
}

/// Mixes every row with a partner.
///
/// As an [`Augmenter`] the partners are the rows of the batch in another order, and a batch of
/// one row is returned as it is. [`mix`](Self::mix) takes them from another batch of as many
/// rows: drawn class-aware it is balanced mixup (Galdran et al., MICCAI 2021), and CutMix with
/// partners from the tail is context-rich minority oversampling (Park et al., CVPR 2022).
pub trait Mixer<const D: usize>: Augmenter<D> {
    /// Mixes row by row.
    ///
    /// # Panics
    /// When the batches have other shapes.
    fn mix(&self, batch: Batch<D>, partners: Batch<D>, seed: u64) -> Batch<D>;
}

/// What every mixer does as an augmenter: `mix` gets the rows in another order, and a seed.
pub(crate) fn mix_within<const D: usize>(
    batch: Batch<D>,
    seed: u64,
    mix: impl FnOnce(Batch<D>, &[usize], u64) -> Batch<D>,
) -> Batch<D> {
    let rows = batch.rows();
    if rows < 2 {
        return batch;
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.shuffle(&mut rng(seed));
    mix(batch, &order, counterweight_core::derive(seed, 1))
}
