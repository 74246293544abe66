//! Exact nearest neighbours by Euclidean distance.

use ndarray::{Array2, ArrayView2, Axis};
use rayon::prelude::*;

/// A row and its squared distance from the query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Neighbour {
    pub(crate) row: usize,
    pub(crate) squared: f64,
}

/// Queries of one task and rows of one product: both blocks stay in a core's cache.
const QUERIES: usize = 64;
const TILE: usize = 1024;
/// Distances that are compared together.
const LANES: usize = 32;
/// Below this many distances a plain loop is as fast.
const SMALL: usize = 1 << 14;

/// The `k` nearest of `pool` for each of `queries` (rows of `x`), the query itself excluded by
/// its row, nearest first, ties by row. `x` must be finite.
///
/// Distances are screened in single precision by matrix products, `|a|² + |b|² − 2 a·b`, with a
/// bound on their error; what the bound leaves is settled in double precision, so the result
/// is exact.
pub(crate) fn nearest(
    x: ArrayView2<'_, f64>,
    queries: &[usize],
    pool: &[usize],
    k: usize,
) -> Vec<Vec<Neighbour>> {
    if queries.len() * pool.len() > SMALL
        && k > 0
        && let Some(screen) = Screen::new(x, pool)
    {
        let blocks: Vec<Vec<Vec<Neighbour>>> =
            queries.par_chunks(QUERIES).map(|block| screen.block(x, block, pool, k)).collect();
        return blocks.into_iter().flatten().collect();
    }
    queries.par_iter().map(|&query| settle(x, query, pool.iter().copied(), k)).collect()
}

/// The `k` nearest of some rows by exact distances.
fn settle(
    x: ArrayView2<'_, f64>,
    query: usize,
    rows: impl Iterator<Item = usize>,
    k: usize,
) -> Vec<Neighbour> {
    let from = x.index_axis(Axis(0), query);
    let mut found: Vec<Neighbour> = rows
        .filter(|&row| row != query)
        .map(|row| {
            let to = x.index_axis(Axis(0), row);
            let squared = from.iter().zip(to).map(|(a, b)| (a - b) * (a - b)).sum();
            Neighbour { row, squared }
        })
        .collect();
    let order =
        |a: &Neighbour, b: &Neighbour| a.squared.total_cmp(&b.squared).then(a.row.cmp(&b.row));
    if found.len() > k {
        found.select_nth_unstable_by(k, order);
        found.truncate(k);
    }
    found.sort_unstable_by(order);
    found
}

/// The pool in single precision, centred, with squared norms.
struct Screen {
    centre: Vec<f64>,
    rows: Array2<f32>,
    norms: Vec<f32>,
    /// The norms less the error they may bring into a distance.
    least: Vec<f32>,
    /// The error of a screened distance, relative to the sum of both squared norms.
    error: f32,
}

impl Screen {
    /// `None` when single precision cannot hold the data.
    fn new(x: ArrayView2<'_, f64>, pool: &[usize]) -> Option<Self> {
        let centre: Vec<f64> = (0..x.ncols())
            .map(|c| pool.iter().map(|&row| x[[row, c]] / pool.len() as f64).sum())
            .collect();
        let rows = single(x, pool, &centre);
        let norms: Vec<f32> = squared_norms(&rows);
        // Rounding of the entries, of products and sums (each at most one unit per term), and of
        // the last three operations; the factor 4 covers both norms and their root.
        let error = 4.0 * (x.ncols() as f32 + 8.0) * f32::EPSILON;
        let fits = norms.iter().all(|n| n.is_finite() && *n < 1e30) && error < 0.1;
        let least = norms.iter().map(|n| n * (1.0 - error)).collect();
        fits.then_some(Self { centre, rows, norms, least, error })
    }

    fn block(
        &self,
        x: ArrayView2<'_, f64>,
        queries: &[usize],
        pool: &[usize],
        k: usize,
    ) -> Vec<Vec<Neighbour>> {
        let from = single(x, queries, &self.centre);
        let norms = squared_norms(&from);
        let mut candidates: Vec<Candidates> = queries.iter().map(|_| Candidates::new(k)).collect();
        for start in (0..pool.len()).step_by(TILE) {
            let end = (start + TILE).min(pool.len());
            let products = from.dot(&self.rows.slice_axis(Axis(0), (start..end).into()).t());
            let products = products.as_standard_layout();
            for (i, row) in products.outer_iter().enumerate() {
                if !norms[i].is_finite() {
                    continue;
                }
                let list = &mut candidates[i];
                let base = norms[i] * (1.0 - self.error);
                let Some(row) = row.to_slice() else { continue };
                let tile = row.chunks(LANES).zip(self.least[start..end].chunks(LANES));
                for (at, (products, least)) in tile.enumerate() {
                    // Without branches, so that it is one pass of vector instructions.
                    let lower = |(product, least): (&f32, &f32)| base + least - 2.0 * product;
                    let near = products.iter().zip(least);
                    if !near.clone().fold(false, |any, pair| any | (lower(pair) <= list.limit)) {
                        continue;
                    }
                    for (j, pair) in near.enumerate() {
                        let (at, bound) = (start + at * LANES + j, lower(pair));
                        if bound <= list.limit && pool[at] != queries[i] {
                            let slack = self.error * (norms[i] + self.norms[at]);
                            list.add(bound, bound + 2.0 * slack, pool[at]);
                        }
                    }
                }
            }
        }
        let exact = |(list, (&query, norm)): (Candidates, (&usize, &f32))| {
            if norm.is_finite() && *norm < 1e30 {
                settle(x, query, list.rows(), k)
            } else {
                settle(x, query, pool.iter().copied(), k)
            }
        };
        candidates.into_iter().zip(queries.iter().zip(&norms)).map(exact).collect()
    }
}

/// Rows that may be among the k nearest.
struct Candidates {
    k: usize,
    /// No row whose distance is above this can be one.
    limit: f32,
    /// The length at which to prune.
    full: usize,
    found: Vec<(f32, f32, usize)>,
}

impl Candidates {
    fn new(k: usize) -> Self {
        let full = 4 * k + 64;
        Self { k, limit: f32::INFINITY, full, found: Vec::with_capacity(full) }
    }

    fn add(&mut self, least: f32, most: f32, row: usize) {
        self.found.push((least, most, row));
        if self.found.len() >= self.full {
            self.prune();
            // Many ties stay: wait for as many again, or every further one would prune.
            self.full = self.full.max(2 * self.found.len());
        }
    }

    /// The k-th smallest upper bound is a limit for the lower bounds.
    fn prune(&mut self) {
        if self.found.len() > self.k {
            let (_, kth, _) =
                self.found.select_nth_unstable_by(self.k - 1, |a, b| a.1.total_cmp(&b.1));
            self.limit = kth.1;
            let limit = self.limit;
            self.found.retain(|c| c.0 <= limit);
        }
    }

    fn rows(mut self) -> impl Iterator<Item = usize> {
        self.prune();
        self.found.into_iter().map(|c| c.2)
    }
}

fn single(x: ArrayView2<'_, f64>, rows: &[usize], centre: &[f64]) -> Array2<f32> {
    Array2::from_shape_fn((rows.len(), x.ncols()), |(r, c)| (x[[rows[r], c]] - centre[c]) as f32)
}

fn squared_norms(rows: &Array2<f32>) -> Vec<f32> {
    rows.outer_iter().map(|row| row.iter().map(|v| v * v).sum()).collect()
}

#[cfg(test)]
mod tests {
    use counterweight_core::rng;
    use rand::RngExt;

    use super::*;

    #[test]
    fn screening_finds_what_the_plain_loop_finds() {
        for (rows, columns, scale, levels) in [
            (700, 5, 1.0, 0),
            (400, 33, 1e6, 0),
            (900, 3, 1.0, 4),
            (300, 1, 1e-8, 0),
            (300, 2, 1e20, 0),
        ] {
            let mut rng = rng(rows as u64);
            let x = Array2::from_shape_fn((rows, columns), |_| {
                let v: f64 = rng.random();
                // Few levels: many exact ties; an offset that single precision cannot resolve.
                (if levels > 0 { (v * f64::from(levels)).floor() } else { v }) * scale
                    + 100.0 * scale
            });
            let queries: Vec<usize> = (0..rows).step_by(3).collect();
            let pool: Vec<usize> = (0..rows).filter(|r| r % 7 != 0).collect();
            for k in [1, 4, 25] {
                let plain: Vec<Vec<Neighbour>> =
                    queries.iter().map(|&q| settle(x.view(), q, pool.iter().copied(), k)).collect();
                assert_eq!(nearest(x.view(), &queries, &pool, k), plain, "{rows} {columns} {k}");
            }
        }
    }
}
