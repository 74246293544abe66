//! Changes of an image's values that are more than a sum.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, Dispatch, TensorMetadata, backend_extension, get_or_init_device_settings,
};
use burn::tensor::{BoolDType, Shape, Slice, Tensor};

/// What [`recolour`] does with the values of a row and the row's own numbers: one, if not said
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recolour {
    /// The row is the red, the green and the blue values of an image, one after the other; their
    /// hue is turned by the number, a share of the circle.
    Hue,
    /// The number is a step of 2ᵏ, and each value the multiple of `step / 255` at or below it.
    Posterize,
    /// The number is a threshold: values at or above it become `1 − x`.
    Solarize,
    /// A number for each pixel of all channels: where it is not 0 the values become 0.
    Erase,
}

/// Every row of values changed by numbers of its own, as torchvision changes images.
///
/// # Shapes
/// `x`: `[rows, values]`, in `[0, 1]` but for [`Recolour::Erase`]; `own`: `[rows, 1]`, or
/// `[rows, pixels]` to erase, or as many for all rows, `[1, ..]`; result as `x`. Gradients flow where
/// the change has a slope.
///
/// # Panics
/// When shapes do not fit, or the values of [`Recolour::Hue`] are no multiple of three.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_kernels::{Recolour, recolour};
///
/// let device = Device::flex();
/// // A red pixel, and a third of the circle: green.
/// let red = Tensor::<2>::from_floats([[1.0, 0.0, 0.0]], &device);
/// let third = Tensor::<2>::from_floats([[1.0 / 3.0]], &device);
/// let turned = recolour(red, third, Recolour::Hue).into_data().try_to_vec::<f32>().unwrap();
/// assert!(turned.iter().zip([0.0, 1.0, 0.0]).all(|(a, b)| (a - b).abs() < 1e-6));
/// ```
pub fn recolour(x: Tensor<2>, own: Tensor<2>, change: Recolour) -> Tensor<2> {
    let ([rows, width], [own_rows, period]) = (x.dims(), own.dims());
    assert!(own_rows == rows || own_rows == 1, "numbers for each of {rows} rows or for all");
    match change {
        Recolour::Erase => {
            let fits = period > 0 && width.is_multiple_of(period);
            assert!(fits, "{period} pixels do not divide {width} values");
        }
        _ => assert_eq!(period, 1, "one number for a row"),
    }
    assert!(change != Recolour::Hue || width.is_multiple_of(3), "three channels in {width} values");
    Tensor::from_dispatch(<Dispatch as RecolourOps>::recolour(
        x.into_dispatch(),
        own.into_dispatch(),
        change,
    ))
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
pub(crate) trait RecolourOps: Backend {
    /// See [`recolour`].
    fn recolour(
        x: FloatTensor<Self>,
        own: FloatTensor<Self>,
        change: Recolour,
    ) -> FloatTensor<Self> {
        composed::<Self>(x, own, change)
    }
}

fn composed<B: Backend>(
    x: FloatTensor<B>,
    own: FloatTensor<B>,
    change: Recolour,
) -> FloatTensor<B> {
    let shape = x.shape();
    let bools = get_or_init_device_settings::<B>(&x.device()).bool_dtype;
    match change {
        Recolour::Hue => hue::<B>(x, own, bools),
        Recolour::Posterize => {
            let level = B::float_add_scalar(B::float_mul_scalar(x, 255.0.into()), NEARLY.into());
            let steps = B::float_floor(B::float_div(B::float_floor(level), own.clone()));
            B::float_div_scalar(B::float_mul(steps, own), 255.0.into())
        }
        Recolour::Solarize => {
            let bright = B::float_greater_equal(x.clone(), B::float_expand(own, shape), bools);
            let other = B::float_add_scalar(B::float_neg(x.clone()), 1.0.into());
            B::float_mask_where(x, bright, other)
        }
        Recolour::Erase => {
            let ([rows, width], period) = ([shape[0], shape[1]], own.shape()[1]);
            let planes = Shape::new([rows, width / period, period]);
            let own = B::float_expand(own, Shape::new([rows, period]));
            let own = B::float_reshape(own, Shape::new([rows, 1, period]));
            let erased = B::float_not_equal_elem(own, 0.0.into(), bools);
            let erased = B::bool_expand(erased, planes.clone());
            let x = B::float_mask_fill(B::float_reshape(x, planes), erased, 0.0.into());
            B::float_reshape(x, shape)
        }
    }
}

/// What a product of floats loses must not cost a level.
const NEARLY: f32 = 1e-3;

fn hue<B: Backend>(x: FloatTensor<B>, turn: FloatTensor<B>, bools: BoolDType) -> FloatTensor<B> {
    let shape = x.shape();
    let [rows, width] = [shape[0], shape[1] / 3];
    let channel = |at: usize| {
        let columns = Slice::from(at * width..(at + 1) * width);
        B::float_slice(x.clone(), &[Slice::from(0..rows), columns])
    };
    let [r, g, b] = [0, 1, 2].map(channel);
    let planes = B::float_reshape(x, Shape::new([rows, 3, width]));
    let flat = |tensor| B::float_reshape(tensor, Shape::new([rows, width]));
    let high = flat(B::float_max_dim(planes.clone(), 1));
    let range = B::float_sub(high.clone(), flat(B::float_min_dim(planes, 1)));
    let grey = B::float_equal_elem(range.clone(), 0.0.into(), bools);
    let divisor = B::float_mask_fill(range.clone(), grey, 1.0.into());
    let between = |a: &FloatTensor<B>, b: &FloatTensor<B>, sector: f32| {
        let share = B::float_div(B::float_sub(a.clone(), b.clone()), divisor.clone());
        B::float_add_scalar(share, sector.into())
    };
    let is_high = |c: &FloatTensor<B>| B::float_equal(c.clone(), high.clone(), bools);
    let sector = B::float_mask_where(between(&r, &g, 4.0), is_high(&g), between(&b, &r, 2.0));
    let sector = B::float_mask_where(sector, is_high(&r), between(&g, &b, 0.0));
    // What is no number stays none.
    let sum = B::float_add(B::float_add(r, g), b);
    let high = B::float_add(high, B::float_mul_scalar(sum, 0.0.into()));
    let turn = B::float_sub(turn.clone(), B::float_floor(turn));
    let hue = B::float_add(sector, B::float_mul_scalar(turn, 6.0.into()));
    // Each channel falls from the highest value by a trapezium of the hue.
    let turned = [5.0, 3.0, 1.0].map(|shift: f32| {
        let k = B::float_add_scalar(hue.clone(), shift.into());
        let k = B::float_remainder_scalar(k, 6.0.into());
        let down = B::float_add_scalar(B::float_neg(k.clone()), 4.0.into());
        let falls = B::float_lower(k.clone(), down.clone(), bools);
        let fall = B::float_clamp(B::float_mask_where(down, falls, k), 0.0.into(), 1.0.into());
        B::float_sub(high.clone(), B::float_mul(range.clone(), fall))
    });
    B::float_clamp(B::float_cat(turned.to_vec(), 1), 0.0.into(), 1.0.into())
}

impl<B: RecolourOps, C: CheckpointStrategy> RecolourOps for Autodiff<B, C> {
    fn recolour(
        x: FloatTensor<Self>,
        own: FloatTensor<Self>,
        change: Recolour,
    ) -> FloatTensor<Self> {
        if x.is_tracked() || own.is_tracked() {
            return composed::<Self>(x, own, change);
        }
        FloatTensor::<Self>::new(B::recolour(x.into_primitive(), own.into_primitive(), change))
    }
}
#[cfg(feature = "cube")]
impl RecolourOps for burn::backend::Cube {}
crate::plain::plain_backends!(RecolourOps);

#[cfg(feature = "flex")]
mod flex {
    use burn::backend::Flex;
    use burn::tensor::DType;

    use super::{NEARLY, Recolour, RecolourOps, composed};
    use crate::rows::{Float, changed_rows, shape, values};

    impl RecolourOps for Flex {
        fn recolour(x: Float, own: Float, change: Recolour) -> Float {
            if [&x, &own].iter().any(|t| t.dtype() != DType::F32) {
                return composed::<Self>(x, own, change);
            }
            let own = own.to_contiguous();
            let (own_rows, period) = shape(&own);
            let own = values::<f32>(&own);
            let of = |row: usize| if own_rows == 1 { 0 } else { row };
            match change {
                Recolour::Hue => changed_rows(
                    x,
                    #[inline(always)]
                    |row, x| turn(x, own[of(row)]),
                ),
                Recolour::Posterize => changed_rows(
                    x,
                    #[inline(always)]
                    |row, x| {
                        let step = own[of(row)];
                        for x in x {
                            *x = ((*x * 255.0 + NEARLY).floor() / step).floor() * step / 255.0;
                        }
                    },
                ),
                Recolour::Solarize => changed_rows(
                    x,
                    #[inline(always)]
                    |row, x| {
                        let threshold = own[of(row)];
                        for x in x {
                            *x = if *x >= threshold { 1.0 - *x } else { *x };
                        }
                    },
                ),
                Recolour::Erase => changed_rows(
                    x,
                    #[inline(always)]
                    |row, x| {
                        let erased = &own[of(row) * period..][..period];
                        for x in x.chunks_exact_mut(period) {
                            for (x, erased) in x.iter_mut().zip(erased) {
                                *x = if *erased != 0.0 { 0.0 } else { *x };
                            }
                        }
                    },
                ),
            }
        }
    }

    #[inline(always)]
    fn turn(x: &mut [f32], by: f32) {
        let by = 6.0 * (by - by.floor());
        let width = x.len() / 3;
        let (red, rest) = x.split_at_mut(width);
        let (green, blue) = rest.split_at_mut(width);
        for ((r, g), b) in red.iter_mut().zip(green).zip(blue) {
            [*r, *g, *b] = turned([*r, *g, *b], by);
        }
    }

    /// `by` is in sixths of the circle, in `[0, 6)`.
    #[inline(always)]
    fn turned([r, g, b]: [f32; 3], by: f32) -> [f32; 3] {
        let larger = if g > b { g } else { b };
        let high = if r > larger { r } else { larger };
        let smaller = if g < b { g } else { b };
        let low = if r < smaller { r } else { smaller };
        let range = high - low;
        let scale = 1.0 / if range == 0.0 { 1.0 } else { range };
        let from_blue = (r - g) * scale + 4.0;
        let sector = if g == high { (b - r) * scale + 2.0 } else { from_blue };
        let sector = if r == high { (g - b) * scale } else { sector };
        // What is no number stays none.
        let nothing = (r + g + b) * 0.0;
        // k is at least −1 + 1 and below 11 + 5.
        let fallen = |shift: f32| {
            let k = sector + by + shift;
            let k = if k >= 12.0 { k - 12.0 } else { k };
            let k = if k >= 6.0 { k - 6.0 } else { k };
            let down = 4.0 - k;
            let fall = if k < down { k } else { down };
            high - range * fall.clamp(0.0, 1.0) + nothing
        };
        [5.0, 3.0, 1.0].map(
            #[inline(always)]
            |shift| fallen(shift).clamp(0.0, 1.0),
        )
    }
}
