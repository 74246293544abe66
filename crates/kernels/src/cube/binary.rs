//! The sigmoid family.

use cubecl::prelude::*;

use super::rows::{Share, row, total};

/// Kept off 0 for its logarithm.
const SMALLEST: f32 = 1e-30;

/// How a probability is raised to γ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Power {
    /// By multiplication.
    Whole(u32),
    /// By its logarithm, which costs several times as much.
    Any,
}

impl Power {
    pub(super) fn of(gamma: f64) -> Self {
        let whole = gamma.fract() == 0.0 && (0.0..=8.0).contains(&gamma);
        if whole { Self::Whole(gamma as u32) } else { Self::Any }
    }

    /// Factors of a whole power.
    fn factors(self) -> u32 {
        match self {
            Self::Whole(factors) => factors,
            Self::Any => 0,
        }
    }
}

/// `base^gamma` for `log` the logarithm of the base.
#[cube]
fn raised(base: f32, log: f32, gamma: f32, #[comptime] power: Power) -> f32 {
    let mut product = 1.0f32;
    #[unroll]
    for _ in 0..comptime!(power.factors()) {
        product *= base;
    }
    if comptime!(power == Power::Any) {
        product = (gamma * log).exp();
    }
    product
}

/// What both terms are made of at a logit.
#[derive(CubeType, Clone, Copy)]
struct Odds {
    /// -log p and -log (1 - p).
    cost_p: f32,
    cost_q: f32,
    p: f32,
    q: f32,
}

#[cube]
fn odds(z: f32) -> Odds {
    let zero = f32::new(0.0);
    let e = (zero - z.abs()).exp();
    // One division serves p and the logarithm: log (1 + e) = 2 artanh s with s = e / (2 + e) at
    // most 1/3, where artanh s / s is a polynomial of s² within 4e-9. A logarithm and a division
    // of their own bound the kernel on a card.
    let shared = 1.0f32 / ((1.0f32 + e) * (2.0f32 + e));
    let large = shared * (2.0f32 + e);
    let small = e * large;
    let s = e * shared * (1.0f32 + e);
    let square = s * s;
    let mut series = 0.140_788_89f32 * square + 0.139_825_79f32;
    series = series * square + 0.200_122_98f32;
    series = series * square + 0.333_331_6f32;
    series = series * square + 1.0f32;
    let log = 2.0f32 * s * series;
    Odds {
        cost_p: max(zero - z, zero) + log,
        cost_q: max(z, zero) + log,
        p: select(z > zero, large, small),
        q: select(z > zero, small, large),
    }
}

/// `positive · (first term) + negative · (second term)`.
#[cube]
#[allow(clippy::too_many_arguments)]
fn value(
    z: f32,
    positive: f32,
    negative: f32,
    gamma_positive: f32,
    gamma_negative: f32,
    by_margin: f32,
    #[comptime] powers: (Power, Power),
    #[comptime] margin: bool,
) -> f32 {
    let at = odds(z);
    let zero = f32::new(0.0);
    let first = at.cost_p * raised(at.q, zero - at.cost_q, gamma_positive, powers.0);
    let mut second = at.cost_q;
    if comptime!(margin) {
        let x = max(at.p - by_margin, f32::new(SMALLEST));
        let rest = min(max(at.q + by_margin, f32::new(SMALLEST)), f32::new(1.0));
        second = (zero - rest.ln()) * raised(x, x.ln(), gamma_negative, powers.1);
        second = select(at.p - by_margin > 0.0f32, second, zero);
    } else {
        second *= raised(at.p, zero - at.cost_p, gamma_negative, powers.1);
    }
    positive * first + negative * second
}

/// The derivative of [`value`].
#[cube]
#[allow(clippy::too_many_arguments)]
fn slope(
    z: f32,
    positive: f32,
    negative: f32,
    gamma_positive: f32,
    gamma_negative: f32,
    by_margin: f32,
    #[comptime] powers: (Power, Power),
    #[comptime] margin: bool,
) -> f32 {
    let at = odds(z);
    let zero = f32::new(0.0);
    let mut steep = zero - at.q;
    if comptime!(powers.0 != Power::Whole(0)) {
        steep -= gamma_positive * at.p * at.cost_p;
    }
    let first = steep * raised(at.q, zero - at.cost_q, gamma_positive, powers.0);
    let mut second = at.p;
    if comptime!(margin) {
        let x = max(at.p - by_margin, f32::new(SMALLEST));
        let rest = min(max(at.q + by_margin, f32::new(SMALLEST)), f32::new(1.0));
        let cost = zero - rest.ln();
        second = (gamma_negative * cost / x + 1.0f32 / rest) * at.p * at.q;
        second *= raised(x, x.ln(), gamma_negative, powers.1);
        second = select(at.p - by_margin > 0.0f32, second, zero);
    } else {
        if comptime!(powers.1 != Power::Whole(0)) {
            second += gamma_negative * at.q * at.cost_q;
        }
        second *= raised(at.p, zero - at.cost_p, gamma_negative, powers.1);
    }
    positive * first + negative * second
}

/// See `RowOps::binary_focal`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn focal<N: Size>(
    logits: &[Vector<f32, N>],
    targets: &[Vector<f32, N>],
    positive: &[Vector<f32, N>],
    negative: &[Vector<f32, N>],
    out: &mut [f32],
    rows: u32,
    vectors: u32,
    turns: u32,
    stride: u32,
    target_stride: u32,
    gamma_positive: f32,
    gamma_negative: f32,
    by_margin: f32,
    #[comptime] powers: (Power, Power),
    #[comptime] margin: bool,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, marks) = (row * stride as usize, row * target_stride as usize);
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let (z, t) = (logits[start + at], targets[marks + at]);
            let p = t * positive[at];
            let n = (Vector::new(1.0f32) - t) * negative[at];
            #[unroll]
            for k in 0..N::value() {
                let cost = value(
                    z.extract(k),
                    p.extract(k),
                    n.extract(k),
                    gamma_positive,
                    gamma_negative,
                    by_margin,
                    powers,
                    margin,
                );
                sum.insert(k, sum.extract(k) + cost);
            }
            at += CUBE_DIM_X as usize;
        }
        let sum = total::<N>(sum, share);
        if UNIT_POS_X == 0 {
            out[row] = sum;
        }
    }
}

/// See `RowOps::binary_focal_slope`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn focal_slope<N: Size>(
    logits: &[Vector<f32, N>],
    targets: &[Vector<f32, N>],
    positive: &[Vector<f32, N>],
    negative: &[Vector<f32, N>],
    out: &mut [f32],
    slopes: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    turns: u32,
    stride: u32,
    target_stride: u32,
    gamma_positive: f32,
    gamma_negative: f32,
    by_margin: f32,
    #[comptime] powers: (Power, Power),
    #[comptime] margin: bool,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, marks) = (row * stride as usize, row * target_stride as usize);
        let end = row * vectors;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let (z, t) = (logits[start + at], targets[marks + at]);
            let p = t * positive[at];
            let n = (Vector::new(1.0f32) - t) * negative[at];
            let mut steep = Vector::<f32, N>::new(0.0f32);
            #[unroll]
            for k in 0..N::value() {
                let cost = value(
                    z.extract(k),
                    p.extract(k),
                    n.extract(k),
                    gamma_positive,
                    gamma_negative,
                    by_margin,
                    powers,
                    margin,
                );
                sum.insert(k, sum.extract(k) + cost);
                steep.insert(
                    k,
                    slope(
                        z.extract(k),
                        p.extract(k),
                        n.extract(k),
                        gamma_positive,
                        gamma_negative,
                        by_margin,
                        powers,
                        margin,
                    ),
                );
            }
            slopes[end + at] = steep;
            at += CUBE_DIM_X as usize;
        }
        let sum = total::<N>(sum, share);
        if UNIT_POS_X == 0 {
            out[row] = sum;
        }
    }
}

/// See `RowOps::scale_rows`; a unit for each vector.
#[cube(launch)]
pub(super) fn scale<N: Size>(
    x: &[Vector<f32, N>],
    by: &[f32],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
) {
    if ABSOLUTE_POS >= rows as usize * vectors as usize {
        terminate!();
    }
    let by = Vector::<f32, N>::new(by[ABSOLUTE_POS / vectors as usize]);
    out[ABSOLUTE_POS] = x[ABSOLUTE_POS] * by;
}
