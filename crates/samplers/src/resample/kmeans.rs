//! k-means on dense rows.

use counterweight_core::Rng;
use ndarray::{Array2, ArrayView2, Axis, CowArray, Ix2};
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
        let nearest =
            |(row, products): (ndarray::ArrayView1<'_, f64>, ndarray::ArrayView1<'_, f64>)| {
                let mut best = (0, f64::INFINITY);
                for (at, (product, norm)) in products.iter().zip(&norms).enumerate() {
                    let gap = norm - 2.0 * product;
                    if gap < best.1 {
                        best = (at, gap);
                    }
                }
                (best.0, (best.1 + row.dot(&row)).max(0.0))
            };
        part.outer_iter().zip(products.outer_iter()).map(nearest).collect::<Vec<_>>()
    };
    rows.par_chunks(CHUNK).map(chunk).collect::<Vec<_>>().concat()
}

/// Greedy k-means++ (Arthur and Vassilvitskii 2007): rows far from the centres so far are likely,
/// and of 2 + ln k drawn the one that leaves the least is taken.
fn seeded(x: ArrayView2<'_, f64>, rows: &[usize], k: usize, rng: &mut Rng) -> Array2<f64> {
    let mut chosen = vec![rows[rng.random_range(0..rows.len())]];
    let mut squared = vec![f64::INFINITY; rows.len()];
    let near = |squared: &[f64], centre: usize| -> Vec<f64> {
        let place = |(least, &row): (&f64, &usize)| least.min(apart(x, row, centre));
        squared.par_iter().zip(rows).with_min_len(1024).map(place).collect()
    };
    squared = near(&squared, chosen[0]);
    let trials = 2 + (k as f64).ln() as usize;
    while chosen.len() < k {
        let total: f64 = squared.iter().sum();
        let mut best: Option<(f64, usize, Vec<f64>)> = None;
        for _ in 0..trials {
            let mut mark = rng.random::<f64>() * total;
            // Rows on centres only: any will do.
            let any = rng.random_range(0..rows.len());
            let at = squared.iter().position(|d| {
                mark -= d;
                mark < 0.0
            });
            let row = rows[at.unwrap_or(any)];
            let after = near(&squared, row);
            let left: f64 = after.iter().sum();
            if best.as_ref().is_none_or(|best| left < best.0) {
                best = Some((left, row, after));
            }
        }
        let Some((_, row, after)) = best else { break };
        chosen.push(row);
        squared = after;
    }
    x.select(Axis(0), &chosen)
}

fn apart(x: ArrayView2<'_, f64>, a: usize, b: usize) -> f64 {
    let (a, b) = (x.index_axis(Axis(0), a), x.index_axis(Axis(0), b));
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum()
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
