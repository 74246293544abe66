//! Neighbours by Euclidean distance, exactly: a tree where columns are few, a screen where they are
//! many, every distance where there are few rows. Where it is asked for, by a graph.

mod hnsw;
mod screen;
mod tree;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use rayon::prelude::*;

use hnsw::Graph;
use screen::{QUERIES, Screen};
use tree::Tree;

use crate::approximate::Search;
use crate::table::Features;

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
    if k == 0 {
        return vec![Vec::new(); queries.len()];
    }
    let found = scan(x, queries, pool, end, |_| Best::new(k, end), Best::sorted);
    if let Some(search) = by_graph(x, queries, pool, end) {
        let step = queries.len().div_ceil(CHECKED);
        let checked: Vec<(usize, usize)> = (0..queries.len())
            .into_par_iter()
            .filter(|at| at % step == 0)
            .map(|at| {
                let mut exact = Best::new(k, end);
                plain(x, queries[at], pool, &mut exact);
                let exact = exact.sorted();
                // Of equals any will do.
                let edge = exact.last().map_or(0.0, |last| last.squared);
                let right = found[at].iter().filter(|near| near.squared <= edge).count();
                (right, exact.len())
            })
            .collect();
        checked.into_iter().for_each(|(right, all)| search.note(right, all));
    }
    found
}

/// Queries of a search by a graph that are also searched exactly, for its recall.
const CHECKED: usize = 64;

/// How to search where it is worth a graph and need not be exact.
fn by_graph<'a>(
    x: &'a Features<'_>,
    queries: &[usize],
    pool: &[usize],
    end: End,
) -> Option<&'a Search> {
    let search = x.approximate().filter(|_| end == End::Near)?;
    let worth = queries.len() * pool.len() > SMALL && pool.len() > 2 * search.effort;
    worth.then_some(search)
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
    let task = |at: usize| Crowd { needed, than: than[at].unwrap_or(edge) };
    scan(x, queries, pool, End::Near, task, |crowd| crowd.needed == 0)
}

/// What a scan does with the rows it finds.
pub(crate) trait Visit: Send {
    /// Squared distances beyond this need not be shown.
    fn limit(&self) -> f64;
    /// Whether nothing more is wanted.
    fn done(&self) -> bool;
    /// How many of the best rows are wanted, when it is them alone.
    fn wanted(&self) -> Option<usize>;
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
        let ranked = self.found.into_sorted_vec();
        // Memory of its own and no more: there is one for each query.
        let mut found = Vec::with_capacity(ranked.len());
        found.extend(ranked.iter().map(|ranked| ranked.neighbour));
        found
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

    fn wanted(&self) -> Option<usize> {
        Some(self.k)
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

    fn wanted(&self) -> Option<usize> {
        None
    }

    fn visit(&mut self, found: Neighbour) {
        if found.order(&self.than).is_lt() {
            self.needed = self.needed.saturating_sub(1);
        }
    }
}

/// Columns up to which a tree is faster, by measurement.
const FEW: usize = 4;
/// Below this many distances the plain loop is as fast.
const SMALL: usize = 1 << 14;

/// What becomes of each query's task, made from its place among the queries.
fn scan<V: Visit, R: Send>(
    x: &Features<'_>,
    queries: &[usize],
    pool: &[usize],
    end: End,
    task: impl Fn(usize) -> V + Sync,
    finish: impl Fn(V) -> R + Sync,
) -> Vec<R> {
    let each = |search: &(dyn Fn(usize, usize, &mut V) + Sync)| {
        let one = |(at, &query): (usize, &usize)| {
            let mut task = task(at);
            search(at, query, &mut task);
            finish(task)
        };
        queries.par_iter().enumerate().map(one).collect()
    };
    if let (Some(search), Some(dense)) = (by_graph(x, queries, pool, end), x.euclidean()) {
        let Search { links, effort, seed, .. } = *search;
        let graph = Graph::new(dense, pool, links, effort, seed);
        let candidates = graph.candidates(dense, queries);
        return each(&|at, query, task| {
            let pool: Vec<usize> = candidates[at].iter().map(|&place| pool[place]).collect();
            plain(x, query, &pool, task);
        });
    }
    let many = queries.len() * pool.len() > SMALL;
    let dense = x.euclidean().filter(|_| many);
    if let Some(few) = dense.filter(|x| x.ncols() <= FEW && end == End::Near) {
        let tree = Tree::new(few, pool);
        return each(&|_, query, task| tree.search(x, query, task));
    }
    let Some(screen) = dense.and_then(|x| Screen::new(x, pool, end)) else {
        return each(&|_, query, task| plain(x, query, pool, task));
    };
    let block = |(block, queries): (usize, &[usize])| {
        let first = block * QUERIES;
        let mut tasks: Vec<V> = (first..first + queries.len()).map(&task).collect();
        screen.block(x, queries, pool, &mut tasks);
        tasks.into_iter().map(&finish).collect::<Vec<R>>()
    };
    queries.par_chunks(QUERIES).enumerate().flat_map_iter(block).collect()
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

#[cfg(test)]
mod tests {
    use counterweight_core::rng;
    use ndarray::Array2;
    use rand::RngExt;

    use super::*;
    use crate::{Approximate, Table};

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
            let x = x.features().unwrap();
            let queries: Vec<usize> = (0..rows).step_by(3).collect();
            let pool: Vec<usize> = (0..rows).filter(|r| r % 7 != 0).collect();
            for k in [1, 4, 15, 16, 25, 130] {
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

    #[test]
    fn a_graph_finds_most_of_what_is_near() {
        let mut rng = rng(1);
        for (rows, columns) in [(2500, 8), (1500, 32), (1500, 2)] {
            let x = Array2::from_shape_fn((rows, columns), |_| {
                (0..4).map(|_| rng.random::<f64>()).sum::<f64>() + 1e3
            });
            let exact = x.features().unwrap();
            let queries: Vec<usize> = (0..rows).step_by(2).collect();
            let pool: Vec<usize> = (0..rows).filter(|r| r % 5 != 0).collect();
            let truth = nearest(&exact, &queries, &pool, 6);
            let mut before: Option<Vec<Vec<Neighbour>>> = None;
            for threads in [1, 3] {
                let table = Approximate::new(&x);
                let run = || nearest(&table.features().unwrap(), &queries, &pool, 6);
                let threads = rayon::ThreadPoolBuilder::new().num_threads(threads);
                let found = threads.build().unwrap().install(run);
                assert!(
                    found.iter().zip(&queries).all(|(near, q)| near.iter().all(|n| n.row != *q))
                );
                let hits = found.iter().zip(&truth);
                let hits: usize = hits
                    .map(|(near, truth)| near.iter().filter(|n| truth.contains(n)).count())
                    .sum();
                let recall = hits as f64 / (6 * queries.len()) as f64;
                assert!(recall > 0.93, "{rows} {columns}: {recall}");
                let stated = table.recall().unwrap();
                assert!((stated - recall).abs() < 0.05, "{stated} and {recall}");
                if let Some(before) = &before {
                    assert_eq!(before, &found, "the same at any number of threads");
                }
                before = Some(found);
            }
            // More effort finds more.
            let table = Approximate::new(&x).with_effort(400).unwrap().with_links(24).unwrap();
            nearest(&table.features().unwrap(), &queries, &pool, 6);
            assert!(table.recall().unwrap() > 0.995, "{:?}", table.recall());
        }
    }

    #[test]
    fn a_graph_of_equal_rows_or_few_is_no_trouble() {
        let same = Array2::from_elem((1000, 3), 7.0);
        let table = Approximate::new(&same).with_seed(3);
        let all: Vec<usize> = (0..1000).collect();
        let found = nearest(&table.features().unwrap(), &all, &all, 4);
        assert!(found.iter().all(|near| near.len() == 4 && near.iter().all(|n| n.squared == 0.0)));
        let few = nearest(&table.features().unwrap(), &all, &all[..20], 30);
        assert!(few.iter().enumerate().all(|(at, near)| near.len() == 20 - usize::from(at < 20)));
        assert!(Approximate::new(&same).with_links(1).is_err());
        assert!(Approximate::new(&same).with_effort(0).is_err());
        assert_eq!(Approximate::new(&same).recall(), None);
    }

    #[test]
    fn a_pool_smaller_than_k_is_given_whole() {
        let mut x = Array2::from_shape_fn((4000, 9), |(r, c)| ((r * 7 + c * 3) % 31) as f64);
        let queries: Vec<usize> = (0..4000).collect();
        // One row too large for single precision, in the last panel and alone in it.
        x.row_mut(21).fill(1e17);
        let pool: Vec<usize> = (5..22).collect();
        for end in [End::Near, End::Far] {
            let found = best(&x.features().unwrap(), &queries, &pool, 20, end);
            let all = |at: usize| pool.iter().filter(|row| **row != at).count();
            assert!(found.iter().enumerate().all(|(at, near)| near.len() == all(at)));
        }
    }
}
