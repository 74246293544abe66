//! Draws from normal distributions whose means and logarithms of variances a network gives, and how
//! far those are from the standard one: the two halves of a variational autoencoder's loss.

use burn::backend::Dispatch;
use burn::tensor::Tensor;

use crate::ops::RowOps;
use crate::softmax::widen;

/// `μ + ε e^{λ / 2}` (Kingma and Welling, ICLR 2014), with gradients to μ and λ.
///
/// # Shapes
/// `parameters`: `[rows, 2 · width]`, the columns of μ and behind them those of λ = ln σ²; `noise`:
/// ε, `[rows, width]`, a constant; result `[rows, width]`.
///
/// # Panics
/// When shapes do not fit.
pub fn gaussian_draw(parameters: Tensor<2>, noise: Tensor<2>) -> Tensor<2> {
    let ([rows, both], [own, width]) = (parameters.dims(), noise.dims());
    assert_eq!((rows, both), (own, 2 * width), "parameters need two columns for each of noise");
    let (parameters, noise) = (widen(parameters), widen(noise));
    Tensor::from_dispatch(<Dispatch as RowOps>::gaussian_draw(
        parameters.into_dispatch(),
        noise.into_dispatch(),
    ))
}

/// `½ Σ (μ² + e^λ − λ − 1)` of each row, the Kullback-Leibler divergence from the standard normal
/// distribution.
///
/// # Shapes
/// `parameters` as of [`gaussian_draw`]; result `[rows, 1]`.
///
/// # Panics
/// When the number of columns is odd.
pub fn gaussian_divergence(parameters: Tensor<2>) -> Tensor<2> {
    let columns = parameters.dims()[1];
    assert!(columns.is_multiple_of(2), "parameters need an even number of columns, not {columns}");
    let parameters = widen(parameters).into_dispatch();
    Tensor::from_dispatch(<Dispatch as RowOps>::gaussian_divergence(parameters))
}

/// In tensor operations, for backends without a kernel.
pub(crate) mod composed {
    use burn::backend::tensor::FloatTensor;
    use burn::backend::{Backend, TensorMetadata};
    use burn::tensor::Slice;

    type T<B> = FloatTensor<B>;

    fn halves<B: Backend>(parameters: T<B>) -> [T<B>; 2] {
        let (rows, both) = (parameters.shape()[0], parameters.shape()[1]);
        [0, both / 2].map(|at| {
            let slices = [0..rows, at..at + both / 2].map(Slice::from);
            B::float_slice(parameters.clone(), &slices)
        })
    }

    fn deviation<B: Backend>(log_variance: T<B>) -> T<B> {
        B::float_exp(B::float_mul_scalar(log_variance, 0.5.into()))
    }

    /// `RowOps::gaussian_draw`.
    pub(crate) fn draw<B: Backend>(parameters: T<B>, noise: T<B>) -> T<B> {
        let [mean, log_variance] = halves::<B>(parameters);
        B::float_add(mean, B::float_mul(noise, deviation::<B>(log_variance)))
    }

    /// `RowOps::gaussian_draw_backward`.
    pub(crate) fn draw_backward<B: Backend>(parameters: T<B>, noise: T<B>, grad: T<B>) -> T<B> {
        let [_, log_variance] = halves::<B>(parameters);
        let slope = B::float_mul(noise, deviation::<B>(log_variance));
        let second = B::float_mul_scalar(B::float_mul(grad.clone(), slope), 0.5.into());
        B::float_cat(vec![grad, second], 1)
    }

    /// `RowOps::gaussian_divergence`.
    pub(crate) fn divergence<B: Backend>(parameters: T<B>) -> T<B> {
        let [mean, log_variance] = halves::<B>(parameters);
        let excess = B::float_sub(B::float_exp(log_variance.clone()), log_variance);
        let each = B::float_add(B::float_mul(mean.clone(), mean), excess);
        let each = B::float_sub_scalar(each, 1.0.into());
        B::float_mul_scalar(B::float_sum_dim(each, 1), 0.5.into())
    }

    /// `RowOps::gaussian_divergence_backward`.
    pub(crate) fn divergence_backward<B: Backend>(parameters: T<B>, grad: T<B>) -> T<B> {
        let [mean, log_variance] = halves::<B>(parameters);
        let excess = B::float_sub_scalar(B::float_exp(log_variance), 1.0.into());
        let slopes = B::float_cat(vec![mean, B::float_mul_scalar(excess, 0.5.into())], 1);
        B::float_mul(slopes, grad)
    }
}

/// In fused passes on burn's CPU backend.
#[cfg(feature = "flex")]
pub(crate) mod flex {
    use crate::real::{Real, fill, sum};
    use crate::rows::{Float, fill_rows, shape, tensor, values};

    /// `e^x` of any x.
    #[inline(always)]
    fn exp<T: Real>(x: T) -> T {
        let e = (-x.abs()).exp();
        let value = if x > T::default() { T::ONE / e } else { e };
        // The fast function takes a NaN for a number.
        if x.abs() >= T::default() { value } else { x }
    }

    pub(crate) fn draw<T: Real>(parameters: &Float, noise: &Float) -> Float {
        let (rows, n) = shape(noise);
        let (parameters, noise) = (values::<T>(parameters), values::<T>(noise));
        let half = T::of(0.5);
        let out = fill_rows(
            rows,
            n,
            2 * n,
            #[inline(always)]
            |b, out| {
                let (mean, log_variance) = parameters[2 * b * n..2 * (b + 1) * n].split_at(n);
                fill(
                    out,
                    [mean, log_variance, &noise[b * n..(b + 1) * n]],
                    #[inline(always)]
                    |[mean, l, noise]| mean + noise * exp(l * half),
                );
            },
        );
        tensor(out, rows, n)
    }

    pub(crate) fn draw_backward<T: Real>(parameters: &Float, noise: &Float, grad: &Float) -> Float {
        let (rows, n) = shape(noise);
        let (parameters, noise, grad) =
            (values::<T>(parameters), values::<T>(noise), values::<T>(grad));
        let half = T::of(0.5);
        let out = fill_rows(
            rows,
            2 * n,
            2 * n,
            #[inline(always)]
            |b, out| {
                let log_variance = &parameters[(2 * b + 1) * n..2 * (b + 1) * n];
                let (noise, grad) = (&noise[b * n..(b + 1) * n], &grad[b * n..(b + 1) * n]);
                let (first, second) = out.split_at_mut(n);
                first.copy_from_slice(grad);
                fill(
                    second,
                    [log_variance, noise, grad],
                    #[inline(always)]
                    |[l, noise, grad]| grad * noise * half * exp(l * half),
                );
            },
        );
        tensor(out, rows, 2 * n)
    }

    pub(crate) fn divergence<T: Real>(parameters: &Float) -> Float {
        let (rows, both) = shape(parameters);
        let parameters = values::<T>(parameters);
        let out = fill_rows(
            rows,
            1,
            both,
            #[inline(always)]
            |b, out| {
                let row = &parameters[b * both..(b + 1) * both];
                let (mean, log_variance) = row.split_at(both / 2);
                let total = sum(
                    [mean, log_variance],
                    #[inline(always)]
                    |[mean, l]| mean * mean + (exp(l) - l - T::ONE),
                );
                out[0] = total * T::of(0.5);
            },
        );
        tensor(out, rows, 1)
    }

    pub(crate) fn divergence_backward<T: Real>(parameters: &Float, grad: &Float) -> Float {
        let (rows, both) = shape(parameters);
        let (parameters, grad) = (values::<T>(parameters), values::<T>(grad));
        let half = T::of(0.5);
        let out = fill_rows(
            rows,
            both,
            both,
            #[inline(always)]
            |b, out| {
                let row = &parameters[b * both..(b + 1) * both];
                let (mean, log_variance) = row.split_at(both / 2);
                let (first, second) = out.split_at_mut(both / 2);
                let grad = grad[b];
                fill(
                    first,
                    [mean],
                    #[inline(always)]
                    |[mean]| mean * grad,
                );
                fill(
                    second,
                    [log_variance],
                    #[inline(always)]
                    |[l]| (exp(l) - T::ONE) * half * grad,
                );
            },
        );
        tensor(out, rows, both)
    }
}
