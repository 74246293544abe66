//! A transformer's block: dense layers, GELU, add and norm, attention, dropout.

#[cfg(feature = "flex")]
mod attend;
mod autodiff;
#[cfg(feature = "flex")]
mod batch_norm;
pub(crate) mod composed;
#[cfg(feature = "flex")]
mod flex;
mod ops;

use burn::backend::Dispatch;
use burn::tensor::Tensor;

#[cfg(feature = "cube")]
pub(crate) use ops::serves;
pub(crate) use ops::{BlockOps, Heads};

/// `x W + b` of every row.
///
/// # Shapes
/// `x`: `[rows, inputs]`, `weight`: `[inputs, outputs]`, `bias`: `[outputs]`; result
/// `[rows, outputs]`.
///
/// # Panics
/// When shapes do not fit.
pub fn dense(x: Tensor<2>, weight: Tensor<2>, bias: Tensor<1>) -> Tensor<2> {
    let [inputs, outputs] = weight.dims();
    assert_eq!(x.dims()[1], inputs, "the weight needs one row per column of x");
    assert_eq!(bias.dims(), [outputs], "the bias needs one entry per column of the weight");
    Tensor::from_dispatch(<Dispatch as BlockOps>::dense(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.unsqueeze::<2>().into_dispatch(),
    ))
}

/// `x Wᵀ` of every row: what [`dense`] does to the slopes that come back.
///
/// # Shapes
/// `x`: `[rows, outputs]`, `weight`: `[inputs, outputs]`; result `[rows, inputs]`.
///
/// # Panics
/// When shapes do not fit.
pub fn dense_transposed(x: Tensor<2>, weight: Tensor<2>) -> Tensor<2> {
    assert_eq!(x.dims()[1], weight.dims()[1], "the weight needs one column per column of x");
    Tensor::from_dispatch(<Dispatch as BlockOps>::dense_input(
        weight.into_dispatch(),
        x.into_dispatch(),
    ))
}

/// Batch normalisation (Ioffe and Szegedy, ICML 2015) by the batch's own moments, and ReLU:
/// `max(0, γ (x − mean) / √(var + ε) + β)` with the mean and the variance of each column, `Σ … / n`,
/// which come back too, `[mean, variance]`, as constants.
///
/// # Shapes
/// `x`: `[rows, width]`, `gamma`, `beta`: `[width]`; result `[rows, width]` and twice `[width]`.
///
/// # Panics
/// When shapes do not fit, or there is no row.
pub fn batch_norm_relu(
    x: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> (Tensor<2>, [Tensor<1>; 2]) {
    let [rows, width] = x.dims();
    assert!(rows > 0, "no rows have no moments");
    assert_eq!(gamma.dims(), [width], "gamma needs one entry per column");
    assert_eq!(beta.dims(), [width], "beta needs one entry per column");
    let tracked = x.device().is_autodiff();
    let plain = if tracked { x.clone().inner() } else { x.clone() };
    let (mean, variance) = <Dispatch as BlockOps>::column_moments(plain.into_dispatch());
    let [mean, variance] = [mean, variance].map(Tensor::<2>::from_dispatch);
    let inverse = (variance.clone() + epsilon).sqrt().recip();
    let constant = |x: Tensor<2>| if tracked { Tensor::from_inner(x) } else { x };
    let out = <Dispatch as BlockOps>::batch_norm_relu(
        x.into_dispatch(),
        gamma.unsqueeze::<2>().into_dispatch(),
        beta.unsqueeze::<2>().into_dispatch(),
        constant(mean.clone()).into_dispatch(),
        constant(inverse).into_dispatch(),
    );
    (Tensor::from_dispatch(out), [mean, variance].map(|x| x.squeeze_dim(0)))
}

/// The exact GELU, `x Φ(x)` (Hendrycks and Gimpel 2016); on the CPU within 2e-7 of it.
///
/// # Shapes
/// `[rows, columns]` → the same.
pub fn gelu(x: Tensor<2>) -> Tensor<2> {
    Tensor::from_dispatch(<Dispatch as BlockOps>::exact_gelu(x.into_dispatch()))
}

/// The layer norm of a sum, `γ (s − mean s) / √(var s + ε) + β` with `s = x + residual`, over
/// each row (Ba et al. 2016).
///
/// # Shapes
/// `x`, `residual`: `[rows, width]`, `gamma`, `beta`: `[width]`; result `[rows, width]`.
///
/// # Panics
/// When shapes do not fit.
pub fn add_norm(
    x: Tensor<2>,
    residual: Tensor<2>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
) -> Tensor<2> {
    let width = x.dims()[1];
    assert_eq!(x.dims(), residual.dims(), "the residual needs the shape of x");
    assert_eq!(gamma.dims(), [width], "gamma needs one entry per column");
    assert_eq!(beta.dims(), [width], "beta needs one entry per column");
    Tensor::from_dispatch(<Dispatch as BlockOps>::add_norm(
        x.into_dispatch(),
        residual.into_dispatch(),
        gamma.unsqueeze::<2>().into_dispatch(),
        beta.unsqueeze::<2>().into_dispatch(),
        epsilon,
    ))
}

/// Multi-head self-attention (Vaswani et al., NeurIPS 2017):
/// `softmax(q kᵀ / √depth) v` per head over the positions where the mask is 1, with
/// `causal` only those up to the own, and a share of the weights dropped. A row that sees
/// nothing is 0. What stands where the mask is 0 has no meaning.
///
/// The gradient recomputes the weights instead of keeping them (Dao et al., NeurIPS 2022).
///
/// # Shapes
/// `qkv`: `[batch · length, 3 · width]`, the columns of queries, keys and values one after the
/// other and in each the heads one after the other; `mask`: `[batch, length]` of 0 and 1;
/// result `[batch · length, width]`. The mask receives no gradient.
///
/// # Panics
/// When shapes do not fit, or the dropout is not in `[0, 1)`.
pub fn attention(
    qkv: Tensor<2>,
    mask: Tensor<2>,
    heads: usize,
    causal: bool,
    dropout: f64,
) -> Tensor<2> {
    let [batch, length] = mask.dims();
    let [rows, columns] = qkv.dims();
    assert_eq!(rows, batch * length, "qkv needs one row per position of the mask");
    assert!(heads > 0 && columns.is_multiple_of(3 * heads), "{heads} heads of {columns} columns");
    assert!((0.0..1.0).contains(&dropout), "dropout {dropout} is outside [0, 1)");
    Tensor::from_dispatch(<Dispatch as BlockOps>::attend(
        qkv.into_dispatch(),
        mask.into_dispatch(),
        Heads { count: heads, causal, dropout },
    ))
}

/// Dropout (Srivastava et al., JMLR 2014): each number is 0 with probability `share`, else
/// scaled by `1 / (1 − share)`, drawn by the device's generator.
///
/// # Shapes
/// `[rows, columns]` → the same.
///
/// # Panics
/// When the share is not in `[0, 1)`.
pub fn dropout(x: Tensor<2>, share: f64) -> Tensor<2> {
    assert!((0.0..1.0).contains(&share), "dropout {share} is outside [0, 1)");
    if share == 0.0 {
        return x;
    }
    Tensor::from_dispatch(<Dispatch as BlockOps>::drop_out(x.into_dispatch(), share))
}
