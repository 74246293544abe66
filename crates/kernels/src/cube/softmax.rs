//! The softmax family.

use cubecl::prelude::*;

use super::rows::{Share, largest, row, total};

/// Lower than every logit, and finite, since WGSL has no infinite constant.
const LOWEST: f32 = -3.0e38;

/// `u · scale`, rounded. Compilers may join a product and the difference that follows into one
/// instruction, which does not round in between: then `u − lse` of the largest of large logits is
/// not 0. They do so across a choice between two values too, but not across bits that are flipped by
/// a number which they do not know: rows are fewer than 2³¹, so that none is.
#[cube]
fn scaled<N: Size>(u: Vector<f32, N>, scale: Vector<f32, N>, rows: u32) -> Vector<f32, N> {
    let bits = Vector::<u32, N>::reinterpret(u * scale);
    Vector::<f32, N>::reinterpret(bits ^ Vector::new(rows >> 31))
}

/// `u` in columns `N · at ..` with the margin where the row's class is.
#[cube]
fn with_margin<N: Size>(
    z: Vector<f32, N>,
    shift: Vector<f32, N>,
    at: usize,
    class: usize,
    margin: f32,
    scale: f32,
    rows: u32,
) -> Vector<f32, N> {
    let mut u = z + shift;
    if at == class / N::value() {
        #[unroll]
        for k in 0..N::value() {
            if k == class % N::value() {
                u.insert(k, u.extract(k) - margin);
            }
        }
    }
    scaled::<N>(u, Vector::new(scale), rows)
}

/// Vectors that a unit reads at once: enough that it rarely waits for memory.
const AHEAD: usize = 8;

/// `log Σ exp u` of the row that begins at `start`. A unit keeps the largest `u` that it has seen and
/// the sum of `exp(u − largest)` together in one pass (Milakov and Gimelshein 2018).
#[cube]
#[allow(clippy::too_many_arguments)]
fn log_sum_exp<N: Size>(
    logits: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    start: usize,
    vectors: usize,
    class: usize,
    margin: f32,
    scale: f32,
    rows: u32,
    #[comptime] share: Share,
) -> f32 {
    let mut top = Vector::<f32, N>::new(f32::new(LOWEST));
    let mut sum = Vector::<f32, N>::new(0.0f32);
    let mut at = UNIT_POS_X as usize;
    while at < vectors {
        let mut read = Array::<Vector<f32, N>>::new(AHEAD);
        let mut shifts = Array::<Vector<f32, N>>::new(AHEAD);
        #[unroll]
        for k in 0..AHEAD {
            // Behind the last vector that one again, so that no read waits for a branch.
            let place = min(at + k * CUBE_DIM_X as usize, vectors - 1);
            read[k] = logits[start + place];
            shifts[k] = shift[place];
        }
        let mut above = top;
        #[unroll]
        for k in 0..AHEAD {
            let place = at + k * CUBE_DIM_X as usize;
            let u = with_margin::<N>(read[k], shifts[k], place, class, margin, scale, rows);
            read[k] = select(place < vectors, u, Vector::new(f32::new(LOWEST)));
            above = max(above, read[k]);
        }
        sum *= (top - above).exp();
        #[unroll]
        for k in 0..AHEAD {
            sum += (read[k] - above).exp();
        }
        top = above;
        at += AHEAD * CUBE_DIM_X as usize;
    }
    let highest = largest::<N>(top, share);
    let sum = sum * (top - Vector::new(highest)).exp();
    total::<N>(sum, share).ln() + highest
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
    turns: u32,
    stride: u32,
    scale: f32,
    #[comptime] share: Share,
    #[define(I)] _type: ElemType,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let start = row * stride as usize;
        let class = u32::cast_from(ids[row]) as usize;
        let margin = margin[class];
        let whole =
            log_sum_exp::<N>(logits, shift, start, vectors, class, margin, scale, rows, share);
        if UNIT_POS_X == 0 {
            let at = class / N::value();
            let (z, shift) = (logits[start + at], shift[at]);
            let u = with_margin::<N>(z, shift, at, class, margin, scale, rows);
            let mut own = 0.0f32;
            #[unroll]
            for k in 0..N::value() {
                if k == class % N::value() {
                    own = u.extract(k);
                }
            }
            lse[row] = whole;
            value[row] = own - whole;
        }
    }
}

/// See `RowOps::log_prob_backward`.
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
    turns: u32,
    stride: u32,
    scale: f32,
    #[define(I)] _type: ElemType,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, end) = (row * stride as usize, row * vectors);
        let class = u32::cast_from(ids[row]) as usize;
        let margin = margin[class];
        let lse = Vector::<f32, N>::new(lse[row]);
        let grad = Vector::<f32, N>::new(scale * grad[row]);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let u = with_margin::<N>(logits[start + at], shift[at], at, class, margin, scale, rows);
            let mut gap = Vector::<f32, N>::new(0.0f32) - (u - lse).exp();
            if at == class / N::value() {
                #[unroll]
                for k in 0..N::value() {
                    if k == class % N::value() {
                        gap.insert(k, gap.extract(k) + 1.0f32);
                    }
                }
            }
            out[end + at] = gap * grad;
            at += CUBE_DIM_X as usize;
        }
    }
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
    turns: u32,
    stride: u32,
    target_stride: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, marks) = (row * stride as usize, row * target_stride as usize);
        let none = vectors * N::value();
        let whole =
            log_sum_exp::<N>(logits, shift, start, vectors, none, 0.0f32, scale, rows, share);
        let scale = Vector::<f32, N>::new(scale);
        let mut loss = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let u = scaled::<N>(logits[start + at] + shift[at], scale, rows);
            loss += targets[marks + at] * (Vector::new(whole) - u);
            at += CUBE_DIM_X as usize;
        }
        let loss = total::<N>(loss, share);
        if UNIT_POS_X == 0 {
            lse[row] = whole;
            value[row] = loss;
        }
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
    turns: u32,
    stride: u32,
    target_stride: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, marks) = (row * stride as usize, row * target_stride as usize);
        let end = row * vectors;
        let grad = Vector::<f32, N>::new(scale * grad[row]);
        let scale = Vector::<f32, N>::new(scale);
        let lse = Vector::<f32, N>::new(lse[row]);
        let mut mass = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            mass += targets[marks + at];
            at += CUBE_DIM_X as usize;
        }
        let mass = Vector::<f32, N>::new(total::<N>(mass, share));
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let u = scaled::<N>(logits[start + at] + shift[at], scale, rows);
            out[end + at] = ((u - lse).exp() * mass - targets[marks + at]) * grad;
            at += CUBE_DIM_X as usize;
        }
    }
}

/// See `RowOps::log_softmax_rows`.
#[cube(launch)]
#[allow(clippy::too_many_arguments)]
pub(super) fn log_softmax<N: Size>(
    logits: &[Vector<f32, N>],
    shift: &[Vector<f32, N>],
    out: &mut [Vector<f32, N>],
    rows: u32,
    vectors: u32,
    turns: u32,
    stride: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, end) = (row * stride as usize, row * vectors);
        let none = vectors * N::value();
        let whole =
            log_sum_exp::<N>(logits, shift, start, vectors, none, 0.0f32, scale, rows, share);
        let scale = Vector::<f32, N>::new(scale);
        let whole = Vector::<f32, N>::new(whole);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            out[end + at] = scaled::<N>(logits[start + at] + shift[at], scale, rows) - whole;
            at += CUBE_DIM_X as usize;
        }
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
    turns: u32,
    stride: u32,
    grad_stride: u32,
    scale: f32,
    #[comptime] share: Share,
) {
    let vectors = vectors as usize;
    for turn in 0..turns {
        let row = row(rows, turn);
        let (start, slopes) = (row * stride as usize, row * grad_stride as usize);
        let end = row * vectors;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            sum += grad[slopes + at];
            at += CUBE_DIM_X as usize;
        }
        let sum = Vector::<f32, N>::new(total::<N>(sum, share));
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let gap = grad[slopes + at] - output[start + at].exp() * sum;
            out[end + at] = gap * Vector::new(scale);
            at += CUBE_DIM_X as usize;
        }
    }
}
