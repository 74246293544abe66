//! A step of AdamW in one pass.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::Tensor;

use crate::composed::{narrow, wide};

/// The numbers of a step of AdamW (Loshchilov and Hutter, ICLR 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// The learning rate.
    pub rate: f64,
    /// The weights are multiplied by `1 − rate · decay`.
    pub decay: f64,
    /// What is kept of the first moment.
    pub beta_1: f64,
    /// What is kept of the second moment.
    pub beta_2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// The number of this step, from 1.
    pub time: i32,
}

impl AdamStep {
    /// `1 − β₁ᵗ` and `1 − β₂ᵗ`.
    pub(crate) fn corrections(&self) -> [f64; 2] {
        [self.beta_1, self.beta_2].map(|beta| 1.0 - beta.powi(self.time))
    }
}

/// `(weights, m, v)` after a step: `m = β₁ m + (1 − β₁) g`, `v = β₂ v + (1 − β₂) g²` and, with
/// `m̂`, `v̂` corrected for the beginning at 0,
/// `w = (1 − rate · decay) w − rate · m̂ / (√v̂ + ε)`.
///
/// Weights in f16 or bf16 are stepped in f32; keep their moments in f32, since a thousandth of
/// a moment is less than bf16 tells apart.
///
/// On the CPU one pass in place where nobody else holds the tensors; on a GPU one kernel.
///
/// # Panics
/// When shapes differ.
pub fn adam_step<const D: usize>(
    weights: Tensor<D>,
    gradient: Tensor<D>,
    moments: [Tensor<D>; 2],
    step: AdamStep,
) -> (Tensor<D>, [Tensor<D>; 2]) {
    let [first, second] = moments;
    assert_eq!(weights.dims(), gradient.dims(), "the gradient needs the shape of the weights");
    let (weights, first, second) = <Dispatch as AdamOps>::adam(
        weights.into_dispatch(),
        gradient.into_dispatch(),
        first.into_dispatch(),
        second.into_dispatch(),
        step,
    );
    let [weights, first, second] = [weights, first, second].map(Tensor::from_dispatch);
    (weights, [first, second])
}

#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Capture: cfg(feature = "capture"),
    Remote: cfg(feature = "remote"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait AdamOps: Backend {
    /// See [`adam_step`].
    #[fusion(meta = |w, _gradient, m, v, _step| (w.clone(), m.clone(), v.clone()))]
    fn adam(
        weights: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        first: FloatTensor<Self>,
        second: FloatTensor<Self>,
        step: AdamStep,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::<Self>(weights, gradient, first, second, step)
    }
}

pub(crate) fn composed<B: Backend>(
    weights: FloatTensor<B>,
    gradient: FloatTensor<B>,
    first: FloatTensor<B>,
    second: FloatTensor<B>,
    step: AdamStep,
) -> (FloatTensor<B>, FloatTensor<B>, FloatTensor<B>) {
    let scaled = |x: FloatTensor<B>, by: f64| B::float_mul_scalar(x, by.into());
    let [dtype, first_dtype, second_dtype] = [weights.dtype(), first.dtype(), second.dtype()];
    let (weights, gradient) = (wide::<B>(weights), wide::<B>(gradient));
    let (first, second) = (wide::<B>(first), wide::<B>(second));
    let [c1, c2] = step.corrections();
    let square = B::float_mul(gradient.clone(), gradient.clone());
    let first = B::float_add(scaled(first, step.beta_1), scaled(gradient, 1.0 - step.beta_1));
    let second = B::float_add(scaled(second, step.beta_2), scaled(square, 1.0 - step.beta_2));
    let root = B::float_sqrt(scaled(second.clone(), 1.0 / c2));
    let root = B::float_add_scalar(root, step.epsilon.into());
    let change = scaled(B::float_div(first.clone(), root), step.rate / c1);
    let kept = scaled(weights, 1.0 - step.rate * step.decay);
    let weights = narrow::<B>(B::float_sub(kept, change), dtype);
    (weights, narrow::<B>(first, first_dtype), narrow::<B>(second, second_dtype))
}

impl<B: AdamOps, C: burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy> AdamOps
    for Autodiff<B, C>
{
}
crate::plain::plain_backends!(AdamOps);

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::tensor::DType;
    use pulp::{Arch, Simd, WithSimd};

    use super::{AdamOps, AdamStep, composed};
    use crate::rows::Float;
    use crate::tasks::share;

    /// Numbers of one task: the four arrays of it fit a core's cache.
    const TASK: usize = 1 << 14;

    impl AdamOps for Flex {
        fn adam(
            weights: Float,
            gradient: Float,
            first: Float,
            second: Float,
            step: AdamStep,
        ) -> (Float, Float, Float) {
            let plain = |x: &Float| {
                x.dtype() == DType::F32 && x.is_contiguous() && x.layout().start_offset() == 0
            };
            if ![&weights, &first, &second].into_iter().all(plain) {
                return composed::<Self>(weights, gradient, first, second, step);
            }
            let gradient = gradient.to_contiguous();
            let [mut weights, mut first, mut second] = [weights, first, second];
            let n = weights.layout().num_elements();
            {
                let start = gradient.layout().start_offset();
                let g = &gradient.storage::<f32>()[start..start + n];
                let w = &mut weights.storage_mut::<f32>()[..n];
                let m = &mut first.storage_mut::<f32>()[..n];
                let v = &mut second.storage_mut::<f32>()[..n];
                let tasks = (w.chunks_mut(TASK).zip(m.chunks_mut(TASK)))
                    .zip(v.chunks_mut(TASK).zip(g.chunks(TASK)));
                share(n, tasks, |((w, m), (v, g))| {
                    Arch::new().dispatch(Task { w, m, v, g, step });
                });
            }
            (weights, first, second)
        }
    }

    struct Task<'a> {
        w: &'a mut [f32],
        m: &'a mut [f32],
        v: &'a mut [f32],
        g: &'a [f32],
        step: AdamStep,
    }

    impl WithSimd for Task<'_> {
        type Output = ();

        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) {
            let Self { w, m, v, g, step } = self;
            let n = w.len();
            let (m, v, g) = (&mut m[..n], &mut v[..n], &g[..n]);
            let [c1, c2] = step.corrections();
            let (b1, b2) = (step.beta_1 as f32, step.beta_2 as f32);
            let (n1, n2) = ((1.0 - step.beta_1) as f32, (1.0 - step.beta_2) as f32);
            let (up, epsilon) = ((1.0 / c2) as f32, step.epsilon as f32);
            let (kept, rate) = ((1.0 - step.rate * step.decay) as f32, (step.rate / c1) as f32);
            for i in 0..n {
                m[i] = b1 * m[i] + n1 * g[i];
                v[i] = b2 * v[i] + n2 * (g[i] * g[i]);
                w[i] = kept * w[i] - rate * (m[i] / ((v[i] * up).sqrt() + epsilon));
            }
        }
    }
}
