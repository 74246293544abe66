//! The operations that a backend may fuse, with tensor operations as their default body.

// Burn deprecates its ndarray backend, which we still serve.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension};
use burn::tensor::IndexingUpdateOp;

use crate::BinaryFocal;

/// `u = scale · (z + shift)`.
fn affine<B: Backend>(logits: FloatTensor<B>, shift: FloatTensor<B>, scale: f64) -> FloatTensor<B> {
    B::float_mul_scalar(B::float_add(logits, shift), scale.into())
}

/// `log Σ_c exp u_c` per row, `[batch, 1]`.
fn log_sum_exp<B: Backend>(u: FloatTensor<B>) -> FloatTensor<B> {
    let top = B::float_max_dim(u.clone(), 1);
    let exp = B::float_exp(B::float_sub(u, top.clone()));
    B::float_add(B::float_log(B::float_sum_dim(exp, 1)), top)
}

/// Row operations of the softmax and sigmoid families.
///
/// Shapes: `logits`, `targets` `[batch, classes]`; `ids`, `lse`, `grad` `[batch, 1]`;
/// `shift`, `margin`, `positive`, `negative` `[1, classes]`. Everything but the logits
/// is a constant.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    Cube: cfg(any(feature = "wgpu", feature = "cuda")),
    Autodiff,
)]
pub(crate) trait RowOps: Backend {
    /// `(u_y − lse, lse)` with `u = scale · (z + shift − margin_y e_y)`.
    fn log_prob_lse(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let u = with_margin::<Self>(logits, ids.clone(), shift, margin, scale);
        let lse = log_sum_exp::<Self>(u.clone());
        (Self::float_sub(Self::float_gather(1, u, ids), lse.clone()), lse)
    }

    /// The first output of [`log_prob_lse`](Self::log_prob_lse), differentiable.
    fn log_prob(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        Self::log_prob_lse(logits, ids, shift, margin, scale).0
    }

    /// `∂/∂z_j = scale · grad · (1[j = y] − e^{u_j − lse})`.
    fn log_prob_backward(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let u = with_margin::<Self>(logits, ids.clone(), shift, margin, scale);
        let p = Self::float_exp(Self::float_sub(u, lse));
        let grad = Self::float_mul_scalar(grad, scale.into());
        let spread = Self::float_neg(Self::float_mul(p, grad.clone()));
        Self::float_scatter(1, spread, ids, grad, IndexingUpdateOp::Add)
    }

    /// `(−Σ_c t_c (u_c − lse), lse)` with `u = scale · (z + shift)`.
    fn cross_entropy_lse(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let u = affine::<Self>(logits, shift, scale);
        let lse = log_sum_exp::<Self>(u.clone());
        let terms = Self::float_mul(targets, Self::float_sub(lse.clone(), u));
        (Self::float_sum_dim(terms, 1), lse)
    }

    /// The first output of [`cross_entropy_lse`](Self::cross_entropy_lse), differentiable.
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        Self::cross_entropy_lse(logits, targets, shift, scale).0
    }

    /// `∂/∂z_j = scale · grad · (e^{u_j − lse} Σ_c t_c − t_j)`.
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let p = Self::float_exp(Self::float_sub(affine::<Self>(logits, shift, scale), lse));
        let mass = Self::float_sum_dim(targets.clone(), 1);
        let gap = Self::float_sub(Self::float_mul(p, mass), targets);
        Self::float_mul(gap, Self::float_mul_scalar(grad, scale.into()))
    }

    /// `u − lse` with `u = scale · (z + shift)`, `[batch, classes]`.
    fn log_softmax_rows(
        logits: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        let u = affine::<Self>(logits, shift, scale);
        Self::float_sub(u.clone(), log_sum_exp::<Self>(u))
    }

    /// `∂/∂z_j = scale · (grad_j − e^{output_j} Σ_c grad_c)`.
    fn log_softmax_rows_backward(
        output: FloatTensor<Self>,
        scale: f64,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let total = Self::float_sum_dim(grad.clone(), 1);
        let spread = Self::float_mul(Self::float_exp(output), total);
        Self::float_mul_scalar(Self::float_sub(grad, spread), scale.into())
    }

    /// See [`binary_focal`](crate::binary_focal); `[batch, 1]`.
    fn binary_focal(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        positive: FloatTensor<Self>,
        negative: FloatTensor<Self>,
        terms: BinaryFocal,
    ) -> FloatTensor<Self> {
        let (p, n) = weights::<Self>(targets, positive, negative);
        let (value, _) = terms.tensors::<Self>(logits);
        let sum = Self::float_add(Self::float_mul(p, value.0), Self::float_mul(n, value.1));
        Self::float_sum_dim(sum, 1)
    }

    /// The gradient of [`binary_focal`](Self::binary_focal).
    fn binary_focal_backward(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        positive: FloatTensor<Self>,
        negative: FloatTensor<Self>,
        terms: BinaryFocal,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let (p, n) = weights::<Self>(targets, positive, negative);
        let (_, slope) = terms.tensors::<Self>(logits);
        let sum = Self::float_add(Self::float_mul(p, slope.0), Self::float_mul(n, slope.1));
        Self::float_mul(sum, grad)
    }
}

fn with_margin<B: Backend>(
    logits: FloatTensor<B>,
    ids: IntTensor<B>,
    shift: FloatTensor<B>,
    margin: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let rows = logits.shape()[0];
    let classes = logits.shape()[1];
    let margin = B::float_expand(margin, [rows, classes].into());
    let margin = B::float_neg(B::float_gather(1, margin, ids.clone()));
    let logits = B::float_add(logits, shift);
    let logits = B::float_scatter(1, logits, ids, margin, IndexingUpdateOp::Add);
    B::float_mul_scalar(logits, scale.into())
}

/// `t · w⁺` and `(1 − t) · w⁻`.
fn weights<B: Backend>(
    targets: FloatTensor<B>,
    positive: FloatTensor<B>,
    negative: FloatTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let rest = B::float_add_scalar(B::float_neg(targets.clone()), 1.0.into());
    (B::float_mul(targets, positive), B::float_mul(rest, negative))
}

// The default bodies serve every backend without hand-written code. `Cube` is one backend
// for all GPU runtimes, fused by burn or not.
#[cfg(any(feature = "wgpu", feature = "cuda"))]
impl RowOps for burn::backend::Cube {}
#[cfg(feature = "ndarray")]
impl RowOps for burn::backend::NdArray {}
