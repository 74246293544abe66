//! Dense layers with Adam, small enough to be written out: what is drawn is drawn on the host.

use burn::tensor::activation::relu;
use burn::tensor::{Device, Gradients, Tensor, TensorData};
use counterweight_core::{Rng, SplitMix, derive};
use counterweight_kernels::{AdamStep, adam_step, batch_norm_relu, dense};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use crate::{Error, Result};

/// Slope of LeakyReLU below 0.
const LEAK: f64 = 0.2;
/// Share of the running moments that a batch replaces.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// Adam's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Adam {
    pub(crate) rate: f64,
    pub(crate) decay: f64,
    pub(crate) betas: [f64; 2],
}

impl Adam {
    /// With the rate of this step, which falls to 0 over the last tenth of them: the last weights are
    /// no longer those of the last few batches.
    pub(crate) fn falling(mut self, step: usize, steps: usize) -> Self {
        const LAST: f64 = 0.1;
        let left = (steps - step) as f64 / steps as f64;
        self.rate *= (left / LAST).min(1.0);
        self
    }
}

/// Weights on the plain device, and what Adam keeps of them.
#[derive(Debug, Clone)]
pub(crate) struct Weights {
    tensors: Vec<Tensor<2>>,
    moments: Vec<[Tensor<2>; 2]>,
    time: i32,
}

/// The weights of one use: tracked for training or plain.
pub(crate) type Used = Vec<Tensor<2>>;

impl Weights {
    /// PyTorch's beginning of dense layers of these sizes, uniform in ±1/√inputs: for each a
    /// matrix `[inputs, outputs]` and a bias `[1, outputs]`.
    pub(crate) fn dense(sizes: &[[usize; 2]], rng: &mut Rng, device: &Device) -> Self {
        let draw = |rows: usize, columns: usize, bound: f32, rng: &mut Rng| {
            let values: Vec<f32> =
                (0..rows * columns).map(|_| rng.random_range(-bound..=bound)).collect();
            Tensor::from_data(TensorData::new(values, [rows, columns]), device)
        };
        let mut tensors = Vec::new();
        for &[inputs, outputs] in sizes {
            let bound = 1.0 / (inputs.max(1) as f32).sqrt();
            tensors.push(draw(inputs, outputs, bound, rng));
            tensors.push(draw(1, outputs, bound, rng));
        }
        Self::from_tensors(tensors)
    }

    /// Adds a tensor.
    pub(crate) fn push(&mut self, tensor: Tensor<2>) {
        self.moments.push([tensor.zeros_like(), tensor.zeros_like()]);
        self.tensors.push(tensor);
    }

    pub(crate) fn from_tensors(tensors: Vec<Tensor<2>>) -> Self {
        let moments = tensors.iter().map(|t| [t.zeros_like(), t.zeros_like()]).collect();
        Self { tensors, moments, time: 0 }
    }

    /// The weights without gradient.
    pub(crate) fn plain(&self) -> &[Tensor<2>] {
        &self.tensors
    }

    /// The weights as leaves of a graph.
    pub(crate) fn tracked(&self) -> Used {
        let leaf = |t: &Tensor<2>| Tensor::from_inner(t.clone()).require_grad();
        self.tensors.iter().map(leaf).collect()
    }

    /// The weights as constants of a graph.
    pub(crate) fn constant(&self) -> Used {
        self.tensors.iter().map(|t| Tensor::from_inner(t.clone())).collect()
    }

    /// A step of Adam with decoupled decay.
    pub(crate) fn step(&mut self, used: Used, gradients: &Gradients, adam: Adam) {
        self.time += 1;
        let step = AdamStep {
            rate: adam.rate,
            decay: adam.decay,
            beta_1: adam.betas[0],
            beta_2: adam.betas[1],
            epsilon: 1e-8,
            time: self.time,
        };
        let gradients: Vec<_> = used.iter().map(|t| t.grad(gradients)).collect();
        // The graph's handles go first, so that the update is in place.
        drop(used);
        let old = std::mem::take(&mut self.tensors).into_iter();
        let moments = std::mem::take(&mut self.moments).into_iter();
        for ((tensor, moments), gradient) in old.zip(moments).zip(gradients) {
            let (tensor, moments) = match gradient {
                Some(gradient) => adam_step(tensor, gradient, moments, step),
                None => (tensor, moments),
            };
            self.tensors.push(tensor);
            self.moments.push(moments);
        }
    }

    /// The tensors and Adam's moments of each, for a file.
    pub(crate) fn all(&self) -> Vec<Tensor<2>> {
        let with_moments =
            |(t, m): (&Tensor<2>, &[Tensor<2>; 2])| [t, &m[0], &m[1]].map(Clone::clone);
        self.tensors.iter().zip(&self.moments).flat_map(with_moments).collect()
    }

    /// Adam's steps so far.
    pub(crate) fn steps(&self) -> i32 {
        self.time
    }

    /// Takes back what [`all`](Self::all) gave; says whether the shapes fit.
    pub(crate) fn restore(
        &mut self,
        tensors: &mut impl Iterator<Item = Tensor<2>>,
        steps: i32,
    ) -> bool {
        self.time = steps;
        for (tensor, [first, second]) in self.tensors.iter_mut().zip(&mut self.moments) {
            for old in [tensor, first, second] {
                match tensors.next() {
                    Some(new) if new.dims() == old.dims() => *old = new,
                    _ => return false,
                }
            }
        }
        true
    }

    /// Replaces a tensor by what `f` makes of it.
    pub(crate) fn map(&mut self, at: usize, f: impl FnOnce(Tensor<2>) -> Tensor<2>) {
        self.tensors[at] = f(self.tensors[at].clone());
    }
}

/// Layer `at` of weights that began with dense layers.
pub(crate) fn layer(used: &[Tensor<2>], at: usize, x: Tensor<2>) -> Tensor<2> {
    dense(x, used[2 * at].clone(), used[2 * at + 1].clone().squeeze_dim::<1>(0))
}

/// `slope(x)` of LeakyReLU, a constant.
pub(crate) fn slopes(x: &Tensor<2>) -> Tensor<2> {
    x.clone().detach().greater_elem(0.0).float().mul_scalar(1.0 - LEAK).add_scalar(LEAK)
}

/// ReLU of the batch normalisation (Ioffe and Szegedy, ICML 2015) by the batch's own moments, and
/// the running moments after it.
pub(crate) fn batch_norm(
    x: Tensor<2>,
    gamma: Tensor<2>,
    beta: Tensor<2>,
    running: &mut [Tensor<2>; 2],
) -> Tensor<2> {
    let rows = x.dims()[0] as f64;
    let line = |x: Tensor<2>| x.squeeze_dim::<1>(0);
    let (out, [mean, variance]) = batch_norm_relu(x, line(gamma), line(beta), EPSILON);
    let keep = |old: &mut Tensor<2>, new: Tensor<1>| {
        *old = old.clone() * (1.0 - MOMENTUM) + new.unsqueeze() * MOMENTUM;
    };
    keep(&mut running[0], mean);
    keep(&mut running[1], variance * (rows / (rows - 1.0).max(1.0)));
    out
}

/// The same by the running moments.
pub(crate) fn fixed_norm(
    x: Tensor<2>,
    gamma: Tensor<2>,
    beta: Tensor<2>,
    running: &[Tensor<2>; 2],
) -> Tensor<2> {
    let scale = gamma * (running[1].clone() + EPSILON).sqrt().recip();
    relu((x - running[0].clone()) * scale + beta)
}

/// Numbers drawn on the host, each piece of them by a stream of its own, so that they are the same
/// at any number of threads.
fn drawn(
    rows: usize,
    columns: usize,
    rng: &mut Rng,
    device: &Device,
    fill: impl Fn(&mut [f32], SplitMix) + Sync,
) -> Tensor<2> {
    const PIECE: usize = 1 << 13;
    let mut values = vec![0f32; rows * columns];
    let seed = rng.random::<u64>();
    values.par_chunks_mut(PIECE).enumerate().for_each(|(at, piece)| {
        fill(piece, SplitMix::new(derive(seed, at as u64)));
    });
    upload(values, columns, device)
}

/// Numbers of `(0, 1)`: the middles of 2²³ equal parts, two of each 64 bits.
fn uniform(values: &mut [f32], mut rng: SplitMix) {
    const BITS: u32 = 23;
    let part = |bits: u64| {
        let bits = bits as u32 & ((1 << BITS) - 1);
        (bits as f32 + 0.5) / (1 << BITS) as f32
    };
    for pair in values.chunks_mut(2) {
        let bits = rng.random::<u64>();
        pair[0] = part(bits >> 41);
        if let Some(second) = pair.get_mut(1) {
            *second = part(bits >> 9);
        }
    }
}

/// Standard normal numbers.
pub(crate) fn normal(rows: usize, columns: usize, rng: &mut Rng, device: &Device) -> Tensor<2> {
    drawn(rows, columns, rng, device, |values, mut rng| {
        values.fill_with(|| StandardNormal.sample(&mut rng));
    })
}

/// Gumbel noise.
pub(crate) fn gumbel(rows: usize, columns: usize, rng: &mut Rng, device: &Device) -> Tensor<2> {
    drawn(rows, columns, rng, device, |values, rng| {
        uniform(values, rng);
        counterweight_kernels::gumbel(values);
    })
}

/// 0 with probability `share`, else `1 / (1 − share)`.
pub(crate) fn dropout_mask(
    rows: usize,
    columns: usize,
    share: f64,
    rng: &mut Rng,
    device: &Device,
) -> Tensor<2> {
    let kept = (1.0 / (1.0 - share)) as f32;
    let share = share as f32;
    drawn(rows, columns, rng, device, |values, rng| {
        uniform(values, rng);
        for value in values {
            *value = if *value < share { 0.0 } else { kept };
        }
    })
}

/// Rows of numbers on a device.
pub(crate) fn upload(values: Vec<f32>, columns: usize, device: &Device) -> Tensor<2> {
    let rows = values.len() / columns.max(1);
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

/// The numbers of a tensor.
pub(crate) fn numbers<const D: usize>(tensor: Tensor<D>) -> Result<Vec<f32>> {
    let data = tensor.into_data();
    Ok(data.iter::<f32>().collect())
}

/// A loss, which must be finite.
pub(crate) fn finite(loss: Tensor<1>, step: usize, what: &'static str) -> Result<f64> {
    let value =
        loss.try_into_scalar::<f64>().map_err(|e| Error::Device { reason: e.to_string() })?;
    if value.is_finite() { Ok(value) } else { Err(Error::Diverged { step, what, value }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_falls_over_the_last_tenth() {
        let adam = Adam { rate: 2.0, decay: 0.0, betas: [0.9, 0.999] };
        let rate = |step| adam.falling(step, 100).rate;
        assert_eq!([0, 50, 90].map(rate), [2.0; 3]);
        assert!((rate(95) - 1.0).abs() < 1e-12 && (rate(99) - 0.2).abs() < 1e-12);
        assert_eq!(adam.falling(0, 1).rate, 2.0);
    }
}
