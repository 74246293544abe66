//! Distances screened in single precision, `|a|² + |b|² − 2 a·b`, with a bound on their error; what
//! the bound leaves is settled in double precision, so that the result is exact.

use std::ops::Range;

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
const TILE: usize = 1 << 16;
/// Panels that are looked at together before any row is: one by one, most of theirs would be among
/// the best so far.
const FIRST: usize = 4;
/// Rows wanted up to which a list of bounds is kept in order.
const SHORT: usize = 128;

/// The pool in single precision, centred.
///
/// With `s` = 1 for near and −1 for far ends, `s · d²` of a pair is at least
/// `base(query) − 2 (start(row) + s · product)`.
pub(super) struct Screen<'a> {
    x: ArrayView2<'a, f64>,
    centre: Vec<f64>,
    end: End,
    /// `LANES` rows at a time, column by column.
    panels: Vec<Lanes>,
    /// The rows' part of the bound, which a sum of products begins with.
    starts: Vec<Lanes>,
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
        let mut starts = vec![Lanes([f32::NEG_INFINITY; LANES]); groups];
        panels
            .par_chunks_mut(columns.max(1))
            .zip(&mut starts)
            .zip(pool.par_chunks(LANES))
            .for_each(|((panel, start), rows)| {
                for (lane, &row) in rows.iter().enumerate() {
                    let mut norm = 0.0;
                    let values = x.index_axis(Axis(0), row);
                    for ((entry, v), c) in panel.iter_mut().zip(values).zip(&centre) {
                        let v = (v - c) as f32;
                        entry.0[lane] = v;
                        norm += v * v;
                    }
                    start.0[lane] = -0.5 * part(norm, error, end);
                }
            });
        let fits = starts.iter().flat_map(|s| s.0).take(pool.len()).all(|s| s.abs() < 1e30);
        (fits && columns > 0 && error < 0.1).then_some(Self {
            x,
            centre,
            end,
            panels,
            starts,
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
        let sign = if self.end == End::Near { 1.0 } else { -1.0 };
        let wanted = tasks.first().and_then(V::wanted).filter(|k| *k <= SHORT);
        // One allocation for all lists: many small ones among the results leave gaps.
        let (k, room) = wanted.map_or((1, 1), |k| (k, 2 * k + 32));
        let mut most = vec![f32::INFINITY; k * queries.len()];
        let mut rows = vec![(0, 0.0); room * queries.len()];
        let mut lists = most.chunks_exact_mut(k).zip(rows.chunks_exact_mut(room));
        let mut active: Vec<Query> = Vec::with_capacity(queries.len());
        // Centred and with the end's sign.
        let mut values: Vec<f32> = Vec::with_capacity(queries.len() * columns);
        for (at, &row) in queries.iter().enumerate() {
            let from = self.x.index_axis(Axis(0), row).into_iter().zip(&self.centre);
            values.extend(from.map(|(v, c)| sign * (v - c) as f32));
            let norm: f32 = values[at * columns..].iter().map(|v| v * v).sum();
            if norm < 1e30 {
                let base = part(norm, self.error, self.end);
                let list = lists.next().filter(|_| wanted.is_some());
                let shortlist = list.map(|(most, rows)| Shortlist::new(most, rows));
                active.push(Query { at, row, base, shortlist });
            } else {
                plain(x, row, pool, &mut tasks[at]);
            }
        }
        // A lane more than rows wanted, since the query may be in the pool.
        let few = wanted.is_some_and(|k| k < LANES);
        let first = if few { FIRST.min(self.starts.len()) } else { 0 };
        let begun = if few { &mut active[..] } else { &mut [] };
        for group in begun.chunks_mut(GROUP) {
            let mut sums = Vec::with_capacity(first * GROUP);
            let lines = lines(group, &values, columns);
            let any = [f32::NEG_INFINITY; GROUP];
            self.step(0..first, &lines, any, |_, _, found, _| sums.push(*found));
            for (i, query) in group.iter_mut().enumerate() {
                let sums = sums.iter().skip(i).step_by(GROUP);
                self.limit(query, sums.clone());
                let task = &mut tasks[query.at];
                let mut needed = self.needed(query, task);
                for (panel, sums) in sums.enumerate() {
                    self.visit(x, pool, (panel, sums), query, task, &mut needed);
                }
            }
        }
        let tile = (TILE / LANES / columns).max(1);
        for start in (first..self.starts.len()).step_by(tile) {
            let end = (start + tile).min(self.starts.len());
            active.retain(|q| !tasks[q.at].done());
            for group in active.chunks_mut(GROUP) {
                let mut needed = [f32::INFINITY; GROUP];
                for (needed, query) in needed.iter_mut().zip(group.iter()) {
                    *needed = self.needed(query, &tasks[query.at]);
                }
                let lines = lines(group, &values, columns);
                self.step(start..end, &lines, needed, |panel, i, sums, needed| {
                    let query = &mut group[i];
                    let task = &mut tasks[query.at];
                    self.visit(x, pool, (start + panel, sums), query, task, needed);
                });
            }
        }
        for query in &mut active {
            query.settle(x, &mut tasks[query.at]);
        }
    }

    /// Products of a group of queries with some panels.
    fn step<H>(&self, panels: Range<usize>, lines: &[[f32; GROUP]], needed: [f32; GROUP], hit: H)
    where
        H: FnMut(usize, usize, &Lanes, &mut f32),
    {
        let starts = &self.starts[panels.clone()];
        let columns = lines.len();
        let panels = &self.panels[panels.start * columns..panels.end * columns];
        Arch::new().dispatch(Step { panels, starts, lines, needed, hit });
    }

    /// Bounds a query's best by the first panels: the best of each lane are that many rows.
    fn limit<'s>(&self, query: &mut Query<'_>, sums: impl Iterator<Item = &'s Lanes>) {
        let Query { base, shortlist: Some(list), .. } = query else { return };
        let mut best = [f32::INFINITY; LANES];
        for (sums, starts) in sums.zip(&self.starts) {
            for ((best, &sum), &start) in best.iter_mut().zip(&sums.0).zip(&starts.0) {
                let most = *base - 2.0 * sum + self.slack(*base, start);
                *best = if most < *best { most } else { *best };
            }
        }
        best.sort_unstable_by(f32::total_cmp);
        list.limit = list.limit.min(best[list.most.len()].next_up());
    }

    /// Takes the rows of a panel whose sums reach what is needed.
    fn visit<V: Visit>(
        &self,
        x: &Features<'_>,
        pool: &[usize],
        (panel, sums): (usize, &Lanes),
        query: &mut Query<'_>,
        task: &mut V,
        needed: &mut f32,
    ) {
        let enough = sums.0.iter().enumerate();
        let enough = enough.map(|(lane, sum)| u32::from(*sum >= *needed) << lane);
        let mut enough: u32 = enough.sum();
        while enough != 0 {
            let lane = enough.trailing_zeros() as usize;
            enough &= enough - 1;
            let sum = sums.0[lane];
            // Lanes without a row reach it too where no limit is known yet.
            if sum >= *needed
                && let Some(&row) = pool.get(panel * LANES + lane)
                && row != query.row
            {
                let slack = self.slack(query.base, self.starts[panel].0[lane]);
                query.found(x, task, row, query.base - 2.0 * sum, slack);
                *needed = self.needed(query, task);
            }
        }
    }

    /// By how much a row's screened distance may exceed its lower bound; more than twice the error.
    fn slack(&self, base: f32, start: f32) -> f32 {
        3.0 * self.error * (base - 2.0 * start).abs()
    }

    /// What a sum must reach to be within the task's limit, rounded down.
    fn needed<V: Visit>(&self, query: &Query<'_>, task: &V) -> f32 {
        if task.done() {
            return f32::INFINITY;
        }
        let limit = if self.end == End::Near { task.limit() } else { -task.limit() };
        let limit = (limit as f32).next_up();
        let limit = query.shortlist.as_ref().map_or(limit, |list| limit.min(list.limit));
        0.5 * (query.base - limit)
    }
}

/// A group's values, column by column.
fn lines(group: &[Query<'_>], values: &[f32], columns: usize) -> Vec<[f32; GROUP]> {
    let mut lines = vec![[0.0; GROUP]; columns];
    for (i, query) in group.iter().enumerate() {
        let values = &values[query.at * columns..];
        lines.iter_mut().zip(values).for_each(|(line, v)| line[i] = *v);
    }
    lines
}

/// One side's part of the lower bound of `s · d²`.
fn part(norm: f32, error: f32, end: End) -> f32 {
    match end {
        End::Near => norm * (1.0 - error),
        End::Far => -norm * (1.0 + error),
    }
}

/// A query that still looks for rows.
struct Query<'l> {
    /// Its place among the queries.
    at: usize,
    row: usize,
    /// Its part of the bound.
    base: f32,
    shortlist: Option<Shortlist<'l>>,
}

impl Query<'_> {
    /// Takes a row whose `s · d²` lies between `least` and `least + slack`.
    fn found<V: Visit>(
        &mut self,
        x: &Features<'_>,
        task: &mut V,
        row: usize,
        least: f32,
        slack: f32,
    ) {
        match &mut self.shortlist {
            Some(list) => {
                list.add(row, least, slack);
                if list.full() {
                    self.settle(x, task);
                }
            }
            None => task.visit(Neighbour { row, squared: x.squared(self.row, row) }),
        }
    }

    /// Shows the task the rows that may still be wanted, with their exact distances.
    fn settle<V: Visit>(&mut self, x: &Features<'_>, task: &mut V) {
        let Some(list) = &mut self.shortlist else { return };
        for &(row, least) in &list.rows[..list.len] {
            if least <= list.limit {
                task.visit(Neighbour { row, squared: x.squared(self.row, row) });
            }
        }
        list.len = 0;
    }
}

/// Rows that may be among the best: most of them are outdone before an exact distance is needed.
struct Shortlist<'l> {
    /// The smallest upper bounds, as many as rows wanted, in order.
    most: &'l mut [f32],
    /// No row beyond this is among the best.
    limit: f32,
    /// Rows and their lower bounds, the first `len` of them.
    rows: &'l mut [(usize, f32)],
    len: usize,
}

impl<'l> Shortlist<'l> {
    fn new(most: &'l mut [f32], rows: &'l mut [(usize, f32)]) -> Self {
        Self { most, limit: f32::INFINITY, rows, len: 0 }
    }

    /// Adds a row to a list that is not full.
    fn add(&mut self, row: usize, least: f32, slack: f32) {
        self.rows[self.len] = (row, least);
        self.len += 1;
        let most = (least + slack).next_up();
        let last = self.most.len() - 1;
        let mut place = last;
        if most < self.most[place] {
            while place > 0 && most < self.most[place - 1] {
                self.most[place] = self.most[place - 1];
                place -= 1;
            }
            self.most[place] = most;
            self.limit = self.limit.min(self.most[last]);
        }
    }

    /// Whether to settle now, since of equal rows there may be any number.
    fn full(&self) -> bool {
        self.len == self.rows.len()
    }
}

/// Sums of products of a group of queries with panels; `hit` sees a panel's sums for a query when
/// one is as large as needed.
struct Step<'a, H> {
    panels: &'a [Lanes],
    starts: &'a [Lanes],
    lines: &'a [[f32; GROUP]],
    needed: [f32; GROUP],
    hit: H,
}

impl<H> WithSimd for Step<'_, H>
where
    H: FnMut(usize, usize, &Lanes, &mut f32),
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
    H: FnMut(usize, usize, &Lanes, &mut f32),
{
    #[inline(always)]
    fn run<S: Simd, const N: usize>(mut self, simd: S) {
        if N * S::F32_LANES != LANES {
            return;
        }
        let columns = self.lines.len();
        let panels = self.panels.chunks_exact(columns);
        for (at, (panel, start)) in panels.zip(self.starts).enumerate() {
            let Some(start) = S::as_simd_f32s(&start.0).0.first_chunk::<N>() else { return };
            let mut sums = [*start; GROUP];
            for (column, line) in panel.iter().zip(self.lines) {
                let Some(column) = S::as_simd_f32s(&column.0).0.first_chunk::<N>() else { return };
                for (sums, &v) in sums.iter_mut().zip(line) {
                    let v = simd.splat_f32s(v);
                    for (sum, &c) in sums.iter_mut().zip(column) {
                        *sum = simd.mul_add_e_f32s(c, v, *sum);
                    }
                }
            }
            let mut any = simd.less_than_f32s(simd.splat_f32s(1.0), simd.splat_f32s(0.0));
            for (sums, &needed) in sums.iter().zip(&self.needed) {
                let needed = simd.splat_f32s(needed);
                for &sum in sums {
                    any = simd.or_m32s(any, simd.greater_than_or_equal_f32s(sum, needed));
                }
            }
            if simd.first_true_m32s(any) == S::F32_LANES {
                continue;
            }
            for (i, sums) in sums.iter().enumerate() {
                let needed = simd.splat_f32s(self.needed[i]);
                let within =
                    |sum| simd.first_true_m32s(simd.greater_than_or_equal_f32s(sum, needed));
                if sums.iter().any(|&sum| within(sum) < S::F32_LANES) {
                    let mut lanes = Lanes([0.0; LANES]);
                    let (out, _) = S::as_mut_simd_f32s(&mut lanes.0);
                    out.iter_mut().zip(sums).for_each(|(lane, sum)| *lane = *sum);
                    (self.hit)(at, i, &lanes, &mut self.needed[i]);
                }
            }
        }
    }
}
