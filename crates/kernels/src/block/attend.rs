//! Attention on burn's CPU backend: one task per text and head, whose scores stay in the cache;
//! nothing is computed behind a text's last token.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};
use rayon::prelude::*;

use super::flex::Keep;
use super::ops::Heads;
use crate::real::{Real, fold, sum};
use crate::rows::{Float, each_row, fill_rows, shape, tensor, values};

/// The sizes of a batch, and its numbers.
#[derive(Clone, Copy)]
struct Batch<'a> {
    qkv: &'a [f32],
    mask: &'a [f32],
    texts: usize,
    length: usize,
    depth: usize,
    heads: Heads,
    scale: f32,
    keep: Keep,
}

impl<'a> Batch<'a> {
    fn new(qkv: &'a Float, mask: &'a Float, heads: Heads, keep: Keep) -> Self {
        let ((texts, length), (_, columns)) = (shape(mask), shape(qkv));
        let depth = columns / 3 / heads.count;
        let scale = (depth as f32).powf(-0.5);
        let (qkv, mask) = (values(qkv), values(mask));
        Self { qkv, mask, texts, length, depth, heads, scale, keep }
    }

    fn width(&self) -> usize {
        self.heads.count * self.depth
    }

    /// The text's mask up to its last token.
    fn seen(&self, text: usize) -> &'a [f32] {
        let mask = &self.mask[text * self.length..(text + 1) * self.length];
        let tokens = mask.iter().rposition(|&m| m != 0.0).map_or(0, |last| last + 1);
        &mask[..tokens]
    }

    /// Queries (0), keys (1) or values (2) of a text's first tokens, `[tokens, depth]`.
    fn part(&self, which: usize, text: usize, head: usize, tokens: usize) -> MatRef<'a, f32> {
        let stride = 3 * self.width();
        let start = text * self.length * stride + which * self.width() + head * self.depth;
        let end = start + (tokens - 1) * stride + self.depth;
        rows(&self.qkv[start..end], tokens, self.depth, stride)
    }

    /// The same of a tensor `[batch · length, width]`.
    fn of<'b>(&self, x: &'b [f32], text: usize, head: usize, tokens: usize) -> MatRef<'b, f32> {
        let stride = self.width();
        let start = text * self.length * stride + head * self.depth;
        let end = start + (tokens - 1) * stride + self.depth;
        rows(&x[start..end], tokens, self.depth, stride)
    }

    /// The seed of what is dropped of a row of weights.
    #[inline(always)]
    fn row_seed(&self, task: usize, row: usize) -> u32 {
        self.keep.row(task * self.length + row)
    }
}

fn rows(x: &[f32], rows: usize, columns: usize, stride: usize) -> MatRef<'_, f32> {
    MatRef::from_row_major_slice_with_stride(x, rows, columns, stride)
}

fn square(x: &mut [f32], n: usize) -> MatMut<'_, f32> {
    MatMut::from_row_major_slice_mut(x, n, n)
}

/// How many positions a row sees, at most.
#[inline(always)]
fn reach(causal: bool, row: usize, tokens: usize) -> usize {
    if causal { row + 1 } else { tokens }
}

/// Scores to weights, row by row, and the logarithms of the rows' sums.
fn soften(scores: &mut [f32], lse: &mut [f32], seen: &[f32], causal: bool) {
    let n = seen.len();
    each_row(
        scores,
        n,
        lse,
        #[inline(always)]
        |i, row, lse| {
            let (row, behind) = row.split_at_mut(reach(causal, i, n));
            behind.fill(0.0);
            let seen = &seen[..row.len()];
            let top = fold(
                [row, seen],
                f32::LOWEST,
                #[inline(always)]
                |[s, m]| if m == 0.0 { f32::LOWEST } else { s },
                Real::max,
            );
            for (s, m) in row.iter_mut().zip(seen) {
                let p = Real::exp(*s - top);
                *s = if *m == 0.0 { 0.0 } else { p };
            }
            let total = sum(
                [row],
                #[inline(always)]
                |[p]| p,
            );
            // A row that sees nothing stays 0.
            let inverse = if total > 0.0 { 1.0 / total } else { 0.0 };
            for p in row {
                *p *= inverse;
            }
            *lse = if total > 0.0 { top + Real::ln(total) } else { 0.0 };
        },
    );
}

/// Scores to weights by the logarithms of the rows' sums.
fn weights(scores: &mut [f32], lse: &mut [f32], seen: &[f32], causal: bool) {
    let n = seen.len();
    each_row(
        scores,
        n,
        lse,
        #[inline(always)]
        |i, row, lse| {
            let (row, behind) = row.split_at_mut(reach(causal, i, n));
            behind.fill(0.0);
            let lse = *lse;
            for (s, m) in row.iter_mut().zip(seen) {
                let p = Real::exp(*s - lse);
                *s = if *m == 0.0 { 0.0 } else { p };
            }
        },
    );
}

/// Drops a share of the numbers and scales the others.
fn thin(x: &mut [f32], n: usize, batch: &Batch<'_>, task: usize, ignored: &mut [f32]) {
    each_row(
        x,
        n,
        ignored,
        #[inline(always)]
        |i, row, _| {
            let seed = batch.row_seed(task, i);
            for (j, p) in row.iter_mut().enumerate() {
                *p *= batch.keep.factor(seed, j);
            }
        },
    );
}

/// `scale · p (slope − total)`, into the slope.
fn differentiate(slope: &mut [f32], p: &[f32], total: &mut [f32], scale: f32) {
    let n = total.len();
    each_row(
        slope,
        n,
        total,
        #[inline(always)]
        |i, row, total| {
            let total = *total;
            for (s, p) in row.iter_mut().zip(&p[i * n..(i + 1) * n]) {
                *s = scale * p * (*s - total);
            }
        },
    );
}

/// The output `[batch · length, width]`, and the logarithms of the sums
/// `[batch · heads, length]`.
pub(super) fn forward(qkv: &Float, mask: &Float, heads: Heads, keep: Keep) -> (Float, Float) {
    let batch = Batch::new(qkv, mask, heads, keep);
    let Batch { texts, length, depth, .. } = batch;
    let tasks = texts * heads.count;
    let mut apart = vec![0f32; tasks * length * depth];
    let mut lse = vec![0f32; tasks * length];
    if !apart.is_empty() {
        let chunks = apart.par_chunks_mut(length * depth).zip(lse.par_chunks_mut(length));
        chunks.enumerate().for_each_init(Vec::new, |scores, (task, (out, lse))| {
            let (text, head) = (task / heads.count, task % heads.count);
            let seen = batch.seen(text);
            let n = seen.len();
            if n == 0 {
                return;
            }
            scores.resize(n * n, 0.0);
            let [q, k, v] = [0, 1, 2].map(|which| batch.part(which, text, head, n));
            matmul(square(scores, n), Accum::Replace, q, k.transpose(), batch.scale, Par::Seq);
            soften(scores, &mut lse[..n], seen, heads.causal);
            if heads.dropout > 0.0 {
                thin(scores, n, &batch, task, &mut lse[..n]);
            }
            let out = MatMut::from_row_major_slice_mut(&mut out[..n * depth], n, depth);
            let p = MatRef::from_row_major_slice(scores, n, n);
            matmul(out, Accum::Replace, p, v, 1.0, Par::Seq);
        });
    }
    let width = batch.width();
    let out = gather(&batch, width, |head| (head, 0, 1), &apart);
    (tensor(out, texts * length, width), tensor(lse, tasks, length))
}

/// `[batch, heads, parts, length, depth]` → `[batch · length, parts · width]`: `place` gives the
/// head, the part and the number of parts of a block of columns.
fn gather(
    batch: &Batch<'_>,
    columns: usize,
    place: impl Fn(usize) -> (usize, usize, usize) + Sync,
    apart: &[f32],
) -> Vec<f32> {
    let Batch { texts, length, depth, heads, .. } = *batch;
    fill_rows(texts * length, columns, columns, |row, out| {
        let (text, position) = (row / length, row % length);
        for (block, out) in out.chunks_exact_mut(depth).enumerate() {
            let (head, part, parts) = place(block);
            let task = text * heads.count + head;
            let start = ((task * parts + part) * length + position) * depth;
            out.copy_from_slice(&apart[start..start + depth]);
        }
    })
}

/// The gradient of `qkv`, from `[qkv, mask, out, lse, grad]`.
pub(super) fn backward(
    [qkv, mask, out, lse, grad]: [&Float; 5],
    heads: Heads,
    keep: Keep,
) -> Float {
    let batch = Batch::new(qkv, mask, heads, keep);
    let (out, lse, grad) = (values::<f32>(out), values::<f32>(lse), values::<f32>(grad));
    let Batch { texts, length, depth, .. } = batch;
    let mut apart = vec![0f32; texts * heads.count * 3 * length * depth];
    if !apart.is_empty() {
        let chunks = apart.par_chunks_mut(3 * length * depth).enumerate();
        chunks.for_each_init(Scratch::default, |scratch, (task, parts)| {
            let (text, head) = (task / heads.count, task % heads.count);
            let seen = batch.seen(text);
            let n = seen.len();
            if n == 0 {
                return;
            }
            let [q, k, v] = [0, 1, 2].map(|which| batch.part(which, text, head, n));
            let (o, g) = (batch.of(out, text, head, n), batch.of(grad, text, head, n));
            let Scratch { p, slope, kept, total, sums } = scratch;
            sums.clear();
            sums.extend_from_slice(&lse[task * length..task * length + n]);
            for x in [&mut *p, &mut *slope, &mut *kept] {
                x.resize(n * n, 0.0);
            }
            total.clear();
            total.extend((0..n).map(|i| (0..depth).map(|c| o[(i, c)] * g[(i, c)]).sum::<f32>()));

            matmul(square(p, n), Accum::Replace, q, k.transpose(), batch.scale, Par::Seq);
            weights(p, sums, seen, heads.causal);
            matmul(square(slope, n), Accum::Replace, g, v.transpose(), 1.0, Par::Seq);
            let used = if heads.dropout > 0.0 {
                kept.copy_from_slice(p);
                thin(kept, n, &batch, task, total);
                thin(slope, n, &batch, task, total);
                &*kept
            } else {
                &*p
            };
            let (query, rest) = parts.split_at_mut(length * depth);
            let (key, value) = rest.split_at_mut(length * depth);
            let used = MatRef::from_row_major_slice(used, n, n);
            let value = MatMut::from_row_major_slice_mut(&mut value[..n * depth], n, depth);
            matmul(value, Accum::Replace, used.transpose(), g, 1.0, Par::Seq);
            differentiate(slope, p, total, batch.scale);
            let slope = MatRef::from_row_major_slice(slope, n, n);
            let query = MatMut::from_row_major_slice_mut(&mut query[..n * depth], n, depth);
            matmul(query, Accum::Replace, slope, k, 1.0, Par::Seq);
            let key = MatMut::from_row_major_slice_mut(&mut key[..n * depth], n, depth);
            matmul(key, Accum::Replace, slope.transpose(), q, 1.0, Par::Seq);
        });
    }
    let columns = 3 * batch.width();
    let out =
        gather(&batch, columns, |block| (block % heads.count, block / heads.count, 3), &apart);
    tensor(out, texts * length, columns)
}

/// The matrices of one task.
#[derive(Default)]
struct Scratch {
    p: Vec<f32>,
    slope: Vec<f32>,
    kept: Vec<f32>,
    total: Vec<f32>,
    sums: Vec<f32>,
}
