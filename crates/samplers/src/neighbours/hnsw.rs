//! Approximate neighbours by a hierarchical navigable small-world graph.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use counterweight_core::derive;
use ndarray::{ArrayView2, Axis};
use rayon::prelude::*;

/// A squared distance, ordered, and the place of a point.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Near {
    squared: f32,
    point: u32,
}

impl Eq for Near {}

impl PartialOrd for Near {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Near {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.squared.total_cmp(&other.squared).then(self.point.cmp(&other.point))
    }
}

/// A graph over some rows of a table (Malkov and Yashunin, TPAMI 2020). Built in batches that look
/// for their neighbours in the graph of those before, so that it is the same at any number of
/// threads.
pub(super) struct Graph {
    /// The points one after the other, about the mean of all.
    points: Vec<f32>,
    columns: usize,
    mean: Vec<f64>,
    /// The links of each point on each of its levels.
    links: Vec<Vec<Vec<u32>>>,
    entry: u32,
    effort: usize,
}

/// Points that enter one by one before batches begin, and the largest batch.
const FIRST: usize = 256;
const BATCH: usize = 4096;

/// Which points a search has seen: a mark for each, so that nothing is cleared between searches.
struct Seen {
    marks: Vec<u32>,
    now: u32,
}

impl Seen {
    fn new(points: usize) -> Self {
        Self { marks: vec![0; points], now: 0 }
    }

    fn clear(&mut self) {
        self.now += 1;
    }

    /// Whether it is seen for the first time.
    fn first(&mut self, point: u32) -> bool {
        std::mem::replace(&mut self.marks[point as usize], self.now) != self.now
    }
}

impl Graph {
    /// A graph over the rows of `pool`, with so many links for each and twice as many at the
    /// bottom, built and searched with so many candidates.
    pub(super) fn new(
        x: ArrayView2<'_, f64>,
        pool: &[usize],
        links: usize,
        effort: usize,
        seed: u64,
    ) -> Self {
        let columns = x.ncols();
        let mut mean = vec![0f64; columns];
        for &row in pool {
            let row = x.index_axis(Axis(0), row);
            mean.iter_mut().zip(row).for_each(|(mean, v)| *mean += v / pool.len() as f64);
        }
        let mut points = vec![0f32; pool.len() * columns];
        points.par_chunks_mut(columns.max(1)).zip(pool).for_each(|(point, &row)| {
            let row = x.index_axis(Axis(0), row).into_iter().zip(&mean);
            point.iter_mut().zip(row).for_each(|(to, (v, mean))| *to = (v - mean) as f32);
        });
        let height = |point: usize| {
            // From (0, 1], so that the logarithm is finite.
            let u = ((derive(seed, point as u64) >> 11) + 1) as f64 / (1u64 << 53) as f64;
            (-u.ln() / (links.max(2) as f64).ln()) as usize
        };
        let mut graph = Self {
            points,
            columns,
            mean,
            links: (0..pool.len()).map(|point| vec![Vec::new(); height(point) + 1]).collect(),
            entry: 0,
            effort: effort.max(links),
        };
        let mut done = 1.min(pool.len());
        while done < pool.len() {
            let size = if done < FIRST { 1 } else { (done / 4).min(BATCH) };
            let end = pool.len().min(done + size);
            graph.insert(done..end, links);
            done = end;
        }
        graph
    }

    /// Links a batch of points to those before.
    fn insert(&mut self, batch: std::ops::Range<usize>, links: usize) {
        let graph = &*self;
        let found: Vec<Vec<Vec<u32>>> = (batch.clone().into_par_iter())
            .map_init(
                || Seen::new(graph.links.len()),
                |seen, point| {
                    let own = graph.point(point as u32);
                    let mut from = graph.descend(own, graph.links[point].len());
                    let top = graph.links[point].len().min(graph.height());
                    let mut levels = vec![Vec::new(); top];
                    for level in (0..top).rev() {
                        let near = graph.search(own, from, level, seen);
                        from = near[0].point;
                        levels[level] = graph.spread(near, links);
                    }
                    levels
                },
            )
            .collect();
        // Back from their neighbours, each of which keeps the best of the old and the new.
        let mut back: BTreeMap<(usize, u32), Vec<u32>> = BTreeMap::new();
        for (point, levels) in batch.clone().zip(&found) {
            for (level, near) in levels.iter().enumerate() {
                for &neighbour in near {
                    back.entry((level, neighbour)).or_default().push(point as u32);
                }
            }
        }
        let graph = &*self;
        let kept: Vec<((usize, u32), Vec<u32>)> = (back.into_par_iter())
            .map(|((level, neighbour), new)| {
                let most = if level == 0 { 2 * links } else { links };
                let old = &graph.links[neighbour as usize][level];
                let mut all: Vec<u32> = old.iter().copied().chain(new).collect();
                if all.len() > most {
                    let own = graph.point(neighbour);
                    let mut near: Vec<Near> =
                        all.iter().map(|&point| graph.near(own, point)).collect();
                    near.sort_unstable();
                    all = graph.spread(near, most);
                }
                ((level, neighbour), all)
            })
            .collect();
        for ((level, neighbour), all) in kept {
            self.links[neighbour as usize][level] = all;
        }
        for (point, levels) in batch.zip(found) {
            for (level, near) in levels.into_iter().enumerate() {
                self.links[point][level] = near;
            }
            if self.links[point].len() > self.height() {
                self.entry = point as u32;
            }
        }
    }

    /// The number of levels.
    fn height(&self) -> usize {
        self.links[self.entry as usize].len()
    }

    fn point(&self, point: u32) -> &[f32] {
        &self.points[point as usize * self.columns..][..self.columns]
    }

    fn near(&self, query: &[f32], point: u32) -> Near {
        Near { squared: squared(query, self.point(point)), point }
    }

    /// The nearest point that is reached by always going nearer, above the levels below `bottom`.
    fn descend(&self, query: &[f32], bottom: usize) -> u32 {
        let mut best = self.near(query, self.entry);
        for level in (bottom..self.height()).rev() {
            loop {
                let links = self.links[best.point as usize].get(level);
                let nearer = links.into_iter().flatten().map(|&p| self.near(query, p)).min();
                match nearer {
                    Some(nearer) if nearer < best => best = nearer,
                    _ => break,
                }
            }
        }
        best.point
    }

    /// The points found nearest on a level, nearest first; at least the one it starts from.
    fn search(&self, query: &[f32], from: u32, level: usize, seen: &mut Seen) -> Vec<Near> {
        seen.clear();
        seen.first(from);
        let start = self.near(query, from);
        let mut open = BinaryHeap::from([Reverse(start)]);
        let mut best = BinaryHeap::from([start]);
        while let Some(Reverse(next)) = open.pop() {
            let full = best.len() >= self.effort;
            if full && best.peek().is_some_and(|worst| next > *worst) {
                break;
            }
            for &point in self.links[next.point as usize].get(level).into_iter().flatten() {
                if !seen.first(point) {
                    continue;
                }
                let near = self.near(query, point);
                if best.len() < self.effort {
                    best.push(near);
                    open.push(Reverse(near));
                } else if let Some(mut worst) = best.peek_mut()
                    && near < *worst
                {
                    *worst = near;
                    open.push(Reverse(near));
                }
            }
        }
        best.into_sorted_vec()
    }

    /// At most so many of the candidates, nearest first, each nearer to the point than to any taken
    /// before, so that links lead in all directions; the rest is filled up with the nearest.
    fn spread(&self, candidates: Vec<Near>, most: usize) -> Vec<u32> {
        let mut taken: Vec<u32> = Vec::with_capacity(most);
        let mut left = Vec::new();
        for near in candidates {
            if taken.len() == most {
                break;
            }
            let own = self.point(near.point);
            let apart = |&other: &u32| squared(own, self.point(other)) > near.squared;
            if taken.iter().all(apart) {
                taken.push(near.point);
            } else {
                left.push(near.point);
            }
        }
        let room = most - taken.len();
        taken.extend(left.into_iter().take(room));
        taken
    }

    /// Candidates for the nearest of the pool to each query, as places in the pool.
    pub(super) fn candidates(&self, x: ArrayView2<'_, f64>, queries: &[usize]) -> Vec<Vec<usize>> {
        (queries.par_iter())
            .map_init(
                || Seen::new(self.links.len()),
                |seen, &query| {
                    let row = x.index_axis(Axis(0), query).into_iter().zip(&self.mean);
                    let query: Vec<f32> = row.map(|(v, mean)| (v - mean) as f32).collect();
                    let from = self.descend(&query, 1);
                    let near = self.search(&query, from, 0, seen);
                    near.into_iter().map(|near| near.point as usize).collect()
                },
            )
            .collect()
    }
}

/// In eight sums, so that they need not wait for each other.
fn squared(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<8>();
    let (b, rest_b) = b.as_chunks::<8>();
    let mut sums = [0f32; 8];
    for (a, b) in a.iter().zip(b) {
        for i in 0..8 {
            sums[i] += (a[i] - b[i]) * (a[i] - b[i]);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}
