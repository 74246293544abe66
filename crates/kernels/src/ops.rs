//! The operations that a backend may fuse, with tensor operations as their default body.

// Burn deprecates its backends on ndarray and LibTorch, which we still serve.
#![cfg_attr(any(feature = "ndarray", feature = "tch"), allow(deprecated))]

#[cfg(feature = "cube")]
use burn::backend::fusion::custom::TensorSpec;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, backend_extension};
#[cfg(feature = "cube")]
use burn::tensor::Shape;

use crate::gaussian::composed as gaussian;
use crate::normalized::composed as unit;
use crate::segments::composed as segments;
use crate::{BinaryFocal, Segments, composed};

/// Row operations of the softmax and sigmoid families.
///
/// Shapes: `logits`, `targets` `[batch, classes]`; `ids`, `lse` `[batch, 1]`; `grad` `[batch]`;
/// `shift`, `margin`, `positive`, `negative` `[1, classes]`. Everything but the logits
/// is a constant.
#[backend_extension(
    Flex: cfg(feature = "flex"),
    NdArray: cfg(feature = "ndarray"),
    LibTorch: cfg(feature = "tch"),
    Capture: cfg(feature = "capture"),
    Remote: cfg(feature = "remote"),
    Cube: cfg(feature = "cube"),
    Fusion: cfg(feature = "cube"),
    Autodiff,
)]
pub(crate) trait RowOps: Backend {
    /// `(u_y − lse, lse)` with `u = scale · (z + shift − margin_y e_y)`.
    #[fusion(meta = |z, _ids, _shift, _margin, _scale| per_row(z))]
    fn log_prob_lse(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::log_prob_lse::<Self>(logits, ids, shift, margin, scale)
    }

    /// The first output of [`log_prob_lse`](Self::log_prob_lse), differentiable; `[batch]`.
    #[fusion(default)]
    fn log_prob(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        composed::list::<Self>(Self::log_prob_lse(logits, ids, shift, margin, scale).0)
    }

    /// `∂/∂z_j = scale · grad · (1[j = y] − e^{u_j − lse})`.
    #[fusion(dtype = logits, shape = logits)]
    fn log_prob_backward(
        logits: FloatTensor<Self>,
        ids: IntTensor<Self>,
        shift: FloatTensor<Self>,
        margin: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::log_prob_backward::<Self>(logits, ids, shift, margin, scale, lse, grad)
    }

    /// `(−Σ_c t_c (u_c − lse), lse)` with `u = scale · (z + shift)`.
    #[fusion(meta = |z, _targets, _shift, _scale| per_row(z))]
    fn cross_entropy_lse(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::cross_entropy_lse::<Self>(logits, targets, shift, scale)
    }

    /// The first output of [`cross_entropy_lse`](Self::cross_entropy_lse), differentiable;
    /// `[batch]`.
    #[fusion(default)]
    fn cross_entropy(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        composed::list::<Self>(Self::cross_entropy_lse(logits, targets, shift, scale).0)
    }

    /// `∂/∂z_j = scale · grad · (e^{u_j − lse} Σ_c t_c − t_j)`.
    #[fusion(dtype = logits, shape = logits)]
    fn cross_entropy_backward(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::cross_entropy_backward::<Self>(logits, targets, shift, scale, lse, grad)
    }

    /// `u − lse` with `u = scale · (z + shift)`, `[batch, classes]`.
    #[fusion(dtype = logits, shape = logits)]
    fn log_softmax_rows(
        logits: FloatTensor<Self>,
        shift: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        composed::log_softmax_rows::<Self>(logits, shift, scale)
    }

    /// `∂/∂z_j = scale · (grad_j − e^{output_j} Σ_c grad_c)`.
    #[fusion(dtype = output, shape = output)]
    fn log_softmax_rows_backward(
        output: FloatTensor<Self>,
        scale: f64,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::log_softmax_rows_backward::<Self>(output, scale, grad)
    }

    /// `(lse − mean of u over partners, lse)` with `u = scale · cosines`, over all columns but
    /// the row's own; 0 for a row without partners. `cosines` are `[batch, batch]`, `ids`
    /// class ids as floats `[batch, 1]`.
    #[fusion(default)]
    fn contrast_lse(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::contrast_lse::<Self>(cosines, ids, scale)
    }

    /// The first output of [`contrast_lse`](Self::contrast_lse), differentiable; `[batch]`.
    #[fusion(default)]
    fn contrast(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
    ) -> FloatTensor<Self> {
        composed::list::<Self>(Self::contrast_lse(cosines, ids, scale).0)
    }

    /// `∂/∂z_j = scale · grad · (e^{u_j − lse} − share_j)`, 0 for the row's own and for rows
    /// without partners.
    #[fusion(default)]
    fn contrast_backward(
        cosines: FloatTensor<Self>,
        ids: FloatTensor<Self>,
        scale: f64,
        lse: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::contrast_backward::<Self>(cosines, ids, scale, lse, grad)
    }

    /// Rows of `x` `[rows, columns]` divided by their lengths; a row of zeros stays 0.
    #[fusion(default)]
    fn normalize(x: FloatTensor<Self>) -> FloatTensor<Self> {
        unit::normalize::<Self>(x)
    }

    /// With `e = x / ‖x‖`: `(grad − e (e · grad)) / ‖x‖`, 0 for rows shorter than 1e-30.
    #[fusion(default)]
    fn normalize_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unit::normalize_backward::<Self>(x, grad)
    }

    /// `x xᵀ`, `[rows, rows]`.
    #[fusion(default)]
    fn gram(x: FloatTensor<Self>) -> FloatTensor<Self> {
        unit::gram::<Self>(x)
    }

    /// `(grad + gradᵀ) x`.
    #[fusion(default)]
    fn gram_backward(x: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        unit::gram_backward::<Self>(x, grad)
    }

    /// See [`gaussian_draw`](crate::gaussian_draw).
    #[fusion(default)]
    fn gaussian_draw(parameters: FloatTensor<Self>, noise: FloatTensor<Self>) -> FloatTensor<Self> {
        gaussian::draw::<Self>(parameters, noise)
    }

    /// `(grad, ½ grad ε e^{λ / 2})`, side by side.
    #[fusion(default)]
    fn gaussian_draw_backward(
        parameters: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gaussian::draw_backward::<Self>(parameters, noise, grad)
    }

    /// See [`gaussian_divergence`](crate::gaussian_divergence).
    #[fusion(default)]
    fn gaussian_divergence(parameters: FloatTensor<Self>) -> FloatTensor<Self> {
        gaussian::divergence::<Self>(parameters)
    }

    /// `grad (μ, ½ (e^λ − 1))`, side by side.
    #[fusion(default)]
    fn gaussian_divergence_backward(
        parameters: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        gaussian::divergence_backward::<Self>(parameters, grad)
    }

    /// See [`gumbel_softmax`](crate::gumbel_softmax).
    #[fusion(dtype = x, shape = x)]
    fn gumbel_softmax(
        x: FloatTensor<Self>,
        noise: FloatTensor<Self>,
        parts: Segments,
        temperature: f64,
        linear: bool,
    ) -> FloatTensor<Self> {
        segments::softmax::<Self>(x, noise, &parts, temperature, linear)
    }

    /// With `y` the output: `grad (1 − y²)` of numbers, or `grad`, and `y (grad − Σ y grad) / τ` of
    /// segments.
    #[fusion(dtype = out, shape = out)]
    fn gumbel_softmax_backward(
        out: FloatTensor<Self>,
        parts: Segments,
        temperature: f64,
        linear: bool,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        segments::softmax_backward::<Self>(out, &parts, temperature, linear, grad)
    }

    /// See [`segment_cross_entropy`](crate::segment_cross_entropy); `[batch]`.
    #[fusion(dtype = x, shape = list_of(x))]
    fn segment_cross_entropy(
        x: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        parts: Segments,
    ) -> FloatTensor<Self> {
        segments::cross_entropy::<Self>(x, targets, &parts)
    }

    /// `grad (softmax Σ t − t)` of every segment, 0 of numbers.
    #[fusion(dtype = x, shape = x)]
    fn segment_cross_entropy_backward(
        x: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        parts: Segments,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        segments::entropy_backward::<Self>(x, targets, &parts, grad)
    }

    /// See [`binary_focal`](crate::binary_focal); `[batch]`.
    #[fusion(dtype = logits, shape = list_of(logits))]
    fn binary_focal(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        positive: FloatTensor<Self>,
        negative: FloatTensor<Self>,
        terms: BinaryFocal,
    ) -> FloatTensor<Self> {
        composed::list::<Self>(
            Self::binary_focal_slope(logits, targets, positive, negative, terms).0,
        )
    }

    /// [`binary_focal`](Self::binary_focal) as `[batch, 1]`, and each row's slopes in its logits,
    /// which take the functions that the value takes.
    #[fusion(meta = |z, _targets, _positive, _negative, _terms| (one_of(z), z.clone()))]
    fn binary_focal_slope(
        logits: FloatTensor<Self>,
        targets: FloatTensor<Self>,
        positive: FloatTensor<Self>,
        negative: FloatTensor<Self>,
        terms: BinaryFocal,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        composed::binary_focal_slope::<Self>(logits, targets, positive, negative, terms)
    }

    /// `x` `[rows, columns]` times a number for each row, `by` `[rows]`.
    #[fusion(dtype = x, shape = x)]
    fn scale_rows(x: FloatTensor<Self>, by: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::scale_rows::<Self>(x, by)
    }

    /// The sum of a list, or its mean; `[1]`.
    #[fusion(dtype = x, shape = single(x))]
    fn total(x: FloatTensor<Self>, mean: bool) -> FloatTensor<Self> {
        composed::total::<Self>(x, mean)
    }
}

/// Two numbers for each row of `x`, for burn's fusion, which needs shapes before it computes.
#[cfg(feature = "cube")]
fn per_row(x: &TensorSpec) -> (TensorSpec, TensorSpec) {
    (one_of(x), one_of(x))
}

#[cfg(feature = "cube")]
fn one_of(x: &TensorSpec) -> TensorSpec {
    TensorSpec::new([x.shape[0], 1].into(), x.dtype)
}

#[cfg(feature = "cube")]
fn list_of(shape: &Shape) -> Shape {
    [shape[0]].into()
}

#[cfg(feature = "cube")]
fn single(_: &Shape) -> Shape {
    [1].into()
}

crate::plain::plain_backends!(RowOps);
