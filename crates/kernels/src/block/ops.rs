//! The operations of a transformer's block, with tensor operations as their default body.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};

use super::composed;

/// The size of an attention.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Heads {
    /// Heads; they divide the width.
    pub(crate) count: usize,
    /// Whether a token sees only those before it.
    pub(crate) causal: bool,
    /// Share of the weights that are dropped, in `[0, 1)`.
    pub(crate) dropout: f64,
}

/// Shapes: `x`, `residual`, `grad` `[rows, width]`, `gamma`, `beta`, `bias` `[1, width]`,
/// `qkv` `[batch · length, 3 · width]`, `mask` `[batch, length]`.
///
/// A function that ends in `_state` gives also what the gradient needs; the one without is
/// differentiable.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Capture: cfg(feature = "capture"),
    Remote: cfg(feature = "remote"),
    Cube: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait BlockOps: Backend {
    /// `x W + b`.
    fn dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::dense::<Self>(x, weight, bias)
    }

    /// `grad Wᵀ`.
    fn dense_input(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::dense_input::<Self>(weight, grad)
    }

    /// `xᵀ grad`.
    fn dense_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::dense_weight::<Self>(x, grad)
    }

    /// Sums of the columns, `[1, width]`.
    fn column_sums(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::float_sum_dim(grad, 0)
    }

    /// `x Φ(x)`.
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(x)
    }

    /// `grad · (Φ(x) + x φ(x))`.
    fn exact_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::gelu_backward::<Self>(x, grad)
    }

    /// The layer norm of `x + residual`, and of each row the mean and 1 / deviation.
    fn add_norm_state(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::add_norm::<Self>(x, residual, gamma, beta, epsilon)
    }

    /// The first output of [`add_norm_state`](Self::add_norm_state).
    fn add_norm(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        Self::add_norm_state(x, residual, gamma, beta, epsilon).0
    }

    /// Gradients of the sum, of `gamma` and of `beta`.
    fn add_norm_backward(
        x: FloatTensor<Self>,
        residual: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::add_norm_backward::<Self>(x, residual, gamma, mean, inverse, grad)
    }

    /// See [`attention`](crate::attention); then the logarithm of each row's sum, and what
    /// was drawn.
    fn attend_state(
        qkv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::attend::<Self>(qkv, mask, heads)
    }

    /// The first output of [`attend_state`](Self::attend_state).
    fn attend(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: Heads) -> FloatTensor<Self> {
        Self::attend_state(qkv, mask, heads).0
    }

    /// The gradient of `qkv`.
    fn attend_backward(
        qkv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        out: FloatTensor<Self>,
        lse: FloatTensor<Self>,
        drawn: FloatTensor<Self>,
        heads: Heads,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::attend_backward::<Self>(qkv, mask, out, lse, drawn, heads, grad)
    }

    /// A share of the numbers is 0, the others are scaled up; and what was drawn.
    fn drop_state(x: FloatTensor<Self>, share: f64) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop::<Self>(x, share)
    }

    /// The first output of [`drop_state`](Self::drop_state).
    fn drop_out(x: FloatTensor<Self>, share: f64) -> FloatTensor<Self> {
        Self::drop_state(x, share).0
    }

    /// The same numbers of the gradient are 0.
    fn drop_backward(
        drawn: FloatTensor<Self>,
        share: f64,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::drop_backward::<Self>(drawn, share, grad)
    }
}

#[cfg(feature = "cube")]
impl BlockOps for burn::backend::Cube {}
crate::plain::plain_backends!(BlockOps);
