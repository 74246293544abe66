//! Histograms of rows made even.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, TensorMetadata, backend_extension, get_or_init_device_settings,
};
use burn::tensor::{FloatDType, IndexingUpdateOp, Tensor};

use crate::composed::narrow;

/// Levels of a value.
const LEVELS: usize = 256;

/// Every row mapped so that its histogram of 256 levels is even, as PIL and torchvision equalise a
/// channel: with `step = ⌊(n − n_last) / 255⌋` of its n values, n_last of which have the highest
/// level in use, level l becomes `⌊(values below l + ⌊step / 2⌋) / step⌋`, at most 255. A row whose
/// step is 0 stays.
///
/// # Shapes
/// `[rows, values]` in `[0, 1]` → the same.
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// // 255 values of level 0, as many of level 1 and of level 2.
/// let levels: Vec<f32> = (0..765).map(|i| (i / 255) as f32 / 255.0).collect();
/// let x = Tensor::<1>::from_floats(levels.as_slice(), &device).reshape([1, 765]);
/// let even = counterweight_kernels::equalize_rows(x).into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!([even[0], even[255], even[764]], [0.0, 128.0 / 255.0, 1.0]);
/// ```
pub fn equalize_rows(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as EqualizeOps>::equalize(x.into_dispatch()))
}

#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Capture: cfg(feature = "capture"),
    Remote: cfg(feature = "remote"),
    Cube: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait EqualizeOps: Backend {
    /// See [`equalize_rows`].
    fn equalize(x: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::<Self>(x)
    }
}

fn composed<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    let (shape, device, dtype) = (x.shape(), x.device(), x.dtype());
    let settings = get_or_init_device_settings::<B>(&device);
    let (ints, bools) = (settings.int_dtype, settings.bool_dtype);
    let floor = |x: FloatTensor<B>, more: f64| B::float_floor(B::float_add_scalar(x, more.into()));
    let level = |x: FloatTensor<B>| B::float_clamp(x, 0.0.into(), 255.0.into());
    let wide = B::float_cast(x.clone(), FloatDType::F32);
    // What a product of floats loses must not cost a level.
    let levels = level(floor(B::float_mul_scalar(wide, 255.0.into()), 1e-3));
    let levels = B::float_into_int(levels, ints);
    let ones = B::float_ones(shape.clone(), &device, FloatDType::F32);
    let empty = B::float_zeros([shape[0], LEVELS].into(), &device, FloatDType::F32);
    let counts = B::float_scatter(1, empty, levels.clone(), ones, IndexingUpdateOp::Add);
    let indices = B::int_into_float(B::int_arange(0..256, &device, ints), FloatDType::F32);
    let indices = B::float_reshape(indices, [1, LEVELS].into());
    let used = B::float_greater_elem(counts.clone(), 0.0.into(), bools);
    let used = B::bool_into_float(used, FloatDType::F32);
    let last = B::float_into_int(B::float_max_dim(B::float_mul(used, indices), 1), ints);
    let last = B::float_gather(1, counts.clone(), last);
    let others = B::float_sub(B::float_sum_dim(counts.clone(), 1), last);
    let step = floor(B::float_div_scalar(others, 255.0.into()), 1e-4);
    let before = B::float_sub(B::float_cumsum(counts.clone(), 1), counts);
    let none = B::float_equal_elem(step.clone(), 0.0.into(), bools);
    let divisor = B::float_mask_fill(step.clone(), none.clone(), 1.0.into());
    let half = B::float_floor(B::float_div_scalar(step, 2.0.into()));
    let table = level(floor(B::float_div(B::float_add(before, half), divisor), 1e-4));
    let table = narrow::<B>(B::float_div_scalar(table, 255.0.into()), dtype);
    let even = B::float_gather(1, table, levels);
    B::float_mask_where(even, B::bool_expand(none, shape), x)
}

impl<B: EqualizeOps, C: CheckpointStrategy> EqualizeOps for Autodiff<B, C> {
    fn equalize(x: FloatTensor<Self>) -> FloatTensor<Self> {
        if x.is_tracked() {
            return composed::<Self>(x);
        }
        FloatTensor::<Self>::new(B::equalize(x.into_primitive()))
    }
}
#[cfg(feature = "cube")]
impl EqualizeOps for burn::backend::Cube {}
crate::plain::plain_backends!(EqualizeOps);

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::tensor::DType;

    use super::{EqualizeOps, LEVELS, composed};
    use crate::rows::{Float, fill_rows, shape, tensor, values};

    impl EqualizeOps for Flex {
        fn equalize(x: Float) -> Float {
            if x.dtype() != DType::F32 {
                return composed::<Self>(x);
            }
            let x = x.to_contiguous();
            let ((rows, width), x) = (shape(&x), values::<f32>(&x));
            let out = fill_rows(rows, width, 4 * width, |row, out: &mut [f32]| {
                even(&x[row * width..(row + 1) * width], out);
            });
            tensor(out, rows, width)
        }
    }

    /// A float out of range, or none, becomes the nearest level.
    #[inline(always)]
    fn level(value: f32) -> usize {
        ((value * 255.0 + 1e-3) as i32).clamp(0, 255) as usize
    }

    fn even(x: &[f32], out: &mut [f32]) {
        let mut counts = [0usize; LEVELS];
        for value in x {
            counts[level(*value)] += 1;
        }
        let last = counts.iter().rev().find(|n| **n > 0).copied().unwrap_or_default();
        let step = (x.len() - last) / 255;
        if step == 0 {
            out.copy_from_slice(x);
            return;
        }
        let mut before = step / 2;
        let table = counts.map(|n| {
            let level = (before / step).min(255);
            before += n;
            level as f32 / 255.0
        });
        for (out, value) in out.iter_mut().zip(x) {
            *out = table[level(*value)];
        }
    }
}
