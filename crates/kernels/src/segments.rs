//! Rows made of numbers and one-hot segments, as the networks that generate tables give them.

use std::sync::Arc;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::RowOps;
use crate::softmax::widen;

/// What the columns of a row are: numbers first, then one-hot segments, those of equal width behind
/// one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segments {
    numbers: usize,
    groups: Arc<[Group]>,
}

/// Segments of one width.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Group {
    width: usize,
    count: usize,
}

impl Segments {
    /// `numbers` columns and then, for each of `groups`, so many segments of so many columns:
    /// `(columns of a segment, segments)`.
    pub fn new(numbers: usize, groups: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let groups = groups.into_iter().filter(|(width, count)| width * count > 0);
        let groups = groups.map(|(width, count)| Group { width, count }).collect();
        Self { numbers, groups }
    }

    /// Columns of a row.
    pub fn columns(&self) -> usize {
        self.numbers + self.groups.iter().map(|g| g.width * g.count).sum::<usize>()
    }
}

/// The Gumbel softmax `softmax((x + g) / τ)` of every segment (Jang et al., ICLR 2017), and of
/// the numbers `tanh x`, or `x` itself where they are `linear`.
///
/// # Shapes
/// `x`, `noise`: `[rows, columns]`, the second a constant; result the same.
///
/// # Panics
/// When shapes do not fit the segments, or the temperature is not above 0.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use counterweight_kernels::{Segments, gumbel_softmax};
///
/// let device = Device::flex();
/// // A number, two segments of two columns and one of one.
/// let segments = Segments::new(1, [(2, 2), (1, 1)]);
/// let x = Tensor::<2>::from_floats([[0.0, 3.0, 3.0, 50.0, -50.0, 7.0]], &device);
/// let y = gumbel_softmax(x.clone(), x.zeros_like(), &segments, 0.2, false);
/// let y = y.into_data().try_to_vec::<f32>().unwrap();
/// assert_eq!(y, [0.0, 0.5, 0.5, 1.0, 0.0, 1.0]);
/// ```
pub fn gumbel_softmax(
    x: Tensor<2>,
    noise: Tensor<2>,
    segments: &Segments,
    temperature: f64,
    linear: bool,
) -> Tensor<2> {
    assert_eq!(x.dims(), noise.dims(), "the noise needs the shape of x");
    assert_eq!(x.dims()[1], segments.columns(), "x needs the columns of the segments");
    assert!(temperature > 0.0, "temperature {temperature} is not above 0");
    Tensor::from_dispatch(<Dispatch as RowOps>::gumbel_softmax(
        widen(x).into_dispatch(),
        widen(noise).into_dispatch(),
        segments.clone(),
        temperature,
        linear,
    ))
}

/// The cross entropy of every segment's softmax against targets, summed over a row's segments:
/// `−Σ t (x − log Σ e^x)`. A segment whose targets are 0 does not count, and numbers do not.
///
/// # Shapes
/// `x`, `targets`: `[rows, columns]`, the second a constant ≥ 0; result `[rows]`.
///
/// # Panics
/// When shapes do not fit the segments.
pub fn segment_cross_entropy(x: Tensor<2>, targets: Tensor<2>, segments: &Segments) -> Tensor<1> {
    assert_eq!(x.dims(), targets.dims(), "targets need the shape of x");
    assert_eq!(x.dims()[1], segments.columns(), "x needs the columns of the segments");
    Tensor::from_dispatch(<Dispatch as RowOps>::segment_cross_entropy(
        widen(x).into_dispatch(),
        widen(targets).into_dispatch(),
        segments.clone(),
    ))
}

/// In tensor operations, for backends without a kernel.
pub(crate) mod composed {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, TensorMetadata};
    use burn::tensor::Slice;

    use super::Segments;
    use crate::composed::{cross_entropy_backward, cross_entropy_lse, list};

    type T<B> = FloatTensor<B>;

    fn columns<B: Backend>(x: &T<B>, from: usize, to: usize) -> T<B> {
        let rows = x.shape()[0];
        B::float_slice(x.clone(), &[0..rows, from..to].map(Slice::from))
    }

    fn reshaped<B: Backend>(x: T<B>, rows: usize, columns: usize) -> T<B> {
        B::float_reshape(x, [rows, columns].into())
    }

    /// `number` of the columns of numbers of `inputs` and `group` of their segments as rows, put
    /// together again.
    fn by_part<B: Backend, const N: usize>(
        inputs: [T<B>; N],
        segments: &Segments,
        number: impl FnOnce([T<B>; N]) -> T<B>,
        group: impl Fn([T<B>; N]) -> T<B>,
    ) -> T<B> {
        let rows = inputs[0].shape()[0];
        let mut parts = Vec::new();
        let mut at = segments.numbers;
        if at > 0 {
            parts.push(number(inputs.each_ref().map(|x| columns::<B>(x, 0, at))));
        }
        for g in segments.groups.iter() {
            let part = |x: &T<B>| {
                let x = columns::<B>(x, at, at + g.width * g.count);
                reshaped::<B>(x, rows * g.count, g.width)
            };
            let made = group(inputs.each_ref().map(part));
            parts.push(reshaped::<B>(made, rows, g.width * g.count));
            at += g.width * g.count;
        }
        B::float_cat(parts, 1)
    }

    /// `RowOps::gumbel_softmax`.
    pub(crate) fn softmax<B: Backend>(
        x: T<B>,
        noise: T<B>,
        segments: &Segments,
        temperature: f64,
        linear: bool,
    ) -> T<B> {
        let number = |[x, _]: [T<B>; 2]| if linear { x } else { B::float_tanh(x) };
        let soft = |[x, noise]: [T<B>; 2]| {
            let u = B::float_mul_scalar(B::float_add(x, noise), (1.0 / temperature).into());
            let top = B::float_max_dim(u.clone(), 1);
            let e = B::float_exp(B::float_sub(u, top));
            B::float_div(e.clone(), B::float_sum_dim(e, 1))
        };
        by_part::<B, 2>([x, noise], segments, number, soft)
    }

    /// `RowOps::gumbel_softmax_backward`.
    pub(crate) fn softmax_backward<B: Backend>(
        out: T<B>,
        segments: &Segments,
        temperature: f64,
        linear: bool,
        grad: T<B>,
    ) -> T<B> {
        let number = |[y, g]: [T<B>; 2]| {
            if linear {
                return g;
            }
            let square = B::float_mul(B::float_mul(y.clone(), y), g.clone());
            B::float_sub(g, square)
        };
        let group = |[y, g]: [T<B>; 2]| {
            let along = B::float_sum_dim(B::float_mul(y.clone(), g.clone()), 1);
            let slope = B::float_mul(y, B::float_sub(g, along));
            B::float_mul_scalar(slope, (1.0 / temperature).into())
        };
        by_part::<B, 2>([out, grad], segments, number, group)
    }

    /// Zeros like one row of a group.
    fn no_shift<B: Backend>(x: &T<B>) -> T<B> {
        B::float_zeros([1, x.shape()[1]].into(), &x.device(), x.dtype().into())
    }

    /// `RowOps::segment_cross_entropy`.
    pub(crate) fn cross_entropy<B: Backend>(x: T<B>, targets: T<B>, segments: &Segments) -> T<B> {
        let rows = x.shape()[0];
        let device = x.device();
        let mut total = B::float_zeros([rows, 1].into(), &device, x.dtype().into());
        let mut at = segments.numbers;
        for g in segments.groups.iter() {
            let end = at + g.width * g.count;
            let part = |x: &T<B>| reshaped::<B>(columns::<B>(x, at, end), rows * g.count, g.width);
            let (x, targets) = (part(&x), part(&targets));
            let shift = no_shift::<B>(&x);
            let (each, _) = cross_entropy_lse::<B>(x, targets, shift, 1.0);
            let each = B::float_sum_dim(reshaped::<B>(each, rows, g.count), 1);
            total = B::float_add(total, each);
            at = end;
        }
        list::<B>(total)
    }

    /// `RowOps::segment_cross_entropy_backward`.
    pub(crate) fn entropy_backward<B: Backend>(
        x: T<B>,
        targets: T<B>,
        segments: &Segments,
        grad: T<B>,
    ) -> T<B> {
        let (shape, rows) = (x.shape(), x.shape()[0]);
        let grad = B::float_expand(reshaped::<B>(grad, rows, 1), shape);
        let group = |[x, targets, grad]: [T<B>; 3]| {
            let shift = no_shift::<B>(&x);
            let (_, lse) = cross_entropy_lse::<B>(x.clone(), targets.clone(), shift.clone(), 1.0);
            let grad = list::<B>(columns::<B>(&grad, 0, 1));
            cross_entropy_backward::<B>(x, targets, shift, 1.0, lse, grad)
        };
        let number =
            |[x, _, _]: [T<B>; 3]| B::float_zeros(x.shape(), &x.device(), x.dtype().into());
        by_part::<B, 3>([x, targets, grad], segments, number, group)
    }
}

/// In fused passes on burn's CPU backend.
#[cfg(feature = "flex")]
pub(crate) mod flex {
    use super::Segments;
    use crate::real::{Real, change, fill};
    use crate::rows::{Float, fill_blocks, fill_rows, shape, tensor, values};

    impl Segments {
        /// Where each segment stands behind the numbers.
        #[inline(always)]
        fn each(&self, mut f: impl FnMut(std::ops::Range<usize>)) {
            let mut at = 0;
            for group in self.groups.iter() {
                for _ in 0..group.count {
                    f(at..at + group.width);
                    at += group.width;
                }
            }
        }
    }

    /// Exponentials of `u` less the largest of its segment, which `after` sees with their sum and
    /// with the largest. A NaN makes its segment NaN.
    #[inline(always)]
    fn exponentials<T: Real>(
        u: &mut [T],
        segments: &Segments,
        mut after: impl FnMut(std::ops::Range<usize>, &mut [T], T, T),
        tops: &mut Vec<T>,
    ) {
        tops.clear();
        segments.each(
            #[inline(always)]
            |at| {
                let part = &mut u[at];
                let top = part.iter().copied().fold(T::LOWEST, T::max);
                part.iter_mut().for_each(|u| *u = *u - top);
                tops.push(top);
            },
        );
        change(
            u,
            [],
            #[inline(always)]
            // The fast function takes a NaN for a number.
            |u, []| if u <= T::default() { u.exp() } else { u },
        );
        let mut tops = tops.iter();
        segments.each(
            #[inline(always)]
            |at| {
                let part = &mut u[at.clone()];
                let total = part.iter().fold(T::default(), |sum, e| sum + *e);
                let top = tops.next().copied().unwrap_or_default();
                after(at, part, total, top);
            },
        );
    }

    pub(crate) fn softmax<T: Real>(
        x: &Float,
        noise: &Float,
        segments: &Segments,
        temperature: f64,
        linear: bool,
    ) -> Float {
        let ((rows, n), first) = (shape(x), segments.numbers);
        let (x, noise, scale) = (values::<T>(x), values::<T>(noise), T::of(1.0 / temperature));
        let out = fill_blocks(
            rows,
            n,
            4 * n,
            #[inline(always)]
            |start, block| {
                let mut tops = Vec::new();
                for (j, out) in block.chunks_exact_mut(n).enumerate() {
                    let at = (start + j) * n..(start + j + 1) * n;
                    let (x, noise) = (&x[at.clone()], &noise[at]);
                    let (numbers, hot) = out.split_at_mut(first);
                    let activated = |x: T| if linear { x } else { x.tanh() };
                    numbers.iter_mut().zip(x).for_each(|(out, x)| *out = activated(*x));
                    fill(
                        hot,
                        [&x[first..], &noise[first..]],
                        #[inline(always)]
                        |[x, noise]| (x + noise) * scale,
                    );
                    exponentials(
                        hot,
                        segments,
                        #[inline(always)]
                        |_, part, total, _| part.iter_mut().for_each(|e| *e = *e / total),
                        &mut tops,
                    );
                }
            },
        );
        tensor(out, rows, n)
    }

    pub(crate) fn softmax_backward<T: Real>(
        out: &Float,
        segments: &Segments,
        temperature: f64,
        linear: bool,
        grad: &Float,
    ) -> Float {
        let ((rows, n), first) = (shape(out), segments.numbers);
        let (y, grad, scale) = (values::<T>(out), values::<T>(grad), T::of(1.0 / temperature));
        let out = fill_rows(
            rows,
            n,
            2 * n,
            #[inline(always)]
            |b, out| {
                let (y, grad) = (&y[b * n..(b + 1) * n], &grad[b * n..(b + 1) * n]);
                let (numbers, hot) = out.split_at_mut(first);
                fill(
                    numbers,
                    [y, grad],
                    #[inline(always)]
                    |[y, g]| if linear { g } else { g - y * y * g },
                );
                let (y, grad) = (&y[first..], &grad[first..]);
                segments.each(
                    #[inline(always)]
                    |at| {
                        let (y, grad) = (&y[at.clone()], &grad[at.clone()]);
                        let pairs = || y.iter().zip(grad);
                        let along = pairs().fold(T::default(), |sum, (y, g)| sum + *y * *g);
                        for (out, (y, g)) in hot[at].iter_mut().zip(pairs()) {
                            *out = *y * (*g - along) * scale;
                        }
                    },
                );
            },
        );
        tensor(out, rows, n)
    }

    pub(crate) fn cross_entropy<T: Real>(x: &Float, targets: &Float, segments: &Segments) -> Float {
        let ((rows, n), first) = (shape(x), segments.numbers);
        let (x, targets) = (values::<T>(x), values::<T>(targets));
        let out = fill_blocks(
            rows,
            1,
            4 * n,
            #[inline(always)]
            |start, block| {
                let (mut scratch, mut tops) = (vec![T::default(); n - first], Vec::new());
                for (j, out) in block.iter_mut().enumerate() {
                    let at = (start + j) * n + first..(start + j + 1) * n;
                    let (x, targets) = (&x[at.clone()], &targets[at]);
                    scratch.copy_from_slice(x);
                    let mut cost = T::default();
                    exponentials(
                        &mut scratch,
                        segments,
                        #[inline(always)]
                        |at, _, total, top| {
                            let lse = total.ln() + top;
                            for (x, t) in x[at.clone()].iter().zip(&targets[at]) {
                                if *t != T::default() {
                                    cost = cost + *t * (lse - *x);
                                }
                            }
                        },
                        &mut tops,
                    );
                    *out = cost;
                }
            },
        );
        tensor(out, rows, 1)
    }

    pub(crate) fn entropy_backward<T: Real>(
        x: &Float,
        targets: &Float,
        segments: &Segments,
        grad: &Float,
    ) -> Float {
        let ((rows, n), first) = (shape(x), segments.numbers);
        let (x, targets, grad) = (values::<T>(x), values::<T>(targets), values::<T>(grad));
        let out = fill_blocks(
            rows,
            n,
            4 * n,
            #[inline(always)]
            |start, block| {
                let mut tops = Vec::new();
                for (j, out) in block.chunks_exact_mut(n).enumerate() {
                    let (row, at) = (start + j, (start + j) * n + first..(start + j + 1) * n);
                    let (targets, grad) = (&targets[at.clone()], grad[row]);
                    let hot = &mut out[first..];
                    hot.copy_from_slice(&x[at]);
                    exponentials(
                        hot,
                        segments,
                        #[inline(always)]
                        |at, part, total, _| {
                            let targets = &targets[at];
                            let mass = targets.iter().fold(T::default(), |sum, t| sum + *t);
                            let share = mass / total;
                            for (out, t) in part.iter_mut().zip(targets) {
                                *out = grad * (*out * share - *t);
                            }
                        },
                        &mut tops,
                    );
                }
            },
        );
        tensor(out, rows, n)
    }
}
