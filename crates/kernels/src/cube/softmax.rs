//! The softmax family.

use cubecl::prelude::*;

use super::rows::{Share, largest, row, total};

/// Lower than every logit, and finite, since WGSL has no infinite constant.
const LOWEST: f32 = -3.0e38;

/// `u` in columns `N · at ..` with the margin where the row's class is.
#[cube]
fn with_margin<N: Size>(
    z: Vector<f32, N>,
    shift: Vector<f32, N>,
    at: usize,
    class: usize,
    margin: f32,
    scale: f32,
) -> Vector<f32, N> {
    let mut u = z + shift;
    #[unroll]
    for k in 0..N::value() {
        if at * N::value() + k == class {
            u.insert(k, u.extract(k) - margin);
        }
    }
    u * Vector::new(scale)
}

/// `log Σ exp(scale · (z + shift))` of the row that begins at `start`.
#[cube]
fn log_sum_exp<N: Size>(
    logits: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    start: usize,
    vectors: usize,
    scale: Vector<f32, N>,
    #[comptime] share: Share,
) -> f32 {
    let mut top = Vector::<f32, N>::new(f32::new(LOWEST));
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        top = max(top, (logits[start + at] + shift[at]) * scale);
        at += CUBE_DIM_X as usize;
    }
    let top = largest::<N>(top, share);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let u = (logits[start + at] + shift[at]) * scale;
        sum += (u - Vector::new(top)).exp();
        at += CUBE_DIM_X as usize;
    }
    total::<N>(sum, share).ln() + top
}

/// See `RowOps::log_prob_lse`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn log_prob<I: Int, N: Size>(
    logits: &[Vector<f32, N>],
    ids: &[I],
    shift: &[Vector<f32, N>],
    margin: &[f32],
    value: &mut [f32],
    lse: &mut [f32],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[comptime] share: Share,
    #[define(I)] _type: ElemType,
) {
    let row = row(rows);
    let vectors = vectors as usize;
    let start = row * vectors;
    let class = u32::cast_from(ids[row]) as usize;
    let margin = margin[class];
    let mut top = Vector::<f32, N>::new(f32::new(LOWEST));
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let u = with_margin::<N>(logits[start + at], shift[at], at, class, margin, scale);
        top = max(top, u);
        at += CUBE_DIM_X as usize;
    }
    let top = largest::<N>(top, share);
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut own = 0.0f32;
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let u = with_margin::<N>(logits[start + at], shift[at], at, class, margin, scale);
        #[unroll]
        for k in 0..N::value() {
            if at * N::value() + k == class {
                own += u.extract(k);
            }
        }
        sum += (u - Vector::new(top)).exp();
        at += CUBE_DIM_X as usize;
    }
    let whole = total::<N>(sum, share).ln() + top;
    let own = total::<Const<1>>(Vector::new(own), share);
    if UNIT_POS_X == 0 {
        lse[row] = whole;
        value[row] = own - whole;
    }
}

/// See `RowOps::log_prob_backward`; a unit for each vector.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn log_prob_backward<I: Int, N: Size>(
    logits: &[Vector<f32, N>],
    ids: &[I],
    shift: &[Vector<f32, N>],
    margin: &[f32],
    lse: &[f32],
    grad: &[f32],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[define(I)] _type: ElemType,
) {
    let vectors = vectors as usize;
    if ABSOLUTE_POS >= rows as usize * vectors {
        terminate!();
    }
    let row = ABSOLUTE_POS / vectors;
    let at = ABSOLUTE_POS % vectors;
    let class = u32::cast_from(ids[row]) as usize;
    let u = with_margin::<N>(logits[ABSOLUTE_POS], shift[at], at, class, margin[class], scale);
    let mut gap = Vector::<f32, N>::new(0.0f32) - (u - Vector::new(lse[row])).exp();
    #[unroll]
    for k in 0..N::value() {
        if at * N::value() + k == class {
            gap.insert(k, gap.extract(k) + 1.0f32);
        }
    }
    out[ABSOLUTE_POS] = gap * Vector::new(scale * grad[row]);
}

/// See `RowOps::cross_entropy_lse`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn cross_entropy<N: Size>(
    logits: &[Vector<f32, N>],
    targets: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    value: &mut [f32],
    lse: &mut [f32],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let row = row(rows);
    let vectors = vectors as usize;
    let start = row * vectors;
    let scale = Vector::<f32, N>::new(scale);
    let whole = log_sum_exp::<N>(logits, shift, start, vectors, scale, share);
    let mut loss = Vector::<f32, N>::new(0.0f32);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let u = (logits[start + at] + shift[at]) * scale;
        loss += targets[start + at] * (Vector::new(whole) - u);
        at += CUBE_DIM_X as usize;
    }
    let loss = total::<N>(loss, share);
    if UNIT_POS_X == 0 {
        lse[row] = whole;
        value[row] = loss;
    }
}

/// See `RowOps::cross_entropy_backward`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn cross_entropy_backward<N: Size>(
    logits: &[Vector<f32, N>],
    targets: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    lse: &[f32],
    grad: &[f32],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let row = row(rows);
    let vectors = vectors as usize;
    let start = row * vectors;
    let grad = Vector::<f32, N>::new(scale * grad[row]);
    let scale = Vector::<f32, N>::new(scale);
    let lse = Vector::<f32, N>::new(lse[row]);
    let mut mass = Vector::<f32, N>::new(0.0f32);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        mass += targets[start + at];
        at += CUBE_DIM_X as usize;
    }
    let mass = Vector::<f32, N>::new(total::<N>(mass, share));
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let u = (logits[start + at] + shift[at]) * scale;
        out[start + at] = ((u - lse).exp() * mass - targets[start + at]) * grad;
        at += CUBE_DIM_X as usize;
    }
}

/// See `RowOps::log_softmax_rows`.
#[cube(launch)]
pub(super) fn log_softmax<N: Size>(
    logits: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let row = row(rows);
    let vectors = vectors as usize;
    let start = row * vectors;
    let scale = Vector::<f32, N>::new(scale);
    let whole = log_sum_exp::<N>(logits, shift, start, vectors, scale, share);
    let whole = Vector::<f32, N>::new(whole);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        out[start + at] = (logits[start + at] + shift[at]) * scale - whole;
        at += CUBE_DIM_X as usize;
    }
}

/// See `RowOps::log_softmax_rows_backward`.
#[cube(launch)]
pub(super) fn log_softmax_backward<N: Size>(
    output: &[Vector<f32, N>],
    grad: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let row = row(rows);
    let vectors = vectors as usize;
    let start = row * vectors;
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        sum += grad[start + at];
        at += CUBE_DIM_X as usize;
    }
    let sum = Vector::<f32, N>::new(total::<N>(sum, share));
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let gap = grad[start + at] - output[start + at].exp() * sum;
        out[start + at] = gap * Vector::new(scale);
        at += CUBE_DIM_X as usize;
    }
}
