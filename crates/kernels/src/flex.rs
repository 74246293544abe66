//! Fused passes over rows for burn's CPU backend, in f32 and f64; other types take the
//! default bodies.

use burn::backend::Flex;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::{Bytes, DType, Shape, TensorData};
use pulp::Arch;
use rayon::prelude::*;

use crate::BinaryFocal;
use crate::ops::RowOps;
use crate::real::{Real, fold};

type Float = FloatTensor<Flex>;

/// Elements per task: enough to hide the cost of handing it out.
const TASK: usize = 1 << 14;

/// Runs the body in the float type of the tensor.
macro_rules! fused {
    ($tensor:expr, $T:ident => $body:expr) => {
        match $tensor.dtype() {
            DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}

#[derive(Debug, Clone, Copy)]
struct Shape2 {
    rows: usize,
    columns: usize,
}

impl Shape2 {
    fn of(tensor: &Float) -> Self {
        let dims = tensor.layout().shape();
        Self { rows: dims[0], columns: dims[1] }
    }

    /// Rows per task.
    fn chunk(self) -> usize {
        (TASK / self.columns.max(1)).max(1)
    }
}

fn contiguous(tensor: Float) -> Float {
    tensor.to_contiguous()
}

fn values<T: Real>(tensor: &Float) -> &[T] {
    let start = tensor.layout().start_offset();
    &tensor.storage::<T>()[start..start + tensor.layout().num_elements()]
}

fn tensor<T: Real>(values: Vec<T>, rows: usize, columns: usize) -> Float {
    let shape = Shape::from([rows, columns]);
    Float::from_data(TensorData::from_bytes(Bytes::from_elems(values), shape, T::dtype()))
}

/// Class ids as `u32`, whatever their type.
fn class_ids(ids: &IntTensor<Flex>, classes: usize) -> Vec<u32> {
    let data = ids.to_contiguous().into_data();
    let ids: Vec<u32> = data.iter::<i64>().map(|id| id as u32).collect();
    let bad = ids.iter().find(|&&id| id as usize >= classes);
    assert!(bad.is_none(), "class id {} is not below {classes}", bad.copied().unwrap_or(0));
    ids
}

/// `f(row)` for every row, in parallel and vectorised.
fn each_row<T: Real>(shape: Shape2, f: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let mut out = vec![T::default(); shape.rows];
    let chunk = shape.chunk();
    out.par_chunks_mut(chunk).enumerate().for_each(|(i, out)| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (j, value) in out.iter_mut().enumerate() {
                    *value = f(i * chunk + j);
                }
            },
        );
    });
    out
}

/// A matrix whose rows `f(row, output)` fills.
fn fill_rows<T: Real>(shape: Shape2, f: impl Fn(usize, &mut [T]) + Sync) -> Vec<T> {
    let mut out = vec![T::default(); shape.rows * shape.columns];
    let chunk = shape.chunk();
    if out.is_empty() {
        return out;
    }
    out.par_chunks_mut(chunk * shape.columns).enumerate().for_each(|(i, out)| {
        Arch::new().dispatch(
            #[inline(always)]
            || {
                for (j, row) in out.chunks_exact_mut(shape.columns).enumerate() {
                    f(i * chunk + j, row);
                }
            },
        );
    });
    out
}

/// A row of `u = scale · (z + shift)`, with entry `y` moved by `−scale · margin`.
#[derive(Clone, Copy)]
struct Row<'a, T> {
    z: &'a [T],
    shift: &'a [T],
    scale: T,
}

impl<T: Real> Row<'_, T> {
    #[inline(always)]
    fn u(&self, i: usize) -> T {
        self.scale * (self.z[i] + self.shift[i])
    }

    /// Folds a function of u over all entries but `y` (none, when `y` is the length).
    #[inline(always)]
    fn fold_but(&self, y: usize, start: T, f: impl Fn(T) -> T, join: impl Fn(T, T) -> T) -> T {
        let part = |from: usize, to: usize| {
            let (z, shift) = (&self.z[from..to], &self.shift[from..to]);
            fold(to - from, start, |i| f(self.scale * (z[i] + shift[i])), &join)
        };
        let before = part(0, y);
        if y >= self.z.len() { before } else { join(before, part(y + 1, self.z.len())) }
    }

    /// `log Σ exp u`.
    #[inline(always)]
    fn log_sum_exp(&self) -> T {
        let n = self.z.len();
        let top = self.fold_but(n, T::LOWEST, |u| u, T::max);
        top + self.fold_but(n, T::default(), |u| (u - top).exp(), |a, b| a + b).ln()
    }

    /// The same with `u_y` replaced by `value`.
    #[inline(always)]
    fn log_sum_exp_with(&self, y: usize, value: T) -> T {
        let top = self.fold_but(y, value, |u| u, T::max);
        let rest = self.fold_but(y, T::default(), |u| (u - top).exp(), |a, b| a + b);
        top + (rest + (value - top).exp()).ln()
    }
}

/// Sum of `f(column)` over a row.
#[inline(always)]
fn sum<T: Real>(n: usize, f: impl Fn(usize) -> T) -> T {
    fold(n, T::default(), f, |a, b| a + b)
}

/// The pieces of [`RowOps::log_prob_lse`] and its backward pass in one type.
struct LogProb<'a, T> {
    z: &'a [T],
    ids: &'a [u32],
    shift: &'a [T],
    margin: &'a [T],
    scale: T,
}

impl<T: Real> LogProb<'_, T> {
    #[inline(always)]
    fn row(&self, b: usize) -> (Row<'_, T>, usize, T) {
        let n = self.shift.len();
        let row = Row { z: &self.z[b * n..(b + 1) * n], shift: self.shift, scale: self.scale };
        let y = self.ids[b] as usize;
        (row, y, row.u(y) - self.scale * self.margin[y])
    }
}

impl RowOps for Flex {
    fn log_prob_lse(
        logits: Float,
        ids: IntTensor<Self>,
        shift: Float,
        margin: Float,
        scale: f64,
    ) -> (Float, Float) {
        let shape = Shape2::of(&logits);
        let (logits, shift, margin) = (contiguous(logits), contiguous(shift), contiguous(margin));
        let ids = class_ids(&ids, shape.columns);
        fused!(logits, T => {
            let rows = LogProb::<T> {
                z: values(&logits),
                ids: &ids,
                shift: values(&shift),
                margin: values(&margin),
                scale: T::of(scale),
            };
            let lse = each_row(shape, #[inline(always)] |b| {
                let (row, y, value) = rows.row(b);
                row.log_sum_exp_with(y, value)
            });
            let picked = (0..shape.rows).map(|b| rows.row(b).2 - lse[b]).collect::<Vec<T>>();
            (tensor(picked, shape.rows, 1), tensor(lse, shape.rows, 1))
        })
    }

    fn log_prob_backward(
        logits: Float,
        ids: IntTensor<Self>,
        shift: Float,
        margin: Float,
        scale: f64,
        lse: Float,
        grad: Float,
    ) -> Float {
        let shape = Shape2::of(&logits);
        let (logits, shift, margin) = (contiguous(logits), contiguous(shift), contiguous(margin));
        let (lse, grad) = (contiguous(lse), contiguous(grad));
        let ids = class_ids(&ids, shape.columns);
        fused!(logits, T => {
            let rows = LogProb::<T> {
                z: values(&logits),
                ids: &ids,
                shift: values(&shift),
                margin: values(&margin),
                scale: T::of(scale),
            };
            let (lse, grad) = (values::<T>(&lse), values::<T>(&grad));
            let out = fill_rows(shape, #[inline(always)] |b, out: &mut [T]| {
                let (row, y, value) = rows.row(b);
                let (lse, g) = (lse[b], rows.scale * grad[b]);
                let (z, shift) = (&row.z[..out.len()], &row.shift[..out.len()]);
                for i in 0..out.len() {
                    out[i] = -g * (row.scale * (z[i] + shift[i]) - lse).exp();
                }
                out[y] = g * (T::ONE - (value - lse).exp());
            });
            tensor(out, shape.rows, shape.columns)
        })
    }

    fn cross_entropy_lse(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
    ) -> (Float, Float) {
        let shape = Shape2::of(&logits);
        let (logits, targets, shift) = (contiguous(logits), contiguous(targets), contiguous(shift));
        fused!(logits, T => {
            let (z, t, shift) = (values::<T>(&logits), values::<T>(&targets), values::<T>(&shift));
            let n = shape.columns;
            let row = |b: usize| Row { z: &z[b * n..(b + 1) * n], shift, scale: T::of(scale) };
            let lse = each_row(shape, #[inline(always)] |b| row(b).log_sum_exp());
            let cost = each_row(shape, #[inline(always)] |b| {
                let (row, t, lse) = (row(b), &t[b * n..(b + 1) * n], lse[b]);
                sum(n, |i| t[i] * (lse - row.u(i)))
            });
            (tensor(cost, shape.rows, 1), tensor(lse, shape.rows, 1))
        })
    }

    fn cross_entropy_backward(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
        lse: Float,
        grad: Float,
    ) -> Float {
        let shape = Shape2::of(&logits);
        let (logits, targets, shift) = (contiguous(logits), contiguous(targets), contiguous(shift));
        let (lse, grad) = (contiguous(lse), contiguous(grad));
        fused!(logits, T => {
            let (z, t, shift) = (values::<T>(&logits), values::<T>(&targets), values::<T>(&shift));
            let (lse, grad) = (values::<T>(&lse), values::<T>(&grad));
            let scale = T::of(scale);
            let out = fill_rows(shape, #[inline(always)] |b, out: &mut [T]| {
                let n = out.len();
                let (z, t, shift) = (&z[b * n..(b + 1) * n], &t[b * n..(b + 1) * n], &shift[..n]);
                let (lse, g, mass) = (lse[b], scale * grad[b], sum(n, |i| t[i]));
                for i in 0..n {
                    out[i] = g * ((scale * (z[i] + shift[i]) - lse).exp() * mass - t[i]);
                }
            });
            tensor(out, shape.rows, shape.columns)
        })
    }

    fn log_softmax_rows(logits: Float, shift: Float, scale: f64) -> Float {
        let shape = Shape2::of(&logits);
        let (logits, shift) = (contiguous(logits), contiguous(shift));
        fused!(logits, T => {
            let (z, shift) = (values::<T>(&logits), values::<T>(&shift));
            let scale = T::of(scale);
            let out = fill_rows(shape, #[inline(always)] |b, out: &mut [T]| {
                let n = out.len();
                let row = Row { z: &z[b * n..(b + 1) * n], shift, scale };
                let lse = row.log_sum_exp();
                let (z, shift) = (&row.z[..n], &row.shift[..n]);
                for i in 0..n {
                    out[i] = scale * (z[i] + shift[i]) - lse;
                }
            });
            tensor(out, shape.rows, shape.columns)
        })
    }

    fn log_softmax_rows_backward(output: Float, scale: f64, grad: Float) -> Float {
        let shape = Shape2::of(&output);
        let (output, grad) = (contiguous(output), contiguous(grad));
        fused!(output, T => {
            let (log_p, grad) = (values::<T>(&output), values::<T>(&grad));
            let scale = T::of(scale);
            let out = fill_rows(shape, #[inline(always)] |b, out: &mut [T]| {
                let n = out.len();
                let (log_p, grad) = (&log_p[b * n..(b + 1) * n], &grad[b * n..(b + 1) * n]);
                let total = sum(n, |i| grad[i]);
                for i in 0..n {
                    out[i] = scale * (grad[i] - log_p[i].exp() * total);
                }
            });
            tensor(out, shape.rows, shape.columns)
        })
    }

    fn binary_focal(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
    ) -> Float {
        let shape = Shape2::of(&logits);
        let (logits, targets) = (contiguous(logits), contiguous(targets));
        let (positive, negative) = (contiguous(positive), contiguous(negative));
        fused!(logits, T => {
            let (z, t) = (values::<T>(&logits), values::<T>(&targets));
            let (wp, wn) = (values::<T>(&positive), values::<T>(&negative));
            let n = shape.columns;
            let cost = |i: usize, c: usize| {
                let ((p, q), _) = terms.at(z[i]);
                wp[c] * t[i] * p + wn[c] * (T::ONE - t[i]) * q
            };
            let out = if n == 1 {
                // One column: the batch is the loop to vectorise.
                each_row(shape, #[inline(always)] |b| cost(b, 0))
            } else {
                each_row(shape, #[inline(always)] |b| sum(n, |c| cost(b * n + c, c)))
            };
            tensor(out, shape.rows, 1)
        })
    }

    fn binary_focal_backward(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
        grad: Float,
    ) -> Float {
        let shape = Shape2::of(&logits);
        let (logits, targets) = (contiguous(logits), contiguous(targets));
        let (positive, negative) = (contiguous(positive), contiguous(negative));
        let grad = contiguous(grad);
        fused!(logits, T => {
            let (z, t) = (values::<T>(&logits), values::<T>(&targets));
            let (wp, wn) = (values::<T>(&positive), values::<T>(&negative));
            let grad = values::<T>(&grad);
            let n = shape.columns;
            let slope = |i: usize, c: usize| {
                let (_, (p, q)) = terms.at(z[i]);
                wp[c] * t[i] * p + wn[c] * (T::ONE - t[i]) * q
            };
            let out = if n == 1 {
                each_row(shape, #[inline(always)] |b| grad[b] * slope(b, 0))
            } else {
                fill_rows(shape, #[inline(always)] |b, out: &mut [T]| {
                    for c in 0..n {
                        out[c] = grad[b] * slope(b * n + c, c);
                    }
                })
            };
            tensor(out, shape.rows, n)
        })
    }
}
