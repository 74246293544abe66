//! Exact neighbours by Euclidean distance.
//!
//! Distances are screened in single precision, `|a|² + |b|² − 2 a·b`, with a bound on their
//! error, and what the bound leaves is settled in double precision, so the result is exact.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use ndarray::{ArrayView2, Axis};
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use crate::table::Features;
use crate::tree::Tree;

/// A row and its squared distance from the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) row: usize,
    pub(crate) squared: f64,
}

impl Neighbour {
    /// By distance, of equals by row.
    fn order(&self, other: &Self) -> Ordering {
        self.squared.total_cmp(&other.squared).then(self.row.cmp(&other.row))
    }
}

/// Which end of the distances is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Near,
    Far,
}

/// The `k` nearest of `pool` for each of `queries` (rows of `x`), the query itself excluded by
/// its row, nearest first, ties by row. `x` must be finite.
pub(crate) fn nearest(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    k: usize,
) -> Vec<Vec<Neighbour>> {
    best(x, queries, pool, k, End::Near)
}

/// The `k` farthest of `pool`, farthest first.
pub(crate) fn farthest(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    k: usize,
) -> Vec<Vec<Neighbour>> {
    best(x, queries, pool, k, End::Far)
}

fn best(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    k: usize,
    end: End,
) -> Vec<Vec<Neighbour>> {
    let empty = || queries.iter().map(|_| Best::new(k, end)).collect();
    if k == 0 {
        return vec![Vec::new(); queries.len()];
    }
    let found: Vec<Best> = scan(x, queries, pool, end, empty());
    found.into_par_iter().map(Best::sorted).collect()
}

/// Whether at least `needed` of `pool` are nearer to each query than a given neighbour of it, by
/// distance and then by row. A query is done with as soon as they are found.
pub(crate) fn crowded(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    needed: usize,
    than: &[Option<Neighbour>],
) -> Vec<bool> {
    // Without a stranger every row is nearer.
    let edge = Neighbour { row: usize::MAX, squared: f64::INFINITY };
    let tasks = than.iter().map(|than| Crowd { needed, than: than.unwrap_or(edge) }).collect();
    scan(x, queries, pool, End::Near, tasks).into_iter().map(|crowd| crowd.needed == 0).collect()
}

/// What a scan does with the rows it finds.
pub(crate) trait Visit: Send {
    /// Squared distances beyond this need not be shown.
    fn limit(&self) -> f64;
    /// Whether nothing more is wanted.
    fn done(&self) -> bool;
    fn visit(&mut self, found: Neighbour);
}

/// The k best so far, the worst of them on top.
struct Best {
    k: usize,
    end: End,
    found: BinaryHeap<Ranked>,
}

/// Ordered by the wanted end of the distances, then by row.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ranked {
    key: f64,
    neighbour: Neighbour,
}

impl Eq for Ranked {}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.total_cmp(&other.key).then(self.neighbour.row.cmp(&other.neighbour.row))
    }
}

impl Best {
    fn new(k: usize, end: End) -> Self {
        Self { k, end, found: BinaryHeap::new() }
    }

    fn sorted(self) -> Vec<Neighbour> {
        self.found.into_sorted_vec().into_iter().map(|ranked| ranked.neighbour).collect()
    }
}

impl Visit for Best {
    fn limit(&self) -> f64 {
        match self.found.peek() {
            Some(worst) if self.found.len() == self.k => worst.neighbour.squared,
            _ if self.end == End::Near => f64::INFINITY,
            _ => f64::NEG_INFINITY,
        }
    }

    fn done(&self) -> bool {
        false
    }

    fn visit(&mut self, neighbour: Neighbour) {
        let key = if self.end == End::Near { neighbour.squared } else { -neighbour.squared };
        let ranked = Ranked { key, neighbour };
        if self.found.len() < self.k {
            self.found.push(ranked);
        } else if let Some(mut worst) = self.found.peek_mut()
            && ranked < *worst
        {
            *worst = ranked;
        }
    }
}

/// How many more rows must be nearer than one.
struct Crowd {
    needed: usize,
    than: Neighbour,
}

impl Visit for Crowd {
    fn limit(&self) -> f64 {
        self.than.squared
    }

    fn done(&self) -> bool {
        self.needed == 0
    }

    fn visit(&mut self, found: Neighbour) {
        if found.order(&self.than).is_lt() {
            self.needed = self.needed.saturating_sub(1);
        }
    }
}

/// Queries of one task: few enough that tasks are many, enough that a tile pays.
const QUERIES: usize = 60;
/// Queries and rows of one step: the products fit in registers.
const GROUP: usize = 6;
const LANES: usize = 16;
/// One column of a panel, in one line of the cache: loads across lines cost twice.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Lanes([f32; LANES]);

/// Numbers of a tile of rows that stays in a core's cache.
const TILE: usize = 1 << 15;
/// Columns up to which a tree is faster, by measurement.
const FEW: usize = 4;
/// Below this many distances the plain loop is as fast.
const SMALL: usize = 1 << 14;

fn scan<V: Visit>(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    end: End,
    mut tasks: Vec<V>,
) -> Vec<V> {
    let many = queries.len() * pool.len() > SMALL;
    let dense = x.euclidean().filter(|_| many);
    if let Some(few) = dense.filter(|x| x.ncols() <= FEW && end == End::Near) {
        let tree = Tree::new(few, pool);
        tasks.par_iter_mut().zip(queries).for_each(|(task, &query)| tree.search(x, query, task));
        return tasks;
    }
    let screen = dense.and_then(|x| Screen::new(x, pool, end));
    match screen {
        Some(screen) => tasks
            .par_chunks_mut(QUERIES)
            .zip(queries.par_chunks(QUERIES))
            .for_each(|(tasks, queries)| screen.block(x, queries, pool, tasks)),
        None => {
            tasks.par_iter_mut().zip(queries).for_each(|(task, &query)| plain(x, query, pool, task))
        }
    }
    tasks
}

/// Every row by its exact distance.
fn plain<V: Visit>(x: &Features<'_>, query: usize, pool: &[usize], task: &mut V) {
    for &row in pool {
        if row != query {
            task.visit(Neighbour { row, squared: x.squared(query, row) });
        }
        if task.done() {
            return;
        }
    }
}

/// The pool in single precision, centred.
///
/// With `s` = 1 for near and −1 for far ends, `s · d²` of a pair is at least
/// `base(query) + least(row) − 2 s · product`.
struct Screen<'a> {
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
    fn new(x: ArrayView2<'a, f64>, pool: &[usize], end: End) -> Option<Self> {
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
        let fits = least.iter().take(pool.len() / LANES).flatten().all(|n| n.abs() < 1e30);
        (fits && columns > 0 && error < 0.1).then_some(Self {
            x,
            centre,
            end,
            panels,
            least,
            error,
        })
    }

    fn block<V: Visit>(
        &self,
        x: &Features<'_>,
        queries: &[usize],
        pool: &[usize],
        tasks: &mut [V],
    ) {
        let columns = self.x.ncols();
        let mut block = Block::default();
        for (at, &query) in queries.iter().enumerate() {
            let from = self.x.index_axis(Axis(0), query).into_iter().zip(&self.centre);
            let from: Vec<f32> = from.map(|(v, c)| (v - c) as f32).collect();
            let norm: f32 = from.iter().map(|v| v * v).sum();
            if norm < 1e30 {
                block.push(at, part(norm, self.error, self.end), from);
            } else {
                plain(x, query, pool, &mut tasks[at]);
            }
        }
        let tile = (TILE / LANES / columns).max(1);
        for start in (0..self.least.len()).step_by(tile) {
            let end = (start + tile).min(self.least.len());
            block.active.retain(|q| !tasks[q.at].done());
            for group in block.active.chunks(GROUP) {
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
                            let row = pool[(start + panel) * LANES + lane];
                            if row != queries[query.at] {
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

/// The queries of a task that still look for rows.
#[derive(Default)]
struct Block {
    active: Vec<Query>,
}

struct Query {
    at: usize,
    base: f32,
    values: Vec<f32>,
}

impl Block {
    fn push(&mut self, at: usize, base: f32, values: Vec<f32>) {
        self.active.push(Query { at, base, values });
    }
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

#[cfg(test)]
mod tests {
    use counterweight_core::rng;
    use ndarray::Array2;
    use rand::RngExt;

    use super::*;
    use crate::Table;

    #[test]
    fn screening_finds_what_the_plain_loop_finds() {
        for (rows, columns, scale, levels) in [
            (700, 5, 1.0, 0),
            (400, 33, 1e6, 0),
            (900, 3, 1.0, 4),
            (300, 1, 1e-8, 0),
            (300, 2, 1e20, 0),
            (500, 12, 1.0, 3),
            (500, 9, 1.0, 1),
            (400, 2, 1.0, 1),
        ] {
            let mut rng = rng(rows as u64);
            let x = Array2::from_shape_fn((rows, columns), |_| {
                let v: f64 = rng.random();
                // Few levels: many exact ties; an offset that single precision cannot resolve.
                (if levels > 0 { (v * f64::from(levels)).floor() } else { v }) * scale
                    + 100.0 * scale
            });
            let x = x.features();
            let queries: Vec<usize> = (0..rows).step_by(3).collect();
            let pool: Vec<usize> = (0..rows).filter(|r| r % 7 != 0).collect();
            for k in [1, 4, 25] {
                for end in [End::Near, End::Far] {
                    let slow = |&query: &usize| {
                        let mut task = Best::new(k, end);
                        plain(&x, query, &pool, &mut task);
                        task.sorted()
                    };
                    let slow: Vec<Vec<Neighbour>> = queries.iter().map(slow).collect();
                    let fast = best(&x, &queries, &pool, k, end);
                    assert_eq!(fast, slow, "{rows} {columns} {k} {end:?}");
                }
                let near = nearest(&x, &queries, &pool, k);
                let than: Vec<_> = near.iter().map(|near| near.last().copied()).collect();
                assert!(!crowded(&x, &queries, &pool, k, &than).contains(&true));
                assert!(!crowded(&x, &queries, &pool, k - 1, &than).contains(&false));
                assert!(!crowded(&x, &queries, &pool, k, &vec![None; than.len()]).contains(&false));
            }
        }
    }
}
