//! k-means on dense rows.

use counterweight_core::Rng;
use ndarray::{Array2, ArrayView1, ArrayView2, Axis, CowArray, Ix2};
use rand::RngExt;
use rayon::prelude::*;

/// Rows of one product.
const CHUNK: usize = 512;

/// The nearest centre of each row and its squared distance; of equals the first.
fn assign(x: ArrayView2<'_, f64>, rows: &[usize], centres: &Array2<f64>) -> Vec<(usize, f64)> {
    let norms: Vec<f64> = centres.outer_iter().map(|c| c.dot(&c)).collect();
    let chunk = |rows: &[usize]| {
        // Rows one after the other need no copy.
        let run = rows.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let part: CowArray<'_, f64, Ix2> = match rows.first() {
            Some(&first) if run => x.slice_axis(Axis(0), (first..first + rows.len()).into()).into(),
            _ => x.select(Axis(0), rows).into(),
        };
        let products = part.dot(&centres.t());
        let nearest = |(row, products): (ArrayView1<'_, f64>, ArrayView1<'_, f64>)| {
            let (at, gap) = match products.to_slice() {
                Some(products) => least(products, &norms),
                None => least(&products.to_vec(), &norms),
            };
            (at, (gap + row.dot(&row)).max(0.0))
        };
        part.outer_iter().zip(products.outer_iter()).map(nearest).collect::<Vec<_>>()
    };
    rows.par_chunks(CHUNK).map(chunk).collect::<Vec<_>>().concat()
}

/// The first place of the least `norm − 2 product`, and that.
fn least(products: &[f64], norms: &[f64]) -> (usize, f64) {
    const LANES: usize = 8;
    let gap = |product: f64, norm: f64| norm - 2.0 * product;
    let lower = |a: f64, b: f64| if b < a { b } else { a };
    // The value without its place first: without branches, several at once.
    let ((p, rest_p), (n, rest_n)) = (products.as_chunks::<LANES>(), norms.as_chunks::<LANES>());
    let mut lanes = [f64::INFINITY; LANES];
    for (p, n) in p.iter().zip(n) {
        for i in 0..LANES {
            lanes[i] = lower(lanes[i], gap(p[i], n[i]));
        }
    }
    let rest = rest_p.iter().zip(rest_n).map(|(&p, &n)| gap(p, n));
    let least = lanes.into_iter().chain(rest).fold(f64::INFINITY, lower);
    let at = products.iter().zip(norms).position(|(&p, &n)| gap(p, n) == least);
    (at.unwrap_or(0), least)
}

/// Greedy k-means++ (Arthur and Vassilvitskii 2007): rows far from the centres so far are likely,
/// and of 2 + ln k drawn the one that leaves the least is taken.
fn seeded(x: ArrayView2<'_, f64>, rows: &[usize], k: usize, rng: &mut Rng) -> Array2<f64> {
    let points = Points::new(x.select(Axis(0), rows));
    let first = rng.random_range(0..rows.len());
    let mut chosen = vec![rows[first]];
    let mut squared = vec![f64::INFINITY; rows.len()];
    points.lower(&mut squared, first);
    let trials = 2 + (k as f64).ln() as usize;
    while chosen.len() < k {
        let total: f64 = squared.iter().sum();
        let draw = |_| {
            let mut mark = rng.random::<f64>() * total;
            // Rows on centres only: any will do.
            let any = rng.random_range(0..rows.len());
            let at = squared.iter().position(|d| {
                mark -= d;
                mark < 0.0
            });
            at.unwrap_or(any)
        };
        let drawn: Vec<usize> = (0..trials).map(draw).collect();
        let left = points.left(&squared, &drawn);
        let best = left.iter().zip(&drawn).min_by(|a, b| a.0.total_cmp(b.0));
        let Some((_, &best)) = best else { break };
        chosen.push(rows[best]);
        points.lower(&mut squared, best);
    }
    x.select(Axis(0), &chosen)
}

/// Rows one after the other, centred so that little is lost to rounding, and the squares of their
/// lengths.
struct Points {
    rows: Array2<f64>,
    norms: Vec<f64>,
}

impl Points {
    fn new(mut rows: Array2<f64>) -> Self {
        if let Some(mean) = rows.mean_axis(Axis(0)) {
            rows -= &mean;
        }
        let norms = rows.outer_iter().map(|row| row.dot(&row)).collect();
        Self { rows, norms }
    }

    /// Each row's squared distances to some of the rows, in the order of the rows, `CHUNK` rows at a
    /// time: a product for all of them at once.
    fn apart<'a>(&'a self, some: &'a [usize]) -> impl IndexedParallelIterator<Item = Array2<f64>> {
        let centres = self.rows.select(Axis(0), some);
        let chunks = self.rows.axis_chunks_iter(Axis(0), CHUNK).into_par_iter();
        chunks.zip(self.norms.par_chunks(CHUNK)).map(move |(part, norms)| {
            let mut apart = part.dot(&centres.t());
            for (mut line, norm) in apart.outer_iter_mut().zip(norms) {
                for (v, &at) in line.iter_mut().zip(some) {
                    *v = (norm + self.norms[at] - 2.0 * *v).max(0.0);
                }
            }
            apart
        })
    }

    /// Lowers the rows' squared distances where the row at a place is nearer.
    fn lower(&self, squared: &mut [f64], place: usize) {
        self.apart(&[place]).zip(squared.par_chunks_mut(CHUNK)).for_each(|(apart, squared)| {
            squared.iter_mut().zip(apart).for_each(|(least, v)| *least = least.min(v));
        });
        // Where it is, rounding must leave nothing, or it might be drawn again.
        squared[place] = 0.0;
    }

    /// What the sum of the squared distances would be after each of these.
    fn left(&self, squared: &[f64], places: &[usize]) -> Vec<f64> {
        let sums = self.apart(places).zip(squared.par_chunks(CHUNK)).map(|(apart, squared)| {
            let mut sums = vec![0.0; places.len()];
            for (line, &least) in apart.outer_iter().zip(squared) {
                sums.iter_mut().zip(line).for_each(|(sum, v)| *sum += least.min(*v));
            }
            sums
        });
        // In the order of the rows, at any number of threads.
        let mut all = vec![0.0; places.len()];
        for sums in sums.collect::<Vec<_>>() {
            all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
        }
        all
    }
}

/// Lloyd's algorithm: the cluster of each row, by place. Ends when no row moves, or after
/// `rounds`; an empty cluster takes the row farthest from its centre.
pub(super) fn lloyd(
    x: ArrayView2<'_, f64>,
    rows: &[usize],
    k: usize,
    rounds: usize,
    rng: &mut Rng,
) -> Vec<usize> {
    let mut centres = seeded(x, rows, k, rng);
    let mut clusters = vec![usize::MAX; rows.len()];
    for _ in 0..rounds {
        let mut found = assign(x, rows, &centres);
        let mut sizes = vec![0usize; k];
        found.iter().for_each(|f| sizes[f.0] += 1);
        for empty in 0..k {
            if sizes[empty] == 0 {
                let far = (0..found.len())
                    .filter(|&i| sizes[found[i].0] > 1)
                    .max_by(|&a, &b| found[a].1.total_cmp(&found[b].1));
                let Some(far) = far else { break };
                sizes[found[far].0] -= 1;
                sizes[empty] = 1;
                found[far] = (empty, 0.0);
            }
        }
        let next: Vec<usize> = found.into_iter().map(|f| f.0).collect();
        if next == clusters {
            break;
        }
        clusters = next;
        centres.fill(0.0);
        for (&row, &cluster) in rows.iter().zip(&clusters) {
            let mut centre = centres.index_axis_mut(Axis(0), cluster);
            centre += &x.index_axis(Axis(0), row);
        }
        for (mut centre, &size) in centres.outer_iter_mut().zip(&sizes) {
            centre /= size.max(1) as f64;
        }
    }
    clusters
}

/// Mini-batch k-means (Sculley, WWW 2010): centres move towards batches of 1,024 rows, each by
/// one over the rows it has had; then every row goes to its nearest centre. It ends after 100
/// batches, or, as scikit-learn's, when the smoothed mean distance has not fallen for ten.
pub(super) fn mini_batch(
    x: ArrayView2<'_, f64>,
    rows: &[usize],
    k: usize,
    rng: &mut Rng,
) -> Vec<usize> {
    const BATCH: usize = 1024;
    const PATIENCE: usize = 10;
    if rows.len() <= 2 * BATCH {
        return lloyd(x, rows, k, 100, rng);
    }
    let draw = |rng: &mut Rng| -> Vec<usize> {
        (0..BATCH).map(|_| rows[rng.random_range(0..rows.len())]).collect()
    };
    let first: Vec<usize> = (0..3).flat_map(|_| draw(rng)).collect();
    let mut centres = seeded(x, &first, k, rng);
    let mut had = vec![0usize; k];
    let share = (2.0 * BATCH as f64 / (rows.len() as f64 + 1.0)).min(1.0);
    let (mut smoothed, mut least, mut patience) = (None, f64::INFINITY, PATIENCE);
    for _ in 0..100 {
        let batch = draw(rng);
        let assigned = assign(x, &batch, &centres);
        let mean = assigned.iter().map(|a| a.1).sum::<f64>() / BATCH as f64;
        let now = smoothed.map_or(mean, |old: f64| old + share * (mean - old));
        smoothed = Some(now);
        patience = if now < least { PATIENCE } else { patience - 1 };
        least = least.min(now);
        if patience == 0 {
            break;
        }
        for (&row, (cluster, _)) in batch.iter().zip(assigned) {
            had[cluster] += 1;
            let rate = 1.0 / had[cluster] as f64;
            let mut centre = centres.index_axis_mut(Axis(0), cluster);
            centre.zip_mut_with(&x.index_axis(Axis(0), row), |c, v| *c += rate * (v - *c));
        }
    }
    assign(x, rows, &centres).into_iter().map(|f| f.0).collect()
}
