use burn::backend::Dispatch;
use burn::tensor::{DType, Int, Tensor};

use crate::ops::RowOps;

/// f16 and bf16 as f32; other types as they are.
pub fn widen<const D: usize>(tensor: Tensor<D>) -> Tensor<D> {
    match tensor.dtype() {
        DType::F16 | DType::BF16 => tensor.cast(DType::F32),
        _ => tensor,
    }
}

/// The logit of each example's class after a softmax, in log space.
///
/// With `u_c = scale · (z_c + shift_c − margin_c · 1[c = y])`, `result_b = u_y − log Σ_c
/// exp u_c`: the log probability of class y. A shift is a logit adjustment, a margin that
/// of LDAM or CosFace, a scale an inverse temperature. Every softmax loss on class ids is
/// a function of this number, so that none needs a pass of its own over the logits.
///
/// # Shapes
/// `logits`: `[batch, classes]`, `ids`: `[batch]`, `shift`, `margin`: `[1, classes]` in
/// the dtype of the logits; result `[batch]`. Only the logits receive a gradient.
///
/// # Panics
/// When shapes do not fit, or an id is not below the number of classes.
pub fn log_prob(
    logits: Tensor<2>,
    ids: Tensor<1, Int>,
    shift: Tensor<2>,
    margin: Tensor<2>,
    scale: f64,
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    assert_eq!(ids.dims(), [batch], "there must be one class id per row of logits");
    assert_eq!(shift.dims(), [1, classes], "the shift needs one entry per class");
    assert_eq!(margin.dims(), [1, classes], "the margin needs one entry per class");
    let value = <Dispatch as RowOps>::log_prob(
        widen(logits).into_dispatch(),
        ids.unsqueeze_dim::<2>(1).into_dispatch(),
        widen(shift).into_dispatch(),
        widen(margin).into_dispatch(),
        scale,
    );
    Tensor::from_dispatch(value)
}

/// Cross entropy of a softmax against any non-negative target row.
///
/// `loss_b = −Σ_c t_bc log softmax(scale · (z_b + shift))_c`; rows of `targets` need not
/// sum to 1, so class weights can be multiplied into them.
///
/// # Shapes
/// `logits`, `targets`: `[batch, classes]`, `shift`: `[1, classes]`, all of one dtype;
/// result `[batch]`. Only the logits receive a gradient.
///
/// # Panics
/// When shapes do not fit.
pub fn soft_cross_entropy(
    logits: Tensor<2>,
    targets: Tensor<2>,
    shift: Tensor<2>,
    scale: f64,
) -> Tensor<1> {
    let [batch, classes] = logits.dims();
    assert_eq!(targets.dims(), [batch, classes], "targets need the shape of the logits");
    assert_eq!(shift.dims(), [1, classes], "the shift needs one entry per class");
    let value = <Dispatch as RowOps>::cross_entropy(
        widen(logits).into_dispatch(),
        widen(targets).into_dispatch(),
        widen(shift).into_dispatch(),
        scale,
    );
    Tensor::from_dispatch(value)
}

/// `log softmax(scale · (z + shift))` of every row, `[batch, classes]`.
///
/// # Shapes
/// `logits`: `[batch, classes]`, `shift`: `[1, classes]`. Only the logits receive a
/// gradient.
///
/// # Panics
/// When shapes do not fit.
pub fn log_softmax(logits: Tensor<2>, shift: Tensor<2>, scale: f64) -> Tensor<2> {
    let classes = logits.dims()[1];
    assert_eq!(shift.dims(), [1, classes], "the shift needs one entry per class");
    Tensor::from_dispatch(<Dispatch as RowOps>::log_softmax_rows(
        widen(logits).into_dispatch(),
        widen(shift).into_dispatch(),
        scale,
    ))
}

/// The supervised contrastive loss of each row against the others.
///
/// With `u_ij = scale · cosines_ij`: `loss_i = log Σ_{k≠i} e^{u_ik} − mean of u_ip over the
/// other rows p of i's class`, 0 for a row without one (Khosla et al. 2020, L_out).
///
/// # Shapes
/// `cosines`: `[batch, batch]`, `ids`: `[batch]` (below 2²⁴); result `[batch]`. Only the
/// cosines receive a gradient; none on the diagonal.
///
/// # Panics
/// When shapes do not fit.
pub fn contrast(cosines: Tensor<2>, ids: Tensor<1, Int>, scale: f64) -> Tensor<1> {
    let [batch, columns] = cosines.dims();
    assert_eq!(batch, columns, "cosines need one column per row");
    assert_eq!(ids.dims(), [batch], "there must be one class id per row");
    let cosines = widen(cosines);
    let ids = ids.unsqueeze_dim::<2>(1).float().cast(cosines.dtype());
    let value = <Dispatch as RowOps>::contrast(cosines.into_dispatch(), ids.into_dispatch(), scale);
    Tensor::from_dispatch(value)
}
