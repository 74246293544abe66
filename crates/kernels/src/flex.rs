//! Fused passes over rows for burn's CPU backend, in f32 and f64 (half precision is widened
//! before it gets here).

use burn::backend::Flex;
use burn::backend::tensor::IntTensor;
use burn::tensor::DType;

use crate::composed::list;
use crate::gaussian::flex::{divergence, divergence_backward, draw, draw_backward};
use crate::normalized::flex::{gram, gram_backward, normalize, normalize_backward};
use crate::ops::RowOps;
use crate::real::{Real, change, fill, fill_all, fold, sum};
use crate::rows::{
    Float, by_type, change_blocks, contiguous, fill_blocks, fill_both, fill_rows, own_values,
    shape, tensor, values,
};
use crate::segments::flex::{cross_entropy, entropy_backward, softmax, softmax_backward};
use crate::{BinaryFocal, Segments};

/// Calls a function that is generic in the float type and in what is in use of the terms.
macro_rules! by_terms {
    ($tensor:expr, $terms:expr, $f:ident($($argument:expr),* $(,)?)) => {{
        let focus = $terms.gamma_positive > 0.0 || $terms.gamma_negative > 0.0;
        match ($tensor.dtype(), focus, $terms.margin > 0.0) {
            (DType::F64, false, false) => $f::<f64, false, false>($($argument),*),
            (DType::F64, true, false) => $f::<f64, true, false>($($argument),*),
            (DType::F64, false, true) => $f::<f64, false, true>($($argument),*),
            (DType::F64, true, true) => $f::<f64, true, true>($($argument),*),
            (_, false, false) => $f::<f32, false, false>($($argument),*),
            (_, true, false) => $f::<f32, true, false>($($argument),*),
            (_, false, true) => $f::<f32, false, true>($($argument),*),
            (_, true, true) => $f::<f32, true, true>($($argument),*),
        }
    }};
}

/// Two numbers of every row, `f(row)`, which reads `columns` numbers, as two columns.
fn two_each<T: Real>(
    rows: usize,
    columns: usize,
    f: impl Fn(usize) -> (T, T) + Sync,
) -> (Float, Float) {
    let both = fill_both(
        rows,
        [1, 1],
        columns,
        #[inline(always)]
        |first, a, b| {
            for (j, (a, b)) in a.iter_mut().zip(b).enumerate() {
                (*a, *b) = f(first + j);
            }
        },
    );
    let [a, b] = both.map(|column| tensor(column, rows, 1));
    (a, b)
}

/// Class ids, or row numbers, as `u32`, whatever their type.
pub(crate) fn class_ids(ids: &IntTensor<Flex>, classes: usize) -> Vec<u32> {
    let data = ids.to_contiguous().into_data();
    let ids: Vec<u32> = data.iter::<i64>().map(|id| id as u32).collect();
    let bad = ids.iter().find(|&&id| id as usize >= classes);
    assert!(bad.is_none(), "class id {} is not below {classes}", bad.copied().unwrap_or(0));
    ids
}

/// A row of `u = scale · (z + shift)`.
#[derive(Clone, Copy)]
struct Row<'a, T> {
    z: &'a [T],
    shift: &'a [T],
    scale: T,
}

impl<'a, T: Real> Row<'a, T> {
    #[inline(always)]
    fn new(z: &'a [T], shift: &'a [T], scale: T, row: usize) -> Self {
        let n = shift.len();
        Self { z: &z[row * n..(row + 1) * n], shift, scale }
    }

    #[inline(always)]
    fn u(&self, i: usize) -> T {
        self.scale * (self.z[i] + self.shift[i])
    }

    /// `(u_y − scale · margin_y)`.
    #[inline(always)]
    fn lowered(&self, y: usize, margin: &[T]) -> T {
        self.u(y) - self.scale * margin[y]
    }

    #[inline(always)]
    fn part(&self, from: usize, to: usize) -> [&'a [T]; 2] {
        [&self.z[from..to], &self.shift[from..to]]
    }

    #[inline(always)]
    fn largest(&self, from: usize, to: usize, start: T) -> T {
        let scale = self.scale;
        fold(
            self.part(from, to),
            start,
            #[inline(always)]
            |[z, s]| scale * (z + s),
            T::max,
        )
    }

    #[inline(always)]
    fn exponentials(&self, from: usize, to: usize, top: T) -> T {
        let scale = self.scale;
        sum(
            self.part(from, to),
            #[inline(always)]
            |[z, s]| (scale * (z + s) - top).exp(),
        )
    }

    /// `log Σ exp u`.
    #[inline(always)]
    fn log_sum_exp(&self) -> T {
        let n = self.z.len();
        let top = self.largest(0, n, T::LOWEST);
        top + self.exponentials(0, n, top).ln()
    }

    /// The same with `u_y` replaced by `value`.
    #[inline(always)]
    fn log_sum_exp_with(&self, y: usize, value: T) -> T {
        let n = self.z.len();
        let top = self.largest(y + 1, n, self.largest(0, y, value));
        let rest = self.exponentials(0, y, top) + self.exponentials(y + 1, n, top);
        top + (rest + (value - top).exp()).ln()
    }
}

fn log_prob_lse<T: Real>(
    logits: &Float,
    ids: &[u32],
    shift: &Float,
    margin: &Float,
    scale: f64,
) -> (Float, Float) {
    let (rows, n) = shape(logits);
    let (z, shift, margin) = (values::<T>(logits), values(shift), values(margin));
    let scale = T::of(scale);
    let lse = fill_rows(
        rows,
        1,
        n,
        #[inline(always)]
        |b, out| {
            let (row, y) = (Row::new(z, shift, scale, b), ids[b] as usize);
            out[0] = if margin[y] == T::default() {
                row.log_sum_exp()
            } else {
                row.log_sum_exp_with(y, row.lowered(y, margin))
            };
        },
    );
    let picked: Vec<T> = (lse.iter().zip(ids).enumerate())
        .map(|(b, (&lse, &y))| Row::new(z, shift, scale, b).lowered(y as usize, margin) - lse)
        .collect();
    (tensor(picked, rows, 1), tensor(lse, rows, 1))
}

fn log_prob_backward<T: Real>(
    logits: &Float,
    ids: &[u32],
    [shift, margin, lse, grad]: [&Float; 4],
    scale: f64,
) -> Float {
    let (rows, n) = shape(logits);
    let (z, shift, margin) = (values::<T>(logits), values(shift), values::<T>(margin));
    let (lse, grad) = (values::<T>(lse), values::<T>(grad));
    let scale = T::of(scale);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            let (row, y) = (Row::new(z, shift, scale, b), ids[b] as usize);
            let (lse, g) = (lse[b], scale * grad[b]);
            fill(
                out,
                row.part(0, n),
                #[inline(always)]
                |[z, s]| -g * (scale * (z + s) - lse).exp(),
            );
            out[y] = g * (T::ONE - (row.lowered(y, margin) - lse).exp());
        },
    );
    tensor(out, rows, n)
}

fn cross_entropy_lse<T: Real>(
    logits: &Float,
    targets: &Float,
    shift: &Float,
    scale: f64,
) -> (Float, Float) {
    let (rows, n) = shape(logits);
    let (z, t, shift) = (values::<T>(logits), values::<T>(targets), values(shift));
    let scale = T::of(scale);
    two_each(
        rows,
        n,
        #[inline(always)]
        |b| {
            let row = Row::new(z, shift, scale, b);
            let lse = row.log_sum_exp();
            let [z, shift] = row.part(0, n);
            let cost = sum(
                [z, shift, &t[b * n..(b + 1) * n]],
                #[inline(always)]
                |[z, s, t]| t * (lse - scale * (z + s)),
            );
            (cost, lse)
        },
    )
}

fn cross_entropy_backward<T: Real>(
    logits: &Float,
    [targets, shift, lse, grad]: [&Float; 4],
    scale: f64,
) -> Float {
    let (rows, n) = shape(logits);
    let (z, t, shift) = (values::<T>(logits), values::<T>(targets), values(shift));
    let (lse, grad) = (values::<T>(lse), values::<T>(grad));
    let scale = T::of(scale);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            let [z, shift] = Row::new(z, shift, scale, b).part(0, n);
            let t = &t[b * n..(b + 1) * n];
            let (lse, g) = (lse[b], scale * grad[b]);
            let mass = sum(
                [t],
                #[inline(always)]
                |[t]| t,
            );
            fill(
                out,
                [z, shift, t],
                #[inline(always)]
                |[z, s, t]| g * ((scale * (z + s) - lse).exp() * mass - t),
            );
        },
    );
    tensor(out, rows, n)
}

fn log_softmax_rows<T: Real>(logits: &Float, shift: &Float, scale: f64) -> Float {
    let (rows, n) = shape(logits);
    let (z, shift) = (values::<T>(logits), values(shift));
    let scale = T::of(scale);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            let row = Row::new(z, shift, scale, b);
            let lse = row.log_sum_exp();
            fill(
                out,
                row.part(0, n),
                #[inline(always)]
                |[z, s]| scale * (z + s) - lse,
            );
        },
    );
    tensor(out, rows, n)
}

fn log_softmax_rows_backward<T: Real>(output: &Float, grad: &Float, scale: f64) -> Float {
    let (rows, n) = shape(output);
    let (log_p, grad) = (values::<T>(output), values::<T>(grad));
    let scale = T::of(scale);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            let (log_p, grad) = (&log_p[b * n..(b + 1) * n], &grad[b * n..(b + 1) * n]);
            let total = sum(
                [grad],
                #[inline(always)]
                |[g]| g,
            );
            fill(
                out,
                [log_p, grad],
                #[inline(always)]
                |[l, g]| scale * (g - l.exp() * total),
            );
        },
    );
    tensor(out, rows, n)
}

/// Columns of the class `own`: their number and their Σ z.
#[inline(always)]
fn partners<T: Real>(z: &[T], ids: &[T], own: T) -> (T, T) {
    let n = sum(
        [ids],
        #[inline(always)]
        |[id]| same(id, own),
    );
    let total = sum(
        [z, ids],
        #[inline(always)]
        |[z, id]| same(id, own) * z,
    );
    (n, total)
}

/// 1 for equal ids, else 0.
#[inline(always)]
fn same<T: Real>(a: T, b: T) -> T {
    if a == b { T::ONE } else { T::default() }
}

fn contrast_lse<T: Real>(cosines: &Float, ids: &Float, scale: f64) -> (Float, Float) {
    let (rows, n) = shape(cosines);
    let (z, ids) = (values::<T>(cosines), values::<T>(ids));
    let scale = T::of(scale);
    let none = vec![T::default(); n];
    two_each(
        rows,
        n,
        #[inline(always)]
        |b| {
            let row = Row::new(z, &none, scale, b);
            let top = row.largest(b + 1, n, row.largest(0, b, T::LOWEST));
            let rest = row.exponentials(0, b, top) + row.exponentials(b + 1, n, top);
            let (n1, z1) = partners(&row.z[..b], &ids[..b], ids[b]);
            let (n2, z2) = partners(&row.z[b + 1..], &ids[b + 1..], ids[b]);
            let found = n1 + n2;
            if found > T::default() {
                let lse = top + rest.ln();
                (lse - scale * (z1 + z2) / found, lse)
            } else {
                (T::default(), T::default())
            }
        },
    )
}

fn contrast_backward<T: Real>([cosines, ids, lse, grad]: [&Float; 4], scale: f64) -> Float {
    let (rows, n) = shape(cosines);
    let (z, ids) = (values::<T>(cosines), values::<T>(ids));
    let (lse, grad) = (values::<T>(lse), values::<T>(grad));
    let scale = T::of(scale);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            let (own, lse, g) = (ids[b], lse[b], scale * grad[b]);
            let found = sum(
                [ids],
                #[inline(always)]
                |[id]| same(id, own),
            ) - T::ONE;
            if found > T::default() {
                let share = T::ONE / found;
                fill(
                    out,
                    [&z[b * n..(b + 1) * n], ids],
                    #[inline(always)]
                    |[z, id]| {
                        // The own column may lie above the sum: its value is not used.
                        let u = scale * z - lse;
                        let u = if u > T::default() { T::default() } else { u };
                        g * (u.exp() - share * same(id, own))
                    },
                );
                out[b] = T::default();
            }
        },
    );
    tensor(out, rows, n)
}

fn binary<T: Real, const FOCUS: bool, const MARGIN: bool>(
    inputs: [&Float; 4],
    f: BinaryFocal,
) -> Float {
    let (rows, n) = shape(inputs[0]);
    let [z, t, positive, negative] = inputs.map(values::<T>);
    let out = fill_blocks(
        rows,
        1,
        n,
        #[inline(always)]
        |first, out| {
            if n == 1 {
                // Rows of one column lie behind one another: there is something to vectorise.
                let (wp, wn) = (positive[0], negative[0]);
                fill(
                    out,
                    [&z[first..], &t[first..]],
                    #[inline(always)]
                    |[z, t]| f.at::<T, FOCUS, MARGIN>(z, t, wp, wn).0,
                );
                return;
            }
            for (b, out) in (first..).zip(out) {
                let at = b * n..(b + 1) * n;
                *out = sum(
                    [&z[at.clone()], &t[at], positive, negative],
                    #[inline(always)]
                    |[z, t, wp, wn]| f.at::<T, FOCUS, MARGIN>(z, t, wp, wn).0,
                );
            }
        },
    );
    tensor(out, rows, 1)
}

fn binary_slope<T: Real, const FOCUS: bool, const MARGIN: bool>(
    inputs: [&Float; 4],
    f: BinaryFocal,
) -> (Float, Float) {
    let (rows, n) = shape(inputs[0]);
    let [z, t, positive, negative] = inputs.map(values::<T>);
    let [out, slopes] = fill_both(
        rows,
        [1, n],
        n,
        #[inline(always)]
        |first, out, slopes| {
            if n == 1 {
                let (wp, wn) = (positive[0], negative[0]);
                fill_all(
                    [out, slopes],
                    [&z[first..], &t[first..]],
                    #[inline(always)]
                    |[z, t]| f.at::<T, FOCUS, MARGIN>(z, t, wp, wn).into(),
                );
                return;
            }
            for ((b, out), slopes) in (first..).zip(out).zip(slopes.chunks_exact_mut(n)) {
                let at = b * n..(b + 1) * n;
                let inputs = [&z[at.clone()], &t[at], positive, negative];
                *out = sum(
                    inputs,
                    #[inline(always)]
                    |[z, t, wp, wn]| f.at::<T, FOCUS, MARGIN>(z, t, wp, wn).0,
                );
                fill(
                    slopes,
                    inputs,
                    #[inline(always)]
                    |[z, t, wp, wn]| f.at::<T, FOCUS, MARGIN>(z, t, wp, wn).1,
                );
            }
        },
    );
    (tensor(out, rows, 1), tensor(slopes, rows, n))
}

/// `x` times a number for each of its rows.
fn scale_rows<T: Real>(mut x: Float, by: &Float) -> Float {
    let (rows, n) = shape(&x);
    let by = values::<T>(by);
    if let Some(own) = own_values::<T>(&mut x) {
        change_blocks(
            own,
            n,
            n,
            #[inline(always)]
            |first, out| {
                if n == 1 {
                    change(
                        out,
                        [&by[first..]],
                        #[inline(always)]
                        |x, [by]| x * by,
                    );
                    return;
                }
                for (by, row) in by[first..].iter().zip(out.chunks_exact_mut(n)) {
                    change(
                        row,
                        [],
                        #[inline(always)]
                        |x, []| x * *by,
                    );
                }
            },
        );
        return x;
    }
    let all = values::<T>(&x);
    let out = fill_rows(
        rows,
        n,
        n,
        #[inline(always)]
        |b, out| {
            fill(
                out,
                [&all[b * n..]],
                #[inline(always)]
                |[x]| x * by[b],
            );
        },
    );
    tensor(out, rows, n)
}

impl RowOps for Flex {
    fn log_prob_lse(
        logits: Float,
        ids: IntTensor<Self>,
        shift: Float,
        margin: Float,
        scale: f64,
    ) -> (Float, Float) {
        let [z, shift, margin] = [logits, shift, margin].map(|x| x.to_contiguous());
        let ids = class_ids(&ids, shape(&z).1);
        by_type!(z, log_prob_lse(&z, &ids, &shift, &margin, scale))
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
        let z = logits.to_contiguous();
        let ids = class_ids(&ids, shape(&z).1);
        let [shift, margin, lse, grad] = [shift, margin, lse, grad].map(|x| x.to_contiguous());
        by_type!(z, log_prob_backward(&z, &ids, [&shift, &margin, &lse, &grad], scale))
    }

    fn cross_entropy_lse(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
    ) -> (Float, Float) {
        let [z, t, shift] = [logits, targets, shift].map(|x| x.to_contiguous());
        by_type!(z, cross_entropy_lse(&z, &t, &shift, scale))
    }

    fn cross_entropy_backward(
        logits: Float,
        targets: Float,
        shift: Float,
        scale: f64,
        lse: Float,
        grad: Float,
    ) -> Float {
        let z = logits.to_contiguous();
        let [t, shift, lse, grad] = [targets, shift, lse, grad].map(|x| x.to_contiguous());
        by_type!(z, cross_entropy_backward(&z, [&t, &shift, &lse, &grad], scale))
    }

    fn log_softmax_rows(logits: Float, shift: Float, scale: f64) -> Float {
        let [z, shift] = [logits, shift].map(|x| x.to_contiguous());
        by_type!(z, log_softmax_rows(&z, &shift, scale))
    }

    fn log_softmax_rows_backward(output: Float, scale: f64, grad: Float) -> Float {
        let [output, grad] = [output, grad].map(|x| x.to_contiguous());
        by_type!(output, log_softmax_rows_backward(&output, &grad, scale))
    }

    fn contrast_lse(cosines: Float, ids: Float, scale: f64) -> (Float, Float) {
        let [z, ids] = [cosines, ids].map(|x| x.to_contiguous());
        by_type!(z, contrast_lse(&z, &ids, scale))
    }

    fn contrast_backward(cosines: Float, ids: Float, scale: f64, lse: Float, grad: Float) -> Float {
        let [z, ids, lse, grad] = [cosines, ids, lse, grad].map(|x| x.to_contiguous());
        by_type!(z, contrast_backward([&z, &ids, &lse, &grad], scale))
    }

    fn normalize(x: Float) -> Float {
        let x = x.to_contiguous();
        by_type!(x, normalize(&x))
    }

    fn normalize_backward(x: Float, grad: Float) -> Float {
        let [x, grad] = [x, grad].map(|x| x.to_contiguous());
        by_type!(x, normalize_backward(&x, &grad))
    }

    fn gram(x: Float) -> Float {
        let x = x.to_contiguous();
        by_type!(x, gram(&x))
    }

    fn gram_backward(x: Float, grad: Float) -> Float {
        let [x, grad] = [x, grad].map(|x| x.to_contiguous());
        by_type!(x, gram_backward(&x, &grad))
    }

    fn gaussian_draw(parameters: Float, noise: Float) -> Float {
        let [x, noise] = [parameters, noise].map(|x| x.to_contiguous());
        by_type!(x, draw(&x, &noise))
    }

    fn gaussian_draw_backward(parameters: Float, noise: Float, grad: Float) -> Float {
        let [x, noise, grad] = [parameters, noise, grad].map(|x| x.to_contiguous());
        by_type!(x, draw_backward(&x, &noise, &grad))
    }

    fn gaussian_divergence(parameters: Float) -> Float {
        let x = parameters.to_contiguous();
        by_type!(x, divergence(&x))
    }

    fn gaussian_divergence_backward(parameters: Float, grad: Float) -> Float {
        let [x, grad] = [parameters, grad].map(|x| x.to_contiguous());
        by_type!(x, divergence_backward(&x, &grad))
    }

    fn gumbel_softmax(
        x: Float,
        noise: Float,
        parts: Segments,
        temperature: f64,
        linear: bool,
    ) -> Float {
        let [x, noise] = [x, noise].map(|x| x.to_contiguous());
        by_type!(x, softmax(&x, &noise, &parts, temperature, linear))
    }

    fn gumbel_softmax_backward(
        out: Float,
        parts: Segments,
        temperature: f64,
        linear: bool,
        grad: Float,
    ) -> Float {
        let [out, grad] = [out, grad].map(|x| x.to_contiguous());
        by_type!(out, softmax_backward(&out, &parts, temperature, linear, &grad))
    }

    fn segment_cross_entropy(x: Float, targets: Float, parts: Segments) -> Float {
        let [x, targets] = [x, targets].map(|x| x.to_contiguous());
        list::<Self>(by_type!(x, cross_entropy(&x, &targets, &parts)))
    }

    fn segment_cross_entropy_backward(
        x: Float,
        targets: Float,
        parts: Segments,
        grad: Float,
    ) -> Float {
        let [x, targets, grad] = [x, targets, grad].map(|x| x.to_contiguous());
        by_type!(x, entropy_backward(&x, &targets, &parts, &grad))
    }

    fn binary_focal(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
    ) -> Float {
        let [z, t, p, n] = [logits, targets, positive, negative].map(|x| x.to_contiguous());
        list::<Self>(by_terms!(z, terms, binary([&z, &t, &p, &n], terms)))
    }

    fn binary_focal_slope(
        logits: Float,
        targets: Float,
        positive: Float,
        negative: Float,
        terms: BinaryFocal,
    ) -> (Float, Float) {
        let [z, t, p, n] = [logits, targets, positive, negative].map(|x| x.to_contiguous());
        by_terms!(z, terms, binary_slope([&z, &t, &p, &n], terms))
    }

    fn scale_rows(x: Float, by: Float) -> Float {
        let (x, by) = (contiguous(x), by.to_contiguous());
        by_type!(x, scale_rows(x, &by))
    }
}
