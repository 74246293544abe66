//! Two rows as one.

mod cutmix;
mod mixup;
mod remix;

use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{OutOfRange, Rng, ensure};
use rand_distr::{Beta, Distribution};

pub use cutmix::{CutMix, CutMixAugmenter};
pub use mixup::{Mixup, MixupAugmenter};
pub use remix::{Remix, RemixAugmenter};

use crate::Result;

/// Weights of the own row of a pair, from `Beta(α, β)`.
#[derive(Debug, Clone)]
struct Weights {
    beta: Beta<f64>,
    per_batch: bool,
}

impl Weights {
    fn new(alpha: f64, beta: f64, per_batch: bool) -> Result<Self> {
        let allowed = "(0, inf)";
        ensure("alpha", alpha, alpha > 0.0 && alpha.is_finite(), allowed)?;
        ensure("beta", beta, beta > 0.0 && beta.is_finite(), allowed)?;
        let beta = Beta::new(alpha, beta);
        let beta = beta.map_err(|_| OutOfRange { name: "alpha", value: alpha, allowed })?;
        Ok(Self { beta, per_batch })
    }

    fn draw(&self, rows: usize, rng: &mut Rng) -> Vec<f32> {
        if self.per_batch {
            return vec![self.beta.sample(rng) as f32; rows];
        }
        (0..rows).map(|_| self.beta.sample(rng) as f32).collect()
    }
}

/// `λ x + (1 − λ) y` of every row, with one λ each; x itself where λ is 1.
fn blend<const D: usize>(x: Tensor<D>, y: Tensor<D>, lambda: Tensor<1>) -> Tensor<D> {
    assert_eq!(x.dims(), y.dims(), "partners need the shape of the batch");
    let mut shape = [1; D];
    shape[0] = x.dims()[0];
    let lambda = lambda.cast(x.dtype()).reshape(shape);
    x * lambda.clone() + y * (1.0 - lambda)
}

fn upload(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
