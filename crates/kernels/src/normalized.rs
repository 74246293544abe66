//! Rows of length 1, and their cosines.

use burn::backend::Dispatch;
use burn::tensor::{DType, Tensor};

use crate::ops::RowOps;
use crate::softmax::widen;

/// Rows of length 1; a row of zeros stays 0. Its gradient is finite for every row, and 0 for
/// rows shorter than 1e-30.
///
/// # Shapes
/// `[rows, columns]` → the same, in the dtype of `x`.
pub fn normalized(x: Tensor<2>) -> Tensor<2> {
    let dtype = x.dtype();
    let e = <Dispatch as RowOps>::normalize(widen(x).into_dispatch());
    narrow(Tensor::from_dispatch(e), dtype)
}

/// The cosine of each row with each column of the weights; 0 with a vector of zeros.
///
/// # Shapes
/// `[rows, features]` and `[features, classes]` → `[rows, classes]`.
pub fn cosines(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    normalized(x).matmul(normalized(weight.transpose()).transpose())
}

/// The cosine of each row with each row; 0 with a row of zeros. Symmetric, which saves its
/// gradient one of two matrix products.
///
/// # Shapes
/// `[rows, features]` → `[rows, rows]`, in the dtype of `x`.
pub fn pairwise_cosines(x: Tensor<2>) -> Tensor<2> {
    let dtype = x.dtype();
    let e = <Dispatch as RowOps>::normalize(widen(x).into_dispatch());
    narrow(Tensor::from_dispatch(<Dispatch as RowOps>::gram(e)), dtype)
}

fn narrow(x: Tensor<2>, dtype: DType) -> Tensor<2> {
    if x.dtype() == dtype { x } else { x.cast(dtype) }
}

/// A row shorter than this has no direction of its own.
const SHORTEST: f64 = 1e-30;

/// In tensor operations, for backends without a kernel.
pub(crate) mod composed {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};

    use super::SHORTEST;

    /// `(x / ‖x‖, 1 / ‖x‖)`, the second 0 for a row shorter than the shortest.
    fn parts<B: Backend>(x: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
        // The largest entry first: squares of huge entries would overflow.
        let top = B::float_max_dim(B::float_abs(x.clone()), 1);
        let top = B::float_clamp_min(top, SHORTEST.into());
        let x = B::float_div(x, top.clone());
        let norm = B::float_sqrt(B::float_sum_dim(B::float_mul(x.clone(), x.clone()), 1));
        let e = B::float_div(x, B::float_clamp_min(norm.clone(), 1e-12.into()));
        let norm = B::float_mul(norm, top);
        let bool_dtype = get_or_init_device_settings::<B>(&norm.device()).bool_dtype;
        let none = B::float_lower_equal_elem(norm.clone(), SHORTEST.into(), bool_dtype);
        let inverse = B::float_recip(B::float_clamp_min(norm, SHORTEST.into()));
        (e, B::float_mask_fill(inverse, none, 0.0.into()))
    }

    /// `RowOps::normalize`.
    pub(crate) fn normalize<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
        parts::<B>(x).0
    }

    /// `RowOps::normalize_backward`.
    pub(crate) fn normalize_backward<B: Backend>(
        x: FloatTensor<B>,
        grad: FloatTensor<B>,
    ) -> FloatTensor<B> {
        let (e, inverse) = parts::<B>(x);
        let along = B::float_sum_dim(B::float_mul(e.clone(), grad.clone()), 1);
        B::float_mul(B::float_sub(grad, B::float_mul(e, along)), inverse)
    }

    /// `RowOps::gram`.
    pub(crate) fn gram<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
        B::float_matmul(x.clone(), B::float_transpose(x))
    }

    /// `RowOps::gram_backward`.
    pub(crate) fn gram_backward<B: Backend>(
        x: FloatTensor<B>,
        grad: FloatTensor<B>,
    ) -> FloatTensor<B> {
        B::float_matmul(B::float_add(grad.clone(), B::float_transpose(grad)), x)
    }
}

/// In fused passes on burn's CPU backend.
#[cfg(feature = "flex")]
pub(crate) mod flex {
    use faer::linalg::matmul::matmul;
    use faer::{Accum, MatMut, MatRef, Par};

    use super::SHORTEST;
    use crate::real::{Real, fill, fold, sum};
    use crate::rows::{Float, fill_parts, fill_rows, shape, tensor, values};

    /// Rows of `grad + gradᵀ` that are multiplied together: they fit a core's cache.
    const BLOCK: usize = 128;
    /// Rows and columns of `grad` that are turned together: a line of the cache is used up while it
    /// is there, also where rows are a power of two apart and few of their lines are.
    const TILE: usize = 16;

    /// `(largest |x|, ‖x‖ divided by it)`, both finite and not 0 for rows of such numbers.
    #[inline(always)]
    fn length<T: Real>(x: &[T]) -> (T, T) {
        let top = fold(
            [x],
            T::of(SHORTEST),
            #[inline(always)]
            |[x]| x.abs(),
            T::max,
        );
        let squares = sum(
            [x],
            #[inline(always)]
            |[x]| (x / top) * (x / top),
        );
        // A NaN is no smaller than anything, and stays.
        let (norm, short) = (squares.sqrt(), T::of(1e-12));
        (top, if norm < short { short } else { norm })
    }

    pub(crate) fn normalize<T: Real>(x: &Float) -> Float {
        let (rows, n) = shape(x);
        let x = values::<T>(x);
        let out = fill_rows(
            rows,
            n,
            n,
            #[inline(always)]
            |b, out| {
                let x = &x[b * n..(b + 1) * n];
                let (top, norm) = length(x);
                fill(
                    out,
                    [x],
                    #[inline(always)]
                    |[x]| x / top / norm,
                );
            },
        );
        tensor(out, rows, n)
    }

    pub(crate) fn normalize_backward<T: Real>(x: &Float, grad: &Float) -> Float {
        let (rows, n) = shape(x);
        let (x, grad) = (values::<T>(x), values::<T>(grad));
        let out = fill_rows(
            rows,
            n,
            n,
            #[inline(always)]
            |b, out| {
                let (x, g) = (&x[b * n..(b + 1) * n], &grad[b * n..(b + 1) * n]);
                let (top, norm) = length(x);
                if top * norm <= T::of(SHORTEST) {
                    return;
                }
                let along = sum(
                    [x, g],
                    #[inline(always)]
                    |[x, g]| x / top / norm * g,
                );
                fill(
                    out,
                    [x, g],
                    #[inline(always)]
                    |[x, g]| (g - x / top / norm * along) / norm / top,
                );
            },
        );
        tensor(out, rows, n)
    }

    pub(crate) fn gram<T: Real + faer::traits::ComplexField>(x: &Float) -> Float {
        let (rows, n) = shape(x);
        let x = MatRef::from_row_major_slice(values::<T>(x), rows, n);
        let out = fill_parts(rows, rows, n, |first, count, out| {
            let out = MatMut::from_row_major_slice_mut(out, count, rows);
            let own = x.subrows(first, count);
            matmul(out, Accum::Replace, own, x.transpose(), T::ONE, Par::Seq);
        });
        tensor(out, rows, rows)
    }

    pub(crate) fn gram_backward<T: Real + faer::traits::ComplexField>(
        x: &Float,
        grad: &Float,
    ) -> Float {
        let (rows, n) = shape(x);
        let (x, grad) = (values::<T>(x), values::<T>(grad));
        let x = MatRef::from_row_major_slice(x, rows, n);
        let out = fill_parts(rows, n, rows, |first, count, out| {
            let mut both = vec![T::default(); BLOCK.min(count) * rows];
            for start in (0..count).step_by(BLOCK) {
                let count = BLOCK.min(count - start);
                let both = &mut both[..count * rows];
                add_columns(both, grad, first + start, rows);
                let out = &mut out[start * n..(start + count) * n];
                let out = MatMut::from_row_major_slice_mut(out, count, n);
                let both = MatRef::from_row_major_slice(both, count, rows);
                matmul(out, Accum::Replace, both, x, T::ONE, Par::Seq);
            }
        });
        tensor(out, rows, n)
    }

    /// Rows of `grad + gradᵀ` from `first` on.
    fn add_columns<T: Real>(out: &mut [T], grad: &[T], first: usize, n: usize) {
        let count = out.len() / n;
        out.copy_from_slice(&grad[first * n..(first + count) * n]);
        let mut tile = [[T::default(); TILE]; TILE];
        for top in (0..count).step_by(TILE) {
            let high = TILE.min(count - top);
            for left in (0..n).step_by(TILE) {
                let wide = TILE.min(n - left);
                for (j, tile) in tile[..wide].iter_mut().enumerate() {
                    let start = (left + j) * n + first + top;
                    tile[..high].copy_from_slice(&grad[start..start + high]);
                }
                for i in 0..high {
                    let row = &mut out[(top + i) * n + left..][..wide];
                    for (out, tile) in row.iter_mut().zip(&tile) {
                        *out = *out + tile[i];
                    }
                }
            }
        }
    }
}
