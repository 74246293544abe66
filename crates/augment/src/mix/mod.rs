//! Two rows as one.

mod cutmix;
mod mixup;
mod remix;

use burn::tensor::{Device, Tensor, TensorData};
use counterweight_core::{OutOfRange, Rng, ensure};
use counterweight_kernels::{mix_pairs, mix_rows};
use rand_distr::{Beta, Distribution};

pub use cutmix::{CutMix, CutMixAugmenter};
pub use mixup::{Mixup, MixupAugmenter};
pub use remix::{Remix, RemixAugmenter};

use crate::Result;
use crate::augmenter::index;

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
        let mut draw = || match self.beta.sample(rng) as f32 {
            // Products with what is nearly nothing are slow, and nothing.
            little if little < f32::EPSILON => 0.0,
            lambda => lambda,
        };
        if self.per_batch {
            return vec![draw(); rows];
        }
        std::iter::repeat_with(draw).take(rows).collect()
    }
}

/// `λ x + (1 − λ) y` of every row, with one λ each; x itself where λ is 1.
fn blend<const D: usize>(x: Tensor<D>, y: Tensor<D>, lambda: Tensor<1>) -> Tensor<D> {
    assert_eq!(x.dims(), y.dims(), "partners need the shape of the batch");
    by_rows(x, lambda, |x, weights| {
        let shape = x.dims();
        mix_rows(x, y.reshape(shape), weights, None)
    })
}

/// [`blend`] with other rows of x, of which no copy is made.
fn blend_within<const D: usize>(x: Tensor<D>, order: &[usize], lambda: Tensor<1>) -> Tensor<D> {
    by_rows(x, lambda, |x, weights| {
        let partners = index(order, &x.device());
        mix_pairs(x, partners, weights)
    })
}

/// Calls `mix` with x as a matrix and the weights `[λ, 1 − λ]`.
fn by_rows<const D: usize>(
    x: Tensor<D>,
    lambda: Tensor<1>,
    mix: impl FnOnce(Tensor<2>, Tensor<2>) -> Tensor<2>,
) -> Tensor<D> {
    let shape = x.dims();
    let rows = shape[0];
    let width = shape[1..].iter().product::<usize>();
    if rows == 0 || width == 0 {
        return x;
    }
    let lambda = lambda.cast(x.dtype());
    let weights = Tensor::stack::<2>(vec![lambda.clone(), lambda * -1.0 + 1.0], 1);
    mix(x.reshape([rows, width]), weights).reshape(shape)
}

fn upload(values: Vec<f32>, device: &Device) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
