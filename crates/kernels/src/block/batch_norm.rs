//! Batch normalisation in fused passes for burn's CPU backend, in f32.

use super::flex::{add_to, over_rows};
use crate::real::{change, fill};
use crate::rows::{Float, fill_rows, shape, tensor, values};

pub(super) fn column_moments(x: &Float) -> [Float; 2] {
    let (rows, width) = shape(x);
    let x = values::<f32>(x);
    let count = rows as f32;
    let mut mean = over_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |row, sums| add_to(sums, &x[row * width..(row + 1) * width]),
    );
    mean.iter_mut().for_each(|m| *m /= count);
    let mut variance = over_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |row, sums| {
            change(
                sums,
                [&x[row * width..], &mean],
                #[inline(always)]
                |sum, [x, mean]| (x - mean).mul_add(x - mean, sum),
            );
        },
    );
    variance.iter_mut().for_each(|v| *v /= count);
    [tensor(mean, 1, width), tensor(variance, 1, width)]
}

/// `γ · inverse`.
fn scales(gamma: &[f32], inverse: &[f32]) -> Vec<f32> {
    gamma.iter().zip(inverse).map(|(g, i)| g * i).collect()
}

pub(super) fn batch_norm_relu([x, gamma, beta, mean, inverse]: [&Float; 5]) -> Float {
    let (rows, width) = shape(x);
    let [x, gamma, beta, mean, inverse] = [x, gamma, beta, mean, inverse].map(values::<f32>);
    let scale = scales(gamma, inverse);
    let out = fill_rows(
        rows,
        width,
        width,
        #[inline(always)]
        |b, out| {
            fill(
                out,
                [&x[b * width..(b + 1) * width], mean, &scale, beta],
                #[inline(always)]
                |[x, mean, scale, beta]| {
                    let y = (x - mean).mul_add(scale, beta);
                    // A NaN stays.
                    if y < 0.0 { 0.0 } else { y }
                },
            );
        },
    );
    tensor(out, rows, width)
}

pub(super) fn batch_norm_relu_backward(
    [x, gamma, beta, mean, inverse, grad]: [&Float; 6],
) -> [Float; 3] {
    let (rows, width) = shape(x);
    let [x, gamma, beta, mean, inverse, grad] =
        [x, gamma, beta, mean, inverse, grad].map(values::<f32>);
    let scale = scales(gamma, inverse);
    // The gradient where the output is not 0: its sums, alone and times `x − mean`.
    let mut sums = over_rows(
        rows,
        2 * width,
        2 * width,
        #[inline(always)]
        |row, sums| {
            let at = row * width..(row + 1) * width;
            let (x, grad) = (&x[at.clone()], &grad[at]);
            let (total, along) = sums.split_at_mut(width);
            change(
                total,
                [x, grad, mean, &scale, beta],
                #[inline(always)]
                |sum, [x, g, mean, scale, beta]| {
                    if (x - mean).mul_add(scale, beta) > 0.0 { sum + g } else { sum }
                },
            );
            change(
                along,
                [x, grad, mean, &scale, beta],
                #[inline(always)]
                |sum, [x, g, mean, scale, beta]| {
                    let lit = (x - mean).mul_add(scale, beta) > 0.0;
                    if lit { (x - mean).mul_add(g, sum) } else { sum }
                },
            );
        },
    );
    let mut along = sums.split_off(width);
    along.iter_mut().zip(inverse).for_each(|(sum, inverse)| *sum *= inverse);
    let count = rows as f32;
    let drift: Vec<f32> = sums.iter().map(|sum| sum / count).collect();
    let share: Vec<f32> = along.iter().zip(inverse).map(|(sum, i)| sum * i / count).collect();
    let out = fill_rows(
        rows,
        width,
        2 * width,
        #[inline(always)]
        |b, out| {
            let at = b * width..(b + 1) * width;
            fill(
                out,
                [&x[at.clone()], &grad[at], mean, &scale, beta, &drift, &share],
                #[inline(always)]
                |[x, g, mean, scale, beta, drift, share]| {
                    let h = if (x - mean).mul_add(scale, beta) > 0.0 { g } else { 0.0 };
                    scale * (h - drift - (x - mean) * share)
                },
            );
        },
    );
    [tensor(out, rows, width), tensor(along, 1, width), tensor(sums, 1, width)]
}
