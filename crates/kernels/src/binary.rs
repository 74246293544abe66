use burn::backend::tensor::FloatTensor;
use burn::backend::{Backend, Dispatch};
use burn::tensor::Tensor;

use crate::ops::RowOps;
use crate::real::Real;
use crate::widen;

/// The focusing terms of [`binary_focal`]: exponents and the probability margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BinaryFocal {
    /// γ⁺ ≥ 0, the exponent of 1 − p for positives.
    pub gamma_positive: f64,
    /// γ⁻ ≥ 0, the exponent of p for negatives.
    pub gamma_negative: f64,
    /// m in `[0, 1)`, subtracted from p for negatives.
    pub margin: f64,
}

/// `((positive, negative), (positive', negative'))`: values and slopes.
type Terms<T> = ((T, T), (T, T));

impl BinaryFocal {
    /// No focusing: binary cross entropy.
    pub const PLAIN: Self = Self { gamma_positive: 0.0, gamma_negative: 0.0, margin: 0.0 };

    /// Values and slopes of both terms (without weights) at one logit:
    /// `((positive, negative), (positive', negative'))`.
    ///
    /// `FOCUS` and `MARGIN` say whether the exponents and the margin are in use, so that
    /// the loops over rows have no branches.
    #[inline(always)]
    fn terms<T: Real, const FOCUS: bool, const MARGIN: bool>(&self, z: T) -> Terms<T> {
        let zero = T::default();
        let e = (-z.abs()).exp();
        let log = e.ln_1p();
        // −log p and −log(1 − p): softplus of −z and of z.
        let cost_p = (-z).max(zero) + log;
        let cost_q = z.max(zero) + log;
        let large = T::ONE / (T::ONE + e);
        let small = e * large;
        let p = if z > zero { large } else { small };
        let q = if z > zero { small } else { large };
        let (g, h) = (T::of(self.gamma_positive), T::of(self.gamma_negative));
        // focus · cost and its slope focus · (γ · a · cost + b); a and b are p or q. A product with
        // γ = 0 would not be left out by the compiler.
        let term = |gamma: T, focus_cost: T, cost: T, a: T, b: T| {
            if FOCUS {
                let focus = (-gamma * focus_cost).exp();
                (focus * cost, focus * (gamma * a * cost + b))
            } else {
                (cost, b)
            }
        };
        let (value, slope) = term(g, cost_q, cost_p, p, q);
        let positive = (value, -slope);
        let negative = if MARGIN {
            // Below the margin a negative costs nothing; x is kept off 0 for its logarithm.
            let m = T::of(self.margin);
            let x = p - m;
            let on = if x > zero { T::ONE } else { zero };
            let x = x.max(T::of(1e-30));
            let rest = (q + m).max(T::of(1e-30));
            let rest = if rest > T::ONE { T::ONE } else { rest };
            let cost = -rest.ln();
            let focus_q = if FOCUS { (h * x.ln()).exp() } else { T::ONE };
            let slope = focus_q * (h * cost / x + T::ONE / rest) * p * q;
            (on * focus_q * cost, on * slope)
        } else {
            term(h, cost_p, cost_q, q, p)
        };
        ((positive.0, negative.0), (positive.1, negative.1))
    }

    /// `w⁺ · t · (first term) + w⁻ · (1 − t) · (second term)` and its slope.
    #[inline(always)]
    pub(crate) fn at<T: Real, const FOCUS: bool, const MARGIN: bool>(
        &self,
        z: T,
        t: T,
        positive: T,
        negative: T,
    ) -> (T, T) {
        let (value, slope) = self.terms::<T, FOCUS, MARGIN>(z);
        let (positive, negative) = (positive * t, negative * (T::ONE - t));
        (positive * value.0 + negative * value.1, positive * slope.0 + negative * slope.1)
    }

    /// Values and slopes of both terms in tensor operations.
    pub(crate) fn tensors<B: Backend>(&self, z: FloatTensor<B>) -> Terms<FloatTensor<B>> {
        let mul = B::float_mul;
        let times = |x: FloatTensor<B>, by: f64| B::float_mul_scalar(x, by.into());
        let plus = |x: FloatTensor<B>, by: f64| B::float_add_scalar(x, by.into());
        let cost_p = B::float_neg(B::log_sigmoid(z.clone()));
        let cost_q = B::float_neg(B::log_sigmoid(B::float_neg(z.clone())));
        let p = B::sigmoid(z.clone());
        let q = B::sigmoid(B::float_neg(z));
        // focus · cost and its slope focus · (γ · a · cost + b); a is p or q.
        let term = |gamma: f64, focus_cost, cost: FloatTensor<B>, a, b: FloatTensor<B>| {
            if gamma == 0.0 {
                return (cost, b);
            }
            let focus = B::float_exp(times(focus_cost, -gamma));
            let slope = B::float_add(times(mul(a, cost.clone()), gamma), b);
            (mul(focus.clone(), cost), mul(focus, slope))
        };
        let (value, slope) =
            term(self.gamma_positive, cost_q.clone(), cost_p.clone(), p.clone(), q.clone());
        let positive = (value, B::float_neg(slope));
        let (m, h) = (self.margin, self.gamma_negative);
        let negative = if m == 0.0 {
            term(h, cost_p, cost_q, q, p)
        } else {
            let rest = B::float_clamp_max(plus(q.clone(), m), 1.0.into());
            let x = B::float_clamp_min(plus(p.clone(), -m), 0.0.into());
            let bool_dtype = burn::backend::get_or_init_device_settings::<B>(
                &burn::backend::TensorMetadata::device(&x),
            )
            .bool_dtype;
            let off = B::float_lower_equal_elem(x.clone(), 0.0.into(), bool_dtype);
            let x = B::float_mask_fill(x, off.clone(), 1.0.into());
            let cost = B::float_neg(B::float_log(rest.clone()));
            let focus = B::float_exp(times(B::float_log(x.clone()), h));
            let slope = B::float_add(times(B::float_div(cost.clone(), x), h), B::float_recip(rest));
            let slope = mul(mul(focus.clone(), slope), mul(p, q));
            let slope = B::float_mask_fill(slope, off.clone(), 0.0.into());
            (B::float_mask_fill(mul(focus, cost), off, 0.0.into()), slope)
        };
        ((positive.0, negative.0), (positive.1, negative.1))
    }
}

/// The sigmoid family, summed over the columns of an example.
///
/// With `p = σ(z)` and `p_m = max(p − m, 0)`:
///
/// `loss_b = −Σ_c [w⁺_c t_bc (1 − p)^γ⁺ log p + w⁻_c (1 − t_bc) p_m^γ⁻ log(1 − p_m)]`,
///
/// so γ = m = 0 is binary cross entropy, equal γ the sigmoid focal loss (Lin et al. 2017),
/// and all of it the asymmetric loss (Ridnik et al. 2021). Computed from softplus, finite
/// with a finite gradient for every logit and every γ ≥ 0.
///
/// # Shapes
/// `logits`, `targets`: `[batch, columns]` of one dtype, `positive`, `negative`:
/// `[1, columns]`; result `[batch]`. Only the logits receive a gradient.
pub fn binary_focal(
    logits: Tensor<2>,
    targets: Tensor<2>,
    positive: Tensor<2>,
    negative: Tensor<2>,
    terms: BinaryFocal,
) -> Tensor<1> {
    let [batch, columns] = logits.dims();
    assert_eq!(targets.dims(), [batch, columns], "targets need the shape of the logits");
    assert_eq!(positive.dims(), [1, columns], "weights of positives need [1, columns]");
    assert_eq!(negative.dims(), [1, columns], "weights of negatives need [1, columns]");
    let value = <Dispatch as RowOps>::binary_focal(
        widen(logits).into_dispatch(),
        widen(targets).into_dispatch(),
        widen(positive).into_dispatch(),
        widen(negative).into_dispatch(),
        terms,
    );
    Tensor::from_dispatch(value)
}
