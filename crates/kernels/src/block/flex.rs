//! The block in fused passes for burn's CPU backend, in f32; other types go by tensor
//! operations.

use burn::backend::ops::{ActivationOps, FloatTensorOps};
use burn::backend::{Flex, TensorMetadata};
use burn::tensor::{DType, Distribution};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::attend;
use super::batch_norm::{batch_norm_relu, batch_norm_relu_backward, column_moments};
use super::composed;
use super::ops::{BlockOps, Heads};
use crate::real::{Real, change, fill, sum};
use crate::rows::{
    Float, change_chunks, change_rows, contiguous, fill_chunks, fill_parts, fill_rows, own_values,
    shape, tensor, values,
};

/// Rows of one task in passes that also sum over rows: fixed, so that the sums do not
/// depend on the number of threads.
const CHUNK: usize = 64;

fn is_f32(x: &Float) -> bool {
    x.dtype() == DType::F32
}

fn dense(x: &Float, weight: &Float, bias: &Float) -> Float {
    let ((rows, inputs), (_, outputs)) = (shape(x), shape(weight));
    let (x, w, b) = (values::<f32>(x), values::<f32>(weight), values::<f32>(bias));
    let w = MatRef::from_row_major_slice(w, inputs, outputs);
    let out = fill_parts(rows, outputs, inputs, |first, n, out| {
        let x = MatRef::from_row_major_slice(&x[first * inputs..(first + n) * inputs], n, inputs);
        let product = MatMut::from_row_major_slice_mut(out, n, outputs);
        matmul(product, Accum::Replace, x, w, 1.0, Par::Seq);
        out.chunks_exact_mut(outputs).for_each(|row| add_to(row, b));
    });
    tensor(out, rows, outputs)
}

fn dense_input(weight: &Float, grad: &Float) -> Float {
    let ((inputs, outputs), (rows, _)) = (shape(weight), shape(grad));
    let (w, grad) = (values::<f32>(weight), values::<f32>(grad));
    let w = MatRef::from_row_major_slice(w, inputs, outputs);
    let out = fill_parts(rows, inputs, outputs, |first, n, out| {
        let part = &grad[first * outputs..(first + n) * outputs];
        let grad = MatRef::from_row_major_slice(part, n, outputs);
        let out = MatMut::from_row_major_slice_mut(out, n, inputs);
        matmul(out, Accum::Replace, grad, w.transpose(), 1.0, Par::Seq);
    });
    tensor(out, rows, inputs)
}

fn dense_weight(x: &Float, grad: &Float) -> Float {
    let ((rows, inputs), (_, outputs)) = (shape(x), shape(grad));
    let (x, grad) = (values::<f32>(x), values::<f32>(grad));
    let x = MatRef::from_row_major_slice(x, rows, inputs);
    let grad = MatRef::from_row_major_slice(grad, rows, outputs);
    let out = fill_parts(inputs, outputs, rows, |first, n, out| {
        let out = MatMut::from_row_major_slice_mut(out, n, outputs);
        let x = x.subcols(first, n).transpose();
        matmul(out, Accum::Replace, x, grad, 1.0, Par::Seq);
    });
    tensor(out, inputs, outputs)
}

/// Adds `part` to `sums`.
pub(super) fn add_to(sums: &mut [f32], part: &[f32]) {
    sums.iter_mut().zip(part).for_each(|(s, p)| *s += p);
}

/// Sums over all rows of the `width` numbers that `add(row, sums)` adds for each, which reads as
/// many as `columns`.
pub(super) fn over_rows(
    rows: usize,
    width: usize,
    columns: usize,
    add: impl Fn(usize, &mut [f32]) + Sync,
) -> Vec<f32> {
    let parts = fill_rows(
        rows.div_ceil(CHUNK),
        width,
        CHUNK * columns,
        #[inline(always)]
        |chunk, sums| {
            for row in chunk * CHUNK..rows.min((chunk + 1) * CHUNK) {
                add(row, sums);
            }
        },
    );
    let mut total = vec![0f32; width];
    parts.chunks_exact(width).for_each(|part| add_to(&mut total, part));
    total
}

fn column_sums(grad: &Float) -> Float {
    let (rows, width) = shape(grad);
    let grad = values::<f32>(grad);
    let sums = over_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |row, sums| add_to(sums, &grad[row * width..(row + 1) * width]),
    );
    tensor(sums, 1, width)
}

/// `Φ(x)` and `e^(−x²/2)`: the error function's rational approximation (Abramowitz and Stegun
/// 7.1.26), whose error is 1.5e-7.
#[inline(always)]
fn normal(x: f32) -> (f32, f32) {
    let e = Real::exp(-0.5 * x * x);
    let t = 1.0 / Real::abs(x).mul_add(0.327_591_1 * std::f32::consts::FRAC_1_SQRT_2, 1.0);
    let mut p: f32 = 1.061_405_4;
    for c in [-1.453_152_1, 1.421_413_8, -0.284_496_72, 0.254_829_6] {
        p = p.mul_add(t, c);
    }
    let tail = 0.5 * p * t * e;
    (if x > 0.0 { 1.0 - tail } else { tail }, e)
}

fn gelu(mut x: Float) -> Float {
    let (rows, width) = shape(&x);
    if let Some(own) = own_values::<f32>(&mut x) {
        change_rows(
            own,
            width,
            width,
            #[inline(always)]
            |_, row| {
                change(
                    row,
                    [],
                    #[inline(always)]
                    |x, []| x * normal(x).0,
                );
            },
        );
        return x;
    }
    let x = values::<f32>(&x);
    let out = fill_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |b, out| {
            fill(
                out,
                [&x[b * width..(b + 1) * width]],
                #[inline(always)]
                |[x]| x * normal(x).0,
            );
        },
    );
    tensor(out, rows, width)
}

fn gelu_backward(x: &Float, grad: &Float) -> Float {
    let (rows, width) = shape(x);
    let (x, grad) = (values::<f32>(x), values::<f32>(grad));
    /// 1 / √(2π).
    const DENSITY: f32 = 0.398_942_3;
    let out = fill_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |b, out| {
            let at = b * width..(b + 1) * width;
            fill(
                out,
                [&x[at.clone()], &grad[at]],
                #[inline(always)]
                |[x, g]| {
                    let (below, e) = normal(x);
                    g * (x * e).mul_add(DENSITY, below)
                },
            );
        },
    );
    tensor(out, rows, width)
}

/// Norms rows after `add(j, row)` has made the j-th of them the sum; their means and inverse
/// deviations go to `stats`.
#[inline(always)]
fn norm_rows(
    rows: &mut [f32],
    [gamma, beta]: [&[f32]; 2],
    epsilon: f32,
    stats: &mut [f32],
    add: impl Fn(usize, &mut [f32]),
) {
    let width = gamma.len();
    let count = width as f32;
    let rows = rows.chunks_exact_mut(width).zip(stats.as_chunks_mut::<2>().0);
    for (j, (row, [mean, inverse])) in rows.enumerate() {
        add(j, row);
        *mean = sum(
            [&*row],
            #[inline(always)]
            |[s]| s,
        ) / count;
        let mean = *mean;
        let variance = sum(
            [&*row],
            #[inline(always)]
            |[s]| (s - mean) * (s - mean),
        ) / count;
        *inverse = 1.0 / (variance + epsilon).sqrt();
        let inverse = *inverse;
        change(
            row,
            [gamma, beta],
            #[inline(always)]
            |s, [g, b]| ((s - mean) * inverse).mul_add(g, b),
        );
    }
}

fn add_norm(
    mut x: Float,
    [residual, gamma, beta]: [&Float; 3],
    epsilon: f64,
) -> (Float, Float, Float) {
    let (rows, width) = shape(&x);
    let residual = values::<f32>(residual);
    let affine = [gamma, beta].map(values::<f32>);
    let epsilon = epsilon as f32;
    let (out, stats) = if let Some(own) = own_values::<f32>(&mut x) {
        let stats = change_chunks(
            own,
            width,
            CHUNK,
            2 * CHUNK,
            #[inline(always)]
            |first, out, stats| {
                norm_rows(
                    out,
                    affine,
                    epsilon,
                    stats,
                    #[inline(always)]
                    |j, row| {
                        change(
                            row,
                            [&residual[(first + j) * width..]],
                            #[inline(always)]
                            |x, [r]| x + r,
                        );
                    },
                );
            },
        );
        (x, stats)
    } else {
        let x = values::<f32>(&x);
        let (out, stats) = fill_chunks(
            rows,
            width,
            CHUNK,
            2 * CHUNK,
            #[inline(always)]
            |first, out, stats| {
                norm_rows(
                    out,
                    affine,
                    epsilon,
                    stats,
                    #[inline(always)]
                    |j, row| {
                        let at = (first + j) * width;
                        fill(
                            row,
                            [&x[at..], &residual[at..]],
                            #[inline(always)]
                            |[x, r]| x + r,
                        );
                    },
                );
            },
        );
        (tensor(out, rows, width), stats)
    };
    let pick = |k: usize| -> Vec<f32> { stats.chunks_exact(2).take(rows).map(|s| s[k]).collect() };
    (out, tensor(pick(0), rows, 1), tensor(pick(1), rows, 1))
}

fn add_norm_backward([x, residual, gamma, mean, inverse, grad]: [&Float; 6]) -> [Float; 3] {
    let (rows, width) = shape(x);
    let (x, residual, grad) = (values::<f32>(x), values::<f32>(residual), values::<f32>(grad));
    let gamma = values::<f32>(gamma);
    let (mean, inverse) = (values::<f32>(mean), values::<f32>(inverse));
    let count = width as f32;
    let (out, sums) = fill_chunks(
        rows,
        width,
        CHUNK,
        2 * width,
        #[inline(always)]
        |first, out, sums| {
            let (along, total) = sums.split_at_mut(width);
            for (j, out) in out.chunks_exact_mut(width).enumerate() {
                let row = first + j;
                let at = row * width..(row + 1) * width;
                let (x, r, g) = (&x[at.clone()], &residual[at.clone()], &grad[at]);
                let (mean, inverse) = (mean[row], inverse[row]);
                let drift = sum(
                    [g, gamma],
                    #[inline(always)]
                    |[g, c]| g * c,
                ) / count;
                let share = sum(
                    [x, r, g, gamma],
                    #[inline(always)]
                    |[x, r, g, c]| (x + r - mean) * inverse * g * c,
                ) / count;
                fill(
                    out,
                    [x, r, g, gamma],
                    #[inline(always)]
                    |[x, r, g, c]| {
                        let unit = (x + r - mean) * inverse;
                        inverse * (g * c - drift - unit * share)
                    },
                );
                for (i, (along, total)) in along.iter_mut().zip(&mut *total).enumerate() {
                    *along += (x[i] + r[i] - mean) * inverse * g[i];
                    *total += g[i];
                }
            }
        },
    );
    let mut total = vec![0f32; 2 * width];
    sums.chunks_exact(2 * width).for_each(|part| add_to(&mut total, part));
    let beta = total.split_off(width);
    [tensor(out, rows, width), tensor(total, 1, width), tensor(beta, 1, width)]
}

/// Two numbers of the device's generator, as a seed and as what is kept for the gradient.
fn draw_seed(x: &Float) -> (u64, Float) {
    let uniform = Distribution::Uniform(0.0, 1.0);
    let drawn = Flex::float_random([2].into(), uniform, &x.device(), DType::F32.into());
    (seed_of(values(&drawn)), drawn)
}

fn seed_of(numbers: &[f32]) -> u64 {
    (u64::from(numbers[0].to_bits()) << 32) | u64::from(numbers[1].to_bits())
}

/// Which numbers of a row are kept: a hash of seed, row and column.
#[derive(Clone, Copy)]
pub(super) struct Keep {
    seed: u64,
    /// A hash below this is dropped.
    threshold: u32,
    scale: f32,
}

impl Keep {
    pub(super) fn new(seed: u64, share: f64) -> Self {
        let threshold = (share * 4_294_967_296.0) as u32;
        Self { seed, threshold, scale: (1.0 / (1.0 - share)) as f32 }
    }

    /// The seed of a row.
    #[inline(always)]
    pub(super) fn row(self, row: usize) -> u32 {
        // The mixing of SplitMix64.
        let mut z = self.seed.wrapping_add((row as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) as u32
    }

    /// Scales or drops the number of a column.
    #[inline(always)]
    pub(super) fn factor(self, row_seed: u32, column: usize) -> f32 {
        // The finaliser of MurmurHash3.
        let mut h = row_seed ^ (column as u32).wrapping_mul(0x9e37_79b9);
        h = (h ^ (h >> 16)).wrapping_mul(0x85eb_ca6b);
        h = (h ^ (h >> 13)).wrapping_mul(0xc2b2_ae35);
        h ^= h >> 16;
        if h < self.threshold { 0.0 } else { self.scale }
    }
}

fn dropped(x: &Float, keep: Keep) -> Float {
    let (rows, width) = shape(x);
    let x = values::<f32>(x);
    let out = fill_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |b, out| {
            let seed = keep.row(b);
            for (i, (out, x)) in out.iter_mut().zip(&x[b * width..(b + 1) * width]).enumerate() {
                *out = x * keep.factor(seed, i);
            }
        },
    );
    tensor(out, rows, width)
}

impl BlockOps for Flex {
    fn dense(x: Float, weight: Float, bias: Float) -> Float {
        if !is_f32(&x) {
            return composed::dense::<Self>(x, weight, bias);
        }
        let [x, weight, bias] = [x, weight, bias].map(|x| x.to_contiguous());
        dense(&x, &weight, &bias)
    }

    fn dense_input(weight: Float, grad: Float) -> Float {
        if !is_f32(&grad) {
            return composed::dense_input::<Self>(weight, grad);
        }
        dense_input(&weight.to_contiguous(), &grad.to_contiguous())
    }

    fn dense_weight(x: Float, grad: Float) -> Float {
        if !is_f32(&grad) {
            return composed::dense_weight::<Self>(x, grad);
        }
        dense_weight(&x.to_contiguous(), &grad.to_contiguous())
    }

    fn column_sums(grad: Float) -> Float {
        if !is_f32(&grad) {
            return Self::float_sum_dim(grad, 0);
        }
        column_sums(&grad.to_contiguous())
    }

    fn column_moments(x: Float) -> (Float, Float) {
        if !is_f32(&x) {
            return composed::column_moments::<Self>(x);
        }
        let [mean, variance] = column_moments(&x.to_contiguous());
        (mean, variance)
    }

    fn batch_norm_relu(x: Float, gamma: Float, beta: Float, mean: Float, inverse: Float) -> Float {
        if !is_f32(&x) {
            return composed::batch_norm_relu::<Self>(x, gamma, beta, mean, inverse);
        }
        let all = [x, gamma, beta, mean, inverse].map(|x| x.to_contiguous());
        batch_norm_relu(all.each_ref())
    }

    fn batch_norm_relu_backward(
        x: Float,
        gamma: Float,
        beta: Float,
        mean: Float,
        inverse: Float,
        grad: Float,
    ) -> (Float, Float, Float) {
        if !is_f32(&x) {
            return composed::batch_norm_relu_backward::<Self>(x, gamma, beta, mean, inverse, grad);
        }
        let all = [x, gamma, beta, mean, inverse, grad].map(|x| x.to_contiguous());
        let [x, gamma, beta] = batch_norm_relu_backward(all.each_ref());
        (x, gamma, beta)
    }

    fn exact_gelu(x: Float) -> Float {
        if !is_f32(&x) {
            return <Self as ActivationOps<Self>>::gelu(x);
        }
        gelu(contiguous(x))
    }

    fn exact_gelu_backward(x: Float, grad: Float) -> Float {
        if !is_f32(&x) {
            return composed::gelu_backward::<Self>(x, grad);
        }
        gelu_backward(&x.to_contiguous(), &grad.to_contiguous())
    }

    fn add_norm_state(
        x: Float,
        residual: Float,
        gamma: Float,
        beta: Float,
        epsilon: f64,
    ) -> (Float, Float, Float) {
        if !is_f32(&x) {
            return composed::add_norm::<Self>(x, residual, gamma, beta, epsilon);
        }
        let [x, residual, gamma, beta] = [x, residual, gamma, beta].map(contiguous);
        add_norm(x, [&residual, &gamma, &beta], epsilon)
    }

    fn add_norm_backward(
        x: Float,
        residual: Float,
        gamma: Float,
        mean: Float,
        inverse: Float,
        grad: Float,
    ) -> (Float, Float, Float) {
        if !is_f32(&x) {
            return composed::add_norm_backward::<Self>(x, residual, gamma, mean, inverse, grad);
        }
        let all = [x, residual, gamma, mean, inverse, grad].map(|x| x.to_contiguous());
        let [sum, gamma, beta] = add_norm_backward(all.each_ref());
        (sum, gamma, beta)
    }

    fn attend_state(qkv: Float, mask: Float, heads: Heads) -> (Float, Float, Float) {
        if !is_f32(&qkv) {
            return composed::attend::<Self>(qkv, mask, heads);
        }
        let (qkv, mask) = (qkv.to_contiguous(), mask.to_contiguous());
        let (seed, drawn) = draw_seed(&qkv);
        let (out, lse) = attend::forward(&qkv, &mask, heads, Keep::new(seed, heads.dropout));
        (out, lse, drawn)
    }

    fn attend_backward(
        qkv: Float,
        mask: Float,
        out: Float,
        lse: Float,
        drawn: Float,
        heads: Heads,
        grad: Float,
    ) -> Float {
        if !is_f32(&qkv) {
            return composed::attend_backward::<Self>(qkv, mask, out, lse, drawn, heads, grad);
        }
        let all = [qkv, mask, out, lse, grad].map(|x| x.to_contiguous());
        let keep = Keep::new(seed_of(values(&drawn)), heads.dropout);
        attend::backward(all.each_ref(), heads, keep)
    }

    fn drop_state(x: Float, share: f64) -> (Float, Float) {
        if !is_f32(&x) {
            return composed::drop::<Self>(x, share);
        }
        let x = x.to_contiguous();
        let (seed, drawn) = draw_seed(&x);
        (dropped(&x, Keep::new(seed, share)), drawn)
    }

    fn drop_backward(drawn: Float, share: f64, grad: Float) -> Float {
        if !is_f32(&grad) {
            return composed::drop_backward::<Self>(drawn, share, grad);
        }
        let keep = Keep::new(seed_of(values(&drawn)), share);
        dropped(&grad.to_contiguous(), keep)
    }
}
