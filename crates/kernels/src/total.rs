//! Sums of lists.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::RowOps;

/// The sum of a list, such as a batch's losses.
///
/// On cards one kernel, or two where the list is long, at once with all of the card: a reduction by
/// burn is spread over a card only once its trials have found how.
///
/// # Shapes
/// `[n]` → `[1]`, 0 of an empty list; differentiable.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let list = Tensor::<1>::from_floats([1.0, 2.0, 6.0], &Device::flex());
/// assert_eq!(counterweight_kernels::sum(list.clone()).into_scalar::<f32>(), 9.0);
/// assert_eq!(counterweight_kernels::mean(list).into_scalar::<f32>(), 3.0);
/// ```
pub fn sum(list: Tensor<1>) -> Tensor<1> {
    total(list, false)
}

/// The mean of a list; see [`sum`]. Of an empty one NaN.
///
/// # Shapes
/// `[n]` → `[1]`; differentiable.
pub fn mean(list: Tensor<1>) -> Tensor<1> {
    total(list, true)
}

fn total(list: Tensor<1>, mean: bool) -> Tensor<1> {
    Tensor::from_dispatch(<Dispatch as RowOps>::total(list.into_dispatch(), mean))
}
