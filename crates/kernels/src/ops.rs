//! The operations that a backend may fuse, with tensor operations as their default body.

// Burn deprecates its ndarray backend, which we still serve.
#![cfg_attr(feature = "ndarray", allow(deprecated))]

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, backend_extension, get_or_init_device_settings};
use burn::tensor::{IndexingUpdateOp, TensorData};

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

    /// `(lse − mean of u over partners, lse)` with `u = scale · cosines`, over all columns but
    /// the row's own; 0 for a row without partners. `cosines` are `[batch, batch]`, `ids`
    /// class ids as floats `[batch, 1]`.
    fn contrast_lse(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let pairs = Pairs::<Self>::new(cosines, ids, scale);
        let lse = log_sum_exp::<Self>(pairs.masked);
        let own = Self::float_sum_dim(Self::float_mul(pairs.share, pairs.u), 1);
        (Self::float_sub(Self::float_mul(lse.clone(), pairs.any), own), lse)
    }

    /// The first output of [`contrast_lse`](Self::contrast_lse), differentiable.
    fn contrast(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        Self::contrast_lse(cosines, ids, scale).0
    }

    /// `∂/∂z_j = scale · grad · (e^{u_j − lse} − share_j)`, 0 for the row's own and for rows
    /// without partners.
    fn contrast_backward(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let pairs = Pairs::<Self>::new(cosines, ids, scale);
        let p = Self::float_exp(Self::float_sub(pairs.masked, lse));
        let p = Self::float_mul(Self::float_mul(p, pairs.any), pairs.other);
        let grad = Self::float_mul_scalar(grad, scale.into());
        Self::float_mul(Self::float_sub(p, pairs.share), grad)
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

/// Far below every similarity, and finite.
const MASKED: f64 = 1e5;

/// What the tensor bodies of `contrast` need of a batch.
struct Pairs<B: Backend> {
    /// `scale · cosines`.
    u: FloatTensor<B>,
    /// The same with the diagonal far below.
    masked: FloatTensor<B>,
    /// 0 on the diagonal, else 1.
    other: FloatTensor<B>,
    /// `1 / partners` where a column is a partner of the row, else 0.
    share: FloatTensor<B>,
    /// 1 for rows with partners, `[batch, 1]`.
    any: FloatTensor<B>,
}

impl<B: Backend> Pairs<B> {
    fn new(cosines: FloatTensor<B>, ids: FloatTensor<B>, scale: f64) -> Self {
        let batch = cosines.shape()[0];
        let (device, dtype) = (cosines.device(), cosines.dtype());
        let bool_dtype = get_or_init_device_settings::<B>(&device).bool_dtype;
        let gap =
            |x: FloatTensor<B>| B::float_sub(x.clone(), B::float_reshape(x, [1, batch].into()));
        let is = |mask| B::bool_into_float(mask, dtype.into());
        let index: Vec<f32> = (0..batch).map(|i| i as f32).collect();
        let index = B::float_from_data(TensorData::new(index, [batch, 1]), &device);
        let index = B::float_cast(index, dtype.into());
        let other = is(B::float_not_equal_elem(gap(index), 0.0.into(), bool_dtype));
        let same = is(B::float_equal_elem(gap(ids), 0.0.into(), bool_dtype));
        let partners = B::float_mul(same, other.clone());
        let n = B::float_sum_dim(partners.clone(), 1);
        let any = B::float_clamp_max(n.clone(), 1.0.into());
        let share = B::float_div(partners, B::float_clamp_min(n, 1.0.into()));
        let u = B::float_mul_scalar(cosines, scale.into());
        let lower =
            B::float_mul_scalar(B::float_add_scalar(other.clone(), (-1.0).into()), MASKED.into());
        let masked = B::float_add(u.clone(), lower);
        Self { u, masked, other, share, any }
    }
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
