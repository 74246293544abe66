//! Distances screened in single precision, `|a|² + |b|² − 2 a·b`, with a bound on their error; what
//! the bound leaves is settled in double precision, so that the result is exact.

use ndarray::{ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{End, Neighbour, Visit, plain};
use crate::table::Features;

/// Queries of one task: few enough that tasks are many, enough that a tile pays.
pub(super) const QUERIES: usize = 60;
/// Queries and rows of one step: the products fit in registers.
const GROUP: usize = 6;
const LANES: usize = 16;
/// One column of a panel, in one line of the cache: loads across lines cost twice.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes([f32; LANES]);

/// Numbers of a tile of rows that stays in a core's cache.
const TILE: usize = 1 << 15;
/// The pool in single precision, centred.
///
/// With `s` = 1 for near and −1 for far ends, `s · d²` of a pair is at least
/// `base(query) + least(row) − 2 s · product`.
pub(super) struct Screen<'a> {
    x: ArrayView2<'a, f64>,
    centre: Vec<f64>,
    end: End,
    /// `LANES` rows at a time, column by column.
    panels: Vec<Lanes>,
    /// The rows' part of the bound.
    least: Vec<[f32; LANES]>,
    /// The error of a screened distance, relative to the sum of both squared norms.
    error: f32,
}

impl<'a> Screen<'a> {
    /// `None` when single precision cannot hold the data.
    pub(super) fn new(x: ArrayView2<'a, f64>, pool: &[usize], end: End) -> Option<Self> {
        let columns = x.ncols();
        let mut centre = vec![0.0; columns];
        for &row in pool {
            centre.iter_mut().zip(x.index_axis(Axis(0), row)).for_each(|(c, v)| *c += v);
        }
        centre.iter_mut().for_each(|c| *c /= pool.len() as f64);
        // Rounding of the entries, of products and sums (each at most one unit per term), and of
        // the last three operations; the factor 4 covers both norms and their root.
        let error = 4.0 * (columns as f32 + 8.0) * f32::EPSILON;
        let groups = pool.len().div_ceil(LANES);
        let mut panels = vec![Lanes([0.0; LANES]); groups * columns];
        // Lanes without a row are never near.
        let mut least = vec![[f32::INFINITY; LANES]; groups];
        panels.par_chunks_mut(columns.max(1)).zip(&mut least).zip(pool.par_chunks(LANES)).for_each(
            |((panel, least), rows)| {
                for (lane, &row) in rows.iter().enumerate() {
                    let mut norm = 0.0;
                    let values = x.index_axis(Axis(0), row);
                    for ((entry, v), c) in panel.iter_mut().zip(values).zip(&centre) {
                        let v = (v - c) as f32;
                        entry.0[lane] = v;
                        norm += v * v;
                    }
                    least[lane] = part(norm, error, end);
                }
            },
        );
        let fits = least.iter().flatten().take(pool.len()).all(|n| n.abs() < 1e30);
        (fits && columns > 0 && error < 0.1).then_some(Self {
            x,
            centre,
            end,
            panels,
            least,
            error,
        })
    }

    /// Shows the tasks of some queries every row that may be within their limits.
    pub(super) fn block<V: Visit>(
        &self,
        x: &Features<'_>,
        queries: &[usize],
        pool: &[usize],
        tasks: &mut [V],
    ) {
        let columns = self.x.ncols();
        let mut active: Vec<Query> = Vec::new();
        for (at, &query) in queries.iter().enumerate() {
            let from = self.x.index_axis(Axis(0), query).into_iter().zip(&self.centre);
            let from: Vec<f32> = from.map(|(v, c)| (v - c) as f32).collect();
            let norm: f32 = from.iter().map(|v| v * v).sum();
            if norm < 1e30 {
                active.push(Query { at, base: part(norm, self.error, self.end), values: from });
            } else {
                plain(x, query, pool, &mut tasks[at]);
            }
        }
        let tile = (TILE / LANES / columns).max(1);
        for start in (0..self.least.len()).step_by(tile) {
            let end = (start + tile).min(self.least.len());
            active.retain(|q| !tasks[q.at].done());
            for group in active.chunks(GROUP) {
                let mut lines = vec![[0.0; GROUP]; columns];
                let mut base = [f32::INFINITY; GROUP];
                let mut limit = [f32::NEG_INFINITY; GROUP];
                for (i, query) in group.iter().enumerate() {
                    base[i] = query.base;
                    limit[i] = self.limit(&tasks[query.at]);
                    lines.iter_mut().zip(&query.values).for_each(|(line, v)| line[i] = *v);
                }
                let hit = |panel: usize, i: usize, scores: &[f32; LANES], limit: &mut f32| {
                    let query = &group[i];
                    let task = &mut tasks[query.at];
                    for (lane, score) in scores.iter().enumerate() {
                        if *score <= *limit && !task.done() {
                            let place = (start + panel) * LANES + lane;
                            // Without a limit yet, lanes without a row are within it too.
                            let row = pool.get(place).filter(|row| **row != queries[query.at]);
                            if let Some(&row) = row {
                                let squared = x.squared(queries[query.at], row);
                                task.visit(Neighbour { row, squared });
                                *limit = self.limit(task);
                            }
                        }
                    }
                };
                Arch::new().dispatch(Step {
                    panels: &self.panels[start * columns..end * columns],
                    least: &self.least[start..end],
                    lines: &lines,
                    base,
                    limit,
                    twice: if self.end == End::Near { -2.0 } else { 2.0 },
                    hit,
                });
            }
        }
    }

    /// The task's limit for bounds, rounded up.
    fn limit<V: Visit>(&self, task: &V) -> f32 {
        if task.done() {
            return f32::NEG_INFINITY;
        }
        let limit = if self.end == End::Near { task.limit() } else { -task.limit() };
        (limit as f32).next_up()
    }
}

/// One side's part of the lower bound of `s · d²`.
fn part(norm: f32, error: f32, end: End) -> f32 {
    match end {
        End::Near => norm * (1.0 - error),
        End::Far => -norm * (1.0 + error),
    }
}

/// A query that still looks for rows.
struct Query {
    /// Its place among the queries.
    at: usize,
    /// Its part of the bound.
    base: f32,
    values: Vec<f32>,
}

/// Bounds of a group of queries against panels; `hit` sees a panel's bounds for a query when one
/// is within its limit.
struct Step<'a, H> {
    panels: &'a [Lanes],
    least: &'a [[f32; LANES]],
    lines: &'a [[f32; GROUP]],
    base: [f32; GROUP],
    limit: [f32; GROUP],
    twice: f32,
    hit: H,
}

impl<H> WithSimd for Step<'_, H>
where
    H: FnMut(usize, usize, &[f32; LANES], &mut f32),
{
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The registers that hold a panel's column.
        match LANES / S::F32_LANES {
            1 => self.run::<S, 1>(simd),
            2 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            _ => self.run::<S, LANES>(simd),
        }
    }
}

impl<H> Step<'_, H>
where
    H: FnMut(usize, usize, &[f32; LANES], &mut f32),
{
    #[inline(always)]
    fn run<S: Simd, const N: usize>(mut self, simd: S) {
        if N * S::F32_LANES != LANES {
            return;
        }
        let columns = self.lines.len();
        let twice = simd.splat_f32s(self.twice);
        let panels = self.panels.chunks_exact(columns);
        for (at, (panel, least)) in panels.zip(self.least).enumerate() {
            let mut sums = [[simd.splat_f32s(0.0); N]; GROUP];
            for (column, line) in panel.iter().zip(self.lines) {
                let Some(column) = S::as_simd_f32s(&column.0).0.first_chunk::<N>() else { return };
                for (sums, &v) in sums.iter_mut().zip(line) {
                    let v = simd.splat_f32s(v);
                    for (sum, &c) in sums.iter_mut().zip(column) {
                        *sum = simd.mul_add_e_f32s(c, v, *sum);
                    }
                }
            }
            let (least, _) = S::as_simd_f32s(least).0.as_chunks::<N>();
            let mut any = simd.less_than_f32s(simd.splat_f32s(1.0), simd.splat_f32s(0.0));
            for (i, sums) in sums.iter_mut().enumerate() {
                let base = simd.splat_f32s(self.base[i]);
                let limit = simd.splat_f32s(self.limit[i]);
                for (sum, &least) in sums.iter_mut().zip(&least[0]) {
                    *sum = simd.mul_add_e_f32s(twice, *sum, simd.add_f32s(base, least));
                    any = simd.or_m32s(any, simd.less_than_or_equal_f32s(*sum, limit));
                }
            }
            if simd.first_true_m32s(any) == S::F32_LANES {
                continue;
            }
            for (i, sums) in sums.iter().enumerate() {
                let limit = simd.splat_f32s(self.limit[i]);
                let within = |sum| simd.first_true_m32s(simd.less_than_or_equal_f32s(sum, limit));
                if sums.iter().any(|&sum| within(sum) < S::F32_LANES) {
                    let mut scores = [0.0; LANES];
                    let (out, _) = S::as_mut_simd_f32s(&mut scores);
                    out.iter_mut().zip(sums).for_each(|(score, sum)| *score = *sum);
                    (self.hit)(at, i, &scores, &mut self.limit[i]);
                }
            }
        }
    }
}
