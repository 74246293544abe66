//! The row operations in tensor operations, for backends without a kernel.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, IndexingUpdateOp, TensorData};

use crate::BinaryFocal;

/// f16 and bf16 as f32, in which sums and exponentials of them are taken.
pub(crate) fn wide<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    match x.dtype() {
        DType::F16 | DType::BF16 => B::float_cast(x, DType::F32.into()),
        _ => x,
    }
}

/// Back in the type that came in.
pub(crate) fn narrow<B: Backend>(x: FloatTensor<B>, dtype: DType) -> FloatTensor<B> {
    if x.dtype() == dtype { x } else { B::float_cast(x, dtype.into()) }
}

/// `[batch, 1]` as `[batch]`: burn's CUDA backend gives every row of a matrix 512 bytes or more, also
/// one of a single number, so that what comes back for each row should be a list.
pub(crate) fn list<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let rows = x.shape()[0];
    B::float_reshape(x, [rows].into())
}

/// `[batch]` as `[batch, 1]`.
fn column<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let rows = x.shape()[0];
    B::float_reshape(x, [rows, 1].into())
}

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

/// `RowOps::log_prob_lse`.
pub(crate) fn log_prob_lse<B: Backend>(
    logits: FloatTensor<B>,
    ids: IntTensor<B>,
    shift: FloatTensor<B>,
    margin: FloatTensor<B>,
    scale: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let u = with_margin::<B>(logits, ids.clone(), shift, margin, scale);
    let lse = log_sum_exp::<B>(u.clone());
    (B::float_sub(B::float_gather(1, u, ids), lse.clone()), lse)
}

/// `RowOps::log_prob_backward`.
pub(crate) fn log_prob_backward<B: Backend>(
    logits: FloatTensor<B>,
    ids: IntTensor<B>,
    shift: FloatTensor<B>,
    margin: FloatTensor<B>,
    scale: f64,
    lse: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let u = with_margin::<B>(logits, ids.clone(), shift, margin, scale);
    let p = B::float_exp(B::float_sub(u, lse));
    let grad = B::float_mul_scalar(column::<B>(grad), scale.into());
    let spread = B::float_neg(B::float_mul(p, grad.clone()));
    B::float_scatter(1, spread, ids, grad, IndexingUpdateOp::Add)
}

/// `RowOps::cross_entropy_lse`.
pub(crate) fn cross_entropy_lse<B: Backend>(
    logits: FloatTensor<B>,
    targets: FloatTensor<B>,
    shift: FloatTensor<B>,
    scale: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let u = affine::<B>(logits, shift, scale);
    let lse = log_sum_exp::<B>(u.clone());
    let terms = B::float_mul(targets, B::float_sub(lse.clone(), u));
    (B::float_sum_dim(terms, 1), lse)
}

/// `RowOps::cross_entropy_backward`.
pub(crate) fn cross_entropy_backward<B: Backend>(
    logits: FloatTensor<B>,
    targets: FloatTensor<B>,
    shift: FloatTensor<B>,
    scale: f64,
    lse: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let p = B::float_exp(B::float_sub(affine::<B>(logits, shift, scale), lse));
    let mass = B::float_sum_dim(targets.clone(), 1);
    let gap = B::float_sub(B::float_mul(p, mass), targets);
    B::float_mul(gap, B::float_mul_scalar(column::<B>(grad), scale.into()))
}

/// `RowOps::scale_rows`.
pub(crate) fn scale_rows<B: Backend>(x: FloatTensor<B>, by: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x, column::<B>(by))
}

/// `RowOps::log_softmax_rows`.
pub(crate) fn log_softmax_rows<B: Backend>(
    logits: FloatTensor<B>,
    shift: FloatTensor<B>,
    scale: f64,
) -> FloatTensor<B> {
    let u = affine::<B>(logits, shift, scale);
    B::float_sub(u.clone(), log_sum_exp::<B>(u))
}

/// `RowOps::log_softmax_rows_backward`.
pub(crate) fn log_softmax_rows_backward<B: Backend>(
    output: FloatTensor<B>,
    scale: f64,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let total = B::float_sum_dim(grad.clone(), 1);
    let spread = B::float_mul(B::float_exp(output), total);
    B::float_mul_scalar(B::float_sub(grad, spread), scale.into())
}

/// `RowOps::contrast_lse`.
pub(crate) fn contrast_lse<B: Backend>(
    cosines: FloatTensor<B>,
    ids: FloatTensor<B>,
    scale: f64,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let pairs = Pairs::<B>::new(cosines, ids, scale);
    let lse = log_sum_exp::<B>(pairs.masked);
    let own = B::float_sum_dim(B::float_mul(pairs.share, pairs.u), 1);
    (B::float_sub(B::float_mul(lse.clone(), pairs.any), own), lse)
}

/// `RowOps::contrast_backward`.
pub(crate) fn contrast_backward<B: Backend>(
    cosines: FloatTensor<B>,
    ids: FloatTensor<B>,
    scale: f64,
    lse: FloatTensor<B>,
    grad: FloatTensor<B>,
) -> FloatTensor<B> {
    let pairs = Pairs::<B>::new(cosines, ids, scale);
    let p = B::float_exp(B::float_sub(pairs.masked, lse));
    let p = B::float_mul(B::float_mul(p, pairs.any), pairs.other);
    let grad = B::float_mul_scalar(column::<B>(grad), scale.into());
    B::float_mul(B::float_sub(p, pairs.share), grad)
}

/// `RowOps::binary_focal_slope`.
pub(crate) fn binary_focal_slope<B: Backend>(
    logits: FloatTensor<B>,
    targets: FloatTensor<B>,
    positive: FloatTensor<B>,
    negative: FloatTensor<B>,
    terms: BinaryFocal,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let (p, n) = weights::<B>(targets, positive, negative);
    let (value, slope) = terms.tensors::<B>(logits);
    let sum = |p, first, n, second| B::float_add(B::float_mul(p, first), B::float_mul(n, second));
    let value = B::float_sum_dim(sum(p.clone(), value.0, n.clone(), value.1), 1);
    (value, sum(p, slope.0, n, slope.1))
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

pub(crate) fn total<B: Backend>(x: FloatTensor<B>, mean: bool) -> FloatTensor<B> {
    if mean { B::float_mean(x) } else { B::float_sum(x) }
}
