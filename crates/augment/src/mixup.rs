use burn::tensor::{Device, Int, Tensor, TensorData};
use counterweight_core::{ensure, rng};
use rand::seq::SliceRandom;
use rand_distr::{Beta, Distribution};
use serde::{Deserialize, Serialize};

use crate::{Augmenter, Batch, Result};

/// Mixup (Zhang et al., ICLR 2018): every row becomes `λ x_i + (1 − λ) x_j`, its target
/// `λ t_i + (1 − λ) t_j`, with `λ ~ Beta(α, α)` and `j` from a permutation of the batch.
///
/// λ is drawn per row by default; `per_batch` draws one, as the paper's code does. On an
/// encoder's vectors this is manifold mixup (Verma et al., ICML 2019).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mixup {
    /// α > 0. Default: 0.2.
    pub alpha: f64,
    /// One λ for the whole batch. Default: false.
    pub per_batch: bool,
}

impl Default for Mixup {
    fn default() -> Self {
        Self { alpha: 0.2, per_batch: false }
    }
}

impl Mixup {
    /// α = 0.2, λ per row.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets α.
    #[must_use]
    pub fn with_alpha(mut self, alpha: f64) -> Self {
        self.alpha = alpha;
        self
    }

    /// Draws one λ for the whole batch.
    #[must_use]
    pub fn with_per_batch(mut self, per_batch: bool) -> Self {
        self.per_batch = per_batch;
        self
    }

    /// Checks α.
    ///
    /// # Errors
    /// When α is not positive and finite.
    pub fn init(&self) -> Result<MixupAugmenter> {
        let ok = self.alpha > 0.0 && self.alpha.is_finite();
        ensure("alpha", self.alpha, ok, "(0, inf)")?;
        let beta = Beta::new(self.alpha, self.alpha);
        let beta = beta.map_err(|_| counterweight_core::OutOfRange {
            name: "alpha",
            value: self.alpha,
            allowed: "(0, inf)",
        })?;
        Ok(MixupAugmenter { beta, per_batch: self.per_batch })
    }
}

/// See [`Mixup`].
#[derive(Debug, Clone)]
pub struct MixupAugmenter {
    beta: Beta<f64>,
    per_batch: bool,
}

impl MixupAugmenter {
    /// Partner and weight of every row.
    fn draw(&self, rows: usize, seed: u64, device: &Device) -> (Tensor<1, Int>, Tensor<1>) {
        let mut rng = rng(seed);
        let mut partner: Vec<i32> = (0..rows as i32).collect();
        partner.shuffle(&mut rng);
        let shared = self.beta.sample(&mut rng) as f32;
        let lambda: Vec<f32> = (0..rows)
            .map(|_| if self.per_batch { shared } else { self.beta.sample(&mut rng) as f32 })
            .collect();
        (
            Tensor::from_data(TensorData::new(partner, [rows]), device),
            Tensor::from_data(TensorData::new(lambda, [rows]), device),
        )
    }
}

impl<const D: usize> Augmenter<D> for MixupAugmenter {
    fn augment(&self, batch: Batch<D>, seed: u64) -> Batch<D> {
        let rows = batch.features.dims()[0];
        let device = batch.features.device();
        let (partner, lambda) = self.draw(rows, seed, &device);
        Batch {
            features: mix(batch.features, &partner, &lambda),
            targets: mix(batch.targets, &partner, &lambda),
        }
    }
}

fn mix<const D: usize>(x: Tensor<D>, partner: &Tensor<1, Int>, lambda: &Tensor<1>) -> Tensor<D> {
    let mut shape = [1; D];
    shape[0] = x.dims()[0];
    let lambda = lambda.clone().cast(x.dtype()).reshape(shape);
    let other = x.clone().select(0, partner.clone());
    other.clone() + (x - other) * lambda
}
