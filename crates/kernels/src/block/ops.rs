//! The operations of a transformer's block, with tensor operations as their default body.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

#[cfg(feature = "cube")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, backend_extension};
#[cfg(feature = "cube")]
use burn::tensor::{DType, Shape};

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
    Fusion: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait BlockOps: Backend {
    /// `x W + b`.
    #[fusion(default)]
    fn dense(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::dense::<Self>(x, weight, bias)
    }

    /// `grad Wᵀ`, differentiable.
    #[fusion(default)]
    fn dense_input(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::dense_input::<Self>(weight, grad)
    }

    /// `xᵀ grad`.
    #[fusion(default)]
    fn dense_weight(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::dense_weight::<Self>(x, grad)
    }

    /// Sums of the columns, `[1, width]`.
    #[fusion(meta = |grad| TensorSpec::new([1, grad.shape[1]].into(), grad.dtype))]
    fn column_sums(grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::column_sums::<Self>(grad)
    }

    /// The mean and the variance of each column, `[1, width]`, at least in f32.
    #[fusion(meta = |x| (moments_of(x), moments_of(x)))]
    fn column_moments(x: FloatTensor<Self>) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::column_moments::<Self>(x)
    }

    /// `max(0, γ u + β)` with `u = (x − mean) · inverse`, moments of the columns of `x`.
    #[fusion(default)]
    fn batch_norm_relu(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::batch_norm_relu::<Self>(x, gamma, beta, mean, inverse)
    }

    /// Gradients of `x`, of `gamma` and of `beta`. With `h` the gradient where the output is not 0:
    /// `γ · inverse · (h − mean h − u · mean (h u))`, `Σ h u` and `Σ h`.
    #[fusion(meta = |x, gamma, _beta, _mean, _inverse, _grad| (x.clone(), gamma.clone(), gamma.clone()))]
    fn batch_norm_relu_backward(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        inverse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::batch_norm_relu_backward::<Self>(x, gamma, beta, mean, inverse, grad)
    }

    /// `x Φ(x)`.
    #[fusion(default)]
    fn exact_gelu(x: FloatTensor<Self>) -> FloatTensor<Self> {
        Self::gelu(x)
    }

    /// `grad · (Φ(x) + x φ(x))`.
    #[fusion(default)]
    fn exact_gelu_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::gelu_backward::<Self>(x, grad)
    }

    /// The layer norm of `x + residual`, and of each row the mean and 1 / deviation.
    #[fusion(meta = |x, _residual, _gamma, _beta, _epsilon| with_moments(x))]
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
    #[fusion(default)]
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
    #[fusion(meta = |x, _residual, gamma, _mean, _inverse, _grad| (x.clone(), gamma.clone(), gamma.clone()))]
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
    #[fusion(meta = |qkv, mask, heads| with_sums(qkv, mask, *heads))]
    fn attend_state(
        qkv: FloatTensor<Self>,
        mask: FloatTensor<Self>,
        heads: Heads,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        composed::attend::<Self>(qkv, mask, heads)
    }

    /// The first output of [`attend_state`](Self::attend_state).
    #[fusion(default)]
    fn attend(qkv: FloatTensor<Self>, mask: FloatTensor<Self>, heads: Heads) -> FloatTensor<Self> {
        Self::attend_state(qkv, mask, heads).0
    }

    /// The gradient of `qkv`.
    #[fusion(meta = |qkv, _mask, _out, _lse, _drawn, _heads, _grad| qkv.clone())]
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
    #[fusion(default)]
    fn drop_state(x: FloatTensor<Self>, share: f64) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::drop::<Self>(x, share)
    }

    /// The first output of [`drop_state`](Self::drop_state).
    #[fusion(default)]
    fn drop_out(x: FloatTensor<Self>, share: f64) -> FloatTensor<Self> {
        Self::drop_state(x, share).0
    }

    /// The same numbers of the gradient are 0.
    #[fusion(default)]
    fn drop_backward(
        drawn: FloatTensor<Self>,
        share: f64,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::drop_backward::<Self>(drawn, share, grad)
    }
}

/// At least f32.
#[cfg(feature = "cube")]
fn widened(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        wide => wide,
    }
}

#[cfg(feature = "cube")]
fn moments_of(x: &TensorSpec) -> TensorSpec {
    TensorSpec::new([1, x.shape[1]].into(), widened(x.dtype))
}

/// Whether the kernels of attention for cards take this: a head's row must fit into registers.
#[cfg(feature = "cube")]
pub(crate) fn serves(qkv: &Shape, dtype: DType, mask: &Shape, heads: Heads) -> bool {
    let depth = qkv[1] / 3 / heads.count;
    let tasks = mask[0] * heads.count;
    let numbers = qkv[0] * qkv[1];
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16)
        && (1..=64).contains(&depth)
        && (1..=65_535).contains(&tasks)
        && (1..u32::MAX as usize / 2).contains(&numbers)
}

/// The output of attention, the logarithms of its rows' sums and what was drawn.
#[cfg(feature = "cube")]
fn with_sums(
    qkv: &TensorSpec,
    mask: &TensorSpec,
    heads: Heads,
) -> (TensorSpec, TensorSpec, TensorSpec) {
    let out = TensorSpec::new([qkv.shape[0], qkv.shape[1] / 3].into(), qkv.dtype);
    let (batch, length) = (mask.shape[0], mask.shape[1]);
    if serves(&qkv.shape, qkv.dtype, &mask.shape, heads) {
        let sums = TensorSpec::new([batch * heads.count * length].into(), DType::F32);
        return (out, sums, TensorSpec::new([2].into(), DType::F32));
    }
    let each = [batch, heads.count, length];
    let sums = TensorSpec::new([each[0], each[1], each[2], 1].into(), widened(qkv.dtype));
    let drawn = match heads.dropout > 0.0 {
        true => [each[0], each[1], each[2], length].into(),
        false => [1].into(),
    };
    (out, sums, TensorSpec::new(drawn, qkv.dtype))
}

/// The like of `x`, and two numbers of each row, at least in f32.
#[cfg(feature = "cube")]
fn with_moments(x: &TensorSpec) -> (TensorSpec, TensorSpec, TensorSpec) {
    let dtype = widened(x.dtype);
    let each = TensorSpec::new([x.shape[0], 1].into(), dtype);
    (x.clone(), each.clone(), each)
}

crate::plain::plain_backends!(BlockOps);
