//! The block's operations in tensor operations.

use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Distribution;

use super::ops::Heads;
use crate::composed::{narrow, wide};

type T<B> = FloatTensor<B>;

pub(super) fn dense<B: Backend>(x: T<B>, weight: T<B>, bias: T<B>) -> T<B> {
    B::float_add(B::float_matmul(x, weight), bias)
}

pub(super) fn dense_input<B: Backend>(weight: T<B>, grad: T<B>) -> T<B> {
    B::float_matmul(grad, B::float_transpose(weight))
}

pub(super) fn dense_weight<B: Backend>(x: T<B>, grad: T<B>) -> T<B> {
    B::float_matmul(B::float_transpose(x), grad)
}

pub(crate) fn column_sums<B: Backend>(grad: T<B>) -> T<B> {
    B::float_sum_dim(grad, 0)
}

/// `Φ(x) + x φ(x)`, exactly: burn's default is the derivative of the approximation by tanh,
/// 1e-3 beside it.
pub(super) fn gelu_backward<B: Backend>(x: T<B>, grad: T<B>) -> T<B> {
    let dtype = x.dtype();
    let (x, grad) = (wide::<B>(x), wide::<B>(grad));
    let scaled = |x: T<B>, by: f64| B::float_mul_scalar(x, by.into());
    let below = B::float_erf(scaled(x.clone(), std::f64::consts::FRAC_1_SQRT_2));
    let below = scaled(B::float_add_scalar(below, 1.0.into()), 0.5);
    let density = B::float_exp(scaled(B::float_mul(x.clone(), x.clone()), -0.5));
    let density = scaled(density, (2.0 * std::f64::consts::PI).sqrt().recip());
    narrow::<B>(B::float_mul(grad, B::float_add(below, B::float_mul(x, density))), dtype)
}

fn mean_of_columns<B: Backend>(x: T<B>) -> T<B> {
    let rows = x.shape()[0] as f64;
    B::float_mul_scalar(B::float_sum_dim(x, 0), (1.0 / rows).into())
}

pub(super) fn column_moments<B: Backend>(x: T<B>) -> (T<B>, T<B>) {
    let x = wide::<B>(x);
    let mean = mean_of_columns::<B>(x.clone());
    let centred = B::float_sub(x, mean.clone());
    (mean, mean_of_columns::<B>(B::float_mul(centred.clone(), centred)))
}

fn standardised<B: Backend>(x: T<B>, mean: T<B>, inverse: T<B>) -> T<B> {
    B::float_mul(B::float_sub(wide::<B>(x), mean), inverse)
}

pub(super) fn batch_norm_relu<B: Backend>(
    x: T<B>,
    gamma: T<B>,
    beta: T<B>,
    mean: T<B>,
    inverse: T<B>,
) -> T<B> {
    let dtype = x.dtype();
    let scaled = B::float_mul(standardised::<B>(x, mean, inverse), wide::<B>(gamma));
    narrow::<B>(B::relu(B::float_add(scaled, wide::<B>(beta))), dtype)
}

pub(super) fn batch_norm_relu_backward<B: Backend>(
    x: T<B>,
    gamma: T<B>,
    beta: T<B>,
    mean: T<B>,
    inverse: T<B>,
    grad: T<B>,
) -> (T<B>, T<B>, T<B>) {
    let (dtype, gamma_dtype) = (x.dtype(), gamma.dtype());
    let [gamma, beta, grad] = [gamma, beta, grad].map(wide::<B>);
    let unit = standardised::<B>(x, mean, inverse.clone());
    let out = B::relu(B::float_add(B::float_mul(unit.clone(), gamma.clone()), beta));
    let h = B::relu_backward(out, grad);
    let along = B::float_mul(h.clone(), unit.clone());
    let drift = mean_of_columns::<B>(h.clone());
    let share = mean_of_columns::<B>(along.clone());
    let gap = B::float_sub(B::float_sub(h.clone(), drift), B::float_mul(unit, share));
    let column = |x: T<B>| narrow::<B>(B::float_sum_dim(x, 0), gamma_dtype);
    let slope = B::float_mul(gap, B::float_mul(gamma, inverse));
    (narrow::<B>(slope, dtype), column(along), column(h))
}

fn mean_of_rows<B: Backend>(x: T<B>) -> T<B> {
    let width = x.shape()[1] as f64;
    B::float_mul_scalar(B::float_sum_dim(x, 1), (1.0 / width).into())
}

pub(crate) fn add_norm<B: Backend>(
    x: T<B>,
    residual: T<B>,
    gamma: T<B>,
    beta: T<B>,
    epsilon: f64,
) -> (T<B>, T<B>, T<B>) {
    let dtype = x.dtype();
    let sum = B::float_add(wide::<B>(x), wide::<B>(residual));
    let mean = mean_of_rows::<B>(sum.clone());
    let centred = B::float_sub(sum, mean.clone());
    let variance = mean_of_rows::<B>(B::float_mul(centred.clone(), centred.clone()));
    let inverse = B::float_recip(B::float_sqrt(B::float_add_scalar(variance, epsilon.into())));
    let unit = B::float_mul(centred, inverse.clone());
    let scaled = B::float_mul(unit, wide::<B>(gamma));
    (narrow::<B>(B::float_add(scaled, wide::<B>(beta)), dtype), mean, inverse)
}

/// With `u` the rows of mean 0 and deviation 1 and `h = γ · grad`:
/// `∂ = (h − mean(h) − u · mean(h u)) / deviation`.
pub(crate) fn add_norm_backward<B: Backend>(
    x: T<B>,
    residual: T<B>,
    gamma: T<B>,
    mean: T<B>,
    inverse: T<B>,
    grad: T<B>,
) -> (T<B>, T<B>, T<B>) {
    let (dtype, gamma_dtype) = (x.dtype(), gamma.dtype());
    let [x, residual, gamma, grad] = [x, residual, gamma, grad].map(wide::<B>);
    let unit = B::float_sub(B::float_add(x, residual), mean);
    let unit = B::float_mul(unit, inverse.clone());
    let along = B::float_mul(grad.clone(), unit.clone());
    let h = B::float_mul(grad.clone(), gamma.clone());
    let drift = mean_of_rows::<B>(h.clone());
    let share = mean_of_rows::<B>(B::float_mul(h.clone(), unit.clone()));
    let gap = B::float_sub(B::float_sub(h, drift), B::float_mul(unit, share));
    let column = |x: T<B>| narrow::<B>(B::float_sum_dim(x, 0), gamma_dtype);
    (narrow::<B>(B::float_mul(gap, inverse), dtype), column(along), column(grad))
}

/// Far below every score, and finite.
const MASKED: f64 = 1e9;

// Here and below dimensions are swapped, not permuted: burn 0.22.1's fusion records a permutation
// of floats as one of integers, which a remote device refuses.

/// Queries, keys and values `[batch, heads, length, depth]`.
fn split<B: Backend>(qkv: T<B>, batch: usize, heads: usize) -> [T<B>; 3] {
    let (rows, columns) = (qkv.shape()[0], qkv.shape()[1]);
    let (length, depth) = (rows / batch, columns / 3 / heads);
    let apart = B::float_reshape(qkv, [batch, length, 3, heads, depth].into());
    let apart = B::float_swap_dims(apart, 0, 2);
    let apart = B::float_swap_dims(B::float_swap_dims(apart, 1, 2), 2, 3);
    let part = |i: usize| {
        let ranges = [i..i + 1, 0..batch, 0..heads, 0..length, 0..depth];
        let slices = ranges.map(burn::tensor::Slice::from);
        let part = B::float_slice(apart.clone(), &slices);
        B::float_reshape(part, [batch, heads, length, depth].into())
    };
    [part(0), part(1), part(2)]
}

/// `[batch, heads, length, depth]` → `[batch · length, width]`.
fn join<B: Backend>(x: T<B>) -> T<B> {
    let shape = x.shape();
    let (batch, heads, length, depth) = (shape[0], shape[1], shape[2], shape[3]);
    let x = B::float_swap_dims(x, 1, 2);
    B::float_reshape(x, [batch * length, heads * depth].into())
}

fn scale_of<B: Backend>(query: &T<B>) -> f64 {
    (query.shape()[3] as f64).powf(-0.5)
}

/// Scores, at least in f32, with the unseen far below, and what is seen,
/// `[batch, 1, 1 or length, length]`.
fn scores<B: Backend>(query: T<B>, key: T<B>, mask: T<B>, causal: bool) -> (T<B>, T<B>) {
    let (batch, length) = (mask.shape()[0], mask.shape()[1]);
    let scale = scale_of::<B>(&query);
    let scores = B::float_matmul(query, B::float_swap_dims(key, 2, 3));
    let scores = B::float_mul_scalar(wide::<B>(scores), scale.into());
    let mut seen = B::float_reshape(wide::<B>(mask), [batch, 1, 1, length].into());
    if causal {
        let below = |i: usize| (0..length).map(move |j| f32::from(u8::from(j <= i)));
        let before: Vec<f32> = (0..length).flat_map(below).collect();
        let before = burn::tensor::TensorData::new(before, [1, 1, length, length]);
        let before = B::float_from_data(before, &seen.device());
        seen = B::float_mul(seen.clone(), B::float_cast(before, seen.dtype().into()));
    }
    let lower = B::float_add_scalar(seen.clone(), (-1.0).into());
    (B::float_add(scores, B::float_mul_scalar(lower, MASKED.into())), seen)
}

pub(crate) fn attend<B: Backend>(qkv: T<B>, mask: T<B>, heads: Heads) -> (T<B>, T<B>, T<B>) {
    let dtype = qkv.dtype();
    let [query, key, value] = split::<B>(qkv, mask.shape()[0], heads.count);
    let (scores, seen) = scores::<B>(query, key, mask, heads.causal);
    let top = B::float_max_dim(scores.clone(), 3);
    let exp = B::float_exp(B::float_sub(scores.clone(), top.clone()));
    let lse = B::float_add(B::float_log(B::float_sum_dim(exp, 3)), top);
    let p = B::float_exp(B::float_sub(scores, lse.clone()));
    let p = narrow::<B>(B::float_mul(p, seen), dtype);
    let (p, drawn) = drop::<B>(p, heads.dropout);
    (join::<B>(B::float_matmul(p, value)), lse, drawn)
}

/// With `p` the weights, `p'` what is left of them: `∂v = p'ᵀ ∂o`, and with `D` the row sums
/// of `o · ∂o`, `∂scores = p (∂p − D)`.
pub(crate) fn attend_backward<B: Backend>(
    qkv: T<B>,
    mask: T<B>,
    out: T<B>,
    lse: T<B>,
    drawn: T<B>,
    heads: Heads,
    grad: T<B>,
) -> T<B> {
    let (batch, length) = (mask.shape()[0], mask.shape()[1]);
    let (width, dtype) = (out.shape()[1], qkv.dtype());
    let [query, key, value] = split::<B>(qkv, batch, heads.count);
    let scale = scale_of::<B>(&query);
    let apart = |x: T<B>| {
        let x = B::float_reshape(x, [batch, length, heads.count, width / heads.count].into());
        B::float_swap_dims(x, 1, 2)
    };
    let (out, grad) = (apart(out), apart(grad));
    let (scores, seen) = scores::<B>(query.clone(), key.clone(), mask, heads.causal);
    let p = B::float_mul(B::float_exp(B::float_sub(scores, lse)), seen);
    let kept = drop_backward::<B>(drawn.clone(), heads.dropout, narrow::<B>(p.clone(), dtype));
    let value_grad = B::float_matmul(B::float_swap_dims(kept, 2, 3), grad.clone());
    let p_grad = B::float_matmul(grad.clone(), B::float_swap_dims(value, 2, 3));
    let p_grad = drop_backward::<B>(drawn, heads.dropout, p_grad);
    let total = B::float_sum_dim(B::float_mul(wide::<B>(out), wide::<B>(grad)), 3);
    let s_grad = B::float_mul(p, B::float_sub(wide::<B>(p_grad), total));
    let s_grad = narrow::<B>(B::float_mul_scalar(s_grad, scale.into()), dtype);
    let query_grad = B::float_matmul(s_grad.clone(), key);
    let key_grad = B::float_matmul(B::float_swap_dims(s_grad, 2, 3), query);
    B::float_cat([query_grad, key_grad, value_grad].map(join::<B>).into(), 1)
}

/// Whether a number is kept, 1 or 0, is what was drawn.
pub(super) fn drop<B: Backend>(x: T<B>, share: f64) -> (T<B>, T<B>) {
    let device = x.device();
    if share == 0.0 {
        let none = B::float_zeros([1].into(), &device, x.dtype().into());
        return (x, none);
    }
    let keep = Distribution::Bernoulli(1.0 - share);
    let drawn = B::float_random(x.shape(), keep, &device, x.dtype().into());
    (drop_backward::<B>(drawn.clone(), share, x), drawn)
}

pub(super) fn drop_backward<B: Backend>(drawn: T<B>, share: f64, grad: T<B>) -> T<B> {
    if share == 0.0 {
        return grad;
    }
    B::float_mul_scalar(B::float_mul(grad, drawn), (1.0 / (1.0 - share)).into())
}
