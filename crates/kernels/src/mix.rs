//! Weighted sums of rows.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Autodiff, Backend, Dispatch, TensorMetadata, backend_extension};
use burn::tensor::{Int, Shape, Tensor};

/// `a x + b y` of every row with its own a and b, and within `range` if there is one.
///
/// # Shapes
/// `x`: `[rows, width]`; `y`: `[rows, period]`, repeated along a row where the period is less than
/// the width, which it divides; `weights`: `[rows, 2]`, the a and b; result as `x`. All receive
/// gradients.
///
/// # Panics
/// When shapes do not fit.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_kernels::mix_rows;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
/// let y = Tensor::<2>::from_floats([[10.0], [20.0]], &device);
/// let weights = Tensor::<2>::from_floats([[1.0, 0.5], [0.0, 1.0]], &device);
/// let mixed = mix_rows(x, y, weights, None).into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(mixed, [6.0, 7.0, 20.0, 20.0]);
/// ```
pub fn mix_rows(
    x: Tensor<2>,
    y: Tensor<2>,
    weights: Tensor<2>,
    range: Option<[f64; 2]>,
) -> Tensor<2> {
    let ([rows, width], [others, period]) = (x.dims(), y.dims());
    assert_eq!(rows, others, "y needs one row per row of x");
    assert!(period > 0 && width.is_multiple_of(period), "{period} does not divide {width}");
    assert_eq!(weights.dims(), [rows, 2], "two weights per row");
    Tensor::from_dispatch(<Dispatch as MixOps>::mix_rows(
        x.into_dispatch(),
        y.into_dispatch(),
        weights.into_dispatch(),
        range,
    ))
}

/// `a x + b x[partners]` of every row with its own a and b: [`mix_rows`] within a matrix, of
/// which no copy in the partners' order is made.
///
/// # Shapes
/// `x`: `[rows, width]`; `partners`: `[rows]`, each below the rows; `weights`: `[rows, 2]`, the a
/// and b; result as `x`. x and the weights receive gradients.
///
/// # Panics
/// When shapes do not fit, or a partner is not below the rows.
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use counterweight_kernels::mix_pairs;
///
/// let device = Device::flex();
/// let x = Tensor::<2>::from_floats([[1.0, 2.0], [3.0, 4.0]], &device);
/// let partners = Tensor::<1, Int>::from_ints([1, 0], &device);
/// let weights = Tensor::<2>::from_floats([[0.5, 0.5], [1.0, 0.0]], &device);
/// let mixed = mix_pairs(x, partners, weights).into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(mixed, [2.0, 3.0, 3.0, 4.0]);
/// ```
pub fn mix_pairs(x: Tensor<2>, partners: Tensor<1, Int>, weights: Tensor<2>) -> Tensor<2> {
    let [rows, _] = x.dims();
    assert_eq!(partners.dims(), [rows], "one partner per row");
    assert_eq!(weights.dims(), [rows, 2], "two weights per row");
    Tensor::from_dispatch(<Dispatch as MixOps>::mix_pairs(
        x.into_dispatch(),
        partners.into_dispatch(),
        weights.into_dispatch(),
    ))
}

/// The weighted sum of the equal parts of every row, `Σ_i weights_i · part_i`: the channels of an
/// image that lie one after the other. Not a product of matrices, for which a device may round its
/// factors.
///
/// # Shapes
/// `x`: `[rows, parts · width]`, as many parts as weights; result `[rows, width]`. x receives a
/// gradient.
///
/// # Panics
/// When there is no weight, or their number does not divide the columns.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_kernels::mix_parts;
///
/// let x = Tensor::<2>::from_floats([[1.0, 2.0, 3.0, 4.0]], &Device::flex());
/// let mixed = mix_parts(x, &[1.0, 0.5]).into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(mixed, [2.5, 4.0]);
/// ```
pub fn mix_parts(x: Tensor<2>, weights: &[f64]) -> Tensor<2> {
    let [_, columns] = x.dims();
    let parts = weights.len();
    assert!(parts > 0 && columns.is_multiple_of(parts), "{parts} parts of {columns} columns");
    let weights = weights.to_vec();
    Tensor::from_dispatch(<Dispatch as MixOps>::mix_parts(x.into_dispatch(), weights))
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
pub(crate) trait MixOps: Backend {
    /// See [`mix_pairs`].
    #[fusion(dtype = x, shape = x)]
    fn mix_pairs(
        x: FloatTensor<Self>,
        partners: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        pairs_composed::<Self>(x, partners, weights)
    }

    /// See [`mix_rows`].
    #[fusion(default)]
    fn mix_rows(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        range: Option<[f64; 2]>,
    ) -> FloatTensor<Self> {
        composed::<Self>(x, y, weights, range)
    }

    /// See [`mix_parts`].
    #[fusion(default)]
    fn mix_parts(x: FloatTensor<Self>, weights: Vec<f64>) -> FloatTensor<Self> {
        parts_composed::<Self>(x, &weights)
    }
}

fn parts_composed<B: Backend>(x: FloatTensor<B>, weights: &[f64]) -> FloatTensor<B> {
    let shape = x.shape();
    let width = shape[1] / weights.len();
    let rows = burn::tensor::Slice::from(0..shape[0]);
    let part = |at: usize| {
        let columns = burn::tensor::Slice::from(at * width..(at + 1) * width);
        B::float_mul_scalar(B::float_slice(x.clone(), &[rows, columns]), weights[at].into())
    };
    (1..weights.len()).fold(part(0), |sum, at| B::float_add(sum, part(at)))
}

pub(crate) fn pairs_composed<B: Backend>(
    x: FloatTensor<B>,
    partners: IntTensor<B>,
    weights: FloatTensor<B>,
) -> FloatTensor<B> {
    let others = B::float_select(x.clone(), 0, partners);
    composed::<B>(x, others, weights, None)
}

fn composed<B: Backend>(
    x: FloatTensor<B>,
    y: FloatTensor<B>,
    weights: FloatTensor<B>,
    range: Option<[f64; 2]>,
) -> FloatTensor<B> {
    let shape = x.shape();
    let [rows, width, period] = [shape[0], shape[1], y.shape()[1]];
    let cut = |tensor: FloatTensor<B>| {
        B::float_reshape(tensor, Shape::new([rows, width / period, period]))
    };
    let (x, y) = (cut(x), B::float_reshape(y, Shape::new([rows, 1, period])));
    let weight = |at: isize| {
        let column = burn::tensor::Slice::new(at, Some(at + 1), 1);
        let all = burn::tensor::Slice::new(0, Some(rows as isize), 1);
        let column = B::float_slice(weights.clone(), &[all, column]);
        B::float_reshape(column, Shape::new([rows, 1, 1]))
    };
    let sum = B::float_add(B::float_mul(x, weight(0)), B::float_mul(y, weight(1)));
    let sum = B::float_reshape(sum, Shape::new([rows, width]));
    match range {
        Some([low, high]) => B::float_clamp(sum, low.into(), high.into()),
        None => sum,
    }
}

impl<B: MixOps, C: CheckpointStrategy> MixOps for Autodiff<B, C> {
    fn mix_pairs(
        x: FloatTensor<Self>,
        partners: IntTensor<Self>,
        weights: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        if x.is_tracked() || weights.is_tracked() {
            return pairs_composed::<Self>(x, partners, weights);
        }
        let [x, weights] = [x, weights].map(|t| t.into_primitive());
        FloatTensor::<Self>::new(B::mix_pairs(x, partners, weights))
    }

    fn mix_rows(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        weights: FloatTensor<Self>,
        range: Option<[f64; 2]>,
    ) -> FloatTensor<Self> {
        if x.is_tracked() || y.is_tracked() || weights.is_tracked() {
            return composed::<Self>(x, y, weights, range);
        }
        let [x, y, weights] = [x, y, weights].map(|t| t.into_primitive());
        FloatTensor::<Self>::new(B::mix_rows(x, y, weights, range))
    }

    fn mix_parts(x: FloatTensor<Self>, weights: Vec<f64>) -> FloatTensor<Self> {
        if x.is_tracked() {
            return parts_composed::<Self>(x, &weights);
        }
        FloatTensor::<Self>::new(B::mix_parts(x.into_primitive(), weights))
    }
}
crate::plain::plain_backends!(MixOps);

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::tensor::DType;

    use super::{IntTensor, MixOps, composed, pairs_composed, parts_composed};
    use crate::flex::class_ids;
    use crate::real::{change, fill};
    use crate::rows::{Float, changed_rows, fill_rows, shape, tensor, values};

    impl MixOps for Flex {
        fn mix_pairs(x: Float, partners: IntTensor<Self>, weights: Float) -> Float {
            if [&x, &weights].iter().any(|t| t.dtype() != DType::F32) {
                return pairs_composed::<Self>(x, partners, weights);
            }
            let [x, weights] = [x, weights].map(|t| t.to_contiguous());
            let (rows, width) = shape(&x);
            let partners = class_ids(&partners, rows);
            let (x, weights) = (values::<f32>(&x), values::<f32>(&weights));
            let out = fill_rows(
                rows,
                width,
                2 * width,
                #[inline(always)]
                |row, out: &mut [f32]| {
                    let (a, b) = (weights[2 * row], weights[2 * row + 1]);
                    let [own, other] =
                        [row, partners[row] as usize].map(|row| &x[row * width..(row + 1) * width]);
                    fill(
                        out,
                        [own, other],
                        #[inline(always)]
                        |[x, y]| a * x + b * y,
                    );
                },
            );
            tensor(out, rows, width)
        }

        fn mix_rows(x: Float, y: Float, weights: Float, range: Option<[f64; 2]>) -> Float {
            if [&x, &y, &weights].iter().any(|t| t.dtype() != DType::F32) {
                return composed::<Self>(x, y, weights, range);
            }
            let [y, weights] = [y, weights].map(|t| t.to_contiguous());
            let period = shape(&y).1;
            let [low, high] = range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
            let (low, high) = (low as f32, high as f32);
            let (y, weights) = (values::<f32>(&y), values::<f32>(&weights));
            changed_rows(
                x,
                #[inline(always)]
                |row, x| {
                    let (a, b) = (weights[2 * row], weights[2 * row + 1]);
                    let y = &y[row * period..(row + 1) * period];
                    if let [y] = y {
                        change(
                            x,
                            [],
                            #[inline(always)]
                            |x, []| within(a * x + b * y, low, high),
                        );
                        return;
                    }
                    for x in x.chunks_exact_mut(period) {
                        change(
                            x,
                            [y],
                            #[inline(always)]
                            |x, [y]| within(a * x + b * y, low, high),
                        );
                    }
                },
            )
        }

        fn mix_parts(x: Float, weights: Vec<f64>) -> Float {
            if x.dtype() != DType::F32 {
                return parts_composed::<Self>(x, &weights);
            }
            let x = x.to_contiguous();
            let (rows, columns) = shape(&x);
            let (x, width) = (values::<f32>(&x), columns / weights.len());
            let out = fill_rows(
                rows,
                width,
                2 * columns,
                #[inline(always)]
                |row, out: &mut [f32]| {
                    for (at, weight) in weights.iter().enumerate() {
                        let start = row * columns + at * width;
                        let (part, weight) = (&x[start..start + width], *weight as f32);
                        if at == 0 {
                            fill(
                                out,
                                [part],
                                #[inline(always)]
                                |[x]| weight * x,
                            );
                        } else {
                            change(
                                out,
                                [part],
                                #[inline(always)]
                                |sum, [x]| sum + weight * x,
                            );
                        }
                    }
                },
            );
            tensor(out, rows, width)
        }
    }

    /// NaN stays.
    #[inline(always)]
    fn within(value: f32, low: f32, high: f32) -> f32 {
        let value = if value < low { low } else { value };
        if value > high { high } else { value }
    }
}
